//! Two long polls of one session at once: the second waits behind the first, and moves up when that is answered.
//!
//! A client that asks again only when it has its answer is deaf for a round trip, and a message that comes meanwhile waits for it. With
//! `overlap=1` it keeps two requests open, so that one is always there to be answered. The first knows the second; the session
//! knows the first alone.

use crate::base::slab::{ConnKey, SessionKey};
use crate::shard::conn::{Conn, Phase, Poll};
use crate::shard::conns::Conns;
use crate::shard::core::Core;
use crate::shard::request::Open;
use crate::shard::session::Link;
use crate::shard::{Shard, Timer};
use crate::transport::Delivery;

impl Conns {
    /// The long poll that waits behind another one, which is about to be answered.
    pub(super) fn take_second(&mut self, first: ConnKey) -> Option<ConnKey> {
        match &mut self.slab.get_mut(first)?.phase {
            Phase::Parked(poll) => poll.behind.take(),
            _ => None,
        }
    }

    /// The second of two long polls is gone, if this one is.
    pub(super) fn leave_from_behind(&mut self, first: ConnKey, second: ConnKey) {
        if let Some(Conn { phase: Phase::Parked(ahead), .. }) = self.slab.get_mut(first) {
            ahead.behind.take_if(|behind| *behind == second);
        }
    }
}

impl Core {
    /// The long poll that a further one of the session may wait behind, if the request asks for that and brings nothing else.
    pub(super) fn poll_ahead(&self, key: SessionKey, open: &Open) -> Option<ConnKey> {
        let overlaps = open.since.is_none()
            && open.channels.is_empty()
            && open.asks_for("overlap")
            && open.transport.transport().delivery() == Delivery::Held;
        // One that is about to be answered counts: else the second would replace it, and tell it so.
        let (Link::Parked(first) | Link::Waking(first)) = self.sessions.get(key)?.link else { return None };
        match &self.conns.get(first)?.phase {
            Phase::Parked(poll) if overlaps && poll.behind.is_none() => Some(first),
            _ => None,
        }
    }

    /// Puts a long poll behind another one of its session.
    pub(super) fn wait_behind(&mut self, first: ConnKey, conn: ConnKey, poll: Poll) {
        let now = self.cx.now;
        let Some(Conn { phase: Phase::Parked(ahead), .. }) = self.conns.get_mut(first) else { return };
        ahead.behind = Some(conn);
        self.cx.metrics.exchanges[poll.form.transport.index()] += 1;
        let hold = self.cx.jittered(self.cx.config.poll_hold, 7);
        let at = &mut self.conns[conn];
        at.phase = Phase::Behind(Box::new(poll));
        at.alarm.set(&mut self.cx.wheel, now + hold, Timer::Conn(conn));
    }

    /// Parks a long poll that waited behind another one, which is no more; whether it could.
    pub(super) fn take_place(&mut self, key: SessionKey, conn: ConnKey) -> bool {
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.link == Link::Detached)
        else {
            return false;
        };
        let Some(at) = self.conns.get_mut(conn) else { return false };
        let phase = std::mem::replace(&mut at.phase, Phase::Idle);
        let Phase::Behind(poll) = phase else {
            at.phase = phase;
            return false;
        };
        let transport = poll.form.transport;
        at.phase = Phase::Parked(poll);
        session.link = Link::Parked(conn);
        session.transport = transport;
        self.cx.metrics.attached[transport.index()] += 1;
        self.arm_session(key);
        true
    }

    fn first_of(&self, conn: ConnKey) -> Option<ConnKey> {
        let Phase::Behind(poll) = &self.conns.get(conn)?.phase else { return None };
        self.sessions.get(poll.session)?.link.conn()
    }
}

impl Shard {
    /// The first of two long polls is answered, or gone: the second takes its place. If another
    /// connection has the session by now, the client has made a new start, and waits for nothing here.
    pub(super) fn move_up(&mut self, key: SessionKey, conn: ConnKey) {
        if !self.core.take_place(key, conn) {
            if self.core.conns.get(conn).is_some_and(|conn| matches!(conn.phase, Phase::Behind(_))) {
                self.core.conns.close(&mut self.core.cx, conn);
            }
            return;
        }
        let session = &self.core.sessions[key];
        if self.core.owed(key).is_some() || self.core.hub.has_more(session.cursor, &session.subscriptions) {
            self.answer_poll(conn, None);
        } else {
            self.core.freshen_all(key);
        }
    }

    /// The second of two long polls has been held for as long as the first was to be, or longer: both are answered.
    pub(super) fn answer_both(&mut self, conn: ConnKey) {
        let Some(Phase::Behind(poll)) = self.core.conns.get(conn).map(|conn| &conn.phase) else { return };
        let session = poll.session;
        let Some(first) = self.core.first_of(conn) else { return };
        self.core.conns.take_second(first);
        self.answer_poll(first, None);
        if self.core.take_place(session, conn) {
            self.answer_poll(conn, None);
        }
    }
}
