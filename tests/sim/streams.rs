//! TCP streams of one page: every transport, cuts at any byte, lost requests and answers, servers
//! that stall, end and reset. Each byte is compared, and what is under way has its bound.
//!
//! A world of its own, with one shard and no other clients: the worlds of the seeds have no
//! servers. The page names its session and its position, and sends again what was not confirmed. On
//! a WebSocket its commands go up, too, and more of them follow before an answer.

mod page;
mod socket;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use encke::auth::gate::Keys;
use encke::base::ids::ShardId;
use encke::base::slab::{ConnKey, SlabKey as _, StreamKey};
use encke::base::ticks::{Span, Tick};
use encke::config::{Config, Introduction, TargetPlace, TcpTarget};
use encke::shard::{Identity, Input, Shard};
use encke::turn::input::Effect;
use encke::turn::stream::{DialFailure, StreamAct, StreamReport};
use serde_json::Value;

use crate::rng::Rng;

/// Seeds of every run.
const SEEDS: u64 = 400;

/// The transports, with their queries.
const TRANSPORTS: [&str; 6] = ["poll", "longpoll", "stream", "sse", "ws", "ws?binary=1"];

/// More steps than any run takes.
const STEPS_MAX: u32 = 60_000;

/// A server that one stream reaches.
struct Backend {
    number: u32,
    stage: Dialed,
    /// What it sends, and how much of it is sent.
    down: Vec<u8>,
    sent: usize,
    ended: bool,
    /// What it has received.
    got: Vec<u8>,
    paused: bool,
    /// Whether the node has closed its direction.
    shut: bool,
    saw_end: bool,
    /// Steps for which it takes nothing.
    stalls: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialed {
    Waiting,
    Connected,
    Gone,
}

/// One stream as its page sees it.
struct PageStream {
    number: u32,
    up: Vec<u8>,
    confirmed: usize,
    credit: usize,
    end_confirmed: bool,
    got: Vec<u8>,
    /// What it has confirmed to have taken: by its knowledge, and at most by the node's.
    acked: usize,
    ack_sent: usize,
    saw_end: bool,
    closed: Option<String>,
    /// It takes nothing for so many steps.
    stalls: u64,
}

/// An open response.
struct Carrier {
    conn: ConnKey,
    transport: &'static str,
    /// What was read of it, and is no whole envelope yet.
    rest: Vec<u8>,
    /// The commands that went up it and have no answer yet.
    asked: VecDeque<Value>,
}

struct Streams {
    rng: Rng,
    shard: Shard,
    now: Tick,
    backends: BTreeMap<(u32, u32), Backend>,
    pages: Vec<PageStream>,
    session: String,
    position: String,
    window: usize,
    carrier: Option<Carrier>,
    refuses: bool,
    /// The transports that brought bytes of a server, `up` if answers came down a
    /// socket, and `gap` if a page was told of one.
    carried: BTreeSet<&'static str>,
    trace: Vec<String>,
}

fn noise(rng: &mut Rng, count: usize) -> Vec<u8> {
    (0..count).map(|_| rng.below(256) as u8).collect()
}

fn place(stream: StreamKey) -> (u32, u32) {
    (stream.index(), stream.generation().get())
}

fn key((index, generation): (u32, u32)) -> StreamKey {
    StreamKey::new(index, generation.try_into().expect("not zero"))
}

impl Streams {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let window = 16 << 10;
        let place = TargetPlace::Tcp { host: "there".into(), port: 1 };
        let target = TcpTarget {
            name: "there".into(),
            place,
            introduction: Introduction::None,
            idle: None,
            tls: None,
            max: None,
        };
        let mut config = Config {
            // Logs that are too small make gaps, after which the page asks again.
            channel_messages: *rng.pick(&[8, 16, 128]),
            channel_bytes: *rng.pick(&[64 << 10, 1 << 20]),
            outbox_bytes: *rng.pick(&[8 << 10, 64 << 10]),
            ..Config::default()
        };
        config.tcp.targets = vec![Arc::new(target)];
        config.tcp.window = window;
        let identity = Identity {
            id: ShardId(0),
            shards: 1,
            home_key: (1, 2),
            seed: [seed as u8; 32],
            unix_ms_at_zero: 1_700_000_000_000,
        };
        #[cfg_attr(not(feature = "mutations"), expect(unused_mut))]
        let mut shard = Shard::new(Tick::ZERO, Arc::new(config), Arc::new(Keys::open()), identity);
        #[cfg(feature = "mutations")]
        if let Some(mutation) = crate::mutations::chosen() {
            shard.mutate(mutation);
        }
        let refuses = rng.chance(15);
        let (backends, pages, trace) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (session, position, carrier) = Default::default();
        let now = Tick::ZERO;
        let carried = BTreeSet::new();
        Self { rng, shard, now, backends, pages, session, position, window, carrier, refuses, carried, trace }
    }

    fn give(&mut self, input: Input<'_>) {
        self.shard.handle(self.now, input);
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Stream { stream, act } => self.act(stream, act),
                Effect::Close(conn) => {
                    // What was written before the close has arrived or not, as the cut decides.
                    if self.carrier.as_ref().is_some_and(|open| open.conn == conn) {
                        self.carrier = None;
                    }
                }
                Effect::Write(_)
                | Effect::Pause(_)
                | Effect::Resume(_)
                | Effect::ShutdownWrite(_)
                | Effect::HandOff { .. }
                | Effect::Mail { .. }
                | Effect::Hook { .. }
                | Effect::FetchKeys
                | Effect::Drained => {}
            }
        }
    }

    fn act(&mut self, stream: StreamKey, act: StreamAct) {
        if let StreamAct::Dial(_) = act {
            let number = self.pages.last().expect("a page opens it").number;
            let most = *self.rng.pick(&[0, 10, 5_000, 150_000]);
            let down = noise(&mut self.rng, most);
            let backend = Backend {
                number,
                stage: Dialed::Waiting,
                down,
                sent: 0,
                ended: false,
                got: Vec::new(),
                paused: false,
                shut: false,
                saw_end: false,
                stalls: 0,
            };
            assert!(self.backends.insert(place(stream), backend).is_none(), "a key is used twice");
            return;
        }
        let backend = self.backends.get_mut(&place(stream)).expect("a stream that was dialed");
        // A stream whose connection failed or broke is closed once more.
        let is_gone = backend.stage == Dialed::Gone && !matches!(act, StreamAct::Close);
        assert!(!is_gone, "{act:?} for a stream that is gone");
        match act {
            StreamAct::Pause => backend.paused = true,
            StreamAct::Resume => backend.paused = false,
            StreamAct::ShutdownWrite => backend.shut = true,
            StreamAct::Close => backend.stage = Dialed::Gone,
            StreamAct::Write | StreamAct::Dial(_) => {}
        }
    }

    fn turn(&mut self) {
        self.now = self.now + Span::from_millis(self.rng.range(1, 20));
        if self.shard.next_deadline().is_some_and(|due| due <= self.now) {
            self.give(Input::Expire);
        }
        self.give(Input::EndTurn);
    }

    /// One server does something, perhaps.
    fn backend(&mut self) {
        let Some(at) = self.some_backend() else { return };
        let stream = key(at);
        let (action, amount) = (self.rng.below(6), self.rng.size(1, 20_000));
        let stalls = if self.rng.chance(3) { self.rng.below(20) } else { 0 };
        let backend = self.backends.get_mut(&at).expect("it was drawn");
        if backend.stage == Dialed::Waiting {
            if self.rng.chance(40) {
                return;
            }
            let fails = self.refuses && self.rng.chance(50);
            backend.stage = if fails { Dialed::Gone } else { Dialed::Connected };
            let report = if fails {
                StreamReport::Failed(DialFailure::Refused("no".to_owned()))
            } else {
                StreamReport::Connected { peer: None }
            };
            return self.give(Input::Stream { stream, report });
        }
        backend.stalls = backend.stalls.saturating_sub(1) + stalls;
        match action {
            0 | 1 if !backend.paused && backend.sent < backend.down.len() => {
                let end = (backend.sent + amount).min(backend.down.len());
                let bytes = backend.down[backend.sent..end].to_vec();
                backend.sent = end;
                self.give(Input::Stream { stream, report: StreamReport::Bytes(&bytes) });
            }
            2 if !backend.paused && backend.sent == backend.down.len() && !backend.ended => {
                backend.ended = true;
                self.give(Input::Stream { stream, report: StreamReport::End });
            }
            _ if backend.stalls == 0 => self.take(at, amount),
            _ => {}
        }
    }

    fn some_backend(&mut self) -> Option<(u32, u32)> {
        let live: Vec<_> = self
            .backends
            .iter()
            .filter(|(_, backend)| backend.stage != Dialed::Gone)
            .map(|(at, _)| *at)
            .collect();
        if live.is_empty() { None } else { Some(*self.rng.pick(&live)) }
    }

    /// A server takes bytes of its page.
    fn take(&mut self, at: (u32, u32), amount: usize) {
        let stream = key(at);
        let some = self.shard.stream_outbox(stream).map(|outbox| {
            let mut slices = [std::io::IoSlice::new(&[]); 8];
            let used = outbox.slices(&mut slices);
            let all = slices[..used].iter().flat_map(|slice| slice.iter().copied());
            all.take(amount).collect::<Vec<u8>>()
        });
        let some = some.unwrap_or_default();
        let backend = self.backends.get_mut(&at).expect("it was drawn");
        if some.is_empty() {
            backend.saw_end |= backend.shut;
            return;
        }
        backend.got.extend_from_slice(&some);
        self.give(Input::Stream { stream, report: StreamReport::Written(some.len()) });
    }

    /// What is under way never exceeds its bound, and no byte is wrong.
    fn judge(&self) {
        for backend in self.backends.values() {
            let page = self.pages.iter().find(|page| page.number == backend.number).expect("its page");
            assert!(page.up.starts_with(&backend.got), "stream {}: bytes of the page differ", page.number);
            assert!(
                backend.down[..backend.sent].starts_with(&page.got),
                "stream {}: bytes of the server differ",
                page.number
            );
            let under_way = backend.sent - page.acked.max(page.ack_sent);
            // One read more than the window, and one for what the page has not confirmed to have.
            assert!(
                under_way <= self.window + 2 * 20_000 + 9_000,
                "stream {}: {under_way} bytes are under way to the page",
                page.number
            );
        }
    }

    /// How far each stream is.
    fn state(&self) -> String {
        let page = |page: &PageStream| {
            format!(
                "page {}: up {} of {}, end {}, got {}, acked {}, saw end {}, closed {:?}; ",
                page.number,
                page.confirmed,
                page.up.len(),
                page.end_confirmed,
                page.got.len(),
                page.acked,
                page.saw_end,
                page.closed
            )
        };
        let backend = |backend: &Backend| {
            format!(
                "server {}: sent {} of {}, ended {}, got {}, paused {}, shut {}, gone {}; ",
                backend.number,
                backend.sent,
                backend.down.len(),
                backend.ended,
                backend.got.len(),
                backend.paused,
                backend.shut,
                backend.stage == Dialed::Gone
            )
        };
        self.pages.iter().map(page).chain(self.backends.values().map(backend)).collect()
    }

    /// Whether each stream has come to its end.
    fn is_done(&self) -> bool {
        self.pages.iter().all(|page| page.closed.is_some())
            && self.backends.values().all(|backend| backend.stage == Dialed::Gone)
    }

    fn run(&mut self) {
        self.begin();
        for _ in 0..STEPS_MAX {
            match self.rng.below(4) {
                0 => self.uplink(),
                1 => self.downlink(),
                2 => self.backend(),
                _ => self.turn(),
            }
            self.judge();
            if self.is_done() {
                break;
            }
        }
        assert!(self.is_done(), "it never comes to rest: {}", self.state());
        for backend in self.backends.values() {
            let page = self.pages.iter().find(|page| page.number == backend.number).expect("its page");
            let code = page.closed.as_deref().expect("it is done");
            if code == "ok" {
                assert!(page.got == backend.down, "stream {number}: bytes are missing", number = page.number);
                assert!(page.up == backend.got, "stream {number}: bytes are missing", number = page.number);
                assert!(backend.shut, "the server was not told of the end");
                assert!(page.saw_end, "the page was not told of the end");
            } else {
                assert!(self.refuses && code == "backend-refused", "{code}");
            }
        }
        // The session ends, and nothing stays.
        while self.shard.counts().sessions > 0 {
            self.now = self.now + Span::from_secs(60);
            self.carrier = None;
            self.give(Input::Expire);
            self.give(Input::EndTurn);
        }
        self.shard.check_invariants();
    }
}

/// Runs a seed; says what is wrong. Adds to what carried bytes.
fn fault_of(seed: u64, carried: &mut BTreeSet<&'static str>) -> Option<String> {
    let mut streams = Streams::new(seed);
    let fault = catch_unwind(AssertUnwindSafe(|| streams.run())).err();
    carried.append(&mut streams.carried);
    fault.map(|panic| {
        let last = streams.trace.iter().rev().take(12).rev().cloned().collect::<Vec<_>>().join("\n");
        format!("seed {seed}: {}\n{last}", crate::panic_text(&*panic))
    })
}

/// The first of some seeds that fails, for the breakages.
#[cfg(feature = "mutations")]
pub(crate) fn run() -> Result<(), String> {
    let mut carried = BTreeSet::new();
    (0..SEEDS / 10).find_map(|seed| fault_of(seed, &mut carried)).map_or(Ok(()), Err)
}

#[test]
fn every_byte_of_a_stream_arrives_once_and_in_order() {
    let from = std::env::var("ENCKE_SIM_FROM").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count = std::env::var("ENCKE_SIM_STREAMS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let mut carried = BTreeSet::new();
    if let Some(fault) = (from..from + count).find_map(|seed| fault_of(seed, &mut carried)) {
        panic!("{fault}");
    }
    let all = TRANSPORTS.into_iter().chain(["up", "gap"]).collect();
    assert!(count < SEEDS || carried == all, "only {carried:?} carried bytes");
}
