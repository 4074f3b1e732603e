//! Mistakes and attacks of clients: each gets its defined answer, and has no effect on others.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Conn;
use crate::down::Down;
use crate::node::Node;

/// A node with a reader on each of many users' shards, none of which may be disturbed.
struct Peace {
    node: Node,
    readers: Vec<(String, Down)>,
}

impl Peace {
    fn start(vars: &[(&str, &str)]) -> Self {
        let node = Node::start(vars);
        let reader = |n: usize| {
            let user = format!("reader{n}");
            let mut down = Down::open(&node, &format!("/u/{user}/sse"));
            down.opened();
            (user, down)
        };
        let readers = (0..4).map(reader).collect();
        Self { node, readers }
    }

    /// Checks that all readers still get messages at once.
    #[track_caller]
    fn assert_kept(&mut self) {
        for (user, down) in &mut self.readers {
            let began = Instant::now();
            self.node.tell(user, &json!("peace"));
            assert_eq!(down.data(), "peace");
            assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
        }
    }
}

#[test]
fn an_unknown_path_is_404_and_the_connection_stays() {
    let mut peace = Peace::start(&[]);
    let mut conn = peace.node.connect();
    let long = format!("/{}", "x/".repeat(1000));
    let paths = [
        "/nope",
        "/u",
        "/u/alice",
        "/u/alice/",
        "/u/alice/nope",
        "/u/alice/sse/",
        "/u/alice/sse/x",
        "/U/alice/sse",
        "//u/alice/sse",
        "/./health",
        "/health/",
        "/../etc/passwd",
        &long,
    ];
    for path in paths {
        for method in ["GET", "POST", "DELETE"] {
            let answer = conn.ask(method, path, &[], b"");

            assert_eq!((answer.status, answer.error()), (404, "not-found".into()), "{method} {path}");
            assert!(!answer.head.closes());
        }
    }
    let mut api = peace.node.connect_api();
    for path in ["/nope", "/u/alice/sse", "/u/alice/publish/x", "/publish/", "/metrics/x", "/u"] {
        assert_eq!(api.ask("POST", path, &[], b"1").status, 404, "{path}");
    }
    peace.assert_kept();
}

#[test]
fn a_wrong_method_is_405_with_what_is_allowed() {
    let mut peace = Peace::start(&[]);
    let mut conn = peace.node.connect();
    let public = [
        ("POST", "/u/alice/sse", "GET, OPTIONS"),
        ("DELETE", "/u/alice/stream", "GET, OPTIONS"),
        ("PUT", "/u/alice/poll", "GET, OPTIONS"),
        ("PUT", "/u/alice/longpoll", "GET, POST, OPTIONS"),
        ("GET", "/u/alice/send", "POST, OPTIONS"),
        ("PROPFIND", "/u/alice/send", "POST, OPTIONS"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/", "GET, HEAD"),
    ];
    for (method, path, allow) in public {
        let answer = conn.ask(method, path, &[], b"");
        assert_eq!((answer.status, answer.error()), (405, "method-not-allowed".into()), "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    let mut api = peace.node.connect_api();
    let private = [
        ("GET", "/publish", "POST"),
        ("GET", "/u/alice/publish", "POST"),
        ("POST", "/u/alice", "GET, DELETE"),
        ("POST", "/metrics", "GET, HEAD"),
        ("DELETE", "/channels", "GET, HEAD"),
    ];
    for (method, path, allow) in private {
        let answer = api.ask(method, path, &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
    }
    peace.assert_kept();
}

#[test]
fn invalid_json_is_refused_with_its_offset() {
    let mut peace = Peace::start(&[]);
    let mut api = peace.node.connect_api();
    let mut conn = peace.node.connect();
    let cases: [(&[u8], usize); 9] = [
        (b"", 0),
        (b"{\"a\":}", 5),
        (b"[1,2", 4),
        (b"\n\n  nope", 5),
        (b"\"\xff\"", 1),
        (b"{\"a\":1}x", 7),
        (b"\"a\0b\"", 2),
        (b"[01]", 2),
        (b"\0", 0),
    ];
    for (body, offset) in cases {
        for (answer, what) in [
            (api.ask("POST", "/u/alice/publish", &[], body), "publish to a user"),
            (api.ask("POST", "/publish", &[], body), "publish"),
            (conn.ask("POST", "/u/alice/send", &[], body), "send"),
        ] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!((answer.status, answer.error()), (400, "bad-json".into()), "{what} {shown:?}");
            let reason = answer.json()["error"]["reason"].as_str().unwrap().to_owned();
            assert!(reason.contains(&format!("at byte {offset}")), "{what} {shown:?}: {reason}");
        }
    }
    peace.assert_kept();
}

#[test]
fn what_is_not_utf_8_is_refused_where_text_is_meant() {
    let mut peace = Peace::start(&[]);
    let mut conn = peace.node.connect();
    for (target, code) in [
        ("/u/%FF/sse", "bad-user"),
        ("/u/a%C0%AF/poll", "bad-user"),
        ("/u/alice/poll?channels=%FF", "bad-query"),
        ("/u/alice/poll?x=%ED%A0%80", "bad-query"),
        ("/u/alice/poll?since=%00", "bad-query"),
        ("/u/%00/poll", "bad-user"),
        ("/u/alice/poll?channels=%zz", "bad-query"),
    ] {
        let answer = conn.ask("GET", target, &[], b"");
        assert_eq!((answer.status, answer.error().as_str()), (400, code), "{target}");
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = conn.ask("POST", "/u/alice/send", &form, b"message=%FF");
    assert_eq!((answer.status, answer.error()), (400, "bad-form".into()));
    let text = [("Content-Type", "text/plain")];
    let answer = peace.node.connect_api().ask("POST", "/u/alice/publish", &text, b"a\xffb");
    assert_eq!((answer.status, answer.error()), (400, "bad-text".into()));
    // A header value may hold such bytes; the server does not use it.
    let answer = conn.send(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Odd: \xff\xfe\r\n\r\n").response();
    assert_eq!(answer.status, 200);
    peace.assert_kept();
}

#[test]
fn nul_bytes_are_refused_wherever_they_stand_in_a_head() {
    let mut peace = Peace::start(&[]);
    let head = b"GET /u/alice/poll HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n";
    for at in 0..head.len() {
        let mut bytes = head.to_vec();
        bytes.insert(at, 0);
        let mut conn = peace.node.connect();
        let answer = conn.send(&bytes).response();
        assert_eq!(answer.status, 400, "at {at}");
        conn.assert_closed();
    }
    peace.assert_kept();
}

#[test]
fn a_header_of_a_megabyte_is_431_and_closed() {
    let mut peace = Peace::start(&[]);
    let huge = "x".repeat(1024 * 1024);
    let requests = [
        format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Huge: {huge}\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nHost: x\r\n{huge}: 1\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: 1\r\n".repeat(100_000)),
    ];
    for request in requests {
        let answer = peace.node.connect().send(&request).response();
        assert_eq!(answer.status, 431, "{}", answer.error());
        assert!(answer.head.closes());
    }
    let answer = peace.node.connect().send(format!("GET /{huge} HTTP/1.1\r\nHost: x\r\n\r\n")).response();
    assert_eq!((answer.status, answer.error()), (414, "request-line-too-long".into()));
    peace.assert_kept();
}

#[test]
fn a_body_that_is_too_large_is_413_before_it_is_sent() {
    let mut peace = Peace::start(&[]);
    let mut conn = peace.node.connect();
    conn.send("POST /u/alice/send HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n");
    let answer = conn.response();
    assert_eq!((answer.status, answer.error()), (413, "body-too-large".into()));
    conn.assert_closed();
    let mut conn = peace.node.connect();
    conn.send("POST /u/alice/send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..17 {
        conn.send(&chunk);
    }
    let answer = conn.response();
    assert_eq!((answer.status, answer.error()), (413, "body-too-large".into()));
    peace.assert_kept();
}

#[test]
fn a_length_must_be_said_where_a_body_is_needed() {
    let peace = Peace::start(&[]);
    let mut conn = peace.node.connect();
    conn.send("POST /u/alice/send HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = conn.response();
    assert!([400, 411].contains(&answer.status), "{}", answer.status);
}

#[test]
fn a_content_type_that_is_not_understood_is_415() {
    let mut peace = Peace::start(&[]);
    let mut conn = peace.node.connect();
    for content_type in ["image/png", "application/json; charset=latin-1", "nonsense", "text/html"] {
        let headers = [("Content-Type", content_type)];
        let answer = conn.ask("POST", "/u/alice/send", &headers, b"{\"ping\":1}");
        assert_eq!((answer.status, answer.error()), (415, "bad-content-type".into()), "{content_type}");
    }
    for content_type in
        ["application/json;charset=UTF-8", "APPLICATION/JSON", "text/plain", "application/x.y+json"]
    {
        let headers = [("Content-Type", content_type)];
        assert_eq!(
            conn.ask("POST", "/u/alice/send", &headers, b"{\"ping\":1}").status,
            200,
            "{content_type}"
        );
    }
    peace.assert_kept();
}

/// Random bytes of many kinds, on many connections at once.
#[test]
fn noise_has_no_effect_on_others() {
    let mut peace = Peace::start(&[]);
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let mut conns: Vec<Conn> = Vec::new();
    for n in 0..200 {
        let mut conn = peace.node.connect();
        let mut bytes = if n % 2 == 0 {
            b"POST /u/alice/send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\na\r\n{\"ping\":1}\r\n0\r\n\r\n".to_vec()
        } else {
            Vec::new()
        };
        for _ in 0..random() % 100 {
            let at = random() as usize % (bytes.len() + 1);
            bytes.insert(at, random() as u8);
        }
        conn.send(&bytes);
        conns.push(conn);
        if n % 40 == 0 {
            peace.assert_kept();
        }
    }
    drop(conns);
    peace.assert_kept();
}
