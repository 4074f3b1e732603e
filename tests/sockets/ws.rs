//! WebSockets: messages to the client, commands from it, and attacks in both directions.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};

use crate::node::{Node, PATIENCE};
use crate::socket::{BINARY, CLOSE, Frame, PING, PONG, Socket, TEXT, frame, head};

const DEFLATE: (&str, &str) = ("Sec-WebSocket-Extensions", "permessage-deflate");

#[test]
fn commands_are_answered_in_order_however_they_are_torn() {
    let node = Node::start(&[]);
    // The home and the accepting shard are random: of this many connections, some must move.
    for n in 0..32 {
        let mut socket = Socket::open(&node, &format!("/u/user{n}/ws?channels=/a"));
        let session = socket.opened()["session"].clone();
        assert_eq!(Some(session.as_str().unwrap()), socket.head.header("encke-session"));
        let mut bytes = frame(TEXT, br#"[{"ping":1},{"publish":"/x","data":[1]},{"subscribe":"/b"}]"#);
        bytes.extend(frame(0x01, br#"{"pi"#));
        bytes.extend(frame(PING, b"in between"));
        bytes.extend(frame(0x00, b""));
        bytes.extend(frame(0x80, br#"ng":2}"#));
        bytes.extend(frame(TEXT, br#"{"nope":1}"#));
        bytes.extend(frame(TEXT, b"[]"));
        bytes.extend(frame(TEXT, b"no JSON"));
        bytes.extend(frame(TEXT, br#"{"ping":3}"#));
        socket.conn.trickle(bytes);
        assert_eq!(socket.json(), json!({"ok": {"ping": 1}}));
        assert_eq!(socket.json()["ok"]["publish"], "/x");
        assert_eq!(socket.json()["ok"]["subscribe"], "/b");
        assert_eq!(socket.frame(), Frame { first: PONG, payload: b"in between".to_vec() });
        assert_eq!(socket.json(), json!({"ok": {"ping": 2}}));
        assert!(socket.json()["error"]["code"].is_string());
        let last = [socket.json(), socket.json()];
        assert_eq!(last[0]["error"]["code"], "bad-json", "{last:?}");
        assert_eq!(last[1], json!({"ok": {"ping": 3}}));
        assert_eq!(node.sessions(&format!("user{n}")).len(), 1);
    }
    assert!(node.metric("encke_hand_offs_total") > 0, "users at home on either shard");
}

#[test]
fn bytes_go_up_and_down_as_they_are() {
    let node = Node::start(&[]);
    let mut both = Socket::open(&node, "/u/alice/ws?binary=1&channels=/c");
    let mut text = Socket::open(&node, "/u/bob/ws?channels=/c");
    both.opened();
    text.opened();
    let payload: Vec<u8> = (0..=255).collect();
    let header = br#"{"publish":"/c"}"#;
    both.send(BINARY, &[&(header.len() as u16).to_be_bytes()[..], header, &payload].concat());
    let mut record = None;
    for _ in 0..2 {
        match both.frame() {
            Frame { first: TEXT, payload } => {
                let answer: Value = serde_json::from_slice(&payload).unwrap();
                assert_eq!(answer["ok"]["publish"], "/c");
            }
            Frame { first, payload } => {
                assert_eq!(first, BINARY);
                record = Some(payload);
            }
        }
    }
    let record = record.expect("a record");
    let len = usize::from(u16::from_be_bytes([record[0], record[1]]));
    let envelope: Value = serde_json::from_slice(&record[2..2 + len]).unwrap();
    assert_eq!((&envelope["channel"], &envelope["from"]), (&json!("/c"), &json!("alice")));
    assert_eq!(envelope["data"], Value::Null);
    assert_eq!(record[2 + len..], payload);
    assert_eq!(text.json()["encoding"], "base64");
    for bad in [&b""[..], b"\0", b"\0\x05{}", b"\xff\xff\0\0", b"\0\x02{}x"] {
        both.send(BINARY, bad);
        assert!(both.json()["error"]["code"].is_string(), "{bad:?}");
    }
    both.assert_well();
}

/// Violations, and the close code of each.
fn violations() -> Vec<(&'static str, Vec<u8>, u16)> {
    let unmasked = [&[TEXT, 2][..], b"{}"].concat();
    let long = |len: u64| [head(TEXT, len), vec![0; 4]].concat();
    vec![
        ("no mask", unmasked, 1002),
        ("reserved bit 1, without compression", frame(0xc1, b"{}"), 1002),
        ("reserved bit 2", frame(0xa1, b"{}"), 1002),
        ("reserved bit 3", frame(0x91, b"{}"), 1002),
        ("opcode 3", frame(0x83, b""), 1002),
        ("opcode 7", frame(0x87, b""), 1002),
        ("opcode 11", frame(0x8b, b""), 1002),
        ("opcode 15", frame(0x8f, b""), 1002),
        ("a torn ping", frame(0x09, b""), 1002),
        ("a torn close", frame(0x08, b""), 1002),
        ("a long ping", frame(PING, &[0; 126]), 1002),
        ("a long close", frame(CLOSE, &[3; 200]), 1002),
        ("a continuation of nothing", frame(0x80, b""), 1002),
        ("a message within another", [frame(0x01, b"{"), frame(TEXT, b"}")].concat(), 1002),
        ("half a close code", frame(CLOSE, b"\x03"), 1002),
        ("a close code that is reserved", frame(CLOSE, &1005_u16.to_be_bytes()), 1002),
        ("a close code of no kind", frame(CLOSE, &999_u16.to_be_bytes()), 1002),
        ("a close reason that is no UTF-8", frame(CLOSE, b"\x03\xe8\xff"), 1007),
        ("a length that could be shorter", vec![TEXT, 0xfe, 0, 5, 0, 0, 0, 0], 1002),
        ("a length with its highest bit", long(1 << 63), 1002),
        ("no UTF-8", frame(TEXT, b"\"\xff\""), 1007),
        ("a surrogate", frame(TEXT, b"\"\xed\xa0\x80\""), 1007),
        ("half a character at the end", frame(TEXT, b"\xc3"), 1007),
        ("an oversize frame", long(2000), 1009),
        ("an immense frame", long(1 << 40), 1009),
        ("the longest frame", long((1 << 63) - 1), 1009),
    ]
}

#[test]
fn a_violation_gets_its_code_and_is_closed_wherever_it_is_cut() {
    let node = Node::start(&[("ENCKE_BODY_BYTES", "1KiB"), ("ENCKE_MESSAGE_BYTES", "512B")]);
    for (what, bytes, code) in violations() {
        for torn in [false, true] {
            for target in ["/u/alice/ws", "/u/alice/ws?echo=1"] {
                let mut socket = Socket::open(&node, target);
                if torn {
                    socket.conn.trickle(&bytes)
                } else {
                    socket.conn.send(&bytes)
                };
                assert_eq!(socket.closed().0, code, "{what}, {target}, torn: {torn}");
            }
        }
    }
    node.await_sessions("alice", |all| all.iter().all(|session| session["attached"] == false));
}

#[test]
fn a_message_without_end_is_closed_at_its_bound() {
    let node = Node::start(&[("ENCKE_BODY_BYTES", "1KiB"), ("ENCKE_MESSAGE_BYTES", "512B")]);
    let mut socket = Socket::open(&node, "/u/alice/ws");
    socket.send(0x01, b"[");
    for _ in 0..300 {
        socket.send(0x00, b"         ");
    }
    assert_eq!(socket.closed().0, 1009);
    // Empty fragments need no memory, and a message of them is still a message.
    let mut socket = Socket::open(&node, "/u/bob/ws");
    socket.opened();
    socket.send(0x01, br#"{"ping":1}"#);
    for _ in 0..3000 {
        socket.send(0x00, b"");
    }
    socket.send(0x80, b"");
    assert_eq!(socket.json(), json!({"ok": {"ping": 1}}));
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 1024);
    Compress::new(Compression::best(), false).compress_vec(bytes, &mut out, FlushCompress::Sync).unwrap();
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

#[test]
fn a_bomb_is_not_let_grow() {
    let node = Node::start(&[("ENCKE_BODY_BYTES", "64KiB"), ("ENCKE_MESSAGE_BYTES", "32KiB")]);
    let bomb = deflated(&vec![b' '; 60_000_000]);
    assert!(bomb.len() < 64 * 1024, "{} bytes", bomb.len());
    let before = resident_kib(&node);
    for _ in 0..4 {
        let mut socket = Socket::open_with(&node, "/u/alice/ws", &[DEFLATE]);
        assert_eq!(socket.head.header("sec-websocket-extensions").map(|x| &x[..18]), Some(DEFLATE.1));
        socket.send(0xc1, &bomb);
        assert_eq!(socket.closed().0, 1009);
    }
    let grown = resident_kib(&node).saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more");
    let mut socket = Socket::open_with(&node, "/u/bob/ws", &[DEFLATE]);
    socket.opened();
    socket.send(0xc1, &deflated(br#"{"ping":"compressed"}"#));
    assert_eq!(socket.json(), json!({"ok": {"ping": "compressed"}}));
    socket.send(0xc1, b"\x07 no deflate at all");
    assert_eq!(socket.closed().0, 1007);
}

/// The node's memory.
fn resident_kib(node: &Node) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[test]
fn close_frames_are_answered_with_their_code() {
    let node = Node::start(&[]);
    for (payload, code) in
        [(&b""[..], 1000), (b"\x03\xe8", 1000), (b"\x03\xe9bye", 1001), (b"\x0f\xa0", 4000)]
    {
        let mut socket = Socket::open(&node, "/u/alice/ws");
        socket.opened();
        socket.send(CLOSE, payload);
        assert_eq!(socket.closed().0, code);
    }
    // The session outlives its socket.
    node.await_sessions("alice", |all| all.iter().all(|session| session["attached"] == false));
}

#[test]
fn nobody_waits_for_a_close_handshake_that_never_finishes() {
    let node = Node::start(&[]);
    let mut sockets: Vec<_> = (0..3).map(|_| Socket::open(&node, "/u/alice/ws")).collect();
    for socket in &mut sockets {
        socket.opened();
    }
    node.api("DELETE", "/u/alice", "");
    for socket in &mut sockets {
        assert_eq!(socket.json()["close"]["code"], "ended");
        assert_eq!(socket.frame(), Frame { first: CLOSE, payload: vec![3, 0xe8] });
        // It sends on instead, for ever.
        socket.send(PING, b"").send(TEXT, br#"{"ping":1}"#);
        socket.conn.assert_closed();
    }
    crate::node::await_that(|| (node.metric("encke_connections") <= 1).then_some(()));
}

#[test]
fn what_was_sent_before_the_end_is_carried_out_and_answered() {
    let node = Node::start(&[]);
    let mut stream = TcpStream::connect(node.public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = HANDSHAKE.to_vec();
    for n in 0..200 {
        bytes.extend(frame(
            TEXT,
            format!("[{{\"publish\":\"/c{n}\",\"data\":{n}}},{{\"ping\":{n}}}]").as_bytes(),
        ));
    }
    stream.write_all(&bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer);
    for n in 0..200 {
        assert!(text.contains(&format!("{{\"ok\":{{\"ping\":{n}}}}}")), "{n} of 200 is not answered");
    }
    assert!(answer.ends_with(b"\x88\x02\x03\xe8"));
}

const HANDSHAKE: &[u8] =
    b"GET /u/alice/ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn a_client_that_sends_and_hardly_reads_is_slowed_and_loses_nothing() {
    const COUNT: usize = 40_000;
    let node = Node::start(&[("ENCKE_SEND_BUFFER", "4KiB"), ("ENCKE_SHARDS", "1")]);
    let mut reader = TcpStream::connect(node.public).unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writer = reader.try_clone().unwrap();
    let sender = thread::spawn(move || {
        let mut bytes = HANDSHAKE.to_vec();
        bytes.extend(std::iter::repeat_n(frame(TEXT, b"{\"x\":1}"), COUNT).flatten());
        writer.write_all(&bytes).unwrap();
    });
    // Each command is answered with some ten times its length, after one `open`. One read may hold
    // several answers, so the count is exact only at the end.
    let (mut answers, mut buffer) = (0, vec![0; 4096]);
    for turn in 0.. {
        let count = reader.read(&mut buffer).unwrap();
        assert!(count > 0, "{answers} answers, and then the end");
        answers += memchr::memchr_iter(0x81, &buffer[..count]).count();
        if answers > COUNT {
            break;
        }
        if turn % 40 == 39 {
            let taken = taken_in(&node);
            // Bytes that are answered or about to be, and one read.
            let due = answers * 13 + 200_000;
            assert!(taken <= due, "{taken} bytes were taken in, {answers} messages answered");
        }
    }
    sender.join().unwrap();
    assert_eq!(answers, COUNT + 1);
}

/// Bytes that the node has read from connections.
fn taken_in(node: &Node) -> usize {
    let page = node.api("GET", "/metrics", "");
    let sample = |line: &str| line.strip_prefix("encke_bytes_total{direction=\"in\"} ")?.parse().ok();
    page.text().lines().find_map(sample).expect("the metric")
}

#[test]
fn a_flood_of_pings_that_nobody_reads_is_held_back() {
    let node = Node::start(&[
        ("ENCKE_SEND_BUFFER", "4KiB"),
        ("ENCKE_WRITE_TIMEOUT", "500ms"),
        ("ENCKE_IDLE_TIMEOUT", "1s"),
    ]);
    for target in ["/u/alice/ws", "/u/alice/ws?echo=1"] {
        let before = resident_kib(&node);
        let mut socket = Socket::open(&node, target);
        let pings = frame(PING, &[b'x'; 125]).repeat(1000);
        // Until the node accepts no more and closes the connection.
        for _ in 0..400 {
            socket.conn.send(&pings);
        }
        let grown = resident_kib(&node).saturating_sub(before);
        assert!(grown < 8 * 1024, "{grown} KiB more");
    }
}

#[test]
fn a_socket_without_pongs_is_cut_and_one_with_them_is_not() {
    let node = Node::start(&[("ENCKE_HEARTBEAT", "200ms")]);
    let mut deaf = Socket::open(&node, "/u/alice/ws");
    let mut well = Socket::open(&node, "/u/bob/ws");
    deaf.opened();
    well.opened();
    for _ in 0..6 {
        let ping = well.frame();
        assert_eq!(ping.first, PING);
        well.send(PONG, &ping.payload);
    }
    assert_eq!(deaf.frame().first, PING);
    deaf.conn.assert_closed();
    assert_eq!(node.metric("encke_stalled_total"), 1);
    well.assert_well();
}

#[test]
fn an_echo_gives_back_what_it_gets() {
    let node = Node::start(&[("ENCKE_BODY_BYTES", "256KiB")]);
    let echoes =
        [("/u/alice/ws?echo=1", None), ("/u/alice/ws", Some(("Sec-WebSocket-Protocol", "x, encke.echo")))];
    for (target, header) in echoes {
        let mut socket = Socket::open_with(&node, target, header.as_slice());
        for len in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
            socket.send(BINARY, &vec![0xff; len]);
            assert_eq!(socket.frame(), Frame { first: BINARY, payload: vec![0xff; len] });
            socket.send(TEXT, &vec![b'x'; len]);
            assert_eq!(socket.frame(), Frame { first: TEXT, payload: vec![b'x'; len] });
        }
        socket.send(CLOSE, b"\x0f\xa0");
        assert_eq!(socket.closed().0, 4000);
    }
    assert_eq!(node.sessions("alice"), Vec::<Value>::new());
}

#[test]
fn a_drain_is_announced_and_the_socket_closed_with_1000() {
    let mut node = Node::start(&[("ENCKE_DRAIN", "1s")]);
    let mut socket = Socket::open(&node, "/u/alice/ws");
    socket.opened();
    node.signal("TERM");
    let close = socket.json()["close"].clone();
    assert_eq!((&close["code"], &close["reconnect"]), (&json!("drain"), &json!(true)));
    assert!(close["after"].as_u64().is_some_and(|after| after <= 1000));
    assert_eq!(socket.closed(), (1000, String::new()));
    assert!(node.exit().success());
}

#[test]
fn a_position_is_resumed_and_the_older_socket_gets_replaced() {
    let node = Node::start(&[]);
    let mut first = Socket::open(&node, "/u/alice/ws?channels=/c");
    let opened = first.opened();
    node.publish("/c", &json!(1));
    let id = first.json()["id"].clone();
    node.publish("/c", &json!(2));
    let target = format!(
        "/u/alice/ws?channels=/c&since={}&session={}",
        id.as_str().unwrap(),
        opened["session"].as_str().unwrap()
    );
    let mut second = Socket::open(&node, &target);
    assert_eq!(second.opened()["resumed"], true);
    assert_eq!(second.json()["data"], 2);
    assert_eq!(first.json()["data"], 2);
    assert_eq!(first.json()["close"]["code"], "replaced");
    assert_eq!(first.closed().0, 1000);
    second.conn.assert_silent(Duration::from_millis(20));
}

#[test]
fn after_our_close_the_connection_waits_a_moment_for_the_clients() {
    let node = Node::start(&[]);
    for answers in [true, false] {
        let mut socket = Socket::open(&node, "/u/alice/ws");
        socket.opened();
        socket.ask(&json!([{"ping": 1}, {"close": true}]));
        assert_eq!(socket.json(), json!({"ok": {"ping": 1}}));
        assert_eq!(socket.json(), json!({"ok": {"close": true}}));
        assert_eq!(socket.json()["close"]["code"], "closed");
        assert_eq!(socket.frame().first, CLOSE);
        socket.conn.assert_silent(Duration::from_millis(50));
        if answers {
            socket.send(CLOSE, &1000_u16.to_be_bytes());
        }
        socket.conn.assert_closed();
    }
}
