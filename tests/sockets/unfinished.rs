//! Incomplete input: how long the node waits for the rest, how much it buffers, and the answers at
//! the bounds.

use std::time::Duration;

use serde_json::json;

use crate::client::Conn;
use crate::node::{Node, await_that};
use crate::socket::{PING, Socket, TEXT, frame, head};
use crate::xmlsocket;

/// The shortest allowed timeout.
const HASTY: (&str, &str) = ("ENCKE_BODY_TIMEOUT", "100ms");

/// The first part of a message, each of which is incomplete.
fn beginnings() -> Vec<(&'static str, Vec<u8>)> {
    let long = [head(TEXT, 70_000), vec![0; 4 + 10]].concat();
    vec![
        ("a byte", vec![TEXT]),
        ("a fragment", frame(0x01, b"[")),
        ("a fragment without bytes", frame(0x01, b"")),
        ("the head of a long frame", head(TEXT, 70_000)),
        ("a long frame", long),
        ("half a ping", frame(PING, b"0123456789")[..9].to_vec()),
    ]
}

const SOCKETS: [&str; 3] = ["/u/alice/ws", "/u/alice/ws?echo=1", "/bayeux"];

#[test]
fn a_message_that_does_not_end_is_closed_in_time_however_it_begins() {
    let node = Node::start(&[HASTY]);
    for (what, bytes) in beginnings() {
        for target in SOCKETS {
            let mut socket = Socket::open(&node, target);
            socket.conn.send(&bytes);
            let (code, reason) = socket.closed();
            assert_eq!(code, 1008, "{what}, {target}");
            assert!(reason.contains("ENCKE_BODY_TIMEOUT"), "{reason}");
        }
    }
    await_that(|| (node.metric("encke_input_bytes") == 0).then_some(()));
}

#[test]
fn neither_trickled_bytes_nor_control_frames_nor_empty_fragments_keep_a_message_alive() {
    let node = Node::start(&[HASTY]);
    let more: [(&str, Vec<u8>, Vec<u8>); 3] = [
        ("bytes", [head(TEXT, 70_000), vec![0; 4]].concat(), b"x".to_vec()),
        ("pings", frame(0x01, b"["), frame(PING, b"")),
        ("empty fragments", frame(0x01, b"["), frame(0x00, b"")),
    ];
    for (what, begins, goes_on) in more {
        for target in SOCKETS {
            let mut socket = Socket::open(&node, target);
            socket.conn.send(&begins);
            let mut got = Vec::new();
            // Sends as long as the node accepts it.
            while !got.ends_with(b"ENCKE_BODY_TIMEOUT") {
                socket.conn.send(&goes_on);
                if socket.conn.something_within(Duration::from_millis(5)) {
                    got.extend(socket.conn.some());
                }
                assert!(got.len() < 1 << 20, "{what}, {target}");
            }
        }
    }
}

#[test]
fn a_message_that_ends_in_time_leaves_no_deadline_behind() {
    let node = Node::start(&[HASTY, ("ENCKE_HEARTBEAT", "300ms"), ("ENCKE_SESSION_GRACE", "10s")]);
    let mut socket = Socket::open(&node, "/u/alice/ws");
    socket.opened();
    socket.send(0x01, br#"{"ping""#).send(PING, b"").send(0x80, b":1}");
    assert_eq!(socket.frame().first, 0x8a);
    assert_eq!(socket.json(), json!({"ok": {"ping": 1}}));
    // The heartbeat comes after the deadline would have expired.
    assert_eq!(socket.frame().first, PING);
    socket.assert_well();
    // The next message has its own deadline.
    socket.send(0x01, b"[");
    assert_eq!(socket.closed().0, 1008);
}

#[test]
fn an_endless_xmlsocket_message_gets_the_reason_and_a_close() {
    let node = Node::start(&[HASTY, xmlsocket::ON]);
    let mut conn = xmlsocket::connect(&node);
    let open = xmlsocket::greet(&mut conn, &json!({"user": "alice"}));
    assert!(open["open"].is_object(), "{open}");
    conn.send(br#"{"ping":1}"#).send([0]);
    assert_eq!(xmlsocket::next(&mut conn), json!({"ok": {"ping": 1}}));
    conn.send(br#"{"ping":"#);
    assert_eq!(xmlsocket::next(&mut conn)["error"]["code"], "timeout");
    conn.assert_closed();
}

/// Sends the beginning of a body and waits until the node has read it.
fn send_a_part(node: &Node, conn: &mut Conn, request: &str, bytes: usize) {
    let before = node.metric("encke_bytes_total{direction=\"in\"}");
    conn.send(request).send(vec![b' '; bytes]);
    node.await_metric("encke_bytes_total{direction=\"in\"}", before + (request.len() + bytes) as u64);
}

#[test]
fn nothing_is_kept_of_a_body_whose_refusal_is_certain_and_the_connection_stays_in_step() {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let node = Node::start(&[("ENCKE_TOKEN_KEY", KEY)]);
    let refused = [
        ("POST", "/u/alice/send", "Content-Type: application/json\r\n", 401),
        ("POST", "/u/alice/longpoll", "Content-Type: application/json\r\n", 401),
        ("POST", "/nowhere", "", 404),
        ("PUT", "/u/alice/send", "", 405),
        ("POST", "/u/alice/send", "Origin: https://evil.example\r\n", 403),
        ("POST", "/health", "", 405),
    ];
    for (method, target, headers, status) in refused {
        for chunked in [false, true] {
            let mut conn = node.connect();
            let framing = if chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 1000000" };
            let size = if chunked { "f4240\r\n" } else { "" };
            let request =
                format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}{framing}\r\n\r\n{size}");
            send_a_part(&node, &mut conn, &request, 900_000);
            assert_eq!(node.metric("encke_input_bytes"), 0, "{method} {target}");
            conn.send(vec![b' '; 100_000]);
            if chunked {
                conn.send("\r\n0\r\n\r\n");
            }
            assert_eq!(conn.response().status, status, "{method} {target}");
            assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
        }
    }
}

/// One shard, whose share is four bodies; one of them is reserved for the private listener.
fn small() -> Node {
    Node::start(&[
        ("ENCKE_SHARDS", "1"),
        ("ENCKE_BODY_BYTES", "64KiB"),
        ("ENCKE_MESSAGE_BYTES", "32KiB"),
        ("ENCKE_INPUT_MEMORY", "64KiB"),
        xmlsocket::ON,
    ])
}

const SEND: &str = "POST /u/alice/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
    Content-Length: 65536\r\n\r\n";

/// Fills the public share; returns the connections that do so.
fn fill(node: &Node) -> Vec<Conn> {
    let mut held = Vec::new();
    while node.metric("encke_input_bytes") < 192 * 1024 - 33 * 1024 {
        let mut conn = node.connect();
        send_a_part(node, &mut conn, SEND, 33 * 1024);
        held.push(conn);
    }
    held
}

#[test]
fn at_the_bound_each_protocol_refuses_in_its_own_way_and_what_was_begun_goes_on() {
    let node = small();
    let mut socket = Socket::open(&node, "/u/bob/ws");
    socket.opened();
    let mut echo = Socket::open(&node, "/u/bob/ws?echo=1");
    let mut flash = xmlsocket::connect(&node);
    xmlsocket::greet(&mut flash, &json!({"user": "carol"}));
    let mut held = fill(&node);
    // A body: the node discards the rest, answers, and the connection continues.
    let mut late = node.connect();
    send_a_part(&node, &mut late, SEND, 40 * 1024);
    late.send(vec![b' '; 65_536 - 40 * 1024]);
    let answer = late.response();
    assert_eq!((answer.status, answer.error().as_str()), (503, "input-full"));
    assert!(answer.text().contains("ENCKE_INPUT_MEMORY") && answer.header("retry-after").is_some());
    assert_eq!(late.ask("GET", "/health", &[], b"").status, 200);
    // A message in a fragment, and in a long frame.
    socket.send(0x01, &vec![b' '; 40 * 1024]);
    let (code, reason) = socket.closed();
    assert!(code == 1013 && reason.contains("ENCKE_INPUT_MEMORY"), "{code} {reason}");
    echo.conn.send(head(TEXT, 60_000)).send(vec![0; 40 * 1024]);
    assert_eq!(echo.closed().0, 1013);
    flash.send(vec![b' '; 40 * 1024]);
    assert_eq!(xmlsocket::next(&mut flash)["error"]["code"], "input-full");
    // A request behind a held poll: the poll is answered, as the last one on its connection.
    let mut poll = node.connect();
    assert_eq!(poll.ask("GET", "/u/dave/longpoll", &[], b"").status, 200);
    let session = node.sessions("dave")[0]["session"].as_str().unwrap().to_owned();
    poll.request("GET", &format!("/u/dave/longpoll?session={session}"), &[], b"");
    node.await_sessions("dave", |all| all[0]["attached"] == true);
    poll.send(vec![b'x'; 40 * 1024]);
    node.tell("dave", &json!(1));
    let answer = poll.response();
    assert!(answer.status == 200 && answer.head.closes(), "{:?}", answer.head);
    // Backends have a share of their own.
    let data = format!("\"{}\"", "x".repeat(30_000));
    let mut backend = node.connect_api();
    let head = format!(
        "POST /u/alice/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        data.len()
    );
    backend.send(head + &data[..29_000]);
    backend.send(&data[29_000..]);
    assert_eq!(backend.response().status, 200);
    assert!(node.metric("encke_refusals_total{cause=\"input-full\"}") >= 4);
    // Messages that had begun can be completed.
    for conn in &mut held {
        conn.send(vec![b' '; 65_536 - 33 * 1024]);
        assert_eq!(conn.response().error(), "bad-json");
    }
    assert_eq!(node.metric("encke_input_bytes"), 0);
}

#[test]
fn what_comes_in_one_piece_is_not_affected_by_a_full_bound() {
    let node = small();
    let _held = fill(&node);
    let mut conn = node.connect();
    for _ in 0..10 {
        let answer =
            conn.ask("POST", "/u/eve/send", &[("Content-Type", "application/json")], br#"{"ping":1}"#);
        assert_eq!(answer.json(), json!({"ok": {"ping": 1}}));
    }
    let mut socket = Socket::open(&node, "/u/eve/ws");
    socket.opened();
    socket.assert_well();
}
