//! Clients that are slow, or stop: each has its deadline, and delays no other client.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Conn;
use crate::down::Down;
use crate::node::{Node, await_that};

/// Sends one byte at a time until there is an answer, or the end.
fn drip(conn: &mut Conn, bytes: &[u8]) -> Duration {
    let began = Instant::now();
    for byte in bytes.chunks(1) {
        conn.send(byte);
        if conn.something_within(Duration::from_millis(30)) {
            break;
        }
    }
    began.elapsed()
}

const IN_TIME: Duration = Duration::from_secs(3);

#[test]
fn a_head_that_takes_too_long_is_408_however_it_drips() {
    let node = Node::start(&[("ENCKE_HEAD_TIMEOUT", "300ms")]);
    let mut conn = node.connect();
    let took = drip(&mut conn, format!("GET /health HTTP/1.1\r\nX: {}", "y".repeat(500)).as_bytes());
    let answer = conn.response();
    assert_eq!((answer.status, answer.error()), (408, "timeout".into()));
    assert!(answer.head.closes() && took >= Duration::from_millis(290) && took < IN_TIME, "{took:?}");
    conn.assert_closed();
    // The second request on a connection has the same time, counted from its first byte.
    let mut conn = node.connect();
    assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
    conn.assert_silent(Duration::from_millis(400));
    assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
    conn.send("GET /hea");
    assert_eq!(conn.response().status, 408);
}

#[test]
fn a_fresh_connection_that_waits_is_idle_and_its_first_head_has_all_its_time() {
    let node = Node::start(&[
        ("ENCKE_HEAD_TIMEOUT", "300ms"),
        ("ENCKE_XMLSOCKET_LISTEN", "127.0.0.1:0"),
        ("ENCKE_PROXY_PROTOCOL", "192.0.2.1"),
    ]);
    let behind = Node::start(&[("ENCKE_HEAD_TIMEOUT", "300ms"), ("ENCKE_PROXY_PROTOCOL", "127.0.0.1")]);
    let (mut public, mut private) = (node.connect(), node.connect_api());
    let mut xmlsocket = Conn::to(node.xmlsocket());
    let (mut headed, mut headless) = (behind.connect(), behind.connect());
    headed.send("PROXY UNKNOWN\r\n");
    // Longer than a head may take.
    for conn in [&mut public, &mut private, &mut xmlsocket, &mut headed, &mut headless] {
        conn.assert_silent(Duration::from_millis(150));
    }
    headless.send("PROXY UNKNOWN\r\n");
    for conn in [&mut public, &mut private, &mut headed, &mut headless] {
        assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
    }
    xmlsocket.send("{\"connect\":{\"user\":\"alice\"}}\0");
    assert!(xmlsocket.something_within(IN_TIME));
    // A PROXY header that stops half-way is slow.
    behind.connect().send("PROXY UNKN").assert_closed();
}

#[test]
fn a_body_that_takes_too_long_is_408_however_it_drips() {
    let node = Node::start(&[("ENCKE_BODY_TIMEOUT", "300ms")]);
    for framing in ["Content-Length: 5000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1000\r\n"] {
        let mut conn = node.connect();
        conn.send(format!("POST /u/alice/send HTTP/1.1\r\nHost: x\r\n{framing}"));
        let took = drip(&mut conn, &[b' '; 500]);
        let answer = conn.response();
        assert_eq!((answer.status, answer.error()), (408, "timeout".into()));
        assert!(answer.head.closes() && took >= Duration::from_millis(290) && took < IN_TIME, "{took:?}");
        conn.assert_closed();
    }
}

#[test]
fn a_silent_connection_is_closed_without_an_answer() {
    let node = Node::start(&[("ENCKE_HEAD_TIMEOUT", "10m"), ("ENCKE_IDLE_TIMEOUT", "300ms")]);
    node.connect().assert_closed();
    node.connect_api().assert_closed();
    let mut conn = node.connect();
    assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
    let began = Instant::now();
    conn.assert_closed();
    assert!(began.elapsed() < IN_TIME);
}

fn small_buffers(more: &[(&'static str, &'static str)]) -> Node {
    let mut vars = vec![
        ("ENCKE_SEND_BUFFER", "4KiB"),
        ("ENCKE_TCP_NOTSENT_LOWAT", "4KiB"),
        ("ENCKE_RECYCLE_BYTES", "0B"),
    ];
    vars.extend(more);
    Node::start(&vars)
}

#[test]
fn a_stream_that_is_never_read_is_cut_and_others_get_everything() {
    let node = small_buffers(&[("ENCKE_WRITE_TIMEOUT", "300ms")]);
    let mut deaf = node.connect();
    deaf.request("GET", "/u/alice/sse?channels=/chat/a", &[], b"");
    assert_eq!(deaf.head().status, 200);
    let mut reader = Down::open(&node, "/u/bob/sse?channels=/chat/a");
    reader.opened();
    let text = "x".repeat(100_000);
    for n in 0..100 {
        let began = Instant::now();
        node.publish("/chat/a", &json!([n, text]));
        assert_eq!(reader.data()[0], n);
        assert!(began.elapsed() < IN_TIME);
    }
    node.await_metric("encke_stalled_total", 1);
    node.await_sessions("alice", |all| all.len() == 1 && all[0]["attached"] == false);
    reader.assert_silent(Duration::from_millis(1));
}

#[test]
fn a_response_that_is_never_read_is_cut() {
    let node = small_buffers(&[
        ("ENCKE_WRITE_TIMEOUT", "300ms"),
        ("ENCKE_OUTBOX_BYTES", "8MiB"),
        ("ENCKE_CHANNEL_BYTES", "16MiB"),
    ]);
    let first = node.get("/u/alice/poll");
    let session = first.header("encke-session").unwrap();
    let text = "x".repeat(200_000);
    for n in 0..40 {
        node.tell("alice", &json!([n, text]));
    }
    let mut deaf = node.connect();
    deaf.request("GET", &format!("/u/alice/poll?session={session}"), &[], b"");
    deaf.take(10);
    node.await_metric("encke_stalled_total", 1);
    let rest = deaf.rest().len();
    assert!(rest < 8_000_000, "{rest} bytes came after all");
    // The client requests the lost message again.
    let position = first.header("encke-position").unwrap();
    let target = format!("/u/alice/poll?session={session}&since={position}");
    let envelopes = node.get(&target).envelopes();
    assert_eq!(envelopes[0]["data"][0], 0);
}

#[test]
fn a_slow_reader_falls_back_to_its_cursor_and_misses_nothing() {
    let node = small_buffers(&[("ENCKE_OUTBOX_BYTES", "8KiB"), ("ENCKE_CHANNEL_BYTES", "16MiB")]);
    let mut slow = Down::open(&node, "/u/alice/sse?channels=/chat/a,/chat/b");
    slow.opened();
    let text = "x".repeat(20_000);
    let count = 300;
    let mut api = node.connect_api();
    for n in 0..count {
        let channel = ["/chat/a", "/chat/b"][n % 2];
        let body = json!({"channel": channel, "data": [n, text]}).to_string();
        assert_eq!(api.ask("POST", "/publish", &[], body.as_bytes()).status, 200);
    }
    assert!(node.metric("encke_slow_consumer_falls_total") >= 1);
    let shown = &node.sessions("alice")[0];
    assert_eq!(shown["level"], false, "{shown}");
    assert!(shown["queued_bytes"].as_u64().unwrap() < 100_000, "{shown}");
    let mut got: Vec<u64> = (0..count).map(|_| slow.data()[0].as_u64().unwrap()).collect();
    got.sort_unstable();
    assert_eq!(got, (0..count as u64).collect::<Vec<_>>());
    node.await_sessions("alice", |all| all[0]["level"] == true);
    node.publish("/chat/a", &json!("level again"));
    assert_eq!(slow.data(), "level again");
}

#[test]
fn a_message_larger_than_the_outbox_still_goes_out() {
    let node = small_buffers(&[("ENCKE_OUTBOX_BYTES", "1KiB")]);
    let large = Value::from("x".repeat(200_000));
    let mut down = Down::open(&node, "/u/alice/stream");
    down.opened();
    for _ in 0..3 {
        node.tell("alice", &large);
    }
    assert_eq!([down.data(), down.data(), down.data()], [large.clone(), large.clone(), large.clone()]);
    let session = node.get("/u/bob/longpoll").header("encke-session").unwrap().to_owned();
    node.tell("bob", &large);
    let answer = node.get(&format!("/u/bob/longpoll?session={session}"));
    assert_eq!(answer.envelopes()[0]["data"], large);
}

/// Resident memory of the node, in bytes.
fn resident(node: &Node) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn a_client_that_pipelines_without_reading_is_slowed() {
    let node = small_buffers(&[]);
    let before = resident(&node);
    let request = "GET /start.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let sockets: Vec<_> = (0..4)
        .map(|_| {
            let mut socket = std::net::TcpStream::connect(node.public).unwrap();
            socket.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            // Until the node reads no more, and no more can be written.
            let stuck =
                (0..10_000).any(|_| std::io::Write::write_all(&mut socket, request.as_bytes()).is_err());
            assert!(stuck, "the node reads on and on");
            socket
        })
        .collect();
    let grown = resident(&node).saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes more");
    assert_eq!(node.get("/health").status, 200);
    drop(sockets);
    await_that(|| (node.metric("encke_connections") <= 2).then_some(()));
}
