//! A response cut at any byte: the client continues from its last complete envelope, and nothing is
//! lost or duplicated.

use serde_json::{Value, json};

use crate::client::Conn;
use crate::down::{Decoder, Dialect, Down};
use crate::node::Node;

/// The response, cut after `count` bytes.
fn cut(node: &Node, request: &str, count: usize) -> Vec<u8> {
    let mut conn = node.connect();
    conn.send(request);
    conn.take(count)
}

/// The length of the response that carries all of `data`.
fn whole(node: &Node, request: &str, last: &str) -> usize {
    let mut conn = node.connect();
    conn.send(request);
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains(last) {
        got.extend(conn.some());
    }
    got.len()
}

/// What a decoder reads from the first bytes of a chunked response.
fn understood(bytes: &[u8], dialect: Dialect) -> (Vec<Value>, String) {
    let mut decoder = Decoder::new(dialect);
    if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let mut rest = &bytes[head + 4..];
        while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            rest = &rest[line + 2..];
            decoder.feed(&rest[..size.min(rest.len())]);
            rest = rest.get(size + 2..).unwrap_or_default();
        }
    }
    let envelopes: Vec<Value> = std::iter::from_fn(|| decoder.next()).collect();
    (envelopes, decoder.last_id)
}

fn data(envelopes: &[Value]) -> Vec<Value> {
    envelopes.iter().filter(|envelope| envelope["id"].is_string()).map(|one| one["data"].clone()).collect()
}

#[test]
fn an_event_stream_cut_at_any_byte_goes_on_where_it_was() {
    cut_everywhere("sse", Dialect::Sse);
}

#[test]
fn a_line_stream_cut_at_any_byte_goes_on_where_it_was() {
    cut_everywhere("stream", Dialect::Lines);
}

fn cut_everywhere(transport: &str, dialect: Dialect) {
    let node = Node::start(&[("ENCKE_SESSIONS_PER_USER", "8")]);
    let mut first = Down::open(&node, &format!("/u/alice/{transport}?channels=/chat/room1"));
    let begin = first.opened()["position"].as_str().unwrap().to_owned();
    drop(first);
    let all: Vec<Value> = (0..4).map(|n| json!({"n": n, "text": "x\u{20ac}y"})).collect();
    for n in 0..2 {
        node.publish("/chat/room1", &all[2 * n]);
        node.tell("alice", &all[2 * n + 1]);
    }
    let target = format!("/u/alice/{transport}?channels=/chat/room1");
    let request = format!("GET {target}&since={begin} HTTP/1.1\r\nHost: x\r\n\r\n");
    let length = whole(&node, &request, "\"n\":3");
    for count in 1..=length {
        let (envelopes, last_id) = understood(&cut(&node, &request, count), dialect);
        let mut got = data(&envelopes);
        let since = if last_id.is_empty() { &begin } else { &last_id };
        let mut down = Down::open_with(&node, &target, &[("Last-Event-ID", since)]);
        assert_eq!(down.opened()["resumed"], true, "after {count} bytes");
        while got.len() < all.len() {
            got.push(down.data());
        }
        let mut sorted = got.clone();
        sorted.sort_by_key(|data| data["n"].as_u64());
        assert_eq!(sorted, all, "after {count} bytes, from {since}: {got:?}");
    }
    assert!(node.sessions("alice").len() <= 8);
}

#[test]
fn a_long_poll_cut_at_any_byte_is_asked_again() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    let first = conn.ask("GET", "/u/alice/longpoll", &[], b"");
    let session = first.header("encke-session").unwrap().to_owned();
    let position = first.header("encke-position").unwrap().to_owned();
    for n in 0..3 {
        node.tell("alice", &json!(n));
    }
    let target = format!("/u/alice/longpoll?session={session}&since={position}");
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    let length = whole(&node, &request, "]\n");
    for count in (1..=length).step_by(2) {
        cut(&node, &request, count);
        let again = node.get(&target);
        assert_eq!(data(&again.envelopes()), [0, 1, 2], "after {count} bytes");
        assert_eq!(again.header("encke-session"), Some(session.as_str()));
    }
    assert_eq!(node.sessions("alice").len(), 1);
}

/// The request is cut instead of the response: it must not take effect in part.
#[test]
fn a_request_cut_at_any_byte_does_nothing() {
    let node = Node::start(&[("ENCKE_SHARDS", "1")]);
    let mut down = Down::open(&node, "/u/alice/stream");
    down.opened();
    let request = "POST /u/alice/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\"cut\"";
    for count in 1..request.len() {
        node.connect_api().send(&request[..count]);
    }
    node.tell("alice", &json!("whole"));
    assert_eq!(down.data(), "whole");
    assert_eq!(node.sessions("alice").len(), 1);
}

#[test]
fn a_plain_event_source_leaves_nothing_behind() {
    let node = Node::start(&[]);
    let mut last_id = String::new();
    for n in 0..5 {
        let headers = [("Last-Event-ID", last_id.as_str())];
        let headers = if n == 0 { &[][..] } else { &headers };
        let mut down = Down::open_with(&node, "/u/alice/sse?channels=/chat/a,/chat/b", headers);
        assert_eq!(down.opened()["resumed"], n > 0);
        node.publish("/chat/b", &json!(n));
        assert_eq!(down.data(), n);
        last_id = down.last_id();
        drop(down);
        node.await_sessions("alice", |all| all.len() == 1 && all[0]["attached"] == false);
    }
}

#[test]
fn one_transport_goes_on_where_another_was() {
    let node = Node::start(&[]);
    let mut down = Down::open(&node, "/u/alice/sse?channels=/chat/a");
    let session = down.session();
    down.opened();
    let mut position = String::new();
    let mut conn: Conn = node.connect();
    for n in 0..6 {
        let id = node.publish("/chat/a", &json!(n));
        let _ = id;
        match n % 3 {
            0 if n == 0 => {
                assert_eq!(down.data(), n);
                position = down.last_id();
            }
            0 => {
                let target = format!("/u/alice/sse?session={session}&since={position}");
                down = Down::open(&node, &target);
                assert_eq!(down.opened()["resumed"], true);
                assert_eq!(down.data(), n);
                position = down.last_id();
            }
            1 => {
                let target = format!("/u/alice/poll?session={session}&since={position}");
                let answer = conn.ask("GET", &target, &[], b"");
                assert_eq!(data(&answer.envelopes()), [n]);
                position = answer.header("encke-position").unwrap().to_owned();
            }
            _ => {
                let target = format!("/u/alice/stream?session={session}&since={position}");
                let mut down = Down::open(&node, &target);
                down.opened();
                assert_eq!(down.data(), n);
                position = down.last_id();
            }
        }
    }
    assert_eq!(node.sessions("alice").len(), 1);
}
