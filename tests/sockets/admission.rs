//! A node with `ENCKE_ADMIT` creates so many sessions a second: other clients are told when to come
//! back, each in the words of its protocol, and those whose session is here notice nothing.

use serde_json::{Value, json};

use crate::client::{Conn, Response};
use crate::down::Down;
use crate::node::Node;
use crate::socket::{CLOSE, Frame, Socket, TEXT};
use crate::xmlsocket;

/// One session a second, which is one in sixteen for each shard: no second one while a test runs.
const ONE: [(&str, &str); 2] = [("ENCKE_ADMIT", "1"), ("ENCKE_SHARDS", "16")];

/// A node that has admitted a session of dora, which is returned, and none beside it.
fn full(more: &[(&str, &str)]) -> (Node, String) {
    let node = Node::start(&[&ONE, more].concat());
    let first = node.get("/u/dora/poll");
    let session = first.header("encke-session").expect("the first one is admitted").to_owned();
    (node, session)
}

fn ask(conn: &mut Conn, method: &str, target: &str, body: &str) -> Response {
    conn.ask(method, target, &[("Content-Type", "application/json")], body.as_bytes())
}

fn assert_busy(close: &Value) {
    assert_eq!((&close["code"], &close["reconnect"]), (&json!("busy"), &json!(true)), "{close}");
    let after = close["after"].as_u64().unwrap();
    assert!((1..=45_000).contains(&after), "{close}");
}

#[test]
fn a_client_above_the_rate_gets_a_close_with_its_time() {
    let (node, _) = full(&[xmlsocket::ON]);
    for target in ["poll", "longpoll?channels=/a", "poll?since=k3f9abcd-42"] {
        let mut conn = node.connect();
        let answer = ask(&mut conn, "GET", &format!("/u/dora/{target}"), "");
        assert_eq!(answer.head.status, 200, "{target}");
        assert_busy(&answer.json()[0]["close"]);
        conn.assert_closed();
    }
    let answer = ask(&mut node.connect(), "POST", "/u/dora/longpoll", r#"{"publish":"/a","data":1}"#);
    assert_busy(&answer.json()[0]["close"]);
    let messages = node.api("GET", "/channel?name=/a", "").json()["messages"].clone();
    assert_eq!(messages, json!([]), "its commands were not executed");
    let mut sse = Down::open(&node, "/u/dora/sse");
    assert_busy(&sse.expect()["close"]);
    assert!(sse.retry().is_some(), "an EventSource comes back by itself");
    sse.conn.assert_closed();
    let mut stream = Down::open(&node, "/u/dora/stream");
    assert_busy(&stream.expect()["close"]);
    let mut socket = Socket::open(&node, "/u/dora/ws");
    assert_busy(&socket.json()["close"]);
    assert_eq!(socket.frame().first, CLOSE);
    let mut conn = xmlsocket::connect(&node);
    assert_busy(&xmlsocket::greet(&mut conn, &json!({"user": "dora"}))["close"]);
    assert_eq!(node.api("GET", "/u/dora", "").json()["sessions"].as_array().unwrap().len(), 1);
    assert!(node.api("GET", "/metrics", "").text().contains("cause=\"not-admitted\"}"));
}

#[test]
fn a_client_whose_session_is_here_passes() {
    let (node, session) = full(&[]);
    for target in ["sse", "stream"] {
        let mut down = Down::open(&node, &format!("/u/dora/{target}?session={session}"));
        assert_eq!(down.expect()["open"]["session"], session, "{target}");
    }
    assert_eq!(node.get(&format!("/u/dora/poll?session={session}")).json()[0]["close"], Value::Null);
    let mut stream = Down::open(&node, &format!("/u/dora/stream?session={session}"));
    assert_eq!(stream.expect()["open"]["resumed"], true);
    node.publish("/u/dora", &json!("news"));
    assert_eq!(stream.expect()["data"], "news");
}

#[test]
fn bayeux_hears_the_time_in_the_advice() {
    let (node, _) = full(&[]);
    let handshake = json!([{"id": "1", "channel": "/meta/handshake", "version": "1.0",
        "supportedConnectionTypes": ["long-polling"]}]);
    let answer = ask(&mut node.connect(), "POST", "/u/dora/bayeux", &handshake.to_string());
    let refused = &answer.json()[0];
    assert_eq!((answer.head.status, &refused["successful"]), (200, &json!(false)), "{refused}");
    assert!(refused["error"].as_str().unwrap().starts_with("503::"), "{refused}");
    assert_eq!(refused["advice"]["reconnect"], "handshake");
    let interval = refused["advice"]["interval"].as_u64().unwrap();
    assert!((1..=45_000).contains(&interval) && interval != 5_000, "{refused}");
}

#[test]
fn sockjs_hears_that_the_node_is_busy() {
    let (node, _) = full(&[]);
    let closed = "c[1013,\"the node is busy; come back later\"]";
    let answer = ask(&mut node.connect(), "POST", "/u/dora/sockjs/000/abcdefgh/xhr", "");
    assert_eq!((answer.head.status, answer.text().trim_end()), (200, closed));
    let mut socket = Socket::open(&node, "/u/dora/sockjs/000/abcdefgh/websocket");
    assert_eq!(socket.frame(), Frame { first: TEXT, payload: closed.into() });
    let Frame { first, payload } = socket.frame();
    assert_eq!((first, &payload[..2]), (CLOSE, &1013_u16.to_be_bytes()[..]));
}

#[test]
fn what_is_no_transport_gets_the_status_and_the_time() {
    let (node, _) = full(&[("ENCKE_TCP_TARGETS", "there=127.0.0.1:9")]);
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let answer = node.connect().ask("GET", "/u/dora/tcp/there", &headers, b"");
    assert_eq!((answer.head.status, &answer.json()["error"]["code"]), (503, &json!("not-admitted")));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=45).contains(&seconds));
}
