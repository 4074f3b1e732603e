//! The RFC's example, handshakes of browsers, and each reason to refuse.

use super::*;
use crate::wire::http::head::{Parsed, parse};
use crate::wire::http::{self, HeadLimits, Scanned};

const VALID: &str = "GET /u/alice/ws HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The verdict on a request.
fn check<T>(request: &str, look: impl FnOnce(Result<Handshake<'_>, HandshakeReject>) -> T) -> T {
    let limits = HeadLimits { bytes_max: 16_384, headers_max: 100 };
    match parse(request.as_bytes(), Scanned::default(), &limits) {
        Ok(Parsed::Complete { head, .. }) => look(handshake(&head)),
        other => panic!("no head: {other:?}"),
    }
}

/// The valid request with one line in place of another.
fn with(line: &str, other: &str) -> String {
    assert!(VALID.contains(line), "{line}");
    VALID.replace(line, other)
}

fn refused(request: &str) -> HandshakeReject {
    check(request, |verdict| verdict.expect_err(request))
}

#[test]
fn the_example_of_the_rfc_is_accepted() {
    assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    check(VALID, |verdict| {
        let expected = Handshake { key: "dGhlIHNhbXBsZSBub25jZQ==", protocols: Vec::new(), deflate: None };
        assert_eq!(verdict, Ok(expected));
    });
}

#[test]
fn what_browsers_send_is_accepted() {
    let firefox = with("Connection: Upgrade", "Connection: keep-alive, Upgrade");
    let shouted = firefox.replace("Upgrade: websocket", "Upgrade: WebSocket");
    let full = shouted.replace(
        "\r\n\r\n",
        "\r\nSec-WebSocket-Protocol: encke.v1, chat\r\nSec-WebSocket-Protocol: ,superchat,\r\n\
         Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nContent-Length: 0\r\n\r\n",
    );
    check(&full, |verdict| {
        let handshake = verdict.expect("a handshake");
        assert_eq!(handshake.protocols, ["encke.v1", "chat", "superchat"]);
        let deflate = handshake.deflate.expect("an offer");
        assert_eq!(deflate.server_max_window_bits, 15);
    });
}

#[test]
fn a_bad_extension_does_not_fail_the_handshake() {
    let request = with("\r\n\r\n", "\r\nSec-WebSocket-Extensions: ;;=,\"\r\n\r\n");
    check(&request, |verdict| assert_eq!(verdict.expect("a handshake").deflate, None));
}

#[test]
fn each_fault_has_its_refusal() {
    use HandshakeReject as Reject;
    let cases = [
        (with("GET", "POST"), Reject::Method, 405),
        (with("Upgrade: websocket\r\n", ""), Reject::NotAnUpgrade, 426),
        (with("Upgrade: websocket", "Upgrade: h2c"), Reject::NotAnUpgrade, 426),
        (with("HTTP/1.1", "HTTP/1.0"), Reject::Http10, 400),
        (with("Connection: Upgrade\r\n", ""), Reject::NotConnection, 400),
        (with("Connection: Upgrade", "Connection: close"), Reject::NotConnection, 400),
        (with("Version: 13", "Version: 8"), Reject::Version, 426),
        (with("Version: 13", "Version: 13, 8"), Reject::Version, 426),
        (with("Version: 13", "Version: 013"), Reject::Version, 426),
        (with("Sec-WebSocket-Version: 13\r\n", ""), Reject::Version, 426),
        (with("\r\n\r\n", "\r\nSec-WebSocket-Version: 13\r\n\r\n"), Reject::Version, 426),
        (with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), Reject::Key, 400),
    ];
    for (request, reject, status) in cases {
        assert_eq!((refused(&request), reject.code().status()), (reject, status), "{request}");
    }
}

#[test]
fn a_body_is_refused_with_the_head_and_an_empty_one_is_none() {
    let limits = HeadLimits { bytes_max: 16_384, headers_max: 100 };
    let verdict = |request: &str| parse(request.as_bytes(), Scanned::default(), &limits).map(drop);
    for header in ["Content-Length: 3", "Transfer-Encoding: chunked"] {
        let request = with("\r\n\r\n", &format!("\r\n{header}\r\n\r\n"));
        assert_eq!(verdict(&request), Err(http::Reject::HandshakeBody), "{header}");
        assert_eq!(verdict(&request.replace("Upgrade: websocket", "Upgrade: h2c")), Ok(()), "{header}");
        assert_eq!(verdict(&request.replace("GET", "POST")), Ok(()), "{header}");
    }
    check(&with("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"), |verdict| assert!(verdict.is_ok()));
}

#[test]
fn a_key_is_sixteen_bytes_in_base64() {
    for bad in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZWU=",
        "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25!ZQ==",
        "dGhl IHNhbXBsZSBub25jZQ==",
        "é",
    ] {
        assert_eq!(refused(&with("dGhlIHNhbXBsZSBub25jZQ==", bad)), HandshakeReject::Key, "{bad}");
    }
    let drawn = with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZX==");
    check(&drawn, |verdict| assert!(verdict.is_ok(), "spare bits may be anything"));
}

#[test]
fn subprotocols_are_a_list_of_different_names() {
    let offering = |value: &str| with("\r\n\r\n", &format!("\r\nSec-WebSocket-Protocol: {value}\r\n\r\n"));
    for bad in ["a b", "a, b/c", "\"a\"", "a, b, a", "é"] {
        assert_eq!(refused(&offering(bad)), HandshakeReject::Protocols, "{bad}");
    }
    let names: Vec<String> = (0..33).map(|n| format!("p{n}")).collect();
    check(&offering(&names[..32].join(",")), |verdict| {
        assert_eq!(verdict.map(|handshake| handshake.protocols.len()), Ok(32));
    });
    assert_eq!(refused(&offering(&names.join(","))), HandshakeReject::Protocols);
}

#[test]
fn a_refusal_names_what_would_do() {
    let refusal = |reject: HandshakeReject| Refusal::from(reject).header;
    assert_eq!(refusal(HandshakeReject::NotAnUpgrade), Some(("Upgrade", "websocket")));
    assert_eq!(refusal(HandshakeReject::Version), Some(("Sec-WebSocket-Version", "13")));
    assert_eq!(refusal(HandshakeReject::Method), Some(("Allow", "GET")));
    assert_eq!(refusal(HandshakeReject::Key), None);
}
