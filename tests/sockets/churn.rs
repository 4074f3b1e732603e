//! Many clients that connect, disconnect, take over and give up at random, while the node checks
//! its invariants after each turn. The node survives, and keeps nothing of them afterwards.

use std::thread;

use serde_json::{Value, json};

use crate::client::Conn;
use crate::down::{Dialect, Down};
use crate::node::{Node, await_that};

/// Pseudo-random, and the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len() as u64) as usize]
    }
}

const CHANNELS: [&str; 7] = ["/a", "/b", "/c/1", "/c/2", "/c/*", "/c/**", "/**"];

struct Mischief {
    dice: Dice,
    public: std::net::SocketAddr,
    api: std::net::SocketAddr,
    held: Vec<Conn>,
    sessions: Vec<(u64, String, String)>,
}

impl Mischief {
    fn run(mut self) -> Vec<Conn> {
        for _ in 0..250 {
            match self.dice.roll(10) {
                0..3 => self.open(),
                3 => self.poll(),
                4 | 5 => self.publish(),
                6 => self.command(),
                7 => self.abandon(),
                8 => self.interrupt(),
                _ => self.end(),
            }
        }
        self.held
    }

    /// Opens a stream: new, or resuming an earlier one, perhaps of another user.
    fn open(&mut self) {
        let user = self.dice.roll(6);
        let transport = *self.dice.pick(&["sse", "stream"]);
        let channels = self.channels();
        let mut target = format!("/u/m{user}/{transport}?channels={channels}&last={}", self.dice.roll(4));
        if !self.sessions.is_empty() && self.dice.roll(3) > 0 {
            let (owner, session, position) = self.dice.pick(&self.sessions).clone();
            target = format!("/u/m{owner}/{transport}?channels={channels}&session={session}");
            if self.dice.roll(2) == 0 {
                target += &["&since=", &position].concat();
            }
        }
        let mut conn = Conn::to(self.public);
        conn.request("GET", &target, &[], b"");
        if self.dice.roll(4) == 0 {
            return;
        }
        let mut down = Down::read(conn, if transport == "sse" { Dialect::Sse } else { Dialect::Lines });
        let open = down.opened();
        let text = |key: &str| open[key].as_str().expect("it says so").to_owned();
        self.sessions.push((user, text("session"), text("position")));
        if self.dice.roll(2) == 0 {
            self.held.push(down.conn);
        }
    }

    fn channels(&mut self) -> String {
        let names: Vec<&str> = (0..self.dice.roll(4)).map(|_| *self.dice.pick(&CHANNELS)).collect();
        names.join(",")
    }

    /// A long poll that is read, held or given up.
    fn poll(&mut self) {
        let Some((user, session, position)) = self.sessions.last().cloned() else { return };
        let mut conn = Conn::to(self.public);
        let target = format!("/u/m{user}/longpoll?session={session}&since={position}");
        conn.request("GET", &target, &[], b"").request("GET", "/health", &[], b"");
        if self.dice.roll(2) == 0 {
            self.held.push(conn);
        }
    }

    fn publish(&mut self) {
        let items: Vec<Value> = (0..self.dice.roll(8))
            .map(|n| match self.dice.roll(2) {
                0 => json!({"user": format!("m{}", self.dice.roll(8)), "data": n}),
                _ => json!({"channel": self.dice.pick(&CHANNELS[..4]), "data": "x".repeat(500)}),
            })
            .collect();
        let answer =
            Conn::to(self.api).ask("POST", "/publish", &[], Value::from(items).to_string().as_bytes());
        assert_eq!(answer.status, 200);
    }

    fn command(&mut self) {
        let Some((user, session, _)) = self.sessions.last().cloned() else { return };
        let commands: Vec<Value> = (0..self.dice.roll(6))
            .map(|_| {
                let channel = *self.dice.pick(&CHANNELS);
                match self.dice.roll(5) {
                    0 | 1 => json!({"subscribe": channel, "last": self.dice.roll(3)}),
                    2 => json!({"unsubscribe": channel}),
                    3 => json!({"publish": channel, "data": 1}),
                    _ => json!({"ping": 1}),
                }
            })
            .collect();
        let target = format!("/u/m{user}/send?session={session}");
        let body = Value::from(commands).to_string();
        assert_eq!(Conn::to(self.public).ask("POST", &target, &[], body.as_bytes()).status, 200);
    }

    fn abandon(&mut self) {
        if !self.held.is_empty() {
            let which = self.dice.roll(self.held.len() as u64) as usize;
            self.held.swap_remove(which);
        }
    }

    fn interrupt(&mut self) {
        let request = "POST /u/m1/send HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{\"ping\":1}";
        let some = self.dice.roll(request.len() as u64) as usize;
        Conn::to(self.public).send(&request[..some]);
    }

    fn end(&mut self) {
        if self.dice.roll(4) == 0 {
            let target = format!("/u/m{}", self.dice.roll(6));
            assert_eq!(Conn::to(self.api).ask("DELETE", &target, &[], b"").status, 200);
        }
    }
}

#[test]
fn nothing_is_left_of_clients_that_are_gone() {
    let node = Node::start(&[
        ("ENCKE_SHARDS", "3"),
        ("ENCKE_SESSIONS_PER_USER", "6"),
        ("ENCKE_CHANNEL_BYTES", "8KiB"),
        ("ENCKE_MESSAGE_BYTES", "4KiB"),
        ("ENCKE_SESSION_GRACE", "300ms"),
        ("ENCKE_HEARTBEAT", "100ms"),
        ("ENCKE_CHANNEL_AGE", "400ms"),
    ]);
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let (public, api) = (node.public, node.api.parse().expect("an address"));
            let (held, sessions) = (Vec::new(), Vec::new());
            let mischief = Mischief { dice: Dice(seed), public, api, held, sessions };
            thread::spawn(move || mischief.run())
        })
        .collect();
    let held: Vec<Vec<Conn>> = threads.into_iter().map(|one| one.join().expect("no panic")).collect();
    assert!(node.metric("encke_sessions") > 0);
    drop(held);
    for gauge in
        ["encke_responses", "encke_sessions", "encke_log_messages", "encke_log_bytes", "encke_channels"]
    {
        await_that(|| (node.metric(gauge) == 0).then_some(()));
    }
    // The connection that asks is the one left.
    await_that(|| (node.metric("encke_connections") == 1).then_some(()));
}
