//! The meaning of a seed: the number of shards, the settings, the clients, and the faults.

use std::sync::Arc;

use encke::base::ticks::Span;
use encke::config::{Config, HookUrl};

use crate::rng::Rng;

/// Channels that publishers use.
pub(crate) const CHANNELS: [&str; 7] =
    ["/a", "/a/b", "/a/c", "/a/b/c", "/chat/room1", "/chat/room2", "/news/x/y"];

/// Patterns that subscribers may use.
pub(crate) const PATTERNS: [&str; 6] = ["/a/*", "/a/**", "/chat/*", "/news/**", "/**", "/*"];

/// One run.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) shards: u8,
    pub(crate) config: Arc<Config>,
    /// The logs hold everything that is published, and sessions outlive every outage.
    pub(crate) roomy: bool,
    pub(crate) subscribers: usize,
    pub(crate) publishers: usize,
    pub(crate) pipeliners: usize,
    /// Between two faults, in milliseconds; `None`: no faults.
    pub(crate) faults_every: Option<u64>,
    /// The longest pause between two requests of one publisher.
    pub(crate) pause: u64,
    /// How long there are faults.
    pub(crate) storm: u64,
    /// The node drains at the end, with all clients connected.
    pub(crate) drains: bool,
    pub(crate) channels: Vec<String>,
    pub(crate) pool: Vec<String>,
    /// How long a shard may wait before it handles its news, in milliseconds.
    pub(crate) turn_delay: u64,
}

impl Scenario {
    pub(crate) fn from(rng: &mut Rng) -> Self {
        let roomy = rng.chance(45);
        let mut channels: Vec<String> = CHANNELS.iter().map(ToString::to_string).collect();
        rng.shuffle(&mut channels);
        channels.truncate(rng.size(2, CHANNELS.len()));
        let patterns = PATTERNS.iter().filter(|_| rng.chance(50)).map(ToString::to_string);
        let pool = channels.iter().cloned().chain(patterns).collect();
        let shards = rng.range(1, 4) as u8;
        let mut config = config(rng, roomy);
        let mut scenario = Self {
            shards,
            config: Arc::default(),
            roomy,
            subscribers: rng.size(3, 14),
            publishers: rng.size(1, 3),
            pipeliners: rng.size(0, 2),
            faults_every: rng.chance(65).then(|| rng.range(300, 6_000)),
            pause: if rng.chance(30) { 200 } else { 1_500 },
            storm: rng.range(15_000, 40_000),
            drains: rng.chance(35),
            channels,
            pool,
            turn_delay: PROMPT_TURN,
        };
        // Drawn last, so that scenarios without it stay the same.
        if shards > 1 && rng.chance(30) {
            config.mailbox = rng.size(2, 24);
            scenario.turn_delay = LAZY_TURN;
            scenario.pause = 200;
        }
        scenario.config = Arc::new(config);
        scenario
    }

    /// The same with web hooks, if requested.
    pub(crate) fn asks_a_backend(mut self, asks: bool) -> Self {
        if asks {
            let hook = HookUrl::read("http://backend.sim/hook").ok();
            self.config =
                Arc::new(Config { service_hook: hook.clone(), policy_hook: hook, ..(*self.config).clone() });
        }
        self
    }

    /// The same with short-lived sessions, if requested.
    pub(crate) fn forgets_soon(mut self, rng: &mut Rng, does: bool) -> Self {
        if does && !self.roomy {
            let mut config = (*self.config).clone();
            config.session_grace = Span::from_millis(rng.range(3_000, 6_000));
            config.heartbeat = config.heartbeat.min(Span::from_millis(2_500));
            self.config = Arc::new(config);
        }
        self
    }

    /// The same with a place beside another node, if requested: a part of the users are guests,
    /// whose connections and responses end early. A guest cannot pipeline.
    pub(crate) fn has_guests(mut self, rng: &mut Rng, has: bool) -> Self {
        if has {
            self.pipeliners = 0;
            let nodes = [("ENCKE_NODES", "n1=one.sim,n2=two.sim"), ("ENCKE_NODE", "n1")];
            let placed = Config::from_vars(nodes).expect("two nodes");
            let guest_stay = Span::from_secs(rng.range(4, 20));
            self.config = Arc::new(Config { place: placed.place, guest_stay, ..(*self.config).clone() });
        }
        self
    }

    /// The same, some with responses that are recycled.
    pub(crate) fn recycles(mut self, rng: &mut Rng) -> Self {
        let mut config = (*self.config).clone();
        if rng.chance(30) {
            config.recycle_bytes = Some(*rng.pick(&[1024, 4 * 1024, 16 * 1024]));
        }
        if rng.chance(30) {
            config.recycle_after =
                Some(config.heartbeat + config.heartbeat + Span::from_secs(rng.range(4, 15)));
        }
        self.config = Arc::new(config);
        self
    }
}

/// An idle shard handles its news within this time, in milliseconds.
const PROMPT_TURN: u64 = 3;

/// A busy shard lets mail accumulate for this long. A request that moves and asks another shard
/// takes several such turns, and must still be answered in time.
const LAZY_TURN: u64 = 50;

fn config(rng: &mut Rng, roomy: bool) -> Config {
    let seconds = |rng: &mut Rng, from, to| Span::from_secs(rng.range(from, to));
    let mut config = Config {
        poll_hold: seconds(rng, 2, 15),
        heartbeat: seconds(rng, 2, 12),
        session_grace: seconds(rng, 15, 40),
        idle_timeout: seconds(rng, 5, 30),
        write_timeout: seconds(rng, 8, 20),
        outbox_bytes: *rng.pick(&[1024, 4 * 1024, 64 * 1024]),
        ..Config::default()
    };
    config.channel_age = config.session_grace + seconds(rng, 0, 20);
    if roomy {
        config.session_grace = Span::from_secs(200);
        config.channel_age = Span::from_secs(400);
        config.channel_messages = 100_000;
        config.channel_bytes = 1 << 30;
        config.memory = 1 << 32;
        config.write_timeout = Span::from_secs(100);
    } else if rng.chance(60) {
        config.channel_messages = rng.size(2, 40);
        config.channel_bytes = rng.size(4, 40) * 1024;
        config.message_bytes = 4096;
        config.memory = rng.size(20, 200) * 1024 * 4;
    }
    config
}
