//! Two long polls of one session at once: the second waits behind the first, and moves up when that
//! is answered.
//!
//! A client that polls again only after an answer cannot be reached for a round trip, and a message
//! that arrives meanwhile waits for it. With `overlap=1` the client keeps two requests open, so
//! that one can always be answered. The first has the key of the second; the session has the key of
//! the first only.

use crate::base::slab::{ConnKey, SessionKey};
use crate::conn::phase::{Conn, Phase, Poll};
use crate::core::Core;
use crate::request::Open;
use crate::session::Link;
use crate::transport::Delivery;

impl Core {
    /// The long poll that another one of the session may wait behind, if that request asks for it
    /// and contains nothing else.
    pub(crate) fn poll_ahead(&self, key: SessionKey, open: &Open) -> Option<ConnKey> {
        let overlaps = open.since.is_none()
            && open.channels.is_empty()
            && open.asks_for("overlap")
            && open.transport.transport().delivery() == Delivery::Held;
        // A poll that is answered at the end of this turn counts: otherwise the second would
        // replace it and send it `replaced`.
        let (Link::Parked(first) | Link::Waking(first)) = self.sessions.get(key)?.link else { return None };
        let Phase::Parked(poll) = &self.conns.get(first)?.phase else { return None };
        (overlaps && poll.behind.is_none()).then_some(first)
    }

    /// Parks a long poll behind another one of its session.
    pub(crate) fn wait_behind(&mut self, first: ConnKey, conn: ConnKey, poll: Poll) {
        let Some(Conn { phase: Phase::Parked(ahead), .. }) = self.conns.get_mut(first) else { return };
        ahead.behind = Some(conn);
        self.cx.metrics.exchanges[poll.form.transport.index()] += 1;
        self.wait_as(conn, Phase::Behind(Box::new(poll)), self.cx.config.poll_hold);
    }

    /// Parks a long poll that waited behind another one, which is gone; returns whether that was
    /// possible.
    pub(crate) fn take_place(&mut self, key: SessionKey, conn: ConnKey) -> bool {
        if self.sessions.get(key).is_none_or(|session| session.link != Link::Detached) {
            return false;
        }
        let Some(at) = self.conns.get_mut(conn) else { return false };
        let phase = std::mem::replace(&mut at.phase, Phase::Idle);
        let Phase::Behind(poll) = phase else {
            at.phase = phase;
            return false;
        };
        let transport = poll.form.transport;
        at.phase = Phase::Parked(poll);
        self.attach_session(key, Link::Parked(conn), transport);
        true
    }

    fn first_of(&self, conn: ConnKey) -> Option<ConnKey> {
        let Phase::Behind(poll) = &self.conns.get(conn)?.phase else { return None };
        self.sessions.get(poll.session)?.link.conn()
    }

    /// The first of two long polls is answered, or gone: the second takes its place. If another
    /// connection has the session by now, the client has started anew and does not wait here.
    pub(crate) fn move_up(&mut self, key: SessionKey, conn: ConnKey) {
        if !self.take_place(key, conn) {
            if self.conns.get(conn).is_some_and(|conn| matches!(conn.phase, Phase::Behind(_))) {
                self.conns.close(&mut self.cx, conn);
            }
            return;
        }
        let session = &self.sessions[key];
        if self.unreported_gap(key).is_some() || self.hub.has_more(session.cursor, &session.subscriptions) {
            self.answer_poll(conn, None);
        } else {
            self.schedule_all_latest(key);
        }
    }

    /// The second of two long polls has been held for its full time: answers both.
    pub(crate) fn answer_both(&mut self, conn: ConnKey) {
        let Some(Phase::Behind(poll)) = self.conns.get(conn).map(|conn| &conn.phase) else { return };
        let session = poll.session;
        let Some(first) = self.first_of(conn) else { return };
        self.conns.take_second(first);
        self.answer_poll(first, None);
        if self.take_place(session, conn) {
            self.answer_poll(conn, None);
        }
    }
}
