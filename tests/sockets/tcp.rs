//! TCP sockets for pages, in front of real servers that know nothing of it.

mod bounds;
mod plain;
mod text;
mod tls;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use crate::client::Conn;
use crate::down::Down;
use crate::node::{Node, PATIENCE};
use crate::socket::{BINARY, Socket};

/// A server on loopback, and its address as a target.
fn server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn take(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).expect("bytes of the page");
    bytes
}

/// Bytes that look random, the same for the same seed.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// The response by which a page gets its envelopes.
enum Carrier {
    None,
    Socket(Socket),
    Stream(Down),
    /// The next envelopes of the last answer.
    Poll(Vec<Value>),
}

/// A page with one stream, number 1.
struct Page<'a> {
    node: &'a Node,
    up: Conn,
    session: String,
    position: String,
    carrier: Carrier,
    /// Bytes of the server, those of repeats left out.
    got: Vec<u8>,
    events: Vec<Value>,
}

impl<'a> Page<'a> {
    fn open(node: &'a Node) -> Self {
        let mut up = node.connect();
        let first = up.ask("GET", "/u/alice/poll", &[], b"");
        let session = first.header("encke-session").expect("a session").to_owned();
        let position = first.header("encke-position").expect("a position").to_owned();
        let (carrier, got, events) = (Carrier::None, Vec::new(), Vec::new());
        Self { node, up, session, position, carrier, got, events }
    }

    /// Sends a command for the stream by a request; returns its answer.
    fn tcp(&mut self, command: &Value) -> Value {
        let mut command = command.clone();
        if command["stream"].is_null() {
            command["stream"] = json!(1);
        }
        let target = format!("/u/alice/send?session={}", self.session);
        let body = json!({ "tcp": command }).to_string();
        let answer = self.up.ask("POST", &target, &[("Content-Type", "application/json")], body.as_bytes());
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    fn send(&mut self, at: usize, bytes: &[u8]) -> Value {
        self.tcp(&json!({ "at": at, "data": BASE64_STANDARD.encode(bytes) }))
    }

    /// Goes on by another transport.
    fn carry(&mut self, transport: &str) {
        // Cut, not replaced: two clients that replace each other would get a session each.
        self.carrier = Carrier::None;
        let own = |at: &&Value| at["session"] == self.session;
        self.node
            .await_sessions("alice", |all| all.iter().find(own).is_some_and(|at| at["attached"] == false));
        let query = format!("session={}&since={}", self.session, self.position);
        let target = format!("/u/alice/{transport}?{query}");
        self.carrier = match transport {
            "ws" => Carrier::Socket(Socket::open(self.node, &target)),
            "stream" | "sse" => Carrier::Stream(Down::open(self.node, &target)),
            _ => Carrier::Poll(Vec::new()),
        };
    }

    fn envelope(&mut self) -> Value {
        match &mut self.carrier {
            Carrier::None => panic!("no response"),
            Carrier::Socket(socket) => socket.json(),
            Carrier::Stream(down) => down.expect(),
            Carrier::Poll(waiting) => {
                if waiting.is_empty() {
                    let query = format!("session={}&since={}", self.session, self.position);
                    let answer = self.node.get(&format!("/u/alice/longpoll?{query}"));
                    *waiting = answer.envelopes();
                    waiting.reverse();
                }
                waiting.pop().unwrap_or_default()
            }
        }
    }

    /// Takes envelopes until `enough`.
    fn until(&mut self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let envelope = self.envelope();
            assert!(envelope["gap"].is_null(), "{envelope}");
            if let Some(id) = envelope["id"].as_str() {
                id.clone_into(&mut self.position);
            }
            let tcp = &envelope["tcp"];
            match envelope["data"].as_str() {
                Some(data) if tcp.is_object() => {
                    let (at, bytes) = (tcp["at"].as_u64().expect("an offset"), BASE64_STANDARD.decode(data));
                    let bytes = bytes.expect("base64");
                    let known = self.got.len() - usize::try_from(at).expect("small");
                    self.got.extend_from_slice(&bytes[known.min(bytes.len())..]);
                }
                Some(_) | None if tcp.is_object() => self.events.push(tcp.clone()),
                Some(_) | None => {}
            }
        }
    }

    fn has(&self, member: &str) -> bool {
        self.events.iter().any(|event| !event[member].is_null())
    }

    fn until_event(&mut self, member: &str) -> Value {
        self.until(|page| page.has(member));
        let event = self.events.iter().find(|event| !event[member].is_null());
        event.expect("it was waited for")[member].clone()
    }

    fn ack(&mut self) {
        let got = self.got.len();
        let answer = self.tcp(&json!({ "ack": got }));
        assert!(answer["ok"].is_object(), "{answer}");
    }
}

fn node(address: &str) -> Node {
    Node::start(&[("ENCKE_TCP_TARGETS", &format!("there={address}"))])
}

#[test]
fn bytes_go_both_ways_on_every_transport() {
    for transport in ["ws", "stream", "sse", "longpoll"] {
        let (listener, address) = server();
        let node = node(&address);
        let mut page = Page::open(&node);
        page.carry(transport);
        let answer = page.tcp(&json!({ "open": "there" }));
        assert_eq!(answer["ok"]["tcp"]["at"], 0, "{answer}");
        let mut backend = accept(&listener);
        page.until_event("open");
        assert_eq!(page.send(0, b"hello\0\xff")["ok"]["tcp"]["at"], 7);
        assert_eq!(take(&mut backend, 7), b"hello\0\xff");
        backend.write_all(b"\xff\0world").unwrap();
        page.until(|page| page.got.len() == 7);
        assert_eq!(page.got, b"\xff\0world", "{transport}");
        // First the page's end, then the server's.
        page.tcp(&json!({ "at": 7, "end": true }));
        assert_eq!(backend.read(&mut [0; 1]).unwrap(), 0);
        backend.write_all(b"!").unwrap();
        drop(backend);
        assert_eq!(page.until_event("closed")["code"], "ok");
        assert_eq!(page.got, b"\xff\0world!");
        assert!(page.has("end"));
        node.log_line(|line| line.contains("tcp stream ends") && line.contains("to=there"));
    }
}

#[test]
fn a_stream_survives_every_change_of_transport_at_the_exact_byte() {
    let (listener, address) = server();
    let node = node(&address);
    let mut page = Page::open(&node);
    page.tcp(&json!({ "open": "there" }));
    let mut backend = accept(&listener);
    let all = noise(1, 3_000_000);
    let sent = all.clone();
    let writer = std::thread::spawn(move || backend.write_all(&sent).map(|()| backend));
    let transports = ["ws", "longpoll", "sse", "stream", "longpoll", "ws"];
    for (round, transport) in (1..).zip(transports.iter().cycle()) {
        let goal = (round * 150_001).min(all.len());
        page.carry(transport);
        while page.got.len() < goal {
            let step = (page.got.len() + 1).min(goal);
            page.until(|page| page.got.len() >= step);
            page.ack();
        }
        if goal == all.len() {
            break;
        }
    }
    assert!(page.got == all, "the bytes differ");
    drop(writer.join().unwrap().unwrap());
    assert!(page.until_event("end").as_bool().unwrap());
}

#[test]
fn what_is_sent_again_reaches_the_server_once() {
    let (listener, address) = server();
    let node = node(&address);
    let mut page = Page::open(&node);
    // The server's part is not there yet: bytes wait.
    for _ in 0..2 {
        page.tcp(&json!({ "open": "there" }));
        assert_eq!(page.send(0, b"abc")["ok"]["tcp"]["at"], 3);
    }
    let mut backend = accept(&listener);
    assert_eq!(page.send(1, b"bcde")["ok"]["tcp"]["at"], 5);
    let hole = page.send(9, b"x");
    assert_eq!(hole["error"]["code"], "tcp-conflict", "{hole}");
    for _ in 0..2 {
        page.tcp(&json!({ "at": 5, "data": "Zg==", "end": true }));
    }
    let mut got = Vec::new();
    backend.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"abcdef");
    let late = page.send(6, b"g");
    assert_eq!(late["error"]["code"], "tcp-conflict", "{late}");
}

#[test]
fn each_cause_is_told_apart() {
    let (listener, address) = server();
    let (closed, refusing) = server();
    drop(closed);
    let targets =
        format!("there={address},gone={refusing},nowhere=no-such-name.invalid:1,path=unix:/nonexistent/x");
    let node = Node::start(&[("ENCKE_TCP_TARGETS", &targets)]);
    for (target, code) in
        [("gone", "backend-refused"), ("nowhere", "backend-unknown"), ("path", "backend-refused")]
    {
        let mut page = Page::open(&node);
        page.carry("stream");
        assert!(page.tcp(&json!({ "open": target }))["ok"].is_object());
        assert_eq!(page.until_event("closed")["code"], code, "{target}");
    }
    // The server closes at once.
    let mut page = Page::open(&node);
    page.carry("sse");
    page.tcp(&json!({ "open": "there" }));
    drop(accept(&listener));
    page.until_event("end");
    page.tcp(&json!({ "at": 0, "end": true }));
    assert_eq!(page.until_event("closed")["code"], "ok");
    // It resets.
    let mut page = Page::open(&node);
    page.carry("ws");
    page.tcp(&json!({ "open": "there" }));
    let backend = accept(&listener);
    page.until_event("open");
    socket2::SockRef::from(&backend).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(backend);
    assert_eq!(page.until_event("closed")["code"], "backend-reset");
    // What is not there.
    let answer = page.tcp(&json!({ "stream": 2, "open": "elsewhere" }));
    assert_eq!(answer["error"]["code"], "tcp-unknown-target");
    assert!(answer["error"]["reason"].as_str().unwrap().contains("there, gone, nowhere, path"), "{answer}");
    let answer = page.tcp(&json!({ "stream": 2, "host": "127.0.0.1", "port": 22 }));
    assert_eq!(answer["error"]["code"], "forbidden");
    let answer = page.tcp(&json!({ "stream": 7, "ack": 0 }));
    assert_eq!(answer["error"]["code"], "tcp-unknown-stream");
    assert!(answer["error"]["reason"].as_str().unwrap().contains("never opened"), "{answer}");
    let answer = page.tcp(&json!({ "ack": 0 }));
    assert!(answer["error"]["reason"].as_str().unwrap().contains("over"), "{answer}");
}

#[test]
fn addresses_are_reached_by_the_rules_alone() {
    let (listener, address) = server();
    let port = address.rsplit(':').next().unwrap().to_owned();
    let node = Node::start(&[("ENCKE_TCP_ALLOW", &format!("127.0.0.0/8={port}"))]);
    let mut page = Page::open(&node);
    page.carry("longpoll");
    let port: u16 = port.parse().unwrap();
    page.tcp(&json!({ "host": "localhost", "port": port }));
    drop(accept(&listener));
    page.until_event("end");
    for (stream, host, port) in [(2, "127.0.0.1", port - 1), (3, "169.254.169.254", port), (4, "::1", port)] {
        page.tcp(&json!({ "stream": stream, "host": host, "port": port }));
        page.until(|page| {
            page.events.iter().any(|at| at["stream"] == stream && at["closed"]["code"] == "backend-unknown")
        });
    }
}

/// A server writes sevens until it has offered enough: by the bytes that the kernel has taken, and
/// how often in a row it took none. Returns the bytes.
fn offer(backend: &mut TcpStream, page: &mut Page, is_enough: impl Fn(usize, u32) -> bool) -> usize {
    let (mut written, mut blocked, chunk) = (0, 0, vec![7; 65_536]);
    backend.set_nonblocking(true).unwrap();
    while !is_enough(written, blocked) {
        match backend.write(&chunk) {
            Ok(count) => (written, blocked) = (written + count, 0),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                // Each question to the node takes a turn of its shard.
                page.tcp(&json!({ "ack": 0 }));
                blocked += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    backend.set_nonblocking(false).unwrap();
    written
}

#[test]
fn a_page_that_reads_nothing_stops_the_server() {
    let (listener, address) = server();
    let node = node(&address);
    let mut page = Page::open(&node);
    page.tcp(&json!({ "open": "there" }));
    let mut backend = accept(&listener);
    // The kernel's buffers and one window: far less than is offered.
    let written = offer(&mut backend, &mut page, |written, blocked| {
        assert!(written < 64 << 20, "{written} bytes and no end");
        blocked == 50
    });
    // And it goes on where it was.
    page.carry("stream");
    while page.got.len() < written {
        let step = (page.got.len() + 1).min(written);
        page.until(|page| page.got.len() >= step);
        page.ack();
    }
    assert!(page.got.iter().all(|byte| *byte == 7));
}

#[test]
fn a_socket_carries_raw_bytes_both_ways() {
    let (listener, address) = server();
    let node = node(&address);
    let mut socket = Socket::open(&node, "/u/bob/ws?binary=1");
    let record = |header: &Value, payload: &[u8]| {
        let header = header.to_string();
        [&(header.len() as u16).to_be_bytes()[..], header.as_bytes(), payload].concat()
    };
    socket.send(BINARY, &record(&json!({ "tcp": { "stream": 1, "at": 0 } }), b"x"));
    socket.ask(&json!({ "tcp": { "stream": 1, "open": "there" } }));
    socket.send(BINARY, &record(&json!({ "tcp": { "stream": 1, "at": 0 } }), b"\0\xfe"));
    let mut backend = accept(&listener);
    assert_eq!(take(&mut backend, 2), b"\0\xfe");
    backend.write_all(b"\xff\0").unwrap();
    loop {
        let frame = socket.frame();
        if frame.payload.windows(5).any(|at| at == b"\"at\":") && frame.payload.ends_with(b"\xff\0") {
            assert_eq!(frame.first, BINARY);
            break;
        }
    }
}

#[test]
fn a_server_is_told_who_its_client_is() {
    let (listener, address) = server();
    let targets = format!("one={address};proxy=v1,two={address};proxy=v2,irc={address};webirc");
    let vars = [("ENCKE_TCP_TARGETS", &*targets), ("ENCKE_TCP_WEBIRC_PASSWORD", "secret")];
    let node = Node::start(&vars);
    let mut page = Page::open(&node);
    for (stream, target, expected) in [
        (1, "one", &b"PROXY TCP4 127.0.0.1 127.0.0.1 "[..]),
        (2, "two", b"\r\n\r\n\0\r\nQUIT\n\x21\x11"),
        (3, "irc", b"WEBIRC secret encke 127.0.0.1 127.0.0.1\r\nNICK"),
    ] {
        page.tcp(&json!({ "stream": stream, "open": target }));
        page.tcp(&json!({ "stream": stream, "at": 0, "data": BASE64_STANDARD.encode("NICK a\r\n") }));
        let mut backend = accept(&listener);
        assert_eq!(take(&mut backend, expected.len()), expected);
        page.tcp(&json!({ "stream": stream, "at": 8, "end": true }));
        let mut rest = Vec::new();
        backend.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(b" a\r\n"), "{rest:?}");
        assert!(stream != 2 || rest.windows(8).any(|at| at == b"\xe0\0\x05alice"), "{rest:?}");
    }
}

#[test]
fn streams_end_with_their_session_and_bounds_are_kept() {
    let (listener, address) = server();
    let targets = format!("there={address}");
    let vars =
        [("ENCKE_TCP_TARGETS", &*targets), ("ENCKE_TCP_STREAMS", "2"), ("ENCKE_TCP_USER_STREAMS", "3")];
    let node = Node::start(&vars);
    let mut first = Page::open(&node);
    let mut second = Page::open(&node);
    let open = |page: &mut Page<'_>, stream| page.tcp(&json!({ "stream": stream, "open": "there" }));
    assert!(open(&mut first, 1)["ok"].is_object() && open(&mut first, 2)["ok"].is_object());
    let refused = open(&mut first, 3);
    assert!(refused["error"]["reason"].as_str().unwrap().contains("ENCKE_TCP_STREAMS"), "{refused}");
    assert!(open(&mut second, 1)["ok"].is_object());
    let refused = open(&mut second, 2);
    assert!(refused["error"]["reason"].as_str().unwrap().contains("ENCKE_TCP_USER_STREAMS"), "{refused}");
    let mut backends: Vec<_> = (0..3).map(|_| accept(&listener)).collect();
    for page in [&mut first, &mut second] {
        let target = format!("/u/alice/send?session={}", page.session);
        page.up.ask("POST", &target, &[], br#"{"close":true}"#);
    }
    for backend in &mut backends {
        assert_eq!(backend.read(&mut [0; 1]).unwrap_or(0), 0, "a connection of nobody");
    }
    let _ = backends[0].shutdown(Shutdown::Both);
}

#[test]
fn a_session_with_streams_is_not_taken_for_one_that_two_clients_share() {
    let (listener, address) = server();
    let node = node(&address);
    let mut page = Page::open(&node);
    page.tcp(&json!({ "open": "there" }));
    let mut backend = accept(&listener);
    // Each takes the session over from a response that the node still has.
    let target = format!("/u/alice/stream?session={}&since={}", page.session, page.position);
    let opened: Vec<_> = (0..8).map(|_| Down::open(&node, &target)).collect();
    for down in &opened {
        assert_eq!(down.session(), page.session);
    }
    assert_eq!(page.send(0, b"x")["ok"]["tcp"]["at"], 1);
    assert_eq!(take(&mut backend, 1), b"x");
}

#[test]
fn a_session_that_ends_with_bytes_unread_resets_nothing() {
    let (listener, address) = server();
    let node = node(&address);
    let mut page = Page::open(&node);
    page.tcp(&json!({ "open": "there" }));
    let mut backend = accept(&listener);
    // More than the page has room for: the rest waits in the node's kernel.
    offer(&mut backend, &mut page, |written, _| written >= 600_000);
    assert_eq!(page.send(0, b"QUIT")["ok"]["tcp"]["at"], 4);
    node.api("DELETE", "/u/alice", "");
    let mut got = Vec::new();
    backend.read_to_end(&mut got).expect("an end, and no reset");
    assert_eq!(got, b"QUIT");
    drop(backend);
    node.log_line(|line| line.contains("tcp stream ends") && line.contains("expired"));
}
