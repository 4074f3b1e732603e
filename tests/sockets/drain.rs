//! The node stops: every client is notified, with different times to reconnect, and the process
//! ends on time.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Conn;
use crate::down::Down;
use crate::node::Node;
use crate::socket::{CLOSE, Socket};

fn after(close: &Value) -> u64 {
    assert_eq!((&close["code"], &close["reconnect"]), (&json!("drain"), &json!(true)));
    close["after"].as_u64().expect("a number of milliseconds")
}

fn park(node: &Node, user: &str) -> Conn {
    let mut conn = node.connect();
    let first = conn.ask("GET", &format!("/u/{user}/longpoll"), &[], b"");
    let session = first.header("encke-session").unwrap();
    conn.request("GET", &format!("/u/{user}/longpoll?session={session}"), &[], b"");
    node.await_sessions(user, |all| all[0]["attached"] == true);
    conn
}

fn drains_on(signal: &str) {
    let mut node = Node::start(&[("ENCKE_DRAIN", "5s"), ("ENCKE_SHARDS", "4")]);
    let mut streams: Vec<Down> =
        (0..20).map(|n| Down::open(&node, &format!("/u/s{n}/{}", ["sse", "stream"][n % 2]))).collect();
    for down in &mut streams {
        down.opened();
    }
    let mut parked: Vec<Conn> = (0..10).map(|n| park(&node, &format!("p{n}"))).collect();
    let mut idle: Vec<Conn> = (0..10).map(|_| node.connect()).collect();
    for conn in &mut idle {
        assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
    }
    let began = Instant::now();
    node.signal(signal);
    let mut afters = Vec::new();
    for down in &mut streams {
        let close = down.closed();
        afters.push(after(&close));
        if down.head.header("content-type").unwrap().starts_with("text/event-stream") {
            assert_eq!(down.retry(), close["after"].as_u64(), "an EventSource is told in its own words");
        }
    }
    for conn in &mut parked {
        let answer = conn.response();
        assert!(answer.head.closes());
        afters.push(after(&answer.envelopes().last().unwrap()["close"]));
        conn.assert_closed();
    }
    for down in &mut streams {
        down.conn.assert_closed();
    }
    idle.iter_mut().for_each(Conn::assert_closed);
    assert!(afters.iter().all(|after| *after <= 5000), "{afters:?}");
    let distinct: BTreeSet<u64> = afters.iter().map(|after| after / 500).collect();
    assert!(distinct.len() >= 4, "not spread: {afters:?}");
    assert!(node.exit().success());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(TcpStream::connect(node.public).is_err());
    let log = node.log().join("\n");
    assert!(log.contains("draining") && log.contains("stopped"), "{log}");
}

#[test]
fn term_sends_everyone_away_and_exits_with_0() {
    drains_on("TERM");
}

#[test]
fn int_does_the_same() {
    drains_on("INT");
}

/// A connection in the middle of a request's body, which delays the drain.
fn halfway(node: &Node) -> Conn {
    let mut conn = node.connect();
    conn.send("POST /u/alice/send HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    assert_eq!(conn.response().status, 100);
    conn.send("{\"pi");
    conn
}

#[test]
fn connects_of_bayeux_clients_are_answered_one_after_another_and_their_sockets_end_with_them() {
    const WITHIN: Duration = Duration::from_secs(4);
    let mut node = Node::start(&[("ENCKE_DRAIN", "4s"), ("ENCKE_SHARDS", "2")]);
    let held = (0..16).map(|n| hold(&node, &format!("/u/b{n}/bayeux"), n % 2 == 0));
    let held: Vec<Held> = held.collect();
    let began = Instant::now();
    node.signal("TERM");
    let waiting = held.into_iter().map(|held| std::thread::spawn(move || (answered(held), began.elapsed())));
    let waiting: Vec<_> = waiting.collect();
    let mut after: Vec<Duration> = Vec::new();
    for waiting in waiting {
        let (answer, at) = waiting.join().unwrap();
        assert_eq!((&answer[0]["id"], &answer[0]["successful"]), (&json!("held"), &json!(true)), "{answer}");
        assert_eq!(
            (&answer[0]["advice"]["reconnect"], &answer[0]["advice"]["interval"]),
            (&json!("retry"), &json!(0))
        );
        after.push(at);
    }
    after.sort();
    // The probability that all sixteen fall into this small part of three seconds by chance is
    // negligible.
    assert!(after[15] > after[0] + Duration::from_millis(500), "not spread: {after:?}");
    assert!(node.exit().success());
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
}

/// A Bayeux client that waits for the answer to its connect.
enum Held {
    Request(Conn),
    Socket(Socket),
}

fn hold(node: &Node, path: &str, by_socket: bool) -> Held {
    let handshake = json!({
        "id": "1", "channel": "/meta/handshake", "version": "1.0",
        "supportedConnectionTypes": ["websocket", "long-polling"],
    });
    let connect =
        |id: &str, session: &Value| json!([{"id": id, "channel": "/meta/connect", "clientId": session}]);
    let user = path.split('/').nth(2).unwrap().to_owned();
    let held = if by_socket {
        let mut socket = Socket::open(node, path);
        let session = socket.ask(&json!([handshake])).json()[0]["clientId"].clone();
        assert_eq!(socket.ask(&connect("first", &session)).json()[0]["successful"], true);
        socket.ask(&connect("held", &session));
        // The answer to a message after the connect shows that the node has the connect.
        let subscribe =
            json!([{"id": "2", "channel": "/meta/subscribe", "clientId": session, "subscription": "/c"}]);
        assert_eq!(socket.ask(&subscribe).json()[0]["successful"], true);
        Held::Socket(socket)
    } else {
        let mut conn = node.connect();
        let json = ("Content-Type", "application/json");
        let answer = conn.ask("POST", path, &[json], handshake.to_string().as_bytes());
        let cookie = answer.head.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let session = answer.json()[0]["clientId"].clone();
        let headers = [json, ("Cookie", &*cookie)];
        conn.ask("POST", path, &headers, connect("first", &session).to_string().as_bytes());
        conn.request("POST", path, &headers, connect("held", &session).to_string().as_bytes());
        Held::Request(conn)
    };
    node.await_sessions(&user, |all| all[0]["attached"] == true);
    held
}

/// The answer to the connect, after which the connection ends.
fn answered(held: Held) -> Value {
    match held {
        Held::Request(mut conn) => {
            let answer = conn.response();
            assert!(answer.head.closes());
            conn.assert_closed();
            answer.json().clone()
        }
        Held::Socket(mut socket) => {
            let answer = socket.json();
            let close = socket.frame();
            assert_eq!((close.first, &close.payload[..2]), (CLOSE, &1001u16.to_be_bytes()[..]));
            answer
        }
    }
}

#[test]
fn a_request_under_way_is_still_answered_and_the_node_says_that_it_drains() {
    let mut node = Node::start(&[("ENCKE_DRAIN", "20s"), ("ENCKE_SHARDS", "1")]);
    let mut conn = halfway(&node);
    let mut head = node.connect();
    head.send("GET /u/bob/sse HTTP/1.1\r\nHos");
    assert_eq!(node.get("/health").status, 200);
    node.signal("TERM");
    node.log_line(|line| line.contains("draining"));
    crate::node::await_that(|| (node.api("GET", "/health", "").status == 503).then_some(()));
    let ready = node.api("GET", "/ready", "");
    assert_eq!((ready.status, &ready.json()["draining"]), (503, &json!(true)));
    crate::node::await_that(|| TcpStream::connect(node.public).is_err().then_some(()));
    // Backends can still publish.
    assert_eq!(node.api("POST", "/u/alice/publish", "1").status, 200);
    // A stream that is requested now gets its reconnect time, in the form that an EventSource
    // understands.
    head.send("t: x\r\n\r\n");
    let answer = head.response();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/event-stream; charset=utf-8"))
    );
    assert!(answer.text().contains("\"drain\"") && answer.head.closes(), "{}", answer.text());
    conn.send("ng\":1}");
    let answer = conn.response();
    assert_eq!(answer.json(), json!({"ok": {"ping": 1}}));
    assert!(answer.head.closes());
    conn.assert_closed();
    assert!(node.exit().success());
}

#[test]
fn the_drain_ends_in_time_whatever_is_left() {
    let mut node = Node::start(&[("ENCKE_DRAIN", "1s")]);
    let mut conn = halfway(&node);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    let began = Instant::now();
    node.signal("TERM");
    assert!(after(&down.closed()) <= 1000);
    assert!(node.exit().success());
    let took = began.elapsed();
    assert!(took > Duration::from_millis(500) && took < Duration::from_millis(1500), "{took:?}");
    conn.assert_closed();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut node = Node::start(&[("ENCKE_DRAIN", "1m")]);
    let _conn = halfway(&node);
    node.signal("TERM");
    node.log_line(|line| line.contains("draining"));
    let began = Instant::now();
    node.signal("TERM");
    assert!(!node.exit().success(), "not all was done");
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn no_time_at_all_is_allowed() {
    let mut node = Node::start(&[("ENCKE_DRAIN", "0s")]);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    node.signal("TERM");
    assert!(node.exit().success());
    down.conn.rest();
}

#[test]
fn a_lame_duck_takes_clients_until_the_drain_begins() {
    let mut node = Node::start(&[("ENCKE_LAME_DUCK", "1s"), ("ENCKE_DRAIN", "5s")]);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    node.signal("TERM");
    node.log_line(|line| line.contains("ENCKE_LAME_DUCK"));
    crate::node::await_that(|| (node.api("GET", "/health", "").status == 503).then_some(()));
    assert_eq!((node.get("/health").status, node.api("GET", "/ready", "").status), (503, 503));
    let mut late = Down::open(&node, "/u/bob/sse");
    late.opened();
    node.tell("bob", &json!(1));
    assert_eq!(late.data(), 1);
    assert_eq!(
        (down.closed()["code"].clone(), late.closed()["code"].clone()),
        (json!("drain"), json!("drain"))
    );
    assert!(node.exit().success());
}

#[test]
fn a_second_signal_ends_a_lame_duck_at_once() {
    let mut node = Node::start(&[("ENCKE_LAME_DUCK", "10m")]);
    node.signal("TERM");
    node.log_line(|line| line.contains("ENCKE_LAME_DUCK"));
    node.signal("INT");
    assert_eq!(node.exit().code(), Some(1));
}

#[test]
fn on_loopback_the_drain_begins_at_once_and_elsewhere_later() {
    for (listen, says) in [("127.0.0.1:0", "draining for"), ("0.0.0.0:0", "begins in 5000 ms")] {
        let mut node = Node::start(&[("ENCKE_LISTEN", listen), ("ENCKE_AUTH", "none")]);
        node.signal("TERM");
        let line = node.log_line(|line| line.contains("draining") || line.contains("ENCKE_LAME_DUCK"));
        assert!(line.contains(says), "{line}");
        // With no client to wait for, a drain ends as soon as it has begun.
        if says.contains("draining") {
            assert!(node.exit().success());
        }
    }
}
