//! All clients of a worker on one poll: when each connects, which return, and which errors
//! occurred.
//!
//! A client that fails is counted with its reason and tries again, later each time. A client that
//! fails too often ends the run. All timers lie in one heap; a timer that no longer applies does
//! nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io;
use std::time::Duration;

use mio::event::Event;
use mio::{Interest, Registry, Token};

use super::client::{Client, ClientPhase, Next, ReadMode};
use super::link;
use super::scratch::ReadScratch;
use crate::clock::{MILLISECOND, SECOND, nanos, now};
use crate::ipc::{Endings, FromWorker, Progress, ToWorker};
use crate::ledger::{Ledger, Published};
use crate::plan::{Layout, OnStreamEnd, Plan};
use crate::requests::Requests;
use crate::rng::Rng;
use crate::transport::AfterResponse;
use crate::transport::ws::DecodeScratch;

/// All clients of a worker.
pub struct Fleet {
    plan: Plan,
    registry: Registry,
    clients: Vec<Client>,
    /// Clients that wait to connect.
    queue: VecDeque<u32>,
    timers: BinaryHeap<Reverse<(u64, u32, Timer)>>,
    counts: Counts,
    awaited: Awaited,
    settle: Option<(u32, u64)>,
    news: VecDeque<FromWorker>,
    /// When the next connection may begin.
    connect_at: u64,
    rng: Rng,
    shared: SharedBuffers,
    errors: BTreeMap<String, u64>,
    endings: Endings,
}

/// Buffers shared by the clients; see [`ReadScratch`].
struct SharedBuffers {
    buffer: Box<[u8]>,
    body: Vec<u8>,
    out: Vec<u8>,
    ledger: Ledger,
    decode: DecodeScratch,
    requests: Requests,
    heartbeats: u64,
}

/// The number of clients in each phase.
#[derive(Debug, Default)]
struct Counts {
    opening: u32,
    subscribed: u32,
}

/// Whether the coordinator waits for all clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Nothing,
    Everybody,
}

/// The action of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The client connects.
    Connect,
    /// Its next poll is due.
    Poll,
    /// Slow readers read a little.
    SlowRead,
}

/// Clients of one worker that connect at once: together with other workers' below a usual backlog,
/// so that no SYN is dropped.
const OPENING_MAX: u32 = 256;

/// Bytes of one read: more than a socket holds at the pace of these tests.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Receive buffer of a slow client: the kernel's minimum, so that unread bytes stay with the
/// server.
const SLOW_BUFFER_BYTES: usize = 4096;

/// The bytes that a slow reader reads at a time, and the interval.
const SLOW_READ_BYTES: usize = 1024;
const SLOW_READ_EVERY: u64 = SECOND;

/// Failures of a client in a row after which the run is given up.
const FAILURES_MAX: u32 = 8;

/// Distinct reasons that are kept, since a server may put anything into its texts.
const REASONS_MAX: usize = 50;

/// Wait after the first failure; twice as long after each further one.
const BACKOFF: u64 = 100 * MILLISECOND;

impl Fleet {
    /// No client is connected yet.
    pub fn new(plan: &Plan, registry: Registry) -> Self {
        let clients = plan.share.clone().map(|number| Client::new(number, &plan.layout.channels_of(number)));
        let follows_last = !matches!(plan.layout, Layout::Own { .. });
        let shared = SharedBuffers {
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            body: Vec::new(),
            out: Vec::new(),
            ledger: Ledger::new(follows_last),
            decode: DecodeScratch::new(plan.seed ^ u64::from(plan.share.start)),
            requests: Requests::new(plan),
            heartbeats: 0,
        };
        Self {
            plan: plan.clone(),
            registry,
            clients: clients.collect(),
            queue: VecDeque::new(),
            timers: BinaryHeap::new(),
            counts: Counts::default(),
            awaited: Awaited::Nothing,
            settle: None,
            news: VecDeque::new(),
            connect_at: 0,
            rng: Rng::new(plan.seed ^ u64::from(plan.share.start)),
            shared,
            errors: BTreeMap::new(),
            endings: Endings::default(),
        }
    }

    /// Executes a message of the coordinator, or starts to.
    ///
    /// # Errors
    /// If the message does not fit the current state.
    pub fn execute(&mut self, order: ToWorker) -> io::Result<()> {
        match order {
            ToWorker::Connect => {
                self.queue.extend(0..self.clients.len() as u32);
                self.awaited = Awaited::Everybody;
            }
            ToWorker::Disconnect { within } => self.cut(within),
            ToWorker::PauseReading => self.hold(),
            ToWorker::ResumeReading => self.release(),
            ToWorker::TakeLatencies => self.news.push_back(FromWorker::Latencies(self.shared.ledger.lap())),
            ToWorker::AwaitDeliveries { round, owed } => self.settle = Some((round, owed)),
            ToWorker::Plan(_) | ToWorker::Churn { .. } | ToWorker::Finish(_) => {
                return Err(io::Error::other("a message that does not fit the current state"));
            }
        }
        Ok(())
    }

    /// When the next timer is due, on the run's clock.
    pub fn wake(&self) -> u64 {
        let timer = self.timers.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        let may_connect = !self.queue.is_empty() && self.counts.opening < OPENING_MAX;
        timer.min(if may_connect { self.connect_at } else { u64::MAX })
    }

    /// The next message to the coordinator.
    pub fn news(&mut self) -> Option<FromWorker> {
        self.news.pop_front()
    }

    /// The progress so far.
    pub fn progress(&self) -> Progress {
        let sums = self.shared.ledger.sums();
        Progress {
            clients: u64::from(self.counts.subscribed),
            delivered: sums.delivered,
            in_gaps: sums.in_gaps,
            heartbeats: self.shared.heartbeats,
            ended: self.endings.clean + self.endings.cut,
        }
    }

    /// Handles an event of a client's socket.
    pub fn serve(&mut self, event: &Event) {
        let is_end = event.is_read_closed() || event.is_error();
        let (readable, writable) = (event.is_readable() || is_end, event.is_writable());
        self.with(event.token().0 as u32, |client, scratch| {
            if writable {
                client.writable(scratch)?;
            }
            if readable { client.readable(is_end, scratch) } else { Ok(Next::Wait) }
        });
    }

    /// Runs the due timers, connects queued clients, and checks what the coordinator waits for.
    ///
    /// # Errors
    /// When clients fail for good.
    pub fn turn(&mut self) -> io::Result<()> {
        let now = now();
        while let Some(Reverse((at, ..))) = self.timers.peek()
            && *at <= now
            && let Some(Reverse((_, index, timer))) = self.timers.pop()
        {
            self.act(index, timer, now);
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

    fn act(&mut self, index: u32, timer: Timer, now: u64) {
        match timer {
            Timer::Connect => self.queue.push_back(index),
            Timer::Poll => {
                if self
                    .clients
                    .get(index as usize)
                    .is_some_and(|client| client.phase() == ClientPhase::Resting)
                {
                    self.with(index, |client, scratch| client.ask(scratch).map(|()| Next::Wait));
                }
            }
            Timer::SlowRead => {
                let slow_readers =
                    self.slow().filter(|(_, how)| *how == SlowClient::Slow).map(|(index, _)| index);
                for index in slow_readers.collect::<Vec<_>>() {
                    if self
                        .clients
                        .get(index as usize)
                        .is_some_and(|client| client.read_mode == ReadMode::Paused)
                    {
                        self.with(index, |client, scratch| client.read(SLOW_READ_BYTES, scratch));
                    }
                }
                if self.clients.iter().any(|client| client.read_mode == ReadMode::Paused) {
                    self.timers.push(Reverse((now + SLOW_READ_EVERY, 0, Timer::SlowRead)));
                }
            }
        }
    }

    fn look(&mut self) {
        let all = self.clients.len();
        if self.awaited == Awaited::Everybody && self.counts.subscribed as usize == all {
            self.awaited = Awaited::Nothing;
            self.news.push_back(FromWorker::Ready);
        }
        let Some((round, owed)) = self.settle else { return };
        let sums = self.shared.ledger.sums();
        let everybody_waits = || {
            self.plan.transport.after_response() != AfterResponse::PollNow
                || self.clients.iter().all(Client::is_waiting)
        };
        if sums.delivered + sums.in_gaps >= owed && everybody_waits() {
            self.settle = None;
            self.news.push_back(FromWorker::Delivered { round });
        }
    }

    fn connect(&mut self, index: u32) -> io::Result<()> {
        let number = self.plan.share.start + index;
        let Some(client) = self.clients.get_mut(index as usize) else { return Ok(()) };
        if client.phase() != ClientPhase::Away {
            return Ok(());
        }
        let is_slow = number < self.plan.stalled + self.plan.slow_readers;
        let stream = link::connect(self.plan.server, number, is_slow.then_some(SLOW_BUFFER_BYTES));
        let stream = stream.map_err(|error| {
            io::Error::other(format!("no socket for client {number}: {error}; see scripts/tune-host"))
        })?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(client.connect(stream), Token(index as usize), interest)?;
        self.counts.opening += 1;
        Ok(())
    }

    /// Opens a client's second connection. Both have the client's token, so an event of either
    /// makes the client check both.
    fn connect_second(&mut self, index: u32) -> io::Result<()> {
        let number = self.plan.share.start + index;
        let Some(client) = self.clients.get_mut(index as usize) else { return Ok(()) };
        let mut stream = link::connect(self.plan.server, number, None)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut stream, Token(index as usize), interest)?;
        client.connect_second(stream, self.plan.preset.subscribe.len());
        Ok(())
    }

    /// Runs an action on one client and updates the counts.
    fn with(&mut self, index: u32, act: impl FnOnce(&mut Client, &mut ReadScratch<'_>) -> io::Result<Next>) {
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        let shared = &mut self.shared;
        let mut scratch = ReadScratch {
            buffer: &mut shared.buffer,
            body: &mut shared.body,
            out: &mut shared.out,
            ledger: &mut shared.ledger,
            decode: &mut shared.decode,
            requests: &shared.requests,
            heartbeats: &mut shared.heartbeats,
        };
        let before = client.phase();
        let next = act(client, &mut scratch);
        let was_here = before != ClientPhase::Away;
        match next {
            Ok(Next::PollLater) => {
                let at = now() + self.plan.poll_every.nanos(client.advised);
                self.timers.push(Reverse((at, index, Timer::Poll)));
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
        let after = self.clients.get(index as usize).map_or(ClientPhase::Away, Client::phase);
        self.update_counts(before, after);
    }

    fn update_counts(&mut self, before: ClientPhase, after: ClientPhase) {
        let opening = |phase| u32::from(phase == ClientPhase::Opening);
        let subscribed = |phase| u32::from(matches!(phase, ClientPhase::Subscribed | ClientPhase::Resting));
        self.counts.opening = self.counts.opening + opening(after) - opening(before);
        self.counts.subscribed = self.counts.subscribed + subscribed(after) - subscribed(before);
    }

    /// A client's connection has ended.
    fn ended(&mut self, index: u32, before: ClientPhase, clean: bool) {
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        client.leave();
        let after = client.after;
        if clean {
            self.endings.clean += 1;
        } else {
            self.endings.cut += 1;
        }
        self.endings.afters.extend(after);
        if before == ClientPhase::Opening {
            // A server that paces its clients has said when to come back.
            if let Some(after) = after {
                let at = now() + after * MILLISECOND;
                return self.timers.push(Reverse((at, index, Timer::Connect)));
            }
            let error = io::Error::other("the connection ended before the client was subscribed");
            return self.failed(index, &error);
        }
        if !clean && after.is_none() && self.plan.ending == OnStreamEnd::Return {
            self.count_error("a stream was cut".to_owned());
        }
        match self.plan.ending {
            OnStreamEnd::Return => {
                let at = now() + after.unwrap_or(0) * MILLISECOND;
                self.timers.push(Reverse((at, index, Timer::Connect)));
            }
            OnStreamEnd::Leave => {}
        }
    }

    /// Counts an error, and reports it the first time.
    fn count_error(&mut self, reason: String) {
        let is_new = !self.errors.contains_key(&reason);
        if !is_new {
            *self.errors.entry(reason).or_default() += 1;
        } else if self.errors.len() < REASONS_MAX {
            self.news.push_back(FromWorker::Warning(reason.clone()));
            self.errors.insert(reason, 1);
        } else {
            *self.errors.entry("other reasons".to_owned()).or_default() += 1;
        }
    }

    /// A client failed: it retries after a while.
    fn failed(&mut self, index: u32, error: &io::Error) {
        self.count_error(error.to_string());
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        client.leave();
        client.failures += 1;
        if client.failures > FAILURES_MAX {
            let number = self.plan.share.start + index;
            self.news.push_back(FromWorker::Failed(format!(
                "client {number} failed {FAILURES_MAX} times: {error}"
            )));
            return;
        }
        let wait = BACKOFF << client.failures;
        let at = now() + wait + self.rng.below(wait);
        self.timers.push(Reverse((at, index, Timer::Connect)));
    }

    /// Cuts all connections; each client returns at its own random time.
    fn cut(&mut self, within: Duration) {
        let now = now();
        for index in 0..self.clients.len() as u32 {
            let before = self.clients[index as usize].phase();
            self.clients[index as usize].leave();
            self.update_counts(before, ClientPhase::Away);
            let at = now + self.rng.below(nanos(within).max(1));
            self.timers.push(Reverse((at, index, Timer::Connect)));
        }
        self.awaited = Awaited::Everybody;
    }

    /// The slow clients of this worker.
    fn slow(&self) -> impl Iterator<Item = (u32, SlowClient)> + use<> {
        let (first, stalled) = (self.plan.share.start, self.plan.stalled);
        let slow = first..(stalled + self.plan.slow_readers).min(self.plan.share.end);
        slow.map(move |number| {
            (number - first, if number < stalled { SlowClient::Stalled } else { SlowClient::Slow })
        })
    }

    fn hold(&mut self) {
        for (index, _) in self.slow() {
            self.clients[index as usize].read_mode = ReadMode::Paused;
        }
        self.timers.push(Reverse((now() + SLOW_READ_EVERY, 0, Timer::SlowRead)));
    }

    fn release(&mut self) {
        for (index, _) in self.slow() {
            self.with(index, |client, scratch| {
                client.read_mode = ReadMode::Resumed;
                client.catch_up(scratch)
            });
        }
    }

    /// Ends the counting.
    pub fn account(&mut self, published: &Published) -> FromWorker {
        let first = self.plan.share.start;
        let numbered = self.clients.iter().enumerate();
        let subscriptions = numbered.flat_map(|(index, client)| {
            client.subscriptions().iter().map(move |subscription| (first + index as u32, subscription))
        });
        self.shared.ledger.settle(subscriptions, published);
        FromWorker::Counts {
            account: self.shared.ledger.account(),
            errors: self.errors.clone(),
            endings: std::mem::take(&mut self.endings),
        }
    }
}

/// How slow a slow client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlowClient {
    Stalled,
    Slow,
}
