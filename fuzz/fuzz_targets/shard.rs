//! Two shards, driven by random input: bytes on connections of each listener, cut anywhere, ends
//! and breaks in between, pending mail, passing time, backends that answer or do not. Nothing
//! panics, every effect names an existing connection, the invariants hold after each turn, and when
//! all clients have left and all time has passed, no state is left.
#![no_main]

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;

use encke::auth::gate::Keys;
use encke::base::ids::{ListenerKind, ShardId};
use encke::base::slab::ConnKey;
use encke::base::ticks::{Span, Tick};
use encke::config::Config;
use encke::shard::{Identity, Input, Parcel, Shard};
use encke::turn::hook::HookAnswer;
use encke::turn::input::Effect;
use encke::turn::mail::Mail;
use libfuzzer_sys::fuzz_target;

const SHARDS: usize = 2;

/// Requests that a fuzzer would take long to find: each makes another part of the server reachable.
const BEGINNINGS: [&str; 14] = [
    "GET /u/a/sse?channels=/c,/d/* HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /u/b/stream?channels=/c&presence=1 HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /u/a/longpoll?channels=/d/e&last=5 HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /u/b/poll?channels=/d/**&conflate=1s HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /u/a/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    "GET /u/b/bayeux HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "POST /u/a/send HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 68\r\n\r\n\
     [{\"subscribe\":\"/c\"},{\"publish\":\"/c\",\"data\":1},{\"unsubscribe\":\"/c\"}] ",
    "POST /bayeux HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 104\r\n\r\n\
     [{\"channel\":\"/meta/handshake\",\"version\":\"1.0\",\"supportedConnectionTypes\":[\"long-polling\"],\"id\":\"1\"}]     ",
    "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n\
     {\"channel\":\"/c\",\"data\":1}",
    "POST /u/b/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1",
    "DELETE /u/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a /c,/d\0",
    "<policy-file-request/>\0",
];

fuzz_target!(|bytes: &[u8]| {
    let mut node = Node::new();
    let mut script = Script(bytes);
    while let Some(step) = script.byte() {
        node.step(step, &mut script);
    }
    node.settle();
});

/// The rest of the input.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        let (some, rest) = self.0.split_at(count);
        self.0 = rest;
        some
    }
}

enum Letter {
    Mail(ShardId, Mail),
    Moved(Parcel, usize),
}

/// A connection: its shard and its key. It keeps its number for as long as it lives.
type Seats = BTreeMap<usize, (usize, ConnKey)>;

struct Node {
    shards: Vec<Shard>,
    mailboxes: Vec<VecDeque<Letter>>,
    seats: Seats,
    opened: usize,
    now: Tick,
}

impl Node {
    fn new() -> Self {
        let config = Arc::new(Config {
            session_grace: Span::from_secs(5),
            channel_age: Span::from_secs(10),
            channel_messages: 8,
            ..Config::default()
        });
        let keys = Arc::new(Keys::open());
        let shards = (0..SHARDS as u8)
            .map(|id| {
                let identity = Identity {
                    id: ShardId(id),
                    shards: SHARDS as u8,
                    home_key: (1, 2),
                    seed: [7 + id; 32],
                    unix_ms_at_zero: 1_700_000_000_000,
                };
                Shard::new(Tick::ZERO, Arc::clone(&config), Arc::clone(&keys), identity)
            })
            .collect();
        let mailboxes = (0..SHARDS).map(|_| VecDeque::new()).collect();
        Self { shards, mailboxes, seats: Seats::new(), opened: 0, now: Tick::ZERO }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let which = usize::from(step >> 4);
        match step & 15 {
            0 | 1 => self.accept(which, script.byte().unwrap_or(0)),
            2..=5 => self.say(which, script.bytes()),
            6..=8 => {
                let text = BEGINNINGS[usize::from(script.byte().unwrap_or(0)) % BEGINNINGS.len()];
                self.say(which, text.as_bytes());
            }
            9 => self.end(which),
            10 => self.break_off(which),
            11 => self.deliver(which % SHARDS),
            12 => self.pass(Span::from_millis(1 << (which.min(14)))),
            _ => self.turn(which % SHARDS),
        }
    }

    fn accept(&mut self, which: usize, listener: u8) {
        if self.seats.len() >= 16 {
            return;
        }
        let listener = [ListenerKind::Public, ListenerKind::Private, ListenerKind::XmlSocket][usize::from(listener) % 3];
        let at = which % SHARDS;
        if let Ok(conn) = self.shards[at].accept(self.now, listener, None) {
            self.seats.insert(self.opened, (at, conn));
            self.opened += 1;
        }
        self.carry_out(at);
    }

    /// The connection that a number selects, among the existing ones.
    fn seat(&self, which: usize) -> Option<(usize, ConnKey)> {
        let count = self.seats.len().max(1);
        self.seats.values().nth(which % count).copied()
    }

    fn say(&mut self, which: usize, bytes: &[u8]) {
        if let Some((at, conn)) = self.seat(which)
            && !bytes.is_empty()
        {
            self.give(at, Input::Bytes { conn, bytes });
        }
    }

    fn end(&mut self, which: usize) {
        if let Some((at, conn)) = self.seat(which) {
            self.give(at, Input::End { conn });
        }
    }

    fn break_off(&mut self, which: usize) {
        if let Some((at, conn)) = self.seat(which) {
            self.seats.retain(|_, seat| *seat != (at, conn));
            self.give(at, Input::Broken { conn });
        }
    }

    fn deliver(&mut self, at: usize) {
        match self.mailboxes[at].pop_front() {
            None => {}
            Some(Letter::Mail(from, mail)) => self.give(at, Input::Mail { from, mail }),
            Some(Letter::Moved(parcel, number)) => {
                if let Ok(conn) = self.shards[at].adopt(self.now, parcel) {
                    self.seats.insert(number, (at, conn));
                }
                self.carry_out(at);
            }
        }
    }

    fn pass(&mut self, time: Span) {
        self.now = self.now + time;
        for at in 0..SHARDS {
            self.give(at, Input::Expire);
        }
    }

    /// Ends a turn: everything is written, which may cause more output.
    fn turn(&mut self, at: usize) {
        self.give(at, Input::EndTurn);
        for _ in 0..4 {
            let here: Vec<ConnKey> =
                self.seats.values().filter(|seat| seat.0 == at).map(|seat| seat.1).collect();
            for conn in here {
                let Some(outbox) = self.shards[at].outbox(conn).filter(|outbox| !outbox.is_empty()) else {
                    continue;
                };
                let mut slices = [IoSlice::new(&[]); 16];
                let used = outbox.slices(&mut slices);
                let bytes = slices[..used].iter().map(|slice| slice.len()).sum();
                self.give(at, Input::Written { conn, bytes });
            }
            self.give(at, Input::EndTurn);
        }
        self.shards[at].check_invariants();
    }

    fn give(&mut self, at: usize, input: Input<'_>) {
        self.shards[at].handle(self.now, input);
        self.carry_out(at);
    }

    fn carry_out(&mut self, at: usize) {
        while let Some(effect) = self.shards[at].poll_effect() {
            match effect {
                Effect::Close(conn) => drop(self.unseat(at, conn)),
                Effect::HandOff { conn, to, parcel } => {
                    let number = self.unseat(at, conn);
                    self.mailboxes[usize::from(to.0)].push_back(Letter::Moved(parcel, number));
                }
                Effect::Mail { to, mail } => {
                    let from = self.shards[at].id();
                    self.mailboxes[usize::from(to.0)].push_back(Letter::Mail(from, mail));
                }
                Effect::Hook { pending, .. } => {
                    let answer = HookAnswer::Failed("nobody listens".to_owned());
                    self.shards[at].handle(self.now, Input::Hooked { pending, answer });
                }
                Effect::Write(_)
                | Effect::Pause(_)
                | Effect::Resume(_)
                | Effect::ShutdownWrite(_)
                | Effect::Stream { .. }
                | Effect::FetchKeys
                | Effect::Drained => {}
            }
        }
    }

    /// The number of a connection that its shard hands off.
    fn unseat(&mut self, at: usize, conn: ConnKey) -> usize {
        let number = self.seats.iter().find(|(_, seat)| **seat == (at, conn)).map(|(number, _)| *number);
        let number = number.expect("an effect names a connection that is there");
        self.seats.remove(&number);
        number
    }

    /// All clients leave, all mail arrives, all time passes.
    fn settle(&mut self) {
        while !self.seats.is_empty() {
            self.break_off(0);
        }
        for _ in 0..64 {
            for at in 0..SHARDS {
                while !self.mailboxes[at].is_empty() {
                    self.deliver(at);
                }
                self.turn(at);
            }
            while !self.seats.is_empty() {
                self.break_off(0);
            }
            self.pass(Span::from_secs(30));
        }
        for shard in &self.shards {
            let counts = shard.counts();
            assert_eq!((counts.conns, counts.sessions), (0, 0), "something outlived its owner");
        }
    }
}
