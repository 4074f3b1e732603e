//! The whole simulation: shards, links, clients, faults and the clock, until no event is left.

mod bayeux;
mod sockjs;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use encke::auth::gate::Keys;
use encke::base::ids::ShardId;
use encke::base::ticks::Tick;
use encke::config::{BayeuxTrust, Config};
use encke::shard::{Identity, Shard};

use crate::client::bayeux::{Behaviour, Browser};
use crate::client::keys::PublishKeys;
use crate::client::pipeliner::Pipeliner;
use crate::client::profile::{Profile, Via, style};
use crate::client::publisher::Publisher;
use crate::client::receiver::Receiver;
use crate::client::subscriber::Subscriber;
use crate::client::{Client, Ctx, RunPhase};
use crate::net::{ClientEnd, ClientId, Event, Heard, LinkId, Net, ServerEnd};
use crate::node::{Letter, Node};
use crate::oracle::Oracle;
use crate::rng::Rng;
use crate::scenario::Scenario;

/// The result of one run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) trace: u64,
    pub(crate) tallies: BTreeMap<&'static str, u64>,
}

pub(crate) struct World {
    seed: u64,
    /// How often the server was killed.
    run: u8,
    scenario: Scenario,
    net: Net,
    nodes: Vec<Node>,
    clients: Vec<Option<Box<dyn Client>>>,
    oracle: Oracle,
    rng: Rng,
    phase: RunPhase,
    stage: u32,
    drained_by: Option<u64>,
    /// The members of the watched channels at [`LOOK`].
    there: BTreeMap<String, BTreeSet<String>>,
}

/// Separates the numbers that keys draw from all others.
const KEYS: u64 = 0x6e75_0000;

/// Separates the numbers of later additions from all others.
const LATER: u64 = 0x1a7e;

// The phases of a run.
const HEAL: u32 = 1;
const HUSH: u32 = 2;
const LOOK: u32 = 3;
const JUDGE: u32 = 4;
const LEAVE: u32 = 5;
const END: u32 = 6;

/// All watchers know of a join or leave within this time, in milliseconds: a room's pause, and a
/// poller's pause and latency.
const KNOWN_AFTER: u64 = 5_000;

/// The numbers by which guests are drawn.
const GUESTS: u64 = 0x6ae5_7000;

/// Whether another node is the home of a part of the users. Only in worlds of the native protocol.
fn has_guests(seed: u64) -> bool {
    let is_native = !bayeux::is_spoken(seed) && !sockjs::is_spoken(seed);
    seed % 7 == 4 && is_native && !crate::FOUND.contains(&seed) && !crate::FOUND_LATER.contains(&seed)
}

/// More events than any run has: it is in an endless loop.
const EVENTS_MAX: u64 = 4_000_000;

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::from(&mut rng.fork()).asks_a_backend(crate::hooks(seed));
        // Later additions draw from numbers of their own, so that seeds that found a fault keep
        // their runs.
        let mut later = Rng::new(seed ^ LATER);
        let is_modern = later.chance(75) && !crate::FOUND.contains(&seed);
        let mut scenario = if is_modern { scenario.recycles(&mut later) } else { scenario };
        if bayeux::restarts(seed) > 0 {
            (scenario.subscribers, scenario.pipeliners) = (0, 0);
        }
        scenario = scenario.forgets_soon(&mut Rng::new(seed ^ 0x5005), crate::doubts(seed));
        let mut later = is_modern.then_some(later);
        if bayeux::trusts(seed) {
            let config = Config { bayeux_trust: BayeuxTrust::ClientId, ..(*scenario.config).clone() };
            scenario.config = Arc::new(config);
        }
        scenario = sockjs::set(scenario, seed);
        scenario = scenario.has_guests(&mut Rng::new(seed ^ GUESTS), has_guests(seed));
        let config = &scenario.config;
        let shards = scenario.shards;
        let nodes = (0..shards).map(|id| bayeux::node(&scenario, seed, 0, id, 0)).collect();
        let phase = RunPhase {
            calm: false,
            silent: false,
            over: false,
            poll_hold: config.poll_hold.as_millis(),
            heartbeat: config.heartbeat.as_millis(),
            grace: config.session_grace.as_millis(),
            idle_timeout: config.idle_timeout.as_millis(),
            outbox_bytes: config.outbox_bytes,
            doubts: crate::doubts(seed),
            guests: config.place.is_some(),
            recycles: config.recycle_bytes.is_some() || config.recycle_after.is_some(),
            mixes: !crate::FOUND.contains(&seed) && !crate::FOUND_BAYEUX.contains(&seed),
            keys: bayeux::gives_keys(seed),
        };
        let net = Net::new(rng.fork(), usize::from(shards), scenario.turn_delay);
        let oracle = Oracle { roomy: scenario.roomy, ..Oracle::default() };
        let mut world = Self {
            seed,
            run: 0,
            scenario,
            net,
            nodes,
            clients: Vec::new(),
            oracle,
            rng,
            phase,
            stage: 0,
            drained_by: None,
            there: BTreeMap::new(),
        };
        world.populate(seed, &mut later);
        world
    }

    fn populate(&mut self, seed: u64, later: &mut Option<Rng>) {
        // Its own numbers, so that runs without watchers stay the same.
        let (someone_watches, mut watchers) = (seed % 3 == 1, Rng::new(seed ^ 0x77a7_c8e5));
        // The same for runs that test resuming.
        let (doubts, mut doubters) = (crate::doubts(seed), Rng::new(seed ^ 0x0d0b_7ed5));
        let names = ["alice", "bob", "čára", "d/e f", "eve"];
        let names = if doubts { &names[..2] } else { &names[..] };
        let users: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut clients: Vec<Box<dyn Client>> = Vec::new();
        for index in 0..self.scenario.subscribers {
            let rng = &mut self.rng;
            let profile = Profile::any(rng);
            let mut profile = match later {
                Some(later) => profile.modern(later),
                None => profile,
            };
            profile.watches = someone_watches && watchers.chance(60);
            if doubts {
                profile.doubted(&mut doubters);
            }
            let user = rng.pick(&users).clone();
            let patience = if profile.vias.contains(&Via::Poll) { profile.interval + 500 } else { 0 };
            let owner = format!(
                "subscriber {index} ({user}, {:?}{}{})",
                profile.vias,
                if profile.plain || profile.anonymous > 0 { ", plain" } else { "" },
                if profile.watches { ", watches" } else { "" }
            );
            let book = self.oracle.book(owner, patience);
            self.oracle.is_native(book, &user, profile.last);
            if profile.plain || profile.anonymous > 0 {
                self.oracle.names_no_session(book);
            }
            let mut first: Vec<String> = self.scenario.pool.clone();
            rng.shuffle(&mut first);
            first.truncate(rng.size(0, 3));
            let receiver = Receiver::new(book, user);
            clients.push(Box::new(Subscriber::new(profile, receiver, self.scenario.pool.clone(), first)));
        }
        for index in 0..self.scenario.pipeliners {
            let some: Vec<Receiver> = (0..self.rng.size(1, 4))
                .map(|at| {
                    let user = format!("p{index}.{at}");
                    Receiver::new(self.oracle.book(format!("pipeliner {index} ({user})"), 2_400), user)
                })
                .collect();
            let channels = self.scenario.pool.iter().take(2).cloned().collect();
            clients.push(Box::new(Pipeliner::new(style(&mut self.rng), some, channels)));
        }
        let RunPhase { keys: gives_keys, grace, .. } = self.phase;
        let keys = |index| gives_keys.then(|| PublishKeys::new(Rng::new(seed ^ KEYS ^ index), grace));
        for index in 0..self.scenario.publishers {
            let users = users.iter().cloned().chain(["p0.0".to_owned(), "nobody".to_owned()]).collect();
            let style = style(&mut self.rng);
            clients.push(Box::new(Publisher::new(
                style,
                self.scenario.channels.clone(),
                users,
                self.scenario.pause,
                keys(index as u64),
            )));
        }
        clients.extend(self.bayeux_clients(seed, &users));
        clients.extend(self.sockjs_clients(seed, &users));
        self.plan_restarts(seed);
        self.clients = clients.into_iter().map(Some).collect();
    }

    /// Runs to the end. The first broken rule ends it, with the reason.
    pub(crate) fn run(&mut self) -> Result<Outcome, String> {
        for client in 0..self.clients.len() {
            self.with_client(client, |client, ctx| client.start(ctx));
        }
        let storm = self.scenario.storm;
        self.net.schedule(storm, Event::Phase(HEAL));
        if let Some(every) = self.scenario.faults_every {
            self.net.schedule(every, Event::Fault);
        }
        let mut events = 0u64;
        while let Some(event) = self.net.next() {
            self.happen(event);
            events += 1;
            if let Some(violation) = self.oracle.violations.first() {
                return Err(violation.clone());
            }
            if events > EVENTS_MAX {
                return Err("it never comes to rest".to_owned());
            }
            if self.stage == END {
                break;
            }
        }
        self.check_spread()?;
        self.check_zero()?;
        Ok(Outcome { trace: self.net.trace.hash(), tallies: self.tallies(events) })
    }

    pub(crate) fn tail(&self) -> String {
        self.net.trace.tail()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(link) => self.net.arrive(link),
            Event::Up(link) => self.net.up(link),
            Event::GiveUp(link) => self.net.give_up(link),
            Event::Down(link) => {
                if let Some(heard) = self.net.down(link) {
                    self.hear(link, heard);
                }
            }
            Event::Read(link) => {
                for heard in self.net.read(link) {
                    self.hear(link, heard);
                }
            }
            Event::Turn(shard) => {
                if self.net.takes_turn(shard) {
                    self.turn(shard);
                }
            }
            Event::Client(client, token) => self.with_client(client, |client, ctx| client.woken(ctx, token)),
            Event::Late(client, link, ask) => {
                self.with_client(client, |client, ctx| client.late(ctx, link, ask));
            }
            Event::Prompt(number, waited) => {
                if self.stage < LEAVE {
                    self.oracle.check_prompt(number as usize, waited);
                }
            }
            Event::Fault => self.fault(),
            Event::Restart => self.restart(),
            Event::Phase(phase) => self.enter(phase),
        }
    }

    fn turn(&mut self, shard: usize) {
        let congested = self.congested(self.nodes[shard].congested);
        if congested != 0 {
            self.oracle.pressed_at = Some(self.net.now);
        }
        self.nodes[shard].turn(&mut self.net, &mut self.rng, congested);
        let node = &mut self.nodes[shard];
        self.oracle.violations.extend(node.fault.take());
        for (to, letter) in std::mem::take(&mut node.sent) {
            let to = usize::from(to.0);
            self.nodes[to].mailbox.push_back(letter);
            self.net.wake(to);
        }
    }

    /// The shards whose mailboxes are over the bound; one that was (`before`) stays so until it is
    /// down to half of it.
    fn congested(&self, before: u64) -> u64 {
        let bound = self.scenario.config.mailbox;
        let is_over = |node: &&Node| {
            let was = before & node.shard.id().bit() != 0;
            node.depth() > if was { bound / 2 } else { bound }
        };
        self.nodes.iter().filter(is_over).fold(0, |set, node| set | node.shard.id().bit())
    }

    fn hear(&mut self, link: LinkId, heard: Heard) {
        let owner = self.net.link(link).owner;
        self.with_client(owner, |client, ctx| match heard {
            Heard::Bytes(bytes) => client.bytes(ctx, link, &bytes),
            Heard::End(how) => client.ended(ctx, link, how),
        });
    }

    fn with_client(&mut self, me: ClientId, act: impl FnOnce(&mut dyn Client, &mut Ctx<'_>)) {
        let Some(mut client) = self.clients.get_mut(me).and_then(Option::take) else { return };
        let Self { net, oracle, rng, phase, .. } = self;
        act(&mut *client, &mut Ctx { me, net, oracle, rng, phase: *phase });
        self.clients[me] = Some(client);
    }

    /// A fault hits one link.
    fn fault(&mut self) {
        let Some(every) = self.scenario.faults_every.filter(|_| !self.phase.calm) else { return };
        let live: Vec<LinkId> = self
            .net
            .links()
            .filter(|(_, link)| {
                link.client != ClientEnd::Gone && !link.broken && link.server != ServerEnd::Gone
            })
            .map(|(id, _)| id)
            .collect();
        if !live.is_empty() {
            let link = *self.rng.pick(&live);
            let silent = self.rng.chance(25);
            self.net.trace.note(
                self.net.now,
                format_args!("l{link} {}", if silent { "goes silent" } else { "is cut" }),
            );
            let owner = self.net.link(link).owner;
            self.with_client(owner, |client, ctx| client.disturbed(ctx));
            if silent { self.net.silence(link) } else { self.net.cut(link) }
        }
        let after = self.rng.range(1, 2 * every);
        self.net.schedule(self.net.now + after, Event::Fault);
    }

    fn enter(&mut self, phase: u32) {
        self.net.trace.note(self.net.now, format_args!("phase {phase}"));
        self.stage = phase;
        let now = self.net.now;
        let hold = self.phase.poll_hold;
        // Long enough for silent links to be detected, and for every client to reconnect.
        let settle = 35_000 + self.phase.heartbeat + hold;
        match phase {
            HEAL => {
                self.phase.calm = true;
                self.oracle.books.iter_mut().for_each(|book| book.was_well = false);
                self.every_client(|client, ctx| client.calm(ctx));
                self.net.schedule(now + settle, Event::Phase(HUSH));
            }
            HUSH => {
                self.phase.silent = true;
                let catch_up = if self.phase.outbox_bytes < 16 * 1024 { 25_000 } else { 6_000 };
                self.net.schedule(now + catch_up - KNOWN_AFTER, Event::Phase(LOOK));
                self.net.schedule(now + catch_up, Event::Phase(JUDGE));
            }
            LOOK => {
                self.there = self.there_now();
                self.oracle.catches_up(self.phase.recycles);
            }
            JUDGE if self.oracle.catches_up(self.phase.recycles) => {
                self.net.schedule(now + KNOWN_AFTER, Event::Phase(JUDGE));
            }
            JUDGE => {
                self.oracle.judge();
                self.judge_presence();
                let unwell = self.oracle.unwell(self.phase.recycles);
                if !unwell.is_empty() {
                    self.oracle.fail(format!("still not well after all faults: {unwell:?}"));
                }
                self.net.schedule(now, Event::Phase(LEAVE));
            }
            LEAVE => self.leave(now),
            _ => {}
        }
    }

    /// The members of each watched channel.
    fn there_now(&self) -> BTreeMap<String, BTreeSet<String>> {
        let watched = self.clients.iter().flatten().flat_map(|client| client.watched());
        let users =
            |channel: &String| self.nodes.iter().flat_map(|node| node.shard.users_in(channel)).collect();
        watched.map(|(channel, _)| (channel.clone(), users(&channel))).collect()
    }

    /// Every watcher of a channel without recent changes knows its members.
    fn judge_presence(&mut self) {
        let now = self.there_now();
        for (client, (channel, known)) in self.clients.iter().enumerate().flat_map(|(at, client)| {
            client.iter().flat_map(|client| client.watched()).map(move |page| (at, page))
        }) {
            let there = &now[&channel];
            if self.there.get(&channel) != Some(there) {
                continue;
            }
            self.oracle.presences += 1;
            if known.as_ref() != Some(there) {
                self.oracle.fail(format!(
                    "client {client} believes that {known:?} are in {channel}, where {there:?} are"
                ));
            }
        }
    }

    fn leave(&mut self, now: u64) {
        self.phase.over = true;
        let config = &self.scenario.config;
        let ages = [config.session_grace, config.channel_age, config.write_timeout, config.idle_timeout];
        let longest = ages.iter().map(|span| span.as_millis()).max().unwrap_or_default();
        let grace = config.session_grace.as_millis();
        if self.scenario.drains {
            let by = now + config.drain.as_millis();
            self.drained_by = Some(by);
            for shard in 0..self.nodes.len() {
                self.nodes[shard].mailbox.push_back(Letter::Drain { by: Tick::from_millis(by) });
                self.net.wake(shard);
            }
        } else {
            self.every_client(|client, ctx| client.leave(ctx));
        }
        self.net.schedule(now + longest + 2 * grace + 60_000, Event::Phase(END));
    }

    fn every_client(&mut self, act: impl Fn(&mut dyn Client, &mut Ctx<'_>)) {
        for client in 0..self.clients.len() {
            self.with_client(client, |client, ctx| act(client, ctx));
        }
    }

    /// No state is left anywhere.
    fn check_zero(&self) -> Result<(), String> {
        for node in &self.nodes {
            let counts = node.shard.counts();
            if self.drained_by.is_some() && !node.drained {
                return Err(format!("s{} never said that it is drained: {counts:?}", node.index));
            }
            let left = [
                counts.conns,
                counts.pending,
                counts.sessions,
                counts.channels,
                counts.watched,
                counts.log_messages,
                counts.log_bytes,
                counts.timers,
            ];
            if left.iter().any(|&count| count > 0) || node.has_seats() {
                return Err(format!("s{} is not back to zero: {counts:?}", node.index));
            }
        }
        Ok(())
    }
}
