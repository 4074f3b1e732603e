//! All clients of a worker on one poll: who connects when, who comes back, what went wrong.
//!
//! A client that fails is counted with its reason and tries again, later each time; one that fails too often stays away, and the run
//! with it. Moments that are waited for lie in one heap; a moment that has become pointless does nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io;
use std::time::Duration;

use mio::event::Event;
use mio::{Interest, Registry, Token};

use super::client::{Client, Next, Pace, Phase};
use super::hands::Hands;
use super::link;
use crate::chance::Chance;
use crate::clock::{MILLISECOND, SECOND, nanos, now};
use crate::ledger::{Ledger, Published};
use crate::plan::{Ending, Layout, Plan};
use crate::speech::Speech;
use crate::talk::{Endings, News, Order, Progress};
use crate::transport::Again;
use crate::transport::ws::Bench;

/// All clients of a worker.
pub struct Fleet {
    plan: Plan,
    registry: Registry,
    clients: Vec<Client>,
    /// Those who have yet to connect for the first time, or again.
    queue: VecDeque<u32>,
    moments: BinaryHeap<Reverse<(u64, u32, Moment)>>,
    counts: Counts,
    awaited: Awaited,
    settle: Option<(u32, u64)>,
    news: VecDeque<News>,
    /// When the next connection may be made.
    connect_at: u64,
    chance: Chance,
    tools: Tools,
    errors: BTreeMap<String, u64>,
    endings: Endings,
}

/// What clients share; see [`Hands`].
struct Tools {
    buffer: Box<[u8]>,
    body: Vec<u8>,
    scratch: Vec<u8>,
    ledger: Ledger,
    bench: Bench,
    speech: Speech,
    heartbeats: u64,
}

/// How many clients stand where.
#[derive(Debug, Default)]
struct Counts {
    opening: u32,
    subscribed: u32,
}

/// Whether somebody waits for all clients to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Nothing,
    Everybody,
}

/// What is to happen at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// The client comes (back).
    Come,
    /// Its next poll is due.
    Ask,
    /// The slow ones read a little.
    Sip,
}

/// Clients of one worker that connect at once: together with other workers' below a usual backlog, so that no SYN is dropped.
const OPENING_MAX: u32 = 256;

/// Bytes taken with one read: more than a socket holds at the pace of these tests.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Receive buffer of a client that is to be slow: the kernel's least, so that what it leaves lying lies with the server.
const SLOW_BUFFER_BYTES: usize = 4096;

/// What a sipping client reads, and how often.
const SIP_BYTES: usize = 1024;
const SIP_EVERY: u64 = SECOND;

/// How often a client may fail in a row before the run is given up.
const FAILURES_MAX: u32 = 8;

/// Reasons that are told apart: servers may put anything into their words.
const REASONS_MAX: usize = 50;

/// Wait after the first failure; twice as long after each further one.
const BACKOFF: u64 = 100 * MILLISECOND;

impl Fleet {
    /// Nobody is there yet.
    pub fn new(plan: &Plan, registry: Registry) -> Self {
        let clients = plan.share.clone().map(|number| Client::new(number, &plan.layout.channels_of(number)));
        let follows_last = !matches!(plan.layout, Layout::Own { .. });
        let tools = Tools {
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            body: Vec::new(),
            scratch: Vec::new(),
            ledger: Ledger::new(follows_last),
            bench: Bench::new(plan.seed ^ u64::from(plan.share.start)),
            speech: Speech::new(plan),
            heartbeats: 0,
        };
        Self {
            plan: plan.clone(),
            registry,
            clients: clients.collect(),
            queue: VecDeque::new(),
            moments: BinaryHeap::new(),
            counts: Counts::default(),
            awaited: Awaited::Nothing,
            settle: None,
            news: VecDeque::new(),
            connect_at: 0,
            chance: Chance::new(plan.seed ^ u64::from(plan.share.start)),
            tools,
            errors: BTreeMap::new(),
            endings: Endings::default(),
        }
    }

    /// Does what the coordinator wants, or begins to.
    ///
    /// # Errors
    /// When the order makes no sense here.
    pub fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Connect => {
                self.queue.extend(0..self.clients.len() as u32);
                self.awaited = Awaited::Everybody;
            }
            Order::Cut { within } => self.cut(within),
            Order::Hold => self.hold(),
            Order::Release => self.release(),
            Order::Lap => self.news.push_back(News::Lap(self.tools.ledger.lap())),
            Order::Settle { round, owed } => self.settle = Some((round, owed)),
            Order::Plan(_) | Order::Churn { .. } | Order::Finish(_) => {
                return Err(io::Error::other("an order out of turn"));
            }
        }
        Ok(())
    }

    /// When something is to happen by itself, on the run's clock.
    pub fn wake(&self) -> u64 {
        let moment = self.moments.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        let may_connect = !self.queue.is_empty() && self.counts.opening < OPENING_MAX;
        moment.min(if may_connect { self.connect_at } else { u64::MAX })
    }

    /// The next thing to tell.
    pub fn news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Where it stands.
    pub fn progress(&self) -> Progress {
        let sums = self.tools.ledger.sums();
        Progress {
            clients: u64::from(self.counts.subscribed),
            delivered: sums.delivered,
            told: sums.told,
            heartbeats: self.tools.heartbeats,
            ended: self.endings.clean + self.endings.cut,
        }
    }

    /// Something happened on a client's socket.
    pub fn serve(&mut self, event: &Event) {
        let is_end = event.is_read_closed() || event.is_error();
        let (readable, writable) = (event.is_readable() || is_end, event.is_writable());
        self.with(event.token().0 as u32, |client, hands| {
            if writable {
                client.writable(hands)?;
            }
            if readable { client.readable(is_end, hands) } else { Ok(Next::Wait) }
        });
    }

    /// Does what is due, and looks whether what is waited for has come about.
    ///
    /// # Errors
    /// When clients fail for good.
    pub fn turn(&mut self) -> io::Result<()> {
        let now = now();
        while let Some(Reverse((at, ..))) = self.moments.peek()
            && *at <= now
            && let Some(Reverse((_, index, moment))) = self.moments.pop()
        {
            self.act(index, moment, now);
        }
        while self.counts.opening < OPENING_MAX
            && self.connect_at <= now
            && let Some(index) = self.queue.pop_front()
        {
            let step = self.plan.connect_rate.map_or(0.0, |rate| SECOND as f64 / rate);
            self.connect_at = self.connect_at.max(now.saturating_sub(SECOND / 20)) + step as u64;
            self.connect(index)?;
        }
        self.look();
        Ok(())
    }

    fn act(&mut self, index: u32, moment: Moment, now: u64) {
        match moment {
            Moment::Come => self.queue.push_back(index),
            Moment::Ask => {
                if self.clients.get(index as usize).is_some_and(|client| client.phase() == Phase::Resting) {
                    self.with(index, |client, hands| client.ask(hands).map(|()| Next::Wait));
                }
            }
            Moment::Sip => {
                let sipping = self.slow().filter(|(_, pace)| *pace == Slow::Sips).map(|(index, _)| index);
                for index in sipping.collect::<Vec<_>>() {
                    if self.clients.get(index as usize).is_some_and(|client| client.pace == Pace::Held) {
                        self.with(index, |client, hands| client.read(SIP_BYTES, hands));
                    }
                }
                if self.clients.iter().any(|client| client.pace == Pace::Held) {
                    self.moments.push(Reverse((now + SIP_EVERY, 0, Moment::Sip)));
                }
            }
        }
    }

    fn look(&mut self) {
        let all = self.clients.len();
        if self.awaited == Awaited::Everybody && self.counts.subscribed as usize == all {
            self.awaited = Awaited::Nothing;
            self.news.push_back(News::Ready);
        }
        let Some((round, owed)) = self.settle else { return };
        let sums = self.tools.ledger.sums();
        let everybody_waits =
            || self.plan.transport.again() != Again::AtOnce || self.clients.iter().all(Client::is_waiting);
        if sums.delivered + sums.told >= owed && everybody_waits() {
            self.settle = None;
            self.news.push_back(News::Settled { round });
        }
    }

    fn connect(&mut self, index: u32) -> io::Result<()> {
        let number = self.plan.share.start + index;
        let Some(client) = self.clients.get_mut(index as usize) else { return Ok(()) };
        if client.phase() != Phase::Away {
            return Ok(());
        }
        let is_slow = number < self.plan.deaf + self.plan.sipping;
        let stream = link::connect(self.plan.server, number, is_slow.then_some(SLOW_BUFFER_BYTES));
        let stream = stream.map_err(|error| {
            io::Error::other(format!("no socket for client {number}: {error}; see scripts/tune-host"))
        })?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(client.connect(stream), Token(index as usize), interest)?;
        self.counts.opening += 1;
        Ok(())
    }

    /// A client's second connection. Both have its token: what one says makes it look at both.
    fn connect_second(&mut self, index: u32) -> io::Result<()> {
        let number = self.plan.share.start + index;
        let Some(client) = self.clients.get_mut(index as usize) else { return Ok(()) };
        let mut stream = link::connect(self.plan.server, number, None)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut stream, Token(index as usize), interest)?;
        client.connect_second(stream, self.plan.preset.subscribe.len());
        Ok(())
    }

    /// Lets one client do something, and books what that changed.
    fn with(&mut self, index: u32, act: impl FnOnce(&mut Client, &mut Hands<'_>) -> io::Result<Next>) {
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        let tools = &mut self.tools;
        let mut hands = Hands {
            buffer: &mut tools.buffer,
            body: &mut tools.body,
            scratch: &mut tools.scratch,
            ledger: &mut tools.ledger,
            bench: &mut tools.bench,
            speech: &tools.speech,
            heartbeats: &mut tools.heartbeats,
        };
        let before = client.phase();
        let next = act(client, &mut hands);
        let was_here = before != Phase::Away;
        match next {
            Ok(Next::PollLater) => {
                let at = now() + self.plan.poll_every.nanos(client.advised);
                self.moments.push(Reverse((at, index, Moment::Ask)));
            }
            Ok(Next::ConnectSecond) => {
                if let Err(error) = self.connect_second(index) {
                    self.failed(index, &error);
                }
            }
            Ok(Next::Ended { clean }) if was_here => self.ended(index, before, clean),
            Err(error) if was_here => self.failed(index, &error),
            Ok(Next::Wait | Next::Ended { .. }) | Err(_) => {}
        }
        let after = self.clients.get(index as usize).map_or(Phase::Away, Client::phase);
        self.book(before, after);
    }

    fn book(&mut self, before: Phase, after: Phase) {
        let opening = |phase| u32::from(phase == Phase::Opening);
        let subscribed = |phase| u32::from(matches!(phase, Phase::Subscribed | Phase::Resting));
        self.counts.opening = self.counts.opening + opening(after) - opening(before);
        self.counts.subscribed = self.counts.subscribed + subscribed(after) - subscribed(before);
    }

    /// A client's connection is over.
    fn ended(&mut self, index: u32, before: Phase, clean: bool) {
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        client.leave();
        let after = client.after;
        if clean {
            self.endings.clean += 1;
        } else {
            self.endings.cut += 1;
        }
        self.endings.afters.extend(after);
        if before == Phase::Opening {
            let error = io::Error::other("the connection ended before the client was subscribed");
            return self.failed(index, &error);
        }
        if !clean && after.is_none() && self.plan.ending == Ending::Return {
            self.blame("a stream was cut".to_owned());
        }
        match self.plan.ending {
            Ending::Return => {
                let at = now() + after.unwrap_or(0) * MILLISECOND;
                self.moments.push(Reverse((at, index, Moment::Come)));
            }
            Ending::Leave => {}
        }
    }

    /// Counts what went wrong, and tells it when it is new.
    fn blame(&mut self, reason: String) {
        let is_new = !self.errors.contains_key(&reason);
        if !is_new {
            *self.errors.entry(reason).or_default() += 1;
        } else if self.errors.len() < REASONS_MAX {
            self.news.push_back(News::Trouble(reason.clone()));
            self.errors.insert(reason, 1);
        } else {
            *self.errors.entry("other reasons".to_owned()).or_default() += 1;
        }
    }

    /// A client failed: it tries again, a while later.
    fn failed(&mut self, index: u32, error: &io::Error) {
        self.blame(error.to_string());
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        client.leave();
        client.failures += 1;
        if client.failures > FAILURES_MAX {
            let number = self.plan.share.start + index;
            self.news
                .push_back(News::Failed(format!("client {number} failed {FAILURES_MAX} times: {error}")));
            return;
        }
        let wait = BACKOFF << client.failures;
        let at = now() + wait + self.chance.below(wait);
        self.moments.push(Reverse((at, index, Moment::Come)));
    }

    /// Cuts all connections; each client comes back at a moment of its own.
    fn cut(&mut self, within: Duration) {
        let now = now();
        for index in 0..self.clients.len() as u32 {
            let before = self.clients[index as usize].phase();
            self.clients[index as usize].leave();
            self.book(before, Phase::Away);
            let at = now + self.chance.below(nanos(within).max(1));
            self.moments.push(Reverse((at, index, Moment::Come)));
        }
        self.awaited = Awaited::Everybody;
    }

    /// The slow clients that are this worker's.
    fn slow(&self) -> impl Iterator<Item = (u32, Slow)> + use<> {
        let (first, deaf) = (self.plan.share.start, self.plan.deaf);
        let slow = first..(deaf + self.plan.sipping).min(self.plan.share.end);
        slow.map(move |number| (number - first, if number < deaf { Slow::Deaf } else { Slow::Sips }))
    }

    fn hold(&mut self) {
        for (index, _) in self.slow() {
            self.clients[index as usize].pace = Pace::Held;
        }
        self.moments.push(Reverse((now() + SIP_EVERY, 0, Moment::Sip)));
    }

    fn release(&mut self) {
        for (index, _) in self.slow() {
            self.with(index, |client, hands| {
                client.pace = Pace::Freed;
                client.catch_up(hands)
            });
        }
    }

    /// Closes the books.
    pub fn account(&mut self, published: &Published) -> News {
        let first = self.plan.share.start;
        let numbered = self.clients.iter().enumerate();
        let standings = numbered.flat_map(|(index, client)| {
            client.standings().iter().map(move |standing| (first + index as u32, standing))
        });
        self.tools.ledger.settle(standings, published);
        News::Account {
            account: self.tools.ledger.account(),
            errors: self.errors.clone(),
            endings: std::mem::take(&mut self.endings),
        }
    }
}

/// How slow a slow client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slow {
    Deaf,
    Sips,
}
