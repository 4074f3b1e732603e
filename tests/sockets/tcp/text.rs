//! A SockJS client whose strings are a server's bytes.

use std::io::{Read, Write};

use serde_json::json;

use super::{accept, node, server, take};
use crate::client::{Conn, Response};
use crate::node::Node;
use crate::socket::{Socket, TEXT};

/// A SockJS session by polls, on two connections.
struct Client {
    down: Conn,
    up: Conn,
    base: String,
    /// What the server has sent.
    got: String,
}

impl Client {
    /// Begins a session; returns the frame that it begins with.
    fn begin(node: &Node, user: &str, target: &str, session: &str) -> (Self, String) {
        let base = format!("/u/{user}/tcp/{target}/sockjs/000/{session}");
        let mut client = Self { down: node.connect(), up: node.connect(), base, got: String::new() };
        let frame = client.poll();
        (client, frame)
    }

    fn open(node: &Node, session: &str) -> Self {
        let (client, frame) = Self::begin(node, "alice", "there", session);
        assert_eq!(frame, "o\n");
        client
    }

    fn poll(&mut self) -> String {
        let answer = self.down.ask("POST", &format!("{}/xhr", self.base), &[], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        String::from_utf8(answer.body).unwrap()
    }

    /// Polls for strings until `enough`; returns the frame that ends the session, if one came.
    fn until(&mut self, enough: impl Fn(&str) -> bool) -> Option<String> {
        while !enough(&self.got) {
            let frame = self.poll();
            match frame.strip_prefix('a') {
                Some(strings) => {
                    let strings: Vec<String> = serde_json::from_str(strings).unwrap();
                    assert!(strings.iter().all(|string| !string.is_empty()), "{frame}");
                    self.got.extend(strings);
                }
                None if frame == "h\n" => {}
                None => return Some(frame),
            }
        }
        None
    }

    fn send(&mut self, strings: &[&str]) -> Response {
        let body = json!(strings).to_string();
        self.up.ask("POST", &format!("{}/xhr_send", self.base), &[], body.as_bytes())
    }
}

#[test]
fn strings_are_the_bytes_of_a_server_both_ways() {
    let (listener, address) = server();
    let node = node(&address);
    let mut client = Client::open(&node, "one");
    let mut backend = accept(&listener);
    assert_eq!(client.send(&["hel", "lo \0", "gr\u{fc}\u{1F600}"]).status, 204);
    assert_eq!(take(&mut backend, 15), "hello \0gr\u{fc}\u{1F600}".as_bytes());
    // No character is split between two strings, and nothing else comes among them.
    node.tell("alice", &json!("for the user"));
    for byte in "a\u{e9}\u{1F600}\n".as_bytes() {
        backend.write_all(&[*byte]).unwrap();
        backend.flush().unwrap();
    }
    client.until(|got| got.ends_with('\n'));
    assert_eq!(client.got, "a\u{e9}\u{1F600}\n");
    // What the server sent before its end comes first; a character that it has not ended is none.
    backend.write_all(b"bye\xe2\x82").unwrap();
    drop(backend);
    assert_eq!(client.until(|_| false).as_deref(), Some("c[1000,\"the server has ended\"]\n"));
    assert_eq!(client.got, "a\u{e9}\u{1F600}\nbye\u{fffd}");
    node.log_line(|line| line.contains("tcp stream ends user=alice ") && line.contains("to=there"));
}

#[test]
fn a_client_that_does_not_poll_stops_the_server_and_the_other_way_round() {
    let (listener, address) = server();
    let node = node(&address);
    let mut client = Client::open(&node, "one");
    let mut backend = accept(&listener);
    let (all, len) = ("0123456789abcde\u{e9}".repeat(400_000), 17 * 400_000);
    assert_eq!(all.len(), len);
    let down = all.clone();
    let writer = std::thread::spawn({
        let mut backend = backend.try_clone().unwrap();
        move || backend.write_all(down.as_bytes()).unwrap()
    });
    // Each is answered once the server has room; all of them are more than the kernels hold.
    let mut up =
        Client { down: node.connect(), up: node.connect(), base: client.base.clone(), got: String::new() };
    let sender = std::thread::spawn({
        let all = all.clone();
        move || {
            for part in all.as_bytes().chunks(17 * 10_000) {
                assert_eq!(up.send(&[std::str::from_utf8(part).unwrap()]).status, 204);
            }
        }
    });
    client.until(|got| got.len() == len);
    assert!(client.got == all, "the bytes differ");
    assert!(take(&mut backend, len) == all.as_bytes(), "the bytes differ");
    writer.join().unwrap();
    sender.join().unwrap();
    drop(client);
    node.api("DELETE", "/u/alice", "");
    assert_eq!(backend.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_socket_and_a_raw_one_carry_text() {
    let (listener, address) = server();
    let node = node(&address);
    for (path, up, down) in
        [("000/two/websocket", &b"[\"hi\"]"[..], "a[\"\u{fc}\"]"), ("websocket", b"hi", "\u{fc}")]
    {
        let mut socket = Socket::open(&node, &format!("/u/alice/tcp/there/sockjs/{path}"));
        let mut backend = accept(&listener);
        socket.send(TEXT, up);
        assert_eq!(take(&mut backend, 2), b"hi");
        backend.write_all("\u{fc}".as_bytes()).unwrap();
        let mut frame = socket.frame();
        if frame.payload == b"o" {
            frame = socket.frame();
        }
        assert_eq!((frame.first, String::from_utf8(frame.payload).unwrap()), (TEXT, down.to_owned()));
    }
}

#[test]
fn why_there_is_no_stream_is_told_when_the_session_ends() {
    let (listener, address) = server();
    let (closed, refusing) = server();
    drop(closed);
    let targets = format!("there={address},gone={refusing}");
    let node = Node::start(&[("ENCKE_TCP_TARGETS", &*targets), ("ENCKE_TCP_USER_STREAMS", "1")]);
    let (mut client, _) = Client::begin(&node, "alice", "gone", "one");
    assert_eq!(client.until(|_| false).as_deref(), Some("c[1011,\"backend-refused\"]\n"));
    let _first = Client::open(&node, "two");
    let _backend = accept(&listener);
    let (mut client, _) = Client::begin(&node, "alice", "there", "three");
    assert_eq!(client.until(|_| false).as_deref(), Some("c[1011,\"too-many-streams\"]\n"));
    // A session's name is one of its target.
    let (mut client, _) = Client::begin(&node, "bob", "there", "one");
    let mut backend = accept(&listener);
    assert_eq!(client.send(&["x"]).status, 204);
    assert_eq!(take(&mut backend, 1), b"x");
    let other = node.connect().ask("POST", "/u/bob/tcp/gone/sockjs/000/one/xhr_send", &[], b"[\"y\"]");
    assert_eq!(other.status, 404);
    assert_eq!(node.get("/u/alice/tcp/elsewhere/sockjs/info").status, 404);
    assert_eq!(node.get("/u/alice/tcp/there/sockjs/info").json()["websocket"], true);
}
