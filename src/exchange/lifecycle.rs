//! Events of connections and of the whole shard: written, half-closed, broken, timed out, drained.
//! Their acceptance is in `admission`.
//!
//! Every phase that can wait has a deadline, and this file handles it.

use crate::base::ids::ListenerKind;
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::Tick;
use crate::conn::limits::HEARTBEAT_EIGHTHS_MIN;
use crate::conn::phase::{Conn, Intake, Phase, Then};
use crate::conn::socket::{GOING_AWAY, NORMAL, Socket};
use crate::core::Core;
use crate::exchange::limits::OUTBOX_ROOM_PART;
use crate::protocol::native::envelope::CloseCode;
use crate::request::reply::Reply;
use crate::session::{Link, Session};
use crate::turn::input::Effect;
use crate::turn::mutation::Mutation;
use crate::turn::timer::{NodePhase, Timer};
use crate::turn::todo::Todo;
use crate::wire::refusal::Refused;

impl Core {
    /// The kernel took a part of an outbox.
    pub(crate) fn on_written(&mut self, key: ConnKey, bytes: usize) {
        let now = self.cx.now;
        self.cx.metrics.bytes[1] += bytes as u64;
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.outbox.advance(bytes);
        match &mut conn.phase {
            Phase::Streaming(exchange) => {
                exchange.moved = now;
                exchange.sent = exchange.sent.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
                let (session, duplex) = (exchange.session, exchange.socket().is_some());
                let is_long = exchange.is_long(self.cx.config.recycle_bytes);
                let has_room = conn.outbox.len() <= self.cx.config.outbox_bytes / OUTBOX_ROOM_PART;
                if is_long {
                    self.recycle(key);
                }
                if has_room && duplex {
                    self.conns.read_on(&mut self.cx, key);
                }
                if has_room && self.sessions.get(session).is_some_and(|session| session.link.is_behind()) {
                    if duplex {
                        // Reading precedes catching up, which may fill all the room: the client
                        // must be able to unsubscribe from a channel that is too busy for it.
                        self.cx.todos.push_back(Todo::CatchUp(session));
                    } else {
                        self.catch_up(session);
                    }
                }
            }
            Phase::Echo(_) | Phase::Unbound(_) => self.conns.read_on(&mut self.cx, key),
            Phase::Flushing(_) if conn.outbox.is_empty() => self.conns.flushed(&mut self.cx, key),
            Phase::Finishing { .. } if conn.outbox.is_empty() => {
                self.conns.let_go(&mut self.cx, key);
                self.conns.flushed(&mut self.cx, key);
            }
            Phase::Flushing(_) | Phase::Finishing { .. } => {
                conn.alarm.set(&mut self.cx.wheel, now + self.cx.config.write_timeout, Timer::Conn(key));
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

    /// The peer will send no more. Pending responses are still sent, because it may only have
    /// closed its half.
    pub(crate) fn ended(&mut self, key: ConnKey) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.intake = Intake::Ended;
        let session = conn.session().filter(|_| conn.socket().is_none());
        if session
            .and_then(|(session, _)| self.sessions.get(session))
            .is_some_and(Session::ends_with_connection)
        {
            return self.conns.close(&mut self.cx, key);
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        match conn.phase {
            Phase::Silent { .. }
            | Phase::Preface(_)
            | Phase::Greeting { .. }
            | Phase::Idle
            | Phase::Behind(_)
            | Phase::Lingering => {
                self.conns.close(&mut self.cx, key);
            }
            Phase::Head { .. } | Phase::Body(_) | Phase::Echo(_) | Phase::Unbound(_) | Phase::Closing(_) => {
                self.conns.close_after_answers(&mut self.cx, key);
            }
            Phase::Parked(_) => self.answer_poll(key, None),
            // What it sent before is executed, and then it ends.
            Phase::Streaming(ref exchange)
                if exchange.socket().is_some_and(|socket| !socket.reads() || !conn.tail.is_empty()) => {}
            Phase::Streaming(_) => self.conns.end_stream(&mut self.cx, key),
            Phase::Waiting(_) | Phase::Withheld(_) | Phase::Flushing(_) | Phase::Finishing { .. } => {}
        }
    }

    /// A connection is gone.
    pub(crate) fn broken(&mut self, key: ConnKey) {
        self.conns.forget(&mut self.cx, key);
    }

    /// A timer fires. It may be an old one, whose owner has set another since, or is gone.
    pub(crate) fn on_timer(&mut self, timer: Timer) {
        let now = self.cx.now;
        match timer {
            Timer::Conn(key) => {
                let Some(conn) = self.conns.get_mut(key) else { return };
                if conn.alarm.rings(&mut self.cx.wheel, now, timer) {
                    self.conn_out_of_time(key);
                }
            }
            Timer::Session(key) => {
                let Some(session) = self.sessions.get_mut(key) else { return };
                if session.alarm.rings(&mut self.cx.wheel, now, timer) {
                    self.session_out_of_time(key);
                }
            }
            Timer::Conflated(key, channel) => self.conflated_due(key, channel),
            Timer::Front(key) => self.cx.todos.push_back(Todo::Front(key)),
            Timer::Stream(key) => self.cx.todos.push_back(Todo::StreamDue(key)),
            Timer::Linger(channel) => self.lose_interest(channel),
            Timer::Roster(hidden) => self.rested(hidden),
            Timer::IdempotencyKeys => {
                self.idempotency_timer = None;
                self.arm_idempotency_timer();
            }
            Timer::Ledger => {
                self.hub.expire(now);
                self.ledger_timer = None;
                self.arm_ledger();
            }
        }
    }

    fn conn_out_of_time(&mut self, key: ConnKey) {
        let now = self.cx.now;
        let Some(conn) = self.conns.get(key) else { return };

        match conn.phase {
            Phase::Idle if conn.tail.is_empty() => self.conns.close(&mut self.cx, key),
            // The peer did not answer our close: FIN, and it may still read.
            Phase::Closing(_) => self.conns.flush(&mut self.cx, key, Then::Close),
            Phase::Echo(ref echo) if echo.is_late(now) => {
                self.conns.message_late(&mut self.cx, key);
            }
            Phase::Silent { .. }
            | Phase::Preface(_)
            | Phase::Lingering
            | Phase::Waiting(_)
            | Phase::Echo(_) => self.conns.close(&mut self.cx, key),
            // Flash stopped in the middle of its request, and would not understand an answer.
            Phase::Greeting { .. } if conn.tail.first() == Some(&b'<') => {
                self.conns.close(&mut self.cx, key);
            }
            Phase::Greeting { .. } => {
                self.conns.refuse(&mut self.cx, key, &Reply::xmlsocket(), &Refused::GreetingLate.into());
            }
            Phase::Idle | Phase::Head { .. } => {
                self.conns.refuse(&mut self.cx, key, &Reply::closing(), &Refused::HeadLate.into());
            }
            Phase::Body(_) => {
                self.conns.refuse(&mut self.cx, key, &Reply::closing(), &Refused::BodyLate.into());
            }
            Phase::Unbound(ref socket) if socket.is_late(now) => {
                self.conns.message_late(&mut self.cx, key);
            }
            Phase::Unbound(_) => {
                self.conns.close_socket(&mut self.cx, key, NORMAL, "nothing was said for long");
            }
            Phase::Parked(_) => {
                if !self.cx.broken_by(Mutation::EndlessHold) {
                    self.answer_poll(key, None);
                }
            }
            Phase::Withheld(_) => self.conns.release(&mut self.cx, key),
            Phase::Behind(_) => self.answer_both(key),
            Phase::Streaming(_) => self.on_heartbeat_due(key),
            Phase::Flushing(_) | Phase::Finishing { .. } => {
                self.cx.metrics.stalled += 1;
                self.conns.close(&mut self.cx, key);
            }
        }
    }

    /// A stream has been silent, or blocked, for some time.
    fn on_heartbeat_due(&mut self, key: ConnKey) {
        let now = self.cx.now;
        let Some(Conn { phase: Phase::Streaming(exchange), outbox, .. }) = self.conns.get(key) else {
            return;
        };
        if exchange.socket().is_some_and(|socket| socket.is_late(now)) {
            return self.conns.message_late(&mut self.cx, key);
        }
        let silent = now.since(exchange.moved);
        let (session_key, form, moved, recycle) =
            (exchange.session, exchange.form, exchange.moved, exchange.recycle);
        let sooner = exchange.deadline();
        if exchange.socket().and_then(Socket::held_until).is_some_and(|at| at <= now) {
            self.answer_hold(key);
            return self.conns.arm_heartbeat(&mut self.cx, key, moved);
        }
        if recycle.deadline().is_some_and(|at| at <= now) {
            return self.recycle(key);
        }
        if !outbox.is_empty() {
            if silent >= self.cx.config.write_timeout {
                self.cx.metrics.stalled += 1;
                self.conns.close(&mut self.cx, key);
                return;
            }
            // The peer may continue at any moment, and then be silent: the next heartbeat is due as
            // usual.
            let beat = now + self.cx.jittered(self.cx.config.heartbeat, HEARTBEAT_EIGHTHS_MIN);
            let due = beat.min(moved + self.cx.config.write_timeout);
            let due = sooner.map_or(due, |at| at.min(due));
            self.conns[key].alarm.set(&mut self.cx.wheel, due, Timer::Conn(key));
            return;
        }
        let mut since = moved;
        if silent >= self.cx.config.heartbeat.part(HEARTBEAT_EIGHTHS_MIN, 8) {
            if self.conns.has_missed_pong(&self.cx, key) {
                self.cx.metrics.stalled += 1;
                return self.conns.close(&mut self.cx, key);
            }
            let session = &mut self.sessions[session_key];
            if matches!(session.link, Link::Level(_)) {
                session.cursor = self.hub.head();
            }
            let position = self.hub.position(self.sessions[session_key].cursor);
            let beat = form.heartbeat(position, &self.cx.encoder);
            self.conns.stream(&mut self.cx, key, beat);
            since = now;
        }
        self.conns.arm_heartbeat(&mut self.cx, key, since);
    }

    fn session_out_of_time(&mut self, key: SessionKey) {
        let session = &self.sessions[key];
        let expired = session.grant.expires().is_some_and(|at| at <= self.cx.unix());
        match session.link {
            Link::Detached => self.end_session(key, CloseCode::Ended),
            _ if expired => self.end_session(key, CloseCode::Expired),
            Link::Parked(_) | Link::Waking(_) | Link::Level(_) | Link::Behind(_) => {
                self.arm_session(key);
            }
        }
    }

    /// The node will drain soon: only health checks report it.
    pub(crate) fn fail_health_checks(&mut self) {
        self.cx.life = NodePhase::Leaving;
    }

    /// The node stops: tells all clients, and when to reconnect.
    pub(crate) fn drain(&mut self, by: Tick) {
        self.cx.life = NodePhase::Draining { by };
        for key in self.conns.keys() {
            let Some(conn) = self.conns.get_mut(key) else { continue };
            conn.phase.answer_and_close();
            if self.is_held(key) {
                self.answer_before(key, by);
                continue;
            }
            let Some(conn) = self.conns.get_mut(key) else { continue };
            match conn.phase {
                Phase::Silent { .. }
                | Phase::Preface(_)
                | Phase::Greeting { .. }
                | Phase::Idle
                | Phase::Echo(_) => {
                    self.conns.close(&mut self.cx, key);
                }
                Phase::Parked(ref poll) => {
                    let session = poll.session;
                    self.close_link(session, CloseCode::Drain);
                }
                Phase::Streaming(_) => self.close_stream(key, CloseCode::Drain),
                Phase::Unbound(_) => self.conns.close_socket(&mut self.cx, key, GOING_AWAY, "the node is going away"),
                Phase::Finishing { ref mut then, .. } => {
                    *then = Then::Close;
                    self.conns.let_go(&mut self.cx, key);
                }
                Phase::Flushing(Then::Next) => self.conns.flush(&mut self.cx, key, Then::Close),
                Phase::Head { .. }
                | Phase::Body(_)
                | Phase::Waiting(_)
                // Told with the poll before it.
                | Phase::Behind(_)
                | Phase::Closing(_)
                | Phase::Withheld(_)
                | Phase::Flushing(Then::Close)
                | Phase::Lingering => {}
            }
        }
    }

    /// Reports the end of the drain once no client waits for an answer.
    pub(crate) fn check_drained(&mut self) {
        let NodePhase::Draining { .. } = self.cx.life else { return };
        let idle = |conn: &Conn| conn.reads() && conn.outbox.is_empty();
        let done = self.conns.iter().all(|(_, conn)| conn.listener == ListenerKind::Private && idle(conn));
        if done && !self.has_queued() {
            self.cx.life = NodePhase::Drained;
            self.cx.effects.push_back(Effect::Drained);
        }
    }
}
