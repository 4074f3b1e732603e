//! Inputs designed to be expensive: long batches, long logs, many patterns, one cookie with very
//! many sessions.
//!
//! There is no bad network and no oracle: some shards, their mail and a clock, and one client that
//! attacks. Each input must keep the bound of `cost`, and no turn may execute all of a long input
//! of a client.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use encke::auth::gate::Keys;
use encke::base::ids::{ListenerKind, ShardId};
use encke::base::slab::{ConnKey, SocketKey as _};
use encke::base::ticks::{Span, Tick};
use encke::config::Config;
use encke::shard::{Identity, Input, Shard};
use encke::turn::input::Effect;
use encke::turn::mail::Mail;
use encke::turn::steps::Spent;
use serde_json::{Value, json};

use crate::cost;
use crate::cost::Extent;

/// Shards and the mail between them.
struct Nodes {
    now: Tick,
    shards: Vec<Shard>,
    mail: VecDeque<(ShardId, ShardId, Mail)>,
    /// The places of connections that have moved.
    moved: BTreeMap<(usize, usize), Place>,
    /// Most subscriptions of one session.
    subscriptions: u64,
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    shard: usize,
    conn: ConnKey,
}

/// The sender of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// A client: long inputs must be executed in portions.
    Clients,
    /// A backend, whose batches are not divided.
    Backends,
}

/// Most occasions in one input of a client: a portion of a batch, and its request.
const OCCASIONS_MAX: u64 = 140;

/// Those of a turn's timers, and of the batches that continue in it.
const OCCASIONS_A_TURN: u64 = 512 + 5 * OCCASIONS_MAX;

impl Nodes {
    fn new(shards: u8, config: Config) -> Self {
        let subscriptions = config.subscriptions as u64 + 4;
        let (config, keys) = (Arc::new(config), Arc::new(Keys::open()));
        let shard = |id| {
            let identity = Identity {
                id: ShardId(id),
                shards,
                home_key: (1, 2),
                seed: [id; 32],
                unix_ms_at_zero: 1_700_000_000_000,
            };
            #[cfg_attr(not(feature = "mutations"), expect(unused_mut))]
            let mut shard = Shard::new(Tick::ZERO, Arc::clone(&config), Arc::clone(&keys), identity);
            #[cfg(feature = "mutations")]
            if let Some(mutation) = crate::mutations::chosen() {
                shard.mutate(mutation);
            }
            shard
        };
        Self {
            now: Tick::ZERO,
            shards: (0..shards).map(shard).collect(),
            mail: VecDeque::new(),
            moved: BTreeMap::new(),
            subscriptions,
        }
    }

    /// Gives a shard an input, checks its cost, and executes its effects.
    fn give(&mut self, at: usize, occasions_max: u64, input: Input<'_>) {
        let bytes = if let Input::Bytes { bytes, .. } = &input { bytes.len() } else { 0 };
        let before = self.shards[at].spent();
        self.shards[at].handle(self.now, input);
        let spent = cost::difference(before, self.shards[at].spent());
        self.judge(at, spent, bytes, occasions_max);
        self.carry_out(at, occasions_max);
    }

    fn carry_out(&mut self, at: usize, occasions_max: u64) {
        while let Some(effect) = self.shards[at].poll_effect() {
            match effect {
                Effect::Mail { to, mail } => self.mail.push_back((self.shards[at].id(), to, mail)),
                Effect::HandOff { conn, to, parcel } => {
                    let (to, bytes) = (usize::from(to.0), parcel.unparsed.len());
                    let before = self.shards[to].spent();
                    let there = self.shards[to].adopt(self.now, parcel).expect("there is room");
                    let spent = cost::difference(before, self.shards[to].spent());
                    self.judge(to, spent, bytes, occasions_max);
                    self.moved.insert((at, conn.token()), Place { shard: to, conn: there });
                    self.carry_out(to, occasions_max);
                }
                Effect::Write(_)
                | Effect::Pause(_)
                | Effect::Resume(_)
                | Effect::ShutdownWrite(_)
                | Effect::Close(_)
                | Effect::Hook { .. }
                | Effect::Stream { .. }
                | Effect::FetchKeys
                | Effect::Drained => {}
            }
        }
    }

    fn judge(&self, at: usize, spent: Spent, bytes: usize, occasions_max: u64) {
        let sessions = self.shards[at].counts().sessions as u64;
        let extent = Extent { subscriptions: self.subscriptions, sessions };
        if let Err(why) = cost::judge(spent, bytes as u64, extent) {
            panic!("one input costs {why}");
        }
        assert!(spent.occasions <= occasions_max, "an input is dealt with in one turn: {spent:?}");
    }

    /// Runs turns until nothing is left to do now; returns their number.
    fn settle(&mut self) -> u32 {
        let mut turns = 0;
        loop {
            turns += 1;
            let is_due = |shard: &Shard, now| shard.next_deadline().is_some_and(|due| due <= now);
            for (from, to, mail) in std::mem::take(&mut self.mail) {
                self.give(usize::from(to.0), u64::MAX, Input::Mail { from, mail });
            }
            for at in 0..self.shards.len() {
                if is_due(&self.shards[at], self.now) {
                    self.give(at, OCCASIONS_A_TURN, Input::Expire);
                }
                self.give(at, u64::MAX, Input::EndTurn);
            }
            if self.mail.is_empty() && !self.shards.iter().any(|shard| is_due(shard, self.now)) {
                return turns;
            }
        }
    }

    /// Advances the clock.
    fn wait(&mut self, span: Span) {
        let until = self.now + span;
        while let Some(due) =
            self.shards.iter().filter_map(Shard::next_deadline).min().filter(|due| *due <= until)
        {
            self.now = self.now.max(due);
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    fn connect(&mut self, listener: ListenerKind) -> Place {
        let conn = self.shards[0].accept(self.now, listener, None).expect("there is room");
        Place { shard: 0, conn }
    }

    /// Sends bytes at once; returns the answers once everything is done, and the number of turns.
    fn send(&mut self, place: &mut Place, sender: Sender, bytes: &[u8]) -> (String, u32) {
        let most = if sender == Sender::Clients { OCCASIONS_MAX } else { u64::MAX };
        let conn = place.conn;
        self.give(place.shard, most, Input::Bytes { conn, bytes });
        if let Some(moved) = self.moved.remove(&(place.shard, place.conn.token())) {
            *place = moved;
        }
        let turns = self.settle();
        (self.read(*place), turns)
    }

    /// Takes the bytes in the outbox.
    fn read(&mut self, Place { shard: at, conn }: Place) -> String {
        let mut all = Vec::new();
        while let Some(outbox) = self.shards[at].outbox(conn).filter(|outbox| !outbox.is_empty()) {
            let mut slices = [std::io::IoSlice::new(&[]); 8];
            let used = outbox.slices(&mut slices);
            let some: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.iter().copied()).collect();
            self.give(at, OCCASIONS_MAX, Input::Written { conn, bytes: some.len() });
            all.extend(some);
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    fn post(
        &mut self,
        place: &mut Place,
        sender: Sender,
        target: &str,
        head: &str,
        body: &str,
    ) -> (String, u32) {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: sim\r\nContent-Length: {}\r\n{head}\r\n{body}",
            body.len()
        );
        self.send(place, sender, request.as_bytes())
    }

    /// The session of a long poll, and its connection.
    fn session(&mut self, target: &str) -> (Place, String) {
        let mut place = self.connect(ListenerKind::Public);
        let (response, _) = self.post(&mut place, Sender::Clients, target, "", "");
        let (_, rest) = response.split_once("Encke-Session: ").expect("a session");
        (place, rest.split("\r\n").next().expect("a line").to_owned())
    }

    /// Sends commands of a session at once; returns the number of turns.
    fn command(&mut self, session: &str, commands: &[Value]) -> u32 {
        let mut place = self.connect(ListenerKind::Public);
        let target = format!("/u/alice/send?session={session}");
        let (response, turns) =
            self.post(&mut place, Sender::Clients, &target, "", &json!(commands).to_string());
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert_eq!(response.matches("\"ok\":").count(), commands.len(), "{response}");
        turns
    }

    /// Fills channels' logs.
    fn fill(&mut self, channels: &[String], each: usize) {
        let mut place = self.connect(ListenerKind::Private);
        for channel in channels {
            let one = |n| json!({ "channel": channel, "data": n });
            let body = json!((0..each).map(one).collect::<Vec<_>>()).to_string();
            let (response, _) = self.post(&mut place, Sender::Backends, "/publish", "", &body);
            assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        }
    }
}

fn config() -> Config {
    Config {
        subscriptions: 110,
        poll_hold: Span::from_secs(600),
        session_grace: Span::from_secs(900),
        ..Config::default()
    }
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("/{prefix}/{n}")).collect()
}

/// The least number of turns for a batch of this many commands.
fn turns_of(commands: usize) -> u32 {
    (commands as u64 / OCCASIONS_MAX) as u32
}

/// Batches of a thousand commands, of each kind and of all.
fn long_batches(shards: u8) {
    let mut nodes = Nodes::new(shards, config());
    let channels = names("c", 100);
    let (_place, session) = nodes.session("/u/alice/longpoll?channels=/u/alice");
    let kinds: [&dyn Fn(usize) -> Value; 7] = [
        &|n| json!({ "ping": n }),
        &|n| json!({ "subscribe": channels[n % channels.len()] }),
        &|n| json!({ "publish": channels[n % channels.len()], "data": n }),
        &|_| json!({ "publish": channels[0], "data": "again and again" }),
        &|n| json!({ "subscribe": channels[n % channels.len()], "last": 1 }),
        &|n| json!({ "subscribe": channels[n % channels.len()], "presence": n % 2 == 0 }),
        &|n| {
            if n % 2 == 0 {
                json!({ "unsubscribe": channels[0] })
            } else {
                json!({ "subscribe": channels[0] })
            }
        },
    ];
    for kind in kinds {
        let commands: Vec<_> = (0..1_000).map(kind).collect();
        let turns = nodes.command(&session, &commands);
        assert!(turns >= turns_of(commands.len()), "{} in {turns} turns", commands[0]);
    }
}

/// Ten logs of a thousand messages, requested again and again.
fn long_logs(shards: u8) {
    let mut nodes = Nodes::new(shards, config());
    let channels = names("l", 10);
    nodes.fill(&channels, 1_000);
    let (_place, session) = nodes.session("/u/alice/longpoll");
    let channels = &channels;
    let subscribe = |more: Value| {
        let more = more.as_object().cloned().unwrap_or_default();
        let one = move |n: usize| {
            let mut command = json!({ "subscribe": channels[n % channels.len()] });
            command.as_object_mut().expect("one").extend(more.clone());
            command
        };
        (0..1_000).map(one).collect::<Vec<_>>()
    };
    for more in [json!({}), json!({ "last": 1 }), json!({ "last": 1_000 }), json!({ "since": "x-1" })] {
        nodes.command(&session, &subscribe(more));
    }
    let mut place = nodes.connect(ListenerKind::Public);
    for last in [1, 1_000] {
        let target = format!("/u/alice/poll?session={session}&channels=/l/0,/l/1,/l/2,/l/3&last={last}");
        let request = format!("GET {target} HTTP/1.1\r\nHost: sim\r\n\r\n");
        let (response, _) = nodes.send(&mut place, Sender::Clients, request.as_bytes());
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
}

/// A hundred patterns in one session, with history, and messages that match many.
fn many_patterns(shards: u8) {
    let mut nodes = Nodes::new(shards, config());
    let channels = names("p/a/b/c/d", 20);
    nodes.fill(&channels, 100);
    let (_place, session) = nodes.session("/u/alice/longpoll");
    let patterns: Vec<_> =
        ["/**", "/p/**", "/p/a/**", "/p/a/b/**", "/p/a/b/c/**", "/p/a/b/c/d/**", "/p/a/b/c/d/*"]
            .map(String::from)
            .into_iter()
            .chain((0..93).map(|n| format!("/q/{n}/**")))
            .collect();
    let commands: Vec<_> =
        (0..500).map(|n| json!({ "subscribe": patterns[n % patterns.len()], "last": n % 3 })).collect();
    nodes.command(&session, &commands);
    let commands: Vec<_> =
        (0..1_000).map(|n| json!({ "publish": channels[n % channels.len()], "data": n })).collect();
    nodes.command(&session, &commands);
}

/// One cookie with very many sessions, which all end when their grace is over.
fn one_cookie(sessions: usize) {
    let mut config = config();
    config.sessions = sessions + 10;
    config.sessions_per_browser = sessions + 10;
    config.session_grace = Span::from_secs(60);
    let mut nodes = Nodes::new(1, config);
    let mut place = nodes.connect(ListenerKind::Public);
    let handshake = json!([{ "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"] }]);
    let cookie = "Cookie: BAYEUX_BROWSER=00000000000000000000000004\r\n";
    for _ in 0..sessions {
        let (response, _) =
            nodes.post(&mut place, Sender::Clients, "/bayeux", cookie, &handshake.to_string());
        assert!(response.contains("\"successful\":true"), "{response}");
    }
    assert_eq!(nodes.shards[0].counts().sessions, sessions);
    nodes.wait(Span::from_secs(200));
    assert_eq!(nodes.shards[0].counts().sessions, 0);
}

/// The first subscriber on its shard gets the recent messages of channels with any home. In the
/// worlds of the seeds every channel has subscribers on every shard before it has messages.
fn first_subscriber(shards: u8) {
    let mut nodes = Nodes::new(shards, config());
    let channels = names("h", 12);
    nodes.fill(&channels, 5);
    let mut place = nodes.connect(ListenerKind::Public);
    let target = format!("/u/alice/longpoll?channels={}&last=3", channels.join(","));
    let (mut got, _) = nodes.post(&mut place, Sender::Clients, &target, "", "");
    let session = got.split_once("Encke-Session: ").and_then(|(_, rest)| rest.split_once("\r\n"));
    let target = format!("/u/alice/poll?session={}", session.expect("a session").0);
    got += &nodes
        .send(&mut place, Sender::Clients, format!("GET {target} HTTP/1.1\r\nHost: sim\r\n\r\n").as_bytes())
        .0;
    for channel in &channels {
        for n in 0..5 {
            let message = format!("\"channel\":\"{channel}\",\"data\":{n}}}");
            assert_eq!(got.matches(&message).count(), usize::from(n >= 2), "{message}: {got}");
        }
    }
}

/// The first subscriber on its shard is cut after the opening, which the server does not see, and
/// comes back with the position: it has missed nothing.
fn cut_after_the_opening(shards: u8) {
    let mut nodes = Nodes::new(shards, config());
    let channels = names("c", 12);
    nodes.fill(&channels, 1);
    for channels in [channels.join(","), "/c/*".to_owned(), format!("{}&presence=1", channels[3])] {
        let target = format!("/u/alice/stream?channels={channels}");
        let mut open = |since: &str| {
            let request = format!("GET {target}{since} HTTP/1.1\r\nHost: sim\r\n\r\n");
            let mut place = nodes.connect(ListenerKind::Public);
            nodes.send(&mut place, Sender::Clients, request.as_bytes()).0
        };
        let first = open("");
        let position = first.split_once("\"position\":\"").and_then(|(_, rest)| rest.split_once('"'));
        let again = open(&format!("&since={}", position.expect("a position").0));
        assert!(again.contains("\"resumed\":true") && !again.contains("\"gap\""), "{first}\n{again}");
    }
}

/// Runs all shapes; returns those that cost too much.
#[cfg(feature = "mutations")]
pub(crate) fn run() -> Result<(), String> {
    let shapes = || {
        [1, 3].into_iter().for_each(first_subscriber);
        [1, 3].into_iter().for_each(cut_after_the_opening);
        [1, 3].into_iter().for_each(long_batches);
    };
    std::panic::catch_unwind(shapes).map_err(|panic| crate::panic_text(&*panic))
}

#[test]
fn a_long_batch_is_carried_out_in_portions() {
    [1, 3].into_iter().for_each(long_batches);
}

#[test]
fn the_first_subscriber_of_a_shard_gets_recent_messages() {
    [1, 3].into_iter().for_each(first_subscriber);
}

#[test]
fn the_first_position_of_a_session_is_no_gap() {
    [1, 3].into_iter().for_each(cut_after_the_opening);
}

#[test]
fn long_logs_cost_what_is_replayed() {
    [1, 3].into_iter().for_each(long_logs);
}

#[test]
fn many_patterns_cost_what_matches() {
    [1, 3].into_iter().for_each(many_patterns);
}

#[test]
fn sessions_of_one_cookie_cost_no_more_than_those_of_many() {
    one_cookie(60_000);
}
