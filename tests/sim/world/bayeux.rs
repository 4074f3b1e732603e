//! Bayeux in the world: its clients, and servers that are killed and restarted empty.
//!
//! Decided by numbers of its own, so that worlds without it stay the same.

use super::*;

/// Separates the numbers that Bayeux draws from all others.
const BAYEUX: u64 = 0xba7e;

/// Whether this world has Bayeux clients.
pub(super) fn is_spoken(seed: u64) -> bool {
    seed % 3 == 2 && !crate::FOUND.contains(&seed)
}

/// How often the server is killed. A native client holds positions of the old run, so only Bayeux
/// clients survive that.
pub(super) fn restarts(seed: u64) -> u64 {
    let mut rng = Rng::new(seed ^ BAYEUX ^ 1);
    if is_spoken(seed) && rng.chance(30) { rng.range(1, 3) } else { 0 }
}

/// Whether publishes have keys, and are repeated. A restarted server knows no keys.
pub(super) fn gives_keys(seed: u64) -> bool {
    crate::keys(seed) && restarts(seed) == 0
}

/// Whether the server trusts the client id alone, and some browsers keep no cookies.
pub(super) fn trusts(seed: u64) -> bool {
    is_spoken(seed) && Rng::new(seed ^ BAYEUX ^ 3).chance(25)
}

/// A shard that starts empty, in the server's `run`.
pub(super) fn node(scenario: &Scenario, seed: u64, run: u8, id: u8, now: u64) -> Node {
    let mut bytes = [id; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] ^= run;
    let identity = Identity {
        id: ShardId(id),
        shards: scenario.shards,
        home_key: (seed, u64::from(run)),
        seed: bytes,
        unix_ms_at_zero: 1_700_000_000_000,
    };
    let (config, keys) = (Arc::clone(&scenario.config), Arc::new(Keys::open()));
    #[cfg_attr(not(feature = "mutations"), expect(unused_mut))]
    let mut shard = Shard::new(Tick::from_millis(now), config, keys, identity);
    #[cfg(feature = "mutations")]
    if let Some(mutation) = crate::mutations::chosen() {
        shard.mutate(mutation);
    }
    Node::new(usize::from(id), shard, scenario.config.outbox_bytes + 8 * 1024)
}

impl World {
    /// Browsers with Bayeux pages, some with several.
    pub(super) fn bayeux_clients(&mut self, seed: u64, users: &[String]) -> Vec<Box<dyn Client>> {
        if !is_spoken(seed) {
            return Vec::new();
        }
        let mut rng = Rng::new(seed ^ BAYEUX);
        let mut browsers: Vec<Box<dyn Client>> = Vec::new();
        for index in 0..rng.size(2, 5) {
            let user = rng.chance(60).then(|| rng.pick(users).clone());
            let tabs = if rng.chance(40) { rng.size(2, 3) } else { 1 };
            let tabs = (0..tabs).map(|tab| {
                let behaviour = Behaviour::any(&mut rng).haunted(if crate::haunts(seed) { 20 } else { 0 });
                let owner = format!("browser {index}, tab {tab} ({user:?}, {behaviour})");
                // A client that must wait polls only every two seconds.
                (self.oracle.book(owner, 2_500), behaviour)
            });
            let tabs = tabs.collect();
            let (pool, channels) = (self.scenario.pool.clone(), self.scenario.channels.clone());
            let keeps = !trusts(seed) || rng.chance(40);
            browsers.push(Box::new(Browser::new(&mut rng, user, pool, channels, keeps, tabs)));
        }
        browsers
    }

    /// Kills the server some times before all faults end.
    pub(super) fn plan_restarts(&mut self, seed: u64) {
        let mut rng = Rng::new(seed ^ BAYEUX ^ 2);
        for _ in 0..restarts(seed) {
            self.net.schedule(rng.range(3_000, self.scenario.storm - 1_000), Event::Restart);
        }
    }

    /// All shards die, and with them all connections; new ones start empty.
    pub(super) fn restart(&mut self) {
        let now = self.net.now;
        self.net.trace.note(now, format_args!("the server is killed, and started again"));
        self.run += 1;
        for link in self.net.links().map(|(id, _)| id).collect::<Vec<_>>() {
            if self.net.link(link).client != ClientEnd::Gone && !self.net.link(link).broken {
                self.net.cut(link);
            }
            self.net.link_mut(link).server = ServerEnd::Gone;
        }
        self.net.ready.iter_mut().for_each(BTreeSet::clear);
        self.net.backlog.iter_mut().for_each(std::collections::VecDeque::clear);
        let (seed, run) = (self.seed, self.run);
        self.nodes = (0..self.scenario.shards).map(|id| node(&self.scenario, seed, run, id, now)).collect();
        self.oracle.restarted(now);
        self.every_client(|client, ctx| client.disturbed(ctx));
    }

    /// Held connects are answered one by one when the node drains: else all clients would reach the
    /// next node at once.
    pub(super) fn check_spread(&self) -> Result<(), String> {
        /// Fewer may coincide by chance.
        const ENOUGH: usize = 5;
        let away = &self.oracle.sent_away;
        let (Some(first), Some(last)) = (away.iter().min(), away.iter().max()) else { return Ok(()) };
        let config = &self.scenario.config;
        // A connect is held for no longer than usual.
        let window = config.drain.min(config.poll_hold).as_millis();
        if away.len() >= ENOUGH && last - first < window / 64 {
            return Err(format!(
                "{} connects are answered within {} ms of a drain",
                away.len(),
                last - first
            ));
        }
        Ok(())
    }
}
