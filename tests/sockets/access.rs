//! The access log: one line for each finished exchange at `debug`, none above, and no secrets.

use serde_json::Value;

use crate::down::Down;
use crate::node::Node;

const DEBUG: (&str, &str) = ("ENCKE_LOG_LEVEL", "info,encke::access=debug");

#[test]
fn each_exchange_has_its_line_of_text() {
    let node = Node::start(&[DEBUG]);
    let mut conn = node.connect();
    assert_eq!(conn.ask("GET", "/u/alice/poll?token=hush&channels=/a", &[], b"").status, 200);
    assert_eq!(conn.ask("POST", "/u/alice/send", &[], b"{\"ping\":1}").status, 200);
    assert_eq!(conn.ask("GET", "/nope%0AForged", &[], b"").status, 404);
    let peer = conn.local.unwrap().to_string();
    let poll = node.log_line(|line| line.contains("/u/alice/poll"));
    for part in [
        " DEBUG ",
        "encke::access",
        "door=public",
        "method=GET",
        "path=/u/alice/poll",
        "status=200",
        " ms=",
        &format!("peer={peer}"),
    ] {
        assert!(poll.contains(part), "{part} in {poll}");
    }
    assert!(node.log_line(|line| line.contains("path=/u/alice/send")).contains("method=POST"));
    assert!(node.log_line(|line| line.contains("path=/nope")).contains("status=404"));
    assert_eq!(node.api("POST", "/u/alice/publish", "1").status, 200);
    let publish = node.log_line(|line| line.contains("path=/u/alice/publish"));
    assert!(publish.contains("door=private"), "{publish}");
    assert!(node.log().iter().all(|line| !line.contains("hush")), "the query may hold a token");
    assert!(node.log().iter().all(|line| !line.starts_with("Forged")));
    let lines = node.log().iter().filter(|line| line.contains("path=/u/alice/poll")).count();
    assert_eq!(lines, 1, "one line for one exchange");
}

#[test]
fn each_exchange_has_its_line_of_json() {
    let node = Node::start(&[DEBUG, ("ENCKE_LOG_FORMAT", "json")]);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    node.api("DELETE", "/u/alice", "");
    assert_eq!(down.closed()["code"], "ended");
    node.log_line(|line| line.contains("/u/alice/sse"));
    let lines: Vec<Value> =
        node.log().iter().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect();
    let line = lines.iter().find(|line| line["path"] == "/u/alice/sse").unwrap();
    assert_eq!(line["target"], "encke::access");
    assert_eq!((&line["method"], &line["door"]), (&Value::from("GET"), &Value::from("public")));
    assert_eq!(line["status"], 200);
    assert!(line["bytes"].as_u64().unwrap() > 200, "{line}");
    assert!(line["ms"].is_u64() && line["ts"].is_string(), "{line}");
    assert_eq!(line["peer"], down.conn.local.unwrap().to_string());
}

#[test]
fn a_stream_that_breaks_has_its_line_too() {
    let node = Node::start(&[DEBUG]);
    let mut down = Down::open(&node, "/u/alice/stream");
    down.opened();
    drop(down);
    let line = node.log_line(|line| line.contains("path=/u/alice/stream"));
    assert!(line.contains("status=200"), "{line}");
}

#[test]
fn what_is_no_request_is_logged_as_refused() {
    let node = Node::start(&[("ENCKE_LOG_LEVEL", "debug")]);
    let answer = node.connect().send("GET /health HTTP/1.1\r\nHost : x\r\n\r\n").response();
    assert_eq!(answer.status, 400);
    node.log_line(|line| line.contains("refused") && line.contains("colon"));
}

#[test]
fn at_info_exchanges_leave_no_line() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    for target in ["/health", "/nope", "/u/alice/poll"] {
        conn.ask("GET", target, &[], b"");
    }
    assert_eq!(node.api("POST", "/u/alice/publish", "nope").status, 400);
    assert!(node.log().iter().all(|line| !line.contains("encke::access")), "{:?}", node.log());
}
