//! The loop that drives one shard: the only place with sockets and the clock.
//!
//! A turn handles all input (mail, new connections, bytes, timers) and only then writes, once to
//! each connection: if many polls wake, in groups, and the rest at the end of the input. Effects
//! other than writes are executed as soon as the shard emits them: so all mail of a turn is sent
//! before any client can see the turn's effects. Every step has a budget; work beyond it prevents
//! the next sleep. The shard decides what bytes mean.
//!
//! Invariant: nothing sleeps while a socket stands in a run-queue or a letter lies in the mailbox.
#![expect(clippy::disallowed_methods, reason = "the reactor reads the clock, and hands the time down")]

mod activation;
mod backends;
pub mod bind;
pub mod clock;
mod dial;
pub mod fault;
pub mod files;
pub mod hooks;
mod limits;
pub mod listeners;
pub mod mailbox;
mod outcome;
pub mod post;
pub mod resolve;
mod sockets;
pub mod stream;
mod system;
pub mod tls;
pub mod token_keys;

use std::{
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, Waker};

use self::{
    clock::Clock,
    dial::Dials,
    fault::Fault,
    hooks::Hooks,
    listeners::{Arrival, Listener, Listeners, Reserve},
    mailbox::{Mailbox, MailboxSender, Sleep, mailbox},
    outcome::{Health, ReadOutcome, WriteOutcome, WriteRest},
    post::{Letter, Order, Postbox, ThreadReport},
    resolve::Resolver,
    sockets::Sockets,
    stream::{BackendStream, NetStream, PolledStream as _},
    tls::TargetConnectors,
    token_keys::Asker,
};
use crate::base::slab::{ConnKey, PendingKey, SocketKey, StreamKey};
use crate::base::ticks::Tick;
use crate::reactor::limits::{
    ACCEPTS_PER_TURN, EVENTS_PER_TURN, GAUGES_EVERY, LETTERS_PER_TURN, READ_BUFFER_BYTES,
    READ_BYTES_PER_SOCKET, READ_BYTES_PER_TURN, READ_COST_BYTES_MIN, TURNED_AWAY_READ_BYTES,
    WRITE_BYTES_PER_SOCKET,
};
use crate::shard::{Input, ListenerKind, Parcel, Shard, ShardId};
use crate::turn::hook::Hook;
use crate::turn::input::Effect;

/// The poll of one shard, its mailbox and its reserve of descriptors: created by the main thread
/// before any shard runs, so that all know all mailboxes from the start, and no shard can take the
/// last descriptor of another.
pub struct ShardPorts {
    poll: Poll,
    mailbox: Mailbox<Letter>,
    reserve: Reserve,
}

/// A shard's links to the rest of the node.
pub struct Links {
    /// The same for all threads.
    pub clock: Clock,
    /// To the other shards.
    pub postbox: Postbox,
    /// To the main thread.
    pub reports: MailboxSender<ThreadReport>,
    /// To the backend.
    pub hooks: Hooks,
    /// TLS for targets.
    pub connectors: TargetConnectors,
    /// To the threads that resolve names.
    pub resolver: Resolver,
    /// To the thread that fetches the issuer's keys.
    pub token_keys: Asker,
    /// The counter of dropped log lines, for the one shard that reports it.
    pub log_dropped: Option<Arc<AtomicU64>>,
}

/// One shard and everything that connects it with the world.
pub struct Reactor {
    id: ShardId,
    shard: Shard,
    links: Links,
    poll: Poll,
    mailbox: Mailbox<Letter>,
    listeners: Listeners,
    sockets: Sockets<ConnKey>,
    /// The connections to backends.
    backends: Sockets<StreamKey, BackendStream>,
    dials: Dials,
    /// The one read buffer: an idle connection owns none.
    buffer: Box<[u8]>,
    /// The shards that the shard believes to be congested.
    congested: u64,
    next_gauges: Tick,
    /// The number of letters that may still be taken in this turn.
    letters_left: usize,
    /// Dropped log lines reported to the shard so far.
    log_dropped: u64,
    run_state: RunState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RunState {
    Running,
    Stopping,
}

impl ShardPorts {
    /// A poll, and a mailbox that can end its sleep.
    ///
    /// # Errors
    /// When the system has no descriptors left for them.
    pub fn new() -> io::Result<(MailboxSender<Letter>, Self)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), MAILBOX)?;
        let (sender, mailbox) = mailbox(waker);
        Ok((sender, Self { poll, mailbox, reserve: Reserve::new()? }))
    }
}

impl Reactor {
    /// Attaches the shard `id` to its ports and lets it accept at `listeners`.
    ///
    /// # Errors
    /// When a listener cannot be put into the poll.
    pub fn new(
        id: ShardId,
        shard: Shard,
        ports: ShardPorts,
        listeners: Vec<(ListenerKind, Listener)>,
        links: Links,
    ) -> Result<Self, Fault> {
        let listeners = Listeners::new(ports.poll.registry(), FIRST_LISTENER, listeners, ports.reserve)
            .map_err(Fault::doing("watch the listeners"))?;
        let dials = Dials::new(Arc::clone(&links.connectors));
        Ok(Self {
            id,
            shard,
            links,
            poll: ports.poll,
            mailbox: ports.mailbox,
            listeners,
            sockets: Sockets::default(),
            backends: Sockets::default(),
            dials,
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            congested: 0,
            next_gauges: Tick::ZERO,
            letters_left: 0,
            log_dropped: 0,
            run_state: RunState::Running,
        })
    }

    /// Runs until the main thread orders it to stop.
    ///
    /// # Errors
    /// When the poll fails, which it does not while the process is sound.
    pub fn run(mut self) -> Result<(), Fault> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        while self.run_state == RunState::Running {
            self.sleep(&mut events).map_err(Fault::doing("wait for events"))?;
            let began = Instant::now();
            self.turn(&events);
            self.give_turn_time(began.elapsed());
        }
        log::debug!("shard {} stops with {} sockets open", self.id.0, self.sockets.len());
        Ok(())
    }

    /// Waits for an event or a deadline; not at all if work is left.
    fn sleep(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = match self.mailbox.before_sleep() {
            Sleep::Refused => Some(Duration::ZERO),
            Sleep::Allowed => self.sleep_max(),
        };
        let woken = self.poll.poll(events, timeout);
        self.mailbox.after_sleep();
        match woken {
            // The main thread acts on signals; here one only ends the sleep.
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            done => done,
        }
    }

    fn sleep_max(&self) -> Option<Duration> {
        if !self.sockets.is_idle() || !self.backends.is_idle() {
            return Some(Duration::ZERO);
        }
        let now = self.links.clock.now();
        let due = [self.shard.next_deadline(), self.listeners.next_accept(now), self.dials.next_deadline()];
        due.into_iter().flatten().min().map(|deadline| Clock::until(now, deadline))
    }

    /// All input, then all output.
    fn turn(&mut self, events: &Events) {
        let now = self.links.clock.now();
        self.note_congestion(now);
        self.give_gauges(now);
        self.note_events(now, events);
        self.letters_left = LETTERS_PER_TURN;
        self.take_letters(now);
        self.read_sockets(now);
        self.read_backends(now);
        // Behind the work for those who are here.
        self.accept(now);
        self.finish_dials(now);
        if self.shard.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.give(now, Input::Expire);
        }
        // Written now, while the data is in the processor's caches.
        while self.shard.wake_some(now) {
            self.run_effects();
            self.write_sockets(now);
        }
        self.give(now, Input::EndTurn);
        self.write_sockets(now);
        self.write_backends(now);
    }

    /// Passes one input to the shard and executes its effects.
    fn give(&mut self, now: Tick, input: Input<'_>) {
        self.shard.handle(now, input);
        self.run_effects();
    }

    fn run_effects(&mut self) {
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Write(conn) => self.sockets.want_write(conn),
                Effect::Pause(conn) => self.sockets.pause(conn),
                Effect::Resume(conn) => self.sockets.resume(conn),
                Effect::ShutdownWrite(conn) => self.sockets.shutdown_write(conn),
                Effect::Close(conn) => self.sockets.close(conn),
                Effect::HandOff { conn, to, parcel } => self.hand_off(conn, to, parcel),
                Effect::Mail { to, mail } => {
                    self.links.postbox.send(to, Letter::Mail { from: self.id, mail });
                }
                Effect::Hook { pending, hook, body } => self.ask(pending, hook, body),
                Effect::Stream { stream, act } => self.act_on_stream(stream, act),
                Effect::FetchKeys => self.links.token_keys.ask(),
                Effect::Drained => self.links.reports.send(ThreadReport::Drained(self.id)),
            }
        }
    }

    /// A refused call is answered by mail too, so that the shard gets every answer in the same way.
    fn ask(&self, pending: PendingKey, hook: Hook, body: Vec<u8>) {
        if let Err(answer) = self.links.hooks.call(self.id, pending, hook, body) {
            self.links.postbox.send(self.id, Letter::Hooked { pending, answer });
        }
    }

    fn hand_off(&mut self, conn: ConnKey, to: ShardId, parcel: Parcel) {
        match self.sockets.release(self.poll.registry(), conn) {
            Some(Ok(stream)) => self.links.postbox.send(to, Letter::Moved { stream, parcel }),
            Some(Err(error)) => log::warn!("a connection could not be moved and is closed: {error}"),
            None => {}
        }
    }

    fn note_congestion(&mut self, now: Tick) {
        let congested = self.links.postbox.congested(self.congested);
        if congested != self.congested {
            self.congested = congested;
            self.give(now, Input::Congestion { shards: congested });
        }
    }

    fn note_events(&mut self, now: Tick, events: &Events) {
        for event in events {
            let token = event.token();
            // The mailbox has ended the sleep; every turn checks it.
            if token == MAILBOX {
                continue;
            }
            if let Some(conn) = ConnKey::from_token(token.0) {
                let health = self.sockets.note(conn, event);
                self.on_health(now, conn, health);
            } else if let Some(stream) = StreamKey::from_token(token.0) {
                self.note_stream(now, stream, event);
            } else if !self.dials.note(self.poll.registry(), now, token) {
                self.listeners.note(token);
            }
        }
    }

    fn on_health(&mut self, now: Tick, conn: ConnKey, health: Health) {
        match health {
            Health::Ok => {}
            Health::Broken => self.give(now, Input::Broken { conn }),
        }
    }

    fn take_letters(&mut self, now: Tick) {
        while self.letters_left > 0 {
            let Some(letter) = self.mailbox.take() else { break };
            self.letters_left -= 1;
            match letter {
                Letter::Mail { from, mail } => self.give(now, Input::Mail { from, mail }),
                Letter::Moved { stream, parcel } => self.adopt(now, stream, parcel),
                Letter::Hooked { pending, answer } => self.give(now, Input::Hooked { pending, answer }),
                Letter::Resolved { stream, found } => {
                    self.dials.resolved(self.poll.registry(), now, stream, found);
                }
                Letter::Order(order) => self.execute_order(now, order),
            }
        }
    }

    fn execute_order(&mut self, now: Tick, order: Order) {
        match order {
            Order::Wall { unix_ms_at_zero } => self.give(now, Input::Wall { unix_ms_at_zero }),
            Order::Leave => self.give(now, Input::Leave),
            Order::Drain { by } => {
                for arrival in self.listeners.close_public(now, ACCEPTS_PER_TURN) {
                    self.admit(now, arrival);
                }
                self.give(now, Input::Drain { by });
            }
            Order::Reload { keys } => self.give(now, Input::Reload { keys }),
            Order::Alive => self.links.reports.send(ThreadReport::Alive(self.id)),
            Order::Stop => self.run_state = RunState::Stopping,
        }
    }

    fn accept(&mut self, now: Tick) {
        let mut taken = 0;
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let Some(arrival) = self.listeners.accept(now, index, taken) else { break };
                self.admit(now, arrival);
                taken += 1;
            }
        }
    }

    fn admit(&mut self, now: Tick, arrival: Arrival) {
        match self.shard.accept(now, arrival.kind, arrival.peer) {
            Ok(conn) => self.sockets.welcome(conn, arrival.stream),
            Err(refusal) => turn_away(arrival.stream, &refusal),
        }
        self.run_effects();
    }

    fn adopt(&mut self, now: Tick, stream: NetStream, parcel: Parcel) {
        let ended = parcel.ended;
        match self.shard.adopt(now, parcel) {
            Ok(conn) => {
                if let Err(error) = self.sockets.insert(self.poll.registry(), conn, stream) {
                    log::warn!("a connection could not be watched and is closed: {error}");
                    self.shard.handle(now, Input::Broken { conn });
                }
                if ended {
                    self.sockets.skip_end(conn);
                }
            }
            Err(refusal) => turn_away(stream, &refusal),
        }
        self.run_effects();
    }

    fn read_sockets(&mut self, now: Tick) {
        let mut budget = READ_BYTES_PER_TURN;
        for _ in 0..self.sockets.readers() {
            let Some(conn) = self.sockets.next_reader() else { break };
            let cost = self.read_socket(now, conn).max(READ_COST_BYTES_MIN);
            budget = budget.saturating_sub(cost);
            if budget == 0 {
                break;
            }
        }
    }

    /// Reads one connection until it is dry, paused, gone or has used up its share. Returns the
    /// bytes read.
    fn read_socket(&mut self, now: Tick, conn: ConnKey) -> usize {
        let mut total = 0;
        while total < READ_BYTES_PER_SOCKET || total < self.shard.read_bytes_granted(conn) {
            match self.sockets.read(conn, &mut self.buffer) {
                ReadOutcome::Bytes(count) => {
                    total += count;
                    // A client that got another shard's confirmation of its subscription may
                    // publish here at once. The letter about the subscription was sent before that,
                    // so it is here by now. (A connection whose bytes are being read moves only
                    // because of its own bytes.)
                    if self.mailbox.depth() > 0 {
                        self.take_letters(now);
                    }
                    self.shard.handle(now, Input::Bytes { conn, bytes: &self.buffer[..count] });
                    // Before the next read: the shard may have paused or moved the connection.
                    self.run_effects();
                }
                ReadOutcome::End => self.give(now, Input::End { conn }),
                ReadOutcome::Broken => self.give(now, Input::Broken { conn }),
                ReadOutcome::Nothing => break,
            }
        }
        let health = self.sockets.after_read(self.poll.registry(), conn);
        self.on_health(now, conn, health);
        total
    }

    /// Serves the current queue: later requests belong to the next turn, so a turn is bounded.
    fn write_sockets(&mut self, now: Tick) {
        for _ in 0..self.sockets.writers() {
            let Some(conn) = self.sockets.next_writer() else { break };
            let rest = self.write_socket(now, conn);
            let health = self.sockets.after_write(self.poll.registry(), conn, rest);
            self.on_health(now, conn, health);
        }
    }

    /// Writes one connection's outbox until it is empty, blocked, gone or has used up its share.
    fn write_socket(&mut self, now: Tick, conn: ConnKey) -> WriteRest {
        let mut total = 0;
        while total < WRITE_BYTES_PER_SOCKET {
            let Some(outbox) = self.shard.outbox(conn).filter(|outbox| !outbox.is_empty()) else {
                return WriteRest::Nothing;
            };
            match self.sockets.write(conn, outbox) {
                WriteOutcome::Wrote(bytes) => {
                    total += bytes;
                    self.give(now, Input::Written { conn, bytes });
                }
                WriteOutcome::Broken => {
                    self.give(now, Input::Broken { conn });
                    return WriteRest::Later;
                }
                WriteOutcome::Later => return WriteRest::Later,
            }
        }
        WriteRest::More
    }

    fn give_gauges(&mut self, now: Tick) {
        // Dropped log lines are reported at once: an operator who misses the log looks at the
        // metrics.
        let log_dropped = self.links.log_dropped.as_ref().map_or(0, |count| count.load(Ordering::Relaxed));
        if now >= self.next_gauges || log_dropped != self.log_dropped {
            (self.next_gauges, self.log_dropped) = (now + GAUGES_EVERY, log_dropped);
            let (mailbox, refused) = (self.mailbox.depth(), self.listeners.refused());
            self.give(now, Input::Gauges { mailbox, refused, log_dropped });
        }
    }

    fn give_turn_time(&mut self, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.give(self.links.clock.now(), Input::Turn { micros });
    }
}

/// Closes a connection after writing the shard's last bytes.
fn turn_away(mut stream: NetStream, refusal: &[u8]) {
    // A fresh send buffer has room for a short answer; if not, the connection just closes.
    let written = stream.write(&[io::IoSlice::new(refusal)]).and_then(|_| stream.shutdown_write());
    written.unwrap_or_else(|error| log::debug!("could not write a refusal: {error}"));
    // Closing with the request unread would reset the connection, and the answer might be lost.
    let mut request = [0; TURNED_AWAY_READ_BYTES];
    while stream.read(&mut request).is_ok_and(|count| count == request.len()) {}
}

/// The mailbox's place in the poll. Connections have their generation in the upper half of the
/// token, which is never zero, so small numbers are free for others.
const MAILBOX: Token = Token(0);

/// Listeners follow the mailbox.
const FIRST_LISTENER: usize = 1;
