//! What befalls connections and the shard from outside: written, ended, broken, out of time, drained. How they get in is in
//! `admission`.
//!
//! Every phase that can wait for someone has a deadline, and this is where they ring.

use crate::base::ids::Door;
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::{Span, Tick};
use crate::protocol::bayeux::answer::Crowd;
use crate::protocol::native::envelope::CloseCode;
use crate::shard::bayeux::{Gives, Turn};
use crate::shard::conn::{Conn, Intake, Phase, Then};
use crate::shard::conns::Conns;
use crate::shard::core::Core;
use crate::shard::cx::Cx;
use crate::shard::input::Effect;
use crate::shard::mutation::Mutation;
use crate::shard::reply::Reply;
use crate::shard::session::Link;
use crate::shard::socket::{GOING_AWAY, NORMAL, Socket};
use crate::shard::todo::Todo;
use crate::shard::{Life, Shard, Timer};
use crate::wire::refusal::Refusal;

/// Timers that ring in one turn. Sixty thousand sessions that were made together end together, and
/// an end takes some microseconds: others are not to wait for all of them. The wheel says that it
/// is due again, so the next turn goes on at once.
const TIMERS_A_TURN: usize = 512;

impl Conns {
    /// Sets the next heartbeat of a stream: jittered, so that streams which opened together do not beat together. It
    /// is also when a reader that takes nothing is noticed, so it is no further off than that may last.
    pub(super) fn arm_heartbeat(&mut self, cx: &mut Cx, key: ConnKey, since: Tick) {
        let now = cx.now;
        let due = since + cx.jittered(cx.config.heartbeat, HEARTBEAT_PART);
        let due = due.min(now + cx.config.write_timeout);
        if let Some(conn) = self.slab.get_mut(key) {
            let sooner = match &conn.phase {
                Phase::Streaming(exchange) => exchange.deadline(),
                // Its deadline is another.
                _ => return,
            };
            conn.alarm.set(&mut cx.wheel, sooner.map_or(due, |at| at.min(due)), Timer::Conn(key));
        }
    }

    /// A socket is about to be pinged: whether the last ping was in vain.
    fn is_deaf(&mut self, cx: &Cx, key: ConnKey) -> bool {
        let now = cx.now;
        let unchecked = cx.broken_by(Mutation::PongsUnchecked);
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.slab.get_mut(key) else {
            return false;
        };
        let unanswered = exchange.socket_mut().and_then(|socket| socket.pinged(now));
        !unchecked
            && unanswered.is_some_and(|since| now.since(since) >= cx.config.heartbeat.part(HEARTBEAT_PART, 8))
    }
}

impl Core {
    /// Keeps a timer on the oldest message, while there is one.
    pub(super) fn arm_ledger(&mut self) {
        /// Old messages go in strokes, so that a busy shard does not wake for each.
        const STROKE: Span = Span::from_secs(1);
        let now = self.cx.now;
        if self.ledger_timer.is_none()
            && let Some(due) = self.hub.expires()
        {
            self.ledger_timer = Some(self.cx.wheel.arm(due.max(now + STROKE), Timer::Ledger));
        }
    }

    /// Keeps a timer on the oldest key of a publish, while there is one.
    pub(super) fn arm_once(&mut self) {
        let now = self.cx.now;
        if self.once_timer.is_none()
            && let Some(due) = self.once.forget(now)
        {
            self.once_timer = Some(self.cx.wheel.arm(due, Timer::Once));
        }
    }
}

impl Shard {
    /// The kernel took a part of an outbox.
    pub(super) fn written(&mut self, key: ConnKey, bytes: usize) {
        let now = self.core.cx.now;
        self.core.cx.metrics.bytes[1] += bytes as u64;
        let Some(conn) = self.core.conns.get_mut(key) else { return };
        conn.outbox.advance(bytes);
        match &mut conn.phase {
            Phase::Streaming(exchange) => {
                exchange.moved = now;
                exchange.sent = exchange.sent.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
                let (session, duplex) = (exchange.session, exchange.socket().is_some());
                let is_long = exchange.is_long(self.core.cx.config.recycle_bytes);
                let has_room = conn.outbox.len() <= self.core.cx.config.outbox_bytes / 2;
                if is_long {
                    self.recycle(key);
                }
                if has_room && duplex {
                    // Reading comes before what it is behind with, which may fill all the room: the
                    // client must be able to leave a channel that is too much for it.
                    self.core.conns.read_on(&mut self.core.cx, key);
                    if self.core.sessions.get(session).is_some_and(|session| session.link.is_behind()) {
                        self.core.cx.todos.push_back(Todo::CatchUp(session));
                    }
                } else if has_room {
                    self.catch_up(session);
                }
            }
            Phase::Echo(_) | Phase::Unbound(_) => self.core.conns.read_on(&mut self.core.cx, key),
            Phase::Flushing(_) if conn.outbox.is_empty() => self.core.conns.flushed(&mut self.core.cx, key),
            Phase::Flushing(_) => {
                conn.alarm.set(
                    &mut self.core.cx.wheel,
                    now + self.core.cx.config.write_timeout,
                    Timer::Conn(key),
                );
            }
            Phase::Silent { .. }
            | Phase::Preface(_)
            | Phase::Greeting { .. }
            | Phase::Idle
            | Phase::Head { .. }
            | Phase::Body(_)
            | Phase::Waiting(_)
            | Phase::Parked(_)
            | Phase::Behind(_)
            | Phase::Closing(_)
            | Phase::Withheld(_)
            | Phase::Lingering => {}
        }
    }

    /// The other end will send no more. What is owed to it is still sent: it may only have closed its half.
    pub(super) fn ended(&mut self, key: ConnKey) {
        let Some(conn) = self.core.conns.get_mut(key) else { return };
        conn.intake = Intake::Ended;
        match conn.phase {
            Phase::Silent { .. }
            | Phase::Preface(_)
            | Phase::Greeting { .. }
            | Phase::Idle
            | Phase::Behind(_)
            | Phase::Lingering => {
                self.core.conns.close(&mut self.core.cx, key);
            }
            Phase::Head { .. } | Phase::Body(_) | Phase::Echo(_) | Phase::Unbound(_) | Phase::Closing(_) => {
                self.core.conns.part(&mut self.core.cx, key);
            }
            Phase::Parked(_) => self.answer_poll(key, None),
            // What it sent before is carried out, and then it ends.
            Phase::Streaming(ref exchange)
                if exchange.socket().is_some_and(|socket| !socket.reads() || !conn.tail.is_empty()) => {}
            Phase::Streaming(_) => self.core.conns.end_stream(&mut self.core.cx, key),
            Phase::Waiting(_) | Phase::Withheld(_) | Phase::Flushing(_) => {}
        }
    }

    /// A connection is gone.
    pub(super) fn broken(&mut self, key: ConnKey) {
        self.core.conns.forget(&mut self.core.cx, key);
    }

    /// Time has passed.
    pub(super) fn expire(&mut self) {
        let now = self.core.cx.now;
        self.work_off_backlog();
        self.end_some();
        for _ in 0..TIMERS_A_TURN {
            let Some(timer) = self.core.cx.wheel.expire(now) else { return };
            self.core.cx.steps.occasions(1);
            self.ring(timer);
            self.carry_out_todos();
        }
    }

    /// A timer rings. It may be an old one, whose owner has set another since, or is gone.
    fn ring(&mut self, timer: Timer) {
        let now = self.core.cx.now;
        match timer {
            Timer::Conn(key) => {
                let Some(conn) = self.core.conns.get_mut(key) else { return };
                if conn.alarm.rings(&mut self.core.cx.wheel, now, timer) {
                    self.conn_out_of_time(key);
                }
            }
            Timer::Session(key) => {
                let Some(session) = self.core.sessions.get_mut(key) else { return };
                if session.alarm.rings(&mut self.core.cx.wheel, now, timer) {
                    self.session_out_of_time(key);
                }
            }
            Timer::Conflated(key, channel) => self.core.conflated_due(key, channel),
            Timer::Linger(channel) => self.core.lose_interest(channel),
            Timer::Room(hidden) => self.core.rested(hidden),
            Timer::Once => {
                self.core.once_timer = None;
                self.core.arm_once();
            }
            Timer::Ledger => {
                self.core.hub.expire(now);
                self.core.ledger_timer = None;
                self.core.arm_ledger();
            }
        }
    }

    fn conn_out_of_time(&mut self, key: ConnKey) {
        let now = self.core.cx.now;
        let Some(conn) = self.core.conns.get(key) else { return };
        let late = |reason: &'static str| Refusal::new(408, "timeout", reason);
        match conn.phase {
            Phase::Idle if conn.tail.is_empty() => self.core.conns.close(&mut self.core.cx, key),
            // It did not answer our close: FIN, and it may still read.
            Phase::Closing(_) => self.core.conns.flush(&mut self.core.cx, key, Then::Close),
            Phase::Echo(ref echo) if echo.is_late(now) => {
                self.core.conns.message_late(&mut self.core.cx, key);
            }
            Phase::Silent { .. }
            | Phase::Preface(_)
            | Phase::Lingering
            | Phase::Waiting(_)
            | Phase::Echo(_) => self.core.conns.close(&mut self.core.cx, key),
            // Flash stopped half-way through its question: it would not understand an answer.
            Phase::Greeting { .. } if conn.tail.first() == Some(&b'<') => {
                self.core.conns.close(&mut self.core.cx, key);
            }
            Phase::Greeting { .. } => {
                self.core.conns.refuse(
                    &mut self.core.cx,
                    key,
                    &Reply::xmlsocket(),
                    &late("no message came within ENCKE_HEAD_TIMEOUT"),
                );
            }
            Phase::Idle | Phase::Head { .. } => {
                self.core.conns.refuse(
                    &mut self.core.cx,
                    key,
                    &Reply::closing(),
                    &late("the request's head took longer than ENCKE_HEAD_TIMEOUT"),
                );
            }
            Phase::Body(_) => {
                self.core.conns.refuse(
                    &mut self.core.cx,
                    key,
                    &Reply::closing(),
                    &late("the request's body took longer than ENCKE_BODY_TIMEOUT"),
                );
            }
            Phase::Unbound(ref socket) if socket.is_late(now) => {
                self.core.conns.message_late(&mut self.core.cx, key);
            }
            Phase::Unbound(_) => {
                self.core.conns.close_socket(&mut self.core.cx, key, NORMAL, "nothing was said for long");
            }
            Phase::Parked(_) => {
                if !self.core.cx.broken_by(Mutation::EndlessHold) {
                    self.answer_poll(key, None);
                }
            }
            Phase::Withheld(_) => self.core.conns.release(&mut self.core.cx, key),
            Phase::Behind(_) => self.answer_both(key),
            Phase::Streaming(_) => self.beat(key),
            Phase::Flushing(_) => {
                self.core.cx.metrics.stalled += 1;
                self.core.conns.close(&mut self.core.cx, key);
            }
        }
    }

    /// A stream has been silent, or stuck, for some time.
    fn beat(&mut self, key: ConnKey) {
        let now = self.core.cx.now;
        let Some(Conn { phase: Phase::Streaming(exchange), outbox, .. }) = self.core.conns.get(key) else {
            return;
        };
        if exchange.socket().is_some_and(|socket| socket.is_late(now)) {
            return self.core.conns.message_late(&mut self.core.cx, key);
        }
        let silent = now.since(exchange.moved);
        let (session_key, form, moved, recycle) =
            (exchange.session, exchange.form, exchange.moved, exchange.recycle);
        let sooner = exchange.deadline();
        if exchange.socket().and_then(Socket::held_until).is_some_and(|at| at <= now) {
            self.answer_held(key, Turn::On(Crowd::Alone), Gives::Messages);
            return self.core.conns.arm_heartbeat(&mut self.core.cx, key, moved);
        }
        if recycle.deadline().is_some_and(|at| at <= now) {
            return self.recycle(key);
        }
        if !outbox.is_empty() {
            if silent >= self.core.cx.config.write_timeout {
                self.core.cx.metrics.stalled += 1;
                self.core.conns.close(&mut self.core.cx, key);
                return;
            }
            // It may go on at any moment, and then be silent: the next heartbeat is due as ever.
            let beat = now + self.core.cx.jittered(self.core.cx.config.heartbeat, HEARTBEAT_PART);
            let due = beat.min(moved + self.core.cx.config.write_timeout);
            let due = sooner.map_or(due, |at| at.min(due));
            self.core.conns[key].alarm.set(&mut self.core.cx.wheel, due, Timer::Conn(key));
            return;
        }
        let mut since = moved;
        if silent >= self.core.cx.config.heartbeat.part(HEARTBEAT_PART, 8) {
            if self.core.conns.is_deaf(&self.core.cx, key) {
                self.core.cx.metrics.stalled += 1;
                return self.core.conns.close(&mut self.core.cx, key);
            }
            let session = &mut self.core.sessions[session_key];
            if matches!(session.link, Link::Level(_)) {
                session.cursor = self.core.hub.head();
            }
            let position = self.core.hub.position(self.core.sessions[session_key].cursor);
            let beat = form.heartbeat(position, &self.core.cx.press);
            self.core.conns.stream(&mut self.core.cx, key, beat);
            since = now;
        }
        self.core.conns.arm_heartbeat(&mut self.core.cx, key, since);
    }

    fn session_out_of_time(&mut self, key: SessionKey) {
        let session = &self.core.sessions[key];
        let expired = session.grant.expires().is_some_and(|at| at <= self.core.cx.unix());
        match session.link {
            Link::Detached => self.end_session(key, CloseCode::Ended),
            _ if expired => self.end_session(key, CloseCode::Expired),
            Link::Parked(_) | Link::Waking(_) | Link::Level(_) | Link::Behind(_) => {
                self.core.arm_session(key);
            }
        }
    }

    /// The node will drain soon: balancers are told, by their health checks, and nobody else.
    pub(super) fn fail_health_checks(&mut self) {
        self.core.cx.life = Life::Leaving;
    }

    /// The node is going away: everyone is told, and told when to come back.
    pub(super) fn drain(&mut self, by: Tick) {
        self.core.cx.life = Life::Draining { by };
        for key in self.core.conns.keys() {
            let Some(conn) = self.core.conns.get_mut(key) else { continue };
            conn.phase.answer_and_close();
            if self.holds_bayeux(key) {
                self.answer_before(key, by);
                continue;
            }
            let Some(conn) = self.core.conns.get_mut(key) else { continue };
            match conn.phase {
                Phase::Silent { .. }
                | Phase::Preface(_)
                | Phase::Greeting { .. }
                | Phase::Idle
                | Phase::Echo(_) => {
                    self.core.conns.close(&mut self.core.cx, key);
                }
                Phase::Parked(ref poll) => {
                    let session = poll.session;
                    self.close_link(session, CloseCode::Drain);
                }
                Phase::Streaming(_) => self.close_stream(key, CloseCode::Drain),
                Phase::Unbound(_) => self.core.conns.close_socket(&mut self.core.cx, key, GOING_AWAY, "the node is going away"),
                Phase::Flushing(Then::Next) => self.core.conns.flush(&mut self.core.cx, key, Then::Close),
                Phase::Head { .. }
                | Phase::Body(_)
                | Phase::Waiting(_)
                // Told with the one before it.
                | Phase::Behind(_)
                | Phase::Closing(_)
                | Phase::Withheld(_)
                | Phase::Flushing(Then::Close)
                | Phase::Lingering => {}
            }
        }
    }

    /// Says so once nothing is left that wants an answer.
    pub(super) fn check_drained(&mut self) {
        let Life::Draining { .. } = self.core.cx.life else { return };
        let idle = |conn: &Conn| conn.reads() && conn.outbox.is_empty();
        let done = self.core.conns.iter().all(|(_, conn)| conn.door == Door::Private && idle(conn));
        if done && !self.core.has_queued() {
            self.core.cx.life = Life::Drained;
            self.core.cx.effects.push_back(Effect::Drained);
        }
    }
}

/// Heartbeats come after 6/8 to 8/8 of `ENCKE_HEARTBEAT`, which is the longest silence that clients are promised.
const HEARTBEAT_PART: u64 = 6;
