//! HTTP/1.1 as browsers and proxies use it: persistent connections, pipelined requests, bodies in
//! every framing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Conn;
use crate::node::Node;

#[test]
fn one_connection_serves_many_requests() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    for _ in 0..3 {
        let answer = conn.ask("GET", "/health", &[], b"");
        assert_eq!((answer.status, answer.json()), (200, json!({"status": "ok"})));
        assert!(!answer.head.closes());
        assert_eq!(conn.ask("GET", "/nope", &[], b"").status, 404);
    }
}

const PIPELINE: &str = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n\
    POST /u/alice/send HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{\"ping\":1}\
    GET /u/alice/poll HTTP/1.1\r\nHost: x\r\n\r\n\
    POST /u/alice/send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
    4;a=b\r\n[{\"p\r\n8\r\ning\":2}]\r\n0\r\n\r\n\
    POST /u/alice/send HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n\
    GET /u/bob/poll HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Reads the answers to [`PIPELINE`], in order.
fn assert_in_order(conn: &mut Conn) {
    assert_eq!(conn.response().json(), json!({"status": "ok"}));
    assert_eq!(conn.response().json(), json!({"ok": {"ping": 1}}));
    assert_eq!(conn.response().envelopes()[0]["open"]["transport"], "poll");
    assert_eq!(conn.response().json(), json!([{"ok": {"ping": 2}}]));
    assert_eq!(conn.response().error(), "bad-json");
    assert!(conn.response().head.closes());
    conn.assert_closed();
}

#[test]
fn requests_that_come_together_are_answered_in_order() {
    let node = Node::start(&[]);
    assert_in_order(node.connect().send(PIPELINE));
}

#[test]
fn requests_that_come_byte_by_byte_are_answered_the_same() {
    let node = Node::start(&[]);
    assert_in_order(node.connect().trickle(PIPELINE));
}

#[test]
fn requests_cut_anywhere_are_answered_the_same() {
    let node = Node::start(&[]);
    for at in (1..PIPELINE.len()).step_by(3) {
        let (first, second) = PIPELINE.split_at(at);
        let mut conn = node.connect();
        conn.send(first);
        // An answer on another connection: by then the node has usually read the first part.
        assert_eq!(node.get("/health").status, 200);
        assert_in_order(conn.send(second));
    }
}

#[test]
fn what_is_pipelined_behind_a_held_poll_waits_for_its_answer() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    let session = conn.ask("GET", "/u/alice/longpoll", &[], b"");
    let session = session.header("encke-session").unwrap().to_owned();
    conn.request("GET", &format!("/u/alice/longpoll?session={session}"), &[], b"");
    conn.request("GET", "/health", &[], b"");
    conn.request("GET", &format!("/u/alice/longpoll?session={session}"), &[], b"");
    node.await_sessions("alice", |all| all.len() == 1 && all[0]["attached"] == true);
    conn.assert_silent(Duration::from_millis(50));
    node.tell("alice", &json!("first"));
    assert_eq!(conn.response().envelopes()[0]["data"], "first");
    assert_eq!(conn.response().json(), json!({"status": "ok"}));
    node.tell("alice", &json!("second"));
    assert_eq!(conn.response().envelopes()[0]["data"], "second");
}

#[test]
fn http_1_0_closes_unless_it_asks_to_stay() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    conn.send("GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(conn.response().status, 200);
    conn.assert_closed();
    let mut conn = node.connect();
    for _ in 0..2 {
        conn.send("GET /u/alice/poll HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = conn.response();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("keep-alive"));
        assert_eq!(answer.header("transfer-encoding"), None);
    }
}

#[test]
fn head_says_what_get_would_say_and_sends_no_body() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    let mut api = node.connect_api();
    for target in ["/health", "/", "/start.js"] {
        let get = conn.ask("GET", target, &[], b"");
        let head = conn.ask("HEAD", target, &[], b"");
        assert_eq!((get.status, head.status), (200, 200), "{target}");
        for header in ["content-length", "content-type"] {
            assert_eq!(head.header(header), get.header(header), "{target}");
        }
    }
    for target in ["/metrics", "/ready", "/channels", "/u/alice"] {
        assert_eq!(api.ask("HEAD", target, &[], b"").status, 200, "{target}");
    }
    // A refusal of HEAD has no body either, or the next answer would be out of step.
    assert_eq!(conn.ask("HEAD", "/nope", &[], b"").status, 404);
    assert_eq!(conn.ask("HEAD", "/u/alice/sse", &[], b"").status, 405);
    assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
}

#[test]
fn targets_may_be_absolute() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    conn.send("GET http://node.test:80/health?x=1 HTTP/1.1\r\nHost: node.test:80\r\n\r\n");
    assert_eq!(conn.response().status, 200);
    conn.send("OPTIONS * HTTP/1.1\r\nHost: node.test\r\n\r\n");
    assert_eq!(conn.response().status, 200);
    conn.send("GET http://node.test/health HTTP/1.1\r\nHost: other.test\r\n\r\n");
    let refused = conn.response();
    assert_eq!((refused.status, refused.error()), (400, "authority-mismatch".into()));
    conn.assert_closed();
}

#[test]
fn a_client_that_expects_100_continue_gets_it_before_its_body() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    let head = "POST /u/alice/send HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n";
    for _ in 0..2 {
        assert_eq!(conn.send(head).response().status, 100);
        assert_eq!(conn.send("{\"ping\":7}").response().json(), json!({"ok": {"ping": 7}}));
    }
    // A request that is refused by its head is answered at once, without its body.
    conn.send(head.replace("/send", "/nope"));
    let refused = conn.response();
    assert_eq!(refused.status, 404);
    assert!(refused.head.closes());
    conn.assert_closed();
    let mut conn = node.connect();
    conn.send(head.replace("100-continue", "a-pony"));
    assert_eq!(conn.response().status, 417);
    conn.assert_closed();
}

#[test]
fn a_client_that_closes_its_half_still_gets_its_answers() {
    let node = Node::start(&[]);
    let mut socket = std::net::TcpStream::connect(node.public).unwrap();
    let requests = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3);
    std::io::Write::write_all(&mut socket, requests.as_bytes()).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut all = String::new();
    std::io::Read::read_to_string(&mut socket, &mut all).unwrap();
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 3, "{all}");
}

#[test]
fn a_client_that_closes_its_half_ends_its_stream() {
    let node = Node::start(&[]);
    let mut socket = std::net::TcpStream::connect(node.public).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    std::io::Write::write_all(&mut socket, b"GET /u/alice/stream HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut all = vec![0; 64];
    std::io::Read::read_exact(&mut socket, &mut all).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    std::io::Read::read_to_end(&mut socket, &mut all).unwrap();
    let all = String::from_utf8(all).unwrap();
    // Between chunks, and no chunk is written only to end the body.
    assert!(all.contains("{\"open\":") && all.ends_with("}\n\r\n"), "{all:?}");
}

#[test]
fn preflights_are_answered_for_pages_on_the_list_alone() {
    let node = Node::start(&[("ENCKE_ORIGINS", "https://app.example,https://*.app.example")]);
    let mut conn = node.connect();
    for origin in ["https://app.example", "https://a.app.example"] {
        let asked = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type, encke-session, authorization"),
        ];
        let answer = conn.ask("OPTIONS", "/u/alice/send", &asked, b"");
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
        assert_eq!(answer.header("access-control-allow-headers"), Some(asked[2].1));
        let answer = conn.ask("OPTIONS", "/u/alice/send", &asked[..2], b"");
        let known = answer.header("access-control-allow-headers").unwrap().to_ascii_lowercase();
        for name in ["content-type", "encke-session", "authorization", "last-event-id"] {
            assert!(known.contains(name), "{name} in {known}");
        }
        let monitored = [asked[0], asked[1], ("Access-Control-Request-Headers", "traceparent,x-b3-traceid")];
        for path in ["/u/alice/sse", "/u/alice/longpoll", "/bayeux", "/u/alice/bayeux"] {
            let answer = conn.ask("OPTIONS", path, &monitored, b"");
            let allowed = answer.header("access-control-allow-headers");
            assert_eq!(allowed, Some("traceparent,x-b3-traceid"), "{path}");
        }
        assert!(answer.header("vary").unwrap().contains("Origin"));
        let answer = conn.ask("GET", "/u/alice/poll", &[("Origin", origin)], b"");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("Encke-Session") && exposed.contains("Encke-Position"), "{exposed}");
    }
    for origin in ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null"] {
        for (method, target) in
            [("OPTIONS", "/u/alice/send"), ("GET", "/u/alice/sse"), ("POST", "/u/alice/send")]
        {
            let answer = conn.ask(method, target, &[("Origin", origin)], b"{\"ping\":1}");
            assert_eq!((answer.status, answer.error()), (403, "origin-refused".into()), "{origin} {target}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
            assert_eq!(answer.header("access-control-allow-headers"), None);
        }
    }
    let refused = conn.ask("GET", "/u/alice/nope", &[("Origin", "https://app.example")], b"");
    assert_eq!(refused.status, 404);
    assert!(refused.header("access-control-allow-origin").is_some(), "a page may read its refusal");
}

#[test]
fn every_answer_says_what_it_is_and_that_it_is_not_to_be_kept() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    for target in ["/health", "/u/alice/poll", "/nope"] {
        let answer = conn.ask("GET", target, &[], b"");
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"), "{target}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert!(answer.header("cache-control").unwrap().contains("no-store"), "{target}");
    }
    let page = conn.ask("GET", "/", &[], b"");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").is_some());
    assert!(page.text().contains("<script"), "{}", page.text());
}

#[test]
fn bodies_may_come_in_chunks_of_any_size() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    let body = json!({"ping": "x".repeat(500)}).to_string();
    for size in [1, 7, 100, 1000] {
        let mut request =
            b"POST /u/alice/send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in body.as_bytes().chunks(size) {
            request.extend(format!("{:X}\r\n", chunk.len()).bytes());
            request.extend(chunk);
            request.extend(b"\r\n");
        }
        request.extend(b"0\r\nX-Trailer: 1\r\n\r\n");
        let sent: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(conn.send(&request).response().json()["ok"], sent, "chunks of {size}");
    }
}
