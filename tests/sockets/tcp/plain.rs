//! A plain WebSocket for the bytes of a server, as clients without the library use it.

use std::io::{Read, Write};

use serde_json::json;

use super::{accept, node, noise, server, take};
use crate::node::Node;
use crate::socket::{BINARY, CLOSE, Socket, TEXT};

/// A plain WebSocket whose messages are the bytes.
fn plain(node: &Node, target: &str, protocols: &str) -> Socket {
    let headers = [("Sec-WebSocket-Protocol", protocols)];
    let headers = if protocols.is_empty() { &[][..] } else { &headers };
    Socket::open_with(node, &format!("/u/alice/tcp/{target}"), headers)
}

#[test]
fn a_plain_socket_is_answered_with_a_subprotocol_that_its_client_can_use() {
    let (listener, address) = server();
    let node = node(&address);
    for (offered, chosen) in [
        ("", None),
        ("binary", Some("binary")),
        ("base64", Some("base64")),
        ("binary, base64", Some("binary")),
        ("mqtt, base64, binary", Some("base64")),
        ("v12.stomp, v11.stomp", Some("v12.stomp")),
    ] {
        let mut socket = plain(&node, "there", offered);
        assert_eq!(socket.head.header("sec-websocket-protocol"), chosen, "{offered}");
        let mut backend = accept(&listener);
        let (opcode, up, down) = if chosen == Some("base64") {
            (TEXT, &b"AP8="[..], b"/wA=".to_vec())
        } else {
            (BINARY, &b"\0\xff"[..], b"\xff\0".to_vec())
        };
        socket.send(opcode, up);
        assert_eq!(take(&mut backend, 2), b"\0\xff");
        backend.write_all(b"\xff\0").unwrap();
        let frame = socket.frame();
        assert_eq!((frame.first, frame.payload), (opcode, down));
        // What the page sent before it closed arrives, and then the end.
        socket.send(opcode, up);
        socket.send(CLOSE, &[3, 232]);
        let mut rest = Vec::new();
        backend.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"\0\xff");
    }
}

#[test]
fn a_plain_socket_ends_with_its_server_and_says_why() {
    let (listener, address) = server();
    let (closed, refusing) = server();
    drop(closed);
    let targets = format!("there={address},gone={refusing}");
    let node = Node::start(&[("ENCKE_TCP_TARGETS", &targets)]);
    let mut socket = plain(&node, "there", "binary");
    let mut backend = accept(&listener);
    backend.write_all(&noise(3, 300_000)).unwrap();
    drop(backend);
    let mut got = Vec::new();
    while got.len() < 300_000 {
        got.extend_from_slice(&socket.frame().payload);
    }
    assert!(got == noise(3, 300_000), "the bytes differ");
    assert_eq!(socket.closed().0, 1000);
    let mut socket = plain(&node, "gone", "");
    assert_eq!(socket.closed(), (1011, "backend-refused".to_owned()));
    let refused = node.get("/u/alice/tcp/elsewhere");
    assert_eq!(refused.status, 426, "a socket is asked for first");
    let listed = node.get("/u/alice/tcp");
    assert_eq!(listed.json(), json!({ "targets": ["there", "gone"] }));
}

#[test]
fn a_plain_socket_waits_for_a_server_that_takes_nothing_and_the_other_way_round() {
    let (listener, address) = server();
    let node = node(&address);
    let all = noise(5, 12_000_000);
    let mut socket = plain(&node, "there", "binary");
    let mut backend = accept(&listener);
    // Nobody reads at first: both directions fill up, and go on where they were.
    let (up, down) = (all.clone(), all.clone());
    let mut sender = socket.conn.twin();
    let writers = [
        std::thread::spawn(move || {
            for chunk in up.chunks(60_000) {
                sender.send(crate::socket::frame(BINARY, chunk));
            }
        }),
        std::thread::spawn({
            let mut backend = backend.try_clone().unwrap();
            move || backend.write_all(&down).unwrap()
        }),
    ];
    let reader = std::thread::spawn(move || take(&mut backend, 12_000_000));
    let mut got = Vec::new();
    while got.len() < all.len() {
        let frame = socket.frame();
        assert_eq!(frame.first, BINARY);
        got.extend_from_slice(&frame.payload);
    }
    assert!(got == all && reader.join().unwrap() == all, "the bytes differ");
    for writer in writers {
        writer.join().unwrap();
    }
}

#[test]
fn a_plain_sockets_message_may_have_any_length() {
    let (listener, address) = server();
    let node = node(&address);
    let mut socket = plain(&node, "there", "binary");
    let mut backend = accept(&listener);
    let all = noise(9, 3_000_000);
    let mut sender = socket.conn.twin();
    let message = crate::socket::frame(BINARY, &all);
    let writer = std::thread::spawn(move || {
        sender.send(message);
    });
    assert!(take(&mut backend, all.len()) == all, "the bytes differ");
    writer.join().unwrap();
    // Others are bounded.
    let mut text = plain(&node, "there", "base64");
    text.send(TEXT, "A".repeat(1_200_000).as_bytes());
    assert_eq!(text.closed().0, 1009);
    socket.send(BINARY, b"x");
    assert_eq!(take(&mut backend, 1), b"x");
}

#[test]
fn a_plain_socket_that_the_node_ends_is_not_taken_for_one_that_the_server_ended() {
    let (listener, address) = server();
    let node = node(&address);
    let mut ended = plain(&node, "there", "binary");
    let first = accept(&listener);
    node.api("DELETE", "/u/alice", "");
    assert_eq!(ended.closed(), (1001, "ended".to_owned()));
    let mut drained = plain(&node, "there", "binary");
    let second = accept(&listener);
    node.signal("TERM");
    assert_eq!(drained.closed(), (1001, "drain".to_owned()));
    drop((first, second));
}
