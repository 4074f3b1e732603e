//! Bounds on streams besides those of sessions and users, and what the log says of streams.

use std::io::Read;

use serde_json::{Value, json};

use super::{Page, accept, server};
use crate::client::{Conn, Response};
use crate::node::Node;
use crate::socket::Socket;

#[test]
fn a_target_has_as_many_streams_as_it_may() {
    let (listener, address) = server();
    let targets = format!("few={address};max=1");
    let node = Node::start(&[("ENCKE_TCP_TARGETS", &targets), ("ENCKE_SHARDS", "1")]);
    let mut page = Page::open(&node);
    let open = |page: &mut Page<'_>, stream| page.tcp(&json!({ "stream": stream, "open": "few" }));
    assert!(open(&mut page, 1)["ok"].is_object());
    let _backend = accept(&listener);
    let refused = open(&mut page, 2);
    assert_eq!(refused["error"]["code"], "too-many-streams", "{refused}");
    assert!(refused["error"]["reason"].as_str().unwrap().contains("few"), "{refused}");
    assert!(page.tcp(&json!({ "reset": true }))["ok"].is_object());
    assert!(open(&mut page, 3)["ok"].is_object());
}

/// A connection of a client with this address, through a balancer.
fn from(node: &Node, address: &str) -> Conn {
    let mut conn = node.connect();
    conn.send(format!("PROXY TCP{} {address} 10.0.0.1 1 1\r\n", if address.contains(':') { 6 } else { 4 }));
    conn
}

/// Asks for a plain WebSocket, and is refused.
fn refused(mut conn: Conn, user: &str) -> Response {
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    conn.ask("GET", &format!("/u/{user}/tcp/there"), &headers, b"")
}

/// Asks for a stream of a new session of the connection's user; returns the answer.
fn stream(conn: &mut Conn, user: &str) -> Value {
    let first = conn.ask("GET", &format!("/u/{user}/poll"), &[], b"");
    let target = format!("/u/{user}/send?session={}", first.header("encke-session").unwrap());
    let body = json!({ "tcp": { "stream": 1, "open": "there" } }).to_string();
    let answer = conn.ask("POST", &target, &[("Content-Type", "application/json")], body.as_bytes());
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn an_address_has_as_many_streams_as_it_may_whoever_its_users_are() {
    let (listener, address) = server();
    let targets = format!("there={address}");
    let node = Node::start(&[
        ("ENCKE_TCP_TARGETS", &*targets),
        ("ENCKE_TCP_ADDRESS_STREAMS", "2"),
        ("ENCKE_PROXY_PROTOCOL", "127.0.0.1"),
        ("ENCKE_SHARDS", "1"),
    ]);
    for (own, same, other) in [
        ("203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"),
        ("2001:db8::7", "2001:db8::8", "2001:db8:0:1::7"),
    ] {
        let socket = Socket::upgrade(from(&node, own), "/u/alice/tcp/there", &[]);
        let mut of_socket = accept(&listener);
        assert!(stream(&mut from(&node, same), "bob")["ok"].is_object());
        let _of_bob = accept(&listener);
        // It is the client's address that is full, not the balancer's.
        let full = refused(from(&node, own), "carol");
        assert_eq!((full.status, full.json()["error"]["code"].as_str()), (429, Some("too-many-streams")));
        assert!(full.header("retry-after").is_some());
        let command = stream(&mut from(&node, own), "carol");
        for error in [&full.json()["error"], &command["error"]] {
            let reason = error["reason"].as_str().unwrap();
            assert!(reason.contains("ENCKE_TCP_ADDRESS_STREAMS"), "{reason}");
        }
        let _other = Socket::upgrade(from(&node, other), "/u/carol/tcp/there", &[]);
        let _of_other = accept(&listener);
        // The end of a stream makes room.
        drop(socket);
        assert_eq!(of_socket.read(&mut [0; 1]).unwrap(), 0);
        drop(of_socket);
        let is_alices = |line: &str| line.contains("user=alice ") && line.contains(own);
        node.log_line(is_alices);
        let _next = Socket::upgrade(from(&node, own), "/u/carol/tcp/there", &[]);
        let _of_next = accept(&listener);
    }
    assert_eq!(node.metric("encke_tcp_streams_refused_total{cause=\"too-many-streams\"}"), 4);
}

#[test]
fn a_log_line_of_a_stream_names_the_pages_origin() {
    let (listener, address) = server();
    let targets = format!("there={address}");
    let node =
        Node::start(&[("ENCKE_TCP_TARGETS", &*targets), ("ENCKE_ORIGINS", "https://app.example:8443")]);
    let line = |user: &str, origin: &str| {
        let line =
            node.log_line(|line| line.contains("tcp stream ends") && line.contains(&format!("user={user} ")));
        assert!(line.contains(&format!("origin={origin}")), "{line}");
    };
    for (origin, shown) in [
        (Some(("Origin", "https://app.example:8443")), "https://app.example:8443"),
        (Some(("Origin", "http://localhost")), "http://localhost"),
        (Some(("Referer", "http://localhost/page?secret=1")), "http://localhost "),
        (None, "- "),
    ] {
        let headers: Vec<_> = origin.into_iter().collect();
        let user = |way: &str| format!("{way}-{}", shown.len());
        // The origin is that of the request that opens the stream.
        let sending = user("sending");
        let mut up = node.connect();
        let first = up.ask("GET", &format!("/u/{sending}/poll"), &[], b"");
        let target = format!("/u/{sending}/send?session={}", first.header("encke-session").unwrap());
        for command in [json!({ "stream": 1, "open": "there" }), json!({ "stream": 1, "reset": true })] {
            let body = json!({ "tcp": command }).to_string();
            assert_eq!(up.ask("POST", &target, &headers, body.as_bytes()).status, 200);
        }
        line(&sending, shown);
        let socket = user("socket");
        let mut ws = Socket::open_with(&node, &format!("/u/{socket}/ws"), &headers);
        ws.ask(&json!({ "tcp": { "stream": 1, "open": "there" } }));
        ws.ask(&json!({ "tcp": { "stream": 1, "reset": true } }));
        line(&socket, shown);
        let plain = user("plain");
        drop(Socket::open_with(&node, &format!("/u/{plain}/tcp/there"), &headers));
        node.api("DELETE", &format!("/u/{plain}"), "");
        // Those that were reset while they were dialed may never arrive.
        listener.set_nonblocking(true).unwrap();
        while listener.accept().is_ok() {}
        line(&plain, shown);
    }
}
