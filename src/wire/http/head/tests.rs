//! Tables of valid and refused heads, and that the cuts between reads change nothing.

use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 512, headers_max: 8 };

fn complete(bytes: &[u8]) -> Result<(Head<'_>, usize), Reject> {
    match parse(bytes, Scanned::default(), &LIMITS)? {
        Parsed::Complete { head, len } => Ok((head, len)),
        Parsed::Partial(scanned) => panic!("partial at {scanned:?}: {:?}", String::from_utf8_lossy(bytes)),
    }
}

fn ok(text: &str) -> Head<'_> {
    complete(text.as_bytes()).unwrap_or_else(|reject| panic!("{reject:?}: {text:?}")).0
}

/// The outcome of feeding `bytes` in pieces that end at the given cuts.
fn fed(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Result<Option<usize>, Reject> {
    let mut scanned = Scanned::default();
    for cut in cuts.into_iter().chain([bytes.len()]) {
        match parse(&bytes[..cut], scanned, &LIMITS)? {
            Parsed::Partial(next) => scanned = next,
            Parsed::Complete { len, .. } => return Ok(Some(len)),
        }
    }
    Ok(None)
}

fn refused(bytes: impl AsRef<[u8]>) -> Reject {
    let bytes = bytes.as_ref();
    let whole = fed(bytes, []);
    assert_eq!(fed(bytes, 0..bytes.len()), whole, "one byte at a time: {:?}", String::from_utf8_lossy(bytes));
    whole.expect_err(&String::from_utf8_lossy(bytes))
}

/// A POST with these header lines besides `Host`.
fn with(lines: &str) -> String {
    format!("POST /p HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n")
}

#[test]
fn a_browsers_request_is_read() {
    let text = "GET /u/al%20ice/sse?channels=/a,/b&x HTTP/1.1\r\nHost: example.com:8080\r\nACCEPT:text/event-stream \t\r\n\
                Cookie: a=b\r\nEmpty:\r\nx-latin: \u{e9}\r\n\r\nnext";
    let (head, len) = complete(text.as_bytes()).expect("fine");
    assert_eq!(&text[len..], "next");
    assert_eq!((head.method, head.version), (Method::Get, Version::Http11));
    assert_eq!(
        (head.path, head.query, head.host),
        ("/u/al%20ice/sse", "channels=/a,/b&x", "example.com:8080")
    );
    assert_eq!(
        (head.body, head.keep_alive, head.expect_continue),
        (BodyFraming::None, KeepAlive::Keep, false)
    );
    assert_eq!(head.header("Accept"), Some("text/event-stream"));
    assert_eq!(head.header("empty"), Some(""));
    assert_eq!(head.header("missing"), None);
    assert_eq!(head.headers().count(), 5);
}

#[test]
fn a_value_that_is_not_utf8_is_there_as_bytes_only() {
    let (head, _) = complete(b"GET / HTTP/1.1\r\nHost: h\r\nCookie: a=\xff\r\n\r\n").expect("fine");
    assert_eq!(head.header("cookie"), None);
    assert_eq!(head.header_bytes("cookie").next(), Some(&b"a=\xff"[..]));
}

#[test]
fn methods_are_told_apart_by_case() {
    for (name, method) in [
        ("HEAD", Method::Head),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
        ("get", Method::Other),
        ("M-SEARCH", Method::Other),
    ] {
        assert_eq!(ok(&format!("{name} / HTTP/1.1\r\nHost: h\r\n\r\n")).method, method);
    }
}

#[test]
fn targets_are_read_in_each_form() {
    let target = |line: &str| {
        let text = format!("{line} HTTP/1.1\r\nHost: h.x:81\r\n\r\n");
        complete(text.as_bytes()).map(|(head, _)| (head.path.to_owned(), head.query.to_owned()))
    };
    let ok = |path: &str, query: &str| Ok((path.to_owned(), query.to_owned()));
    assert_eq!(target("GET /a?"), ok("/a", ""));
    assert_eq!(target("GET //a/../b?c?d"), ok("//a/../b", "c?d"));
    assert_eq!(target("OPTIONS *"), ok("*", ""));
    assert_eq!(target("GET http://h.x:81/a?b"), ok("/a", "b"));
    assert_eq!(target("GET HTTP://H.X:81?b"), ok("/", "b"));
    assert_eq!(target("GET https://h.x:81"), ok("/", ""));
    assert_eq!(target("GET http://h.x/a"), Err(Reject::AuthorityMismatch));
    assert_eq!(target("GET http://u@h.x:81/a"), Err(Reject::BadHost));
    assert_eq!(target("GET http:///a"), Err(Reject::BadHost));
    assert_eq!(target("GET *"), Err(Reject::BadTarget));
    assert_eq!(target("GET h.x:81"), Err(Reject::BadTarget));
    assert_eq!(target("GET a/b"), Err(Reject::BadTarget));
    assert_eq!(target("GET ftp://h.x:81/"), Err(Reject::BadTarget));
    assert_eq!(target("CONNECT h.x:81"), Err(Reject::ConnectUnsupported));
    assert_eq!(target("GET /a#b"), Err(Reject::FragmentInTarget));
    assert_eq!(target("GET /\u{e9}"), Err(Reject::NonAsciiTarget));
}

#[test]
fn the_port_of_the_scheme_may_be_left_out() {
    ok("GET http://h:80/ HTTP/1.1\r\nHost: h\r\n\r\n");
    ok("GET https://h/ HTTP/1.1\r\nHost: H:443\r\n\r\n");
    assert_eq!(refused("GET https://h/ HTTP/1.1\r\nHost: h:80\r\n\r\n"), Reject::AuthorityMismatch);
}

#[test]
fn hosts_are_checked() {
    for host in ["h", "a-b.c_d", "127.0.0.1:0", "[::1]", "[2001:db8::7]:65535", "h:", "xn--bcher-kva.example"]
    {
        assert_eq!(ok(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).host, host);
    }
    for host in [
        "", ":80", "a b", "a,b", "a/b", "u@h", "h:80:80", "h:+8", "h:65536", "[::1", "[::1]80", "[h]", "::1",
        "h\u{e9}",
    ] {
        assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), Reject::BadHost, "{host}");
    }
    assert_eq!(refused("GET / HTTP/1.1\r\nA: b\r\n\r\n"), Reject::MissingHost);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n"), Reject::RepeatedHost);
    assert_eq!(ok("GET / HTTP/1.0\r\n\r\n").host, "");
    assert_eq!(ok("GET http://h/ HTTP/1.0\r\n\r\n").host, "h");
}

#[test]
fn request_lines_that_are_not_exact_are_refused() {
    for (line, reject) in [
        ("GET  / HTTP/1.1", Reject::RequestLineSpacing),
        (" GET / HTTP/1.1", Reject::RequestLineSpacing),
        ("GET / HTTP/1.1 ", Reject::RequestLineSpacing),
        ("GET\t/ HTTP/1.1", Reject::RequestLineSpacing),
        ("GET /\tHTTP/1.1", Reject::RequestLineSpacing),
        ("GET", Reject::BadRequestLine),
        ("GET /a b HTTP/1.1", Reject::BadRequestLine),
        ("G(T / HTTP/1.1", Reject::BadRequestLine),
        ("GET / http/1.1", Reject::BadRequestLine),
        ("GET / HTTP/1.1x", Reject::BadRequestLine),
        ("GET / HTTP/01.1", Reject::BadRequestLine),
        ("GET / HTTP/", Reject::BadRequestLine),
        ("GET / ICY/1.1", Reject::BadRequestLine),
        ("GET /", Reject::Http09),
        ("GET / HTTP/0.9", Reject::UnsupportedVersion),
        ("GET / HTTP/1.2", Reject::UnsupportedVersion),
        ("GET / HTTP/2", Reject::UnsupportedVersion),
        ("GET / HTTP/2.0", Reject::UnsupportedVersion),
        ("PRI * HTTP/2.0", Reject::Http2Preface),
    ] {
        // Known from the line alone: nothing more need come.
        assert_eq!(refused(format!("{line}\r\n")), reject, "{line}");
    }
}

#[test]
fn empty_lines_before_the_request_are_skipped_twice() {
    let text = "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(complete(text.as_bytes()).expect("fine").1, text.len());
    assert_eq!(fed(text.as_bytes(), 0..text.len()), Ok(Some(text.len())));
    assert_eq!(refused(format!("\r\n{text}")), Reject::EmptyLines);
    assert_eq!(refused("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), Reject::BareLf);
}

#[test]
fn lines_end_in_crlf_and_hold_no_control_bytes() {
    for (text, reject) in [
        ("GET / HTTP/1.1\nHost: h\n\n", Reject::BareLf),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", Reject::BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\n\n", Reject::BareLf),
        ("GET / HTTP/1.1\rHost: h\r\r", Reject::BareCr),
        ("GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", Reject::BareCr),
        ("GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", Reject::BareCr),
        ("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", Reject::ControlByte),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n", Reject::ControlByte),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: \x1b\r\n\r\n", Reject::ControlByte),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: \x7f\r\n\r\n", Reject::ControlByte),
        ("GET / HTTP/1.1\r\nHost: h\r\nA\x0b: b\r\n\r\n", Reject::ControlByte),
    ] {
        assert_eq!(refused(text), reject, "{text:?}");
    }
}

#[test]
fn another_protocol_is_known_by_its_first_bytes() {
    assert_eq!(refused(b"\x16\x03\x01\x02\x00\x01\x00"), Reject::TlsOnPlainPort);
    assert_eq!(refused(b"\x16"), Reject::TlsOnPlainPort);
    assert_eq!(refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Reject::Http2Preface);
    assert!(Reject::TlsOnPlainPort.reason().contains("TLS"));
}

#[test]
fn header_lines_that_are_not_exact_are_refused() {
    for (line, reject) in [
        (" A: b", Reject::ObsFold),
        ("\tA: b", Reject::ObsFold),
        ("A: b\r\n c", Reject::ObsFold),
        ("A : b", Reject::SpaceBeforeColon),
        ("A\t: b", Reject::SpaceBeforeColon),
        (": b", Reject::EmptyHeaderName),
        ("A", Reject::MissingColon),
        ("A B: c", Reject::BadHeaderName),
        ("A\u{e9}: c", Reject::BadHeaderName),
        ("(A): c", Reject::BadHeaderName),
        ("Content-Length: 1\r\nContent-Length : 2", Reject::SpaceBeforeColon),
        ("Transfer-Encoding : chunked", Reject::SpaceBeforeColon),
        ("Transfer-Encoding:\r\n chunked", Reject::ObsFold),
    ] {
        assert_eq!(refused(with(line)), reject, "{line:?}");
        assert_eq!(refused(format!("GET / HTTP/1.1\r\n{line}\r\nHost: h\r\n\r\n")), reject, "{line:?} first");
    }
}

#[test]
fn a_body_has_one_length() {
    for (lines, body) in [
        ("A: b", BodyFraming::None),
        ("Content-Length: 0", BodyFraming::Length(0)),
        ("content-length:42", BodyFraming::Length(42)),
        ("Content-Length: 007 \t", BodyFraming::Length(7)),
        ("Content-Length: 9999999999999999999", BodyFraming::Length(9_999_999_999_999_999_999)),
        ("Transfer-Encoding: chunked", BodyFraming::Chunked),
        ("transfer-encoding: CHUNKED ", BodyFraming::Chunked),
    ] {
        assert_eq!(ok(&with(lines)).body, body, "{lines}");
    }
    assert_eq!(ok(&with("A: b")).require_length(), Err(Reject::LengthRequired));
    assert_eq!(ok(&with("Content-Length: 0")).require_length(), Ok(()));
}

#[test]
fn lengths_that_two_readers_could_read_differently_are_refused() {
    let values = [
        "",
        "+5",
        "-5",
        "5 5",
        "5,5",
        "5, 5",
        "0x5",
        "5.0",
        "5e1",
        "\u{0665}",
        "5;",
        "\"5\"",
        "99999999999999999999",
    ];
    for value in values {
        assert_eq!(refused(with(&format!("Content-Length: {value}"))), Reject::BadContentLength, "{value}");
    }
    let long = "0".repeat(20);
    assert_eq!(refused(with(&format!("Content-Length: {long}"))), Reject::BadContentLength);
    for (lines, reject) in [
        ("Content-Length: 5\r\nContent-Length: 5", Reject::RepeatedContentLength),
        ("Content-Length: 5\r\ncontent-length: 6", Reject::RepeatedContentLength),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Reject::TwoLengths),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", Reject::TwoLengths),
        ("Transfer-Encoding: x\r\nContent-Length: 0", Reject::TwoLengths),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Reject::RepeatedTransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", Reject::RepeatedTransferEncoding),
    ] {
        assert_eq!(refused(with(lines)), reject, "{lines:?}");
    }
}

#[test]
fn codings_other_than_one_chunked_are_refused() {
    for (value, status) in [
        ("", 400),
        ("identity", 400),
        ("xchunked", 400),
        ("chunkedx", 400),
        ("chunked, chunked", 400),
        ("chunked, identity", 400),
        ("chunked,", 400),
        (",chunked", 400),
        ("chunked;q=1", 400),
        ("\"chunked\"", 400),
        ("chunked chunked", 400),
        ("\x0cchunked", 400),
        ("gzip", 400),
        ("gzip, chunked", 501),
        ("identity, chunked", 501),
    ] {
        assert_eq!(
            refused(with(&format!("Transfer-Encoding: {value}"))).code().status(),
            status,
            "{value:?}"
        );
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(old), Reject::TransferEncodingOnHttp10);
}

#[test]
fn expectations_are_met_or_refused() {
    assert!(ok(&with("Expect: 100-Continue\r\nContent-Length: 1")).expect_continue);
    assert!(ok(&with("Expect: 100-continue\r\nTransfer-Encoding: chunked")).expect_continue);
    assert!(!ok(&with("Expect: 100-continue\r\nContent-Length: 0")).expect_continue);
    assert!(!ok("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").expect_continue);
    assert_eq!(refused(with("Expect: 200-ok")), Reject::UnsupportedExpectation);
    assert_eq!(refused(with("Expect: 100-continue, x")).code().status(), 417);
}

#[test]
fn the_connection_stays_as_the_version_and_the_client_say() {
    let keep_alive = |version: &str, value: &str| {
        ok(&format!("GET / HTTP/{version}\r\nHost: h\r\nConnection: {value}\r\n\r\n")).keep_alive
    };
    assert_eq!(keep_alive("1.1", "x"), KeepAlive::Keep);
    assert_eq!(keep_alive("1.1", "Upgrade , CLOSE"), KeepAlive::Close);
    assert_eq!(keep_alive("1.1", "x\r\nConnection: close"), KeepAlive::Close);
    assert_eq!(keep_alive("1.0", "x"), KeepAlive::Close);
    assert_eq!(keep_alive("1.0", "Keep-Alive"), KeepAlive::Keep);
    assert_eq!(keep_alive("1.0", "keep-alive, close"), KeepAlive::Close);
    assert!(ok(&with("Connection: keep-alive, Upgrade")).lists("connection", "upgrade"));
}

#[test]
fn headers_that_identify_the_client_may_occur_once() {
    for name in SINGLETONS {
        assert_eq!(refused(with(&format!("{name}: a\r\n{name}: a"))), Reject::RepeatedHeader { name });
    }
    assert_eq!(refused(with("Expect: 100-continue\r\nExpect: x")), Reject::RepeatedHeader { name: "expect" });
    assert_eq!(ok(&with("Cookie: a=1\r\nCookie: b=2")).header_bytes("cookie").count(), 2);
}

#[test]
fn heads_are_bounded() {
    let bytes_max = LIMITS.bytes_max;
    let line = format!("GET /{} HTTP/1.1\r\n", "a".repeat(bytes_max));
    assert_eq!(refused(&line), Reject::RequestLineTooLong { bytes_max });
    assert_eq!(refused(&line[..bytes_max]), Reject::RequestLineTooLong { bytes_max });
    let head = |len: usize| {
        let rest = "GET / HTTP/1.1\r\nHost: h\r\nA: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "a".repeat(len - rest))
    };
    ok(&head(bytes_max));
    assert_eq!(refused(head(bytes_max + 1)), Reject::HeadTooLarge { bytes_max });
    assert_eq!(refused("a".repeat(1 << 20)).code().status(), 414);
    let lines = |count: usize| "A: b\r\n".repeat(count);
    ok(&format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", lines(7)));
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}", lines(8));
    assert_eq!(refused(many), Reject::TooManyHeaders { headers_max: 8 });
}

#[test]
fn a_head_with_unusually_many_headers_is_read() {
    let limits = HeadLimits { bytes_max: 4096, headers_max: 200 };
    let lines: Vec<_> = (0..200).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let text = format!("GET / HTTP/1.0\r\n{}\r\n", lines.concat());
    let cut = parse(&text.as_bytes()[..text.len() / 2], Scanned::default(), &limits);
    let Ok(Parsed::Partial(scanned)) = cut else { panic!("{cut:?}") };
    for from in [Scanned::default(), scanned] {
        let parsed = parse(text.as_bytes(), from, &limits);
        let Ok(Parsed::Complete { head, len }) = parsed else { panic!("{parsed:?}") };
        assert_eq!((len, head.headers().count(), head.header("x-199")), (text.len(), 200, Some("199")));
    }
}

#[test]
fn every_refusal_says_what_is_wrong() {
    let reject = Reject::HeadTooLarge { bytes_max: 16_384 };
    assert_eq!((reject.code().status(), reject.code().text()), (431, "head-too-large"));
    assert!(reject.reason().contains("16384 bytes"));
    assert!(Reject::RepeatedHeader { name: "origin" }.reason().contains("`origin`"));
}

/// Bytes that look enough like heads to reach every check.
fn headlike() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "GET ",
        "POST ",
        "OPTIONS ",
        "/a?b",
        "*",
        "http://h/",
        " HTTP/1.1",
        " HTTP/1.0",
        "\r\n",
        "\r\n",
        "\r\n\r\n",
        "\r",
        "\n",
        "Host: h\r\n",
        "Host",
        ":",
        " ",
        "\t",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "chunked",
        "Expect: 100-continue\r\n",
        "a",
        "\0",
        "\u{e9}",
        "\u{16}",
        "Connection: close\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn cuts_change_nothing(bytes in headlike(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let whole = fed(&bytes, []);
        prop_assert_eq!(fed(&bytes, cuts), whole);
        prop_assert_eq!(fed(&bytes, 0..bytes.len()), whole);
    }

    #[test]
    fn a_head_does_not_depend_on_what_follows(bytes in headlike(), more in headlike()) {
        if let Ok(Some(len)) = fed(&bytes, []) {
            prop_assert_eq!(fed(&[&bytes[..len], &more].concat(), []), Ok(Some(len)));
        }
    }
}
