//! The server ignores what it does not use, answers only parameters that were offered, and does not
//! wait for bodies that never come.

use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};

use crate::node::Node;
use crate::socket::Socket;

const TYPES: [&str; 6] = [
    "text/event-stream",
    "multipart/form-data",
    "application/grpc",
    "text/plain;charset=utf-16",
    "",
    "no media type",
];

#[test]
fn the_type_of_a_body_that_is_not_there_does_not_matter() {
    let node = Node::start(&[]);
    for content_type in TYPES {
        let typed = [("Content-Type", content_type)];
        for call in
            ["poll", "jsonp?callback=f", "sse", "stream", "frame", "htmlfile", "multipart", "longpoll"]
        {
            let mut conn = node.connect();
            conn.request("GET", &format!("/u/alice/{call}"), &typed, b"");
            assert_eq!(conn.head().status, 200, "{call}: {content_type:?}");
        }
        for path in ["/u/alice/ws", "/bayeux"] {
            Socket::open_with(&node, path, &typed);
        }
        let mut conn = node.connect();
        let polled = conn.ask("POST", "/u/bob/longpoll", &typed, b"");
        assert_eq!(polled.status, 200, "an empty body: {content_type:?}");
        let chunked = [typed[0], ("Transfer-Encoding", "chunked")];
        conn.request("GET", "/u/alice/poll", &chunked, b"").send("0\r\n\r\n");
        assert_eq!(conn.response().status, 200, "a body that is dropped: {content_type:?}");
        assert_eq!(conn.ask("GET", "/bayeux?jsonp=f&message=%5B%5D", &typed, b"").status, 200);
        let mut api = node.connect_api();
        assert_eq!(api.ask("DELETE", "/u/alice", &typed, b"").status, 200);
        assert_eq!(api.ask("GET", "/metrics", &typed, b"").status, 200);
        for target in ["/u/bob/send", "/u/bob/longpoll"] {
            assert_eq!(conn.ask("POST", target, &[("Content-Type", "x/y")], b"{}").status, 415, "{target}");
        }
        assert_eq!(api.ask("POST", "/publish", &[("Content-Type", "x/y")], b"{}").status, 415);
    }
}

/// A handshake as Envoy and others send it: it announces a body and has none.
#[test]
fn a_handshake_that_announces_a_body_is_refused_at_once_and_nothing_behind_it_is_read() {
    let node = Node::start(&[]);
    let handshake = |path: &str, more: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n\r\n"
        )
    };
    for path in ["/u/alice/ws", "/u/alice/ws?echo=1", "/bayeux", "/u/alice/bayeux"] {
        let mut conn = node.connect();
        conn.send(handshake(path, "Content-Length: 0"));
        assert_eq!(conn.head().status, 101, "{path}");
        for body in ["Transfer-Encoding: chunked", "Content-Length: 5"] {
            for behind in ["", "hello", "0\r\n\r\n", "helloGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
                let mut conn = node.connect();
                conn.send(handshake(path, body) + behind);
                let refused = conn.response();
                assert_eq!((refused.status, refused.error().as_str()), (400, "ws-body"), "{path} {body}");
                assert!(refused.head.closes());
                let reason = refused.json()["error"]["reason"].as_str().unwrap().to_owned();
                assert!(
                    reason.contains("Transfer-Encoding") && reason.contains("Content-Length"),
                    "{reason}"
                );
                assert_eq!(conn.rest(), b"", "{path} {body} {behind:?}");
            }
        }
    }
}

#[test]
fn no_refusal_of_a_head_has_a_body() {
    let node = Node::start(&[]);
    let head = |target: &str, more: &str| {
        format!("HEAD {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n")
    };
    let evil = "Origin: https://evil.example\r\n";
    let cases = [
        (head("/u/alice/sse", ""), 405),
        (head("/u/alice/poll", ""), 405),
        (head("/u/alice/ws", ""), 405),
        (head("/u/alice/jsonp?callback=f", ""), 405),
        (head("/bayeux?jsonp=f&message=x", ""), 405),
        (head("/u/alice/send", ""), 405),
        (head("/u/%ff/poll", ""), 400),
        (head("/nope", ""), 404),
        (head("/u/alice/jsonp?callback=f", evil), 403),
        (head("/", "A B: c\r\n"), 400),
        (head("/", "Host: twice\r\n"), 400),
        (head("/", "Content-Length: 99999999999\r\n"), 413),
        (head("/", "Transfer-Encoding: chunked\r\n") + "x", 400),
        (format!("\r\n{}", head("/", "Expect: a miracle\r\n")), 417),
    ];
    for (request, status) in cases {
        for mut conn in [node.connect(), node.connect_api()] {
            conn.send(&request);
            let answer = conn.response_to_head();
            assert_eq!(conn.rest(), b"", "a body: {request}");
            assert!(answer.status >= 200, "{request}: {}", answer.status);
        }
        let mut conn = node.connect();
        conn.send(&request);
        assert_eq!(conn.head().status, status, "{request}");
    }
}

/// A client's compressor that keeps its context from message to message.
struct Deflater(Compress);

impl Deflater {
    fn new(window_bits: u8) -> Self {
        Self(Compress::new_with_window_bits(Compression::best(), false, window_bits))
    }

    fn message(&mut self, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 64);
        self.0.compress_vec(text.as_bytes(), &mut out, FlushCompress::Sync).expect("it compresses");
        assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
        out.truncate(out.len() - 4);
        out
    }
}

/// Offers, their answers, and the window within which such a client may refer to earlier bytes.
const OFFERS: [(&str, &str, u8); 5] = [
    ("permessage-deflate", "permessage-deflate", 15),
    ("permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=10", 10),
    ("permessage-deflate; client_max_window_bits=9", "permessage-deflate; client_max_window_bits=9", 9),
    ("permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover", 15),
    (
        "permessage-deflate; server_max_window_bits=12; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=10; server_max_window_bits=12",
        10,
    ),
];

/// Text that repeats earlier text, as far back as a window reaches.
fn numbered(n: u32) -> String {
    let noise: Vec<_> = (0..40).map(|i| (n % 13 + i).wrapping_mul(0x9e37_79b1).to_string()).collect();
    format!("{n} {}", noise.join(" "))
}

#[test]
fn without_no_context_takeover_a_client_may_refer_to_earlier_messages() {
    let node = Node::start(&[]);
    for (offer, answer, bits) in OFFERS {
        let headers = [("Sec-WebSocket-Extensions", offer)];
        let mut native = Socket::open_with(&node, "/u/alice/ws", &headers);
        let mut echo = Socket::open_with(&node, "/u/alice/ws?echo=1", &headers);
        native.opened();
        for socket in [&native, &echo] {
            assert_eq!(socket.head.header("sec-websocket-extensions"), Some(answer));
        }
        let (mut up, mut around) = (Deflater::new(bits), Deflater::new(bits));
        for n in 0..200 {
            let text = numbered(n);
            native.send(0xc1, &up.message(&json!({ "ping": text }).to_string()));
            assert_eq!(native.json(), json!({"ok": {"ping": text}}), "{offer}: {n}");
            echo.send(0xc1, &around.message(&text));
            assert!(!echo.frame().payload.is_empty(), "{offer}: {n}");
        }
        // Uncompressed messages are not part of the window.
        native.send(0x81, br#"{"ping":"plain"}"#);
        assert_eq!(native.json(), json!({"ok": {"ping": "plain"}}));
        native.send(0xc1, &up.message(r#"{"ping":"again"}"#));
        assert_eq!(native.json(), json!({"ok": {"ping": "again"}}));
    }
}

#[test]
fn a_socket_that_moves_to_its_sessions_shard_keeps_its_compression_window() {
    let node = Node::start(&[("ENCKE_SHARDS", "4"), ("ENCKE_BAYEUX_TRUST", "1")]);
    for _ in 0..12 {
        let mut conn = node.connect();
        let hand = json!([{"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["websocket"]}]);
        let body = hand.to_string();
        let typed = [("Content-Type", "application/json")];
        let answer = conn.ask("POST", "/bayeux", &typed, body.as_bytes()).json();
        let id = answer[0]["clientId"].clone();
        assert!(id.is_string(), "{answer}");
        let offer = [("Sec-WebSocket-Extensions", "permessage-deflate")];
        let mut socket = Socket::open_with(&node, "/bayeux", &offer);
        let mut deflater = Deflater::new(15);
        for n in 0..5 {
            let publish = json!([{"id": n, "clientId": id, "channel": "/c", "data": numbered(n)}]);
            socket.send(0xc1, &deflater.message(&publish.to_string()));
            let answer: Value = socket.json();
            assert_eq!((&answer[0]["id"], &answer[0]["successful"]), (&json!(n), &json!(true)), "{answer}");
        }
        socket.conn.assert_silent(Duration::from_millis(1));
    }
    assert!(node.metric("encke_hand_offs_total") > 0, "sessions at home on other shards");
}
