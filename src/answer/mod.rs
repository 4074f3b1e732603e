//! How a session's messages reach its client, by the protocol that the client speaks.

pub mod bayeux;
pub(crate) mod limits;
pub mod overlap;
pub mod poll;
pub mod sockjs;
pub mod stream;

use crate::answer::bayeux::WithMessages;
use crate::answer::limits::POLLS_AT_ONCE_MAX;
use crate::base::slab::{ConnKey, SessionKey};
use crate::call::protocol::Subprotocol;
use crate::call::queue::Made;
use crate::conn::phase::Phase;
use crate::conn::socket::GOING_AWAY;
use crate::core::Core;
use crate::core::deliver::Gap;
use crate::protocol::Protocol;
use crate::protocol::bayeux::held::ConnectOutcome;
use crate::protocol::native::envelope::CloseCode;
use crate::session::{FrontInterest, Link};
use crate::turn::todo::Todo;

/// The session that a request got.
pub(crate) struct Found {
    pub(crate) key: SessionKey,
    pub(crate) made: Made,
    /// Whether the client continues where it was, as `open` reports.
    pub(crate) resumed: bool,
    pub(crate) gap: Option<Gap>,
}

impl Core {
    /// Before a session leaves a channel at its client's request: sends earlier messages, as far as
    /// the connection takes them. A detached session loses those that it has not received.
    pub(crate) fn deliver_before_leaving(&mut self, key: SessionKey) {
        match self.sessions.get(key).map(|session| session.link) {
            Some(Link::Waking(_)) => self.answer_woken(key),
            Some(Link::Behind(_)) => self.catch_up(key),
            Some(Link::Level(_) | Link::Parked(_) | Link::Detached) | None => {}
        }
    }

    pub(crate) fn answer_woken(&mut self, key: SessionKey) {
        if let Some(Link::Waking(conn)) = self.sessions.get(key).map(|session| session.link) {
            self.cx.steps.occasions(1);
            self.answer_poll(conn, None);
        }
    }

    /// Answers some of the polls that wake in this turn, if there are many; returns whether there
    /// were. See `Shard::wake_some`.
    pub(crate) fn answer_some(&mut self) -> bool {
        if self.waking.len() <= POLLS_AT_ONCE_MAX {
            return false;
        }
        self.report_presence();
        for key in self.waking.split_off(self.waking.len() - POLLS_AT_ONCE_MAX) {
            self.answer_woken(key);
        }
        true
    }

    /// Sends to a stream that is behind as much as its outbox has room for.
    pub(crate) fn catch_up(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        let Link::Behind(conn_key) = session.link else { return };
        let Some(Phase::Streaming(exchange)) = self.conns.get(conn_key).map(|conn| &conn.phase) else {
            return;
        };
        let form = exchange.form;
        if let Some(gap) = self.unreported_gap(key) {
            match form.protocol {
                Protocol::Native => self.send_gap(key, conn_key, form, &gap),
                Protocol::Bayeux => return self.end_after_gap(conn_key, key),
                Protocol::Strings | Protocol::Text => return self.interrupt(key),
                Protocol::Bytes => {
                    return self.cx.todos.push_back(Todo::End { session: key, code: CloseCode::Ended });
                }
            }
        }
        let room = self.cx.config.outbox_bytes.saturating_sub(self.conns[conn_key].outbox.len());
        let (frames, cursor) = self.collect(key, form, room);
        self.cx.metrics.messages_out += frames.len() as u64;
        for encoded in frames {
            self.conns.stream(&mut self.cx, conn_key, encoded);
        }
        let session = &mut self.sessions[key];
        session.cursor = cursor;
        if !self.hub.has_more(cursor, &session.subscriptions) {
            session.link = Link::Level(conn_key);
            if session.front == FrontInterest::Told {
                self.cx.todos.push_back(Todo::Room(key));
            }
            self.end_if_drained(key);
        }
    }

    /// Answers a held poll with the session's messages, perhaps none; `close` is the last
    /// envelope.
    pub(crate) fn answer_poll(&mut self, conn: ConnKey, close: Option<CloseCode>) {
        let Some(at) = self.conns.get_mut(conn) else { return };
        if matches!(at.subprotocol(), Some(Subprotocol::Bayeux(_))) {
            return match close {
                Some(code) => self.close_bayeux(conn, code),
                None => self.answer_held(conn, ConnectOutcome::after(None), WithMessages::Messages),
            };
        }
        if !matches!(at.phase, Phase::Parked(_)) {
            return;
        }
        let Phase::Parked(poll) = std::mem::replace(&mut at.phase, Phase::Idle) else { return };
        if poll.held.is_some() {
            return self.answer_connect(
                conn,
                *poll,
                ConnectOutcome::after(close),
                close.is_none(),
                Vec::new(),
            );
        }
        if self.pipe(poll.session).is_some() {
            return self.answer_pipe_poll(conn, *poll, close);
        }
        let mut first = Vec::new();
        if let Some(gap) = self.unreported_gap(poll.session) {
            first.push(self.gap_json(poll.session, &gap).0);
        }
        let last = close.map(|code| self.close_envelope(code).0);
        self.write_poll(conn, *poll, first, last);
    }

    /// The deadline of an answer that a socket's protocol holds has passed.
    pub(crate) fn answer_hold(&mut self, conn: ConnKey) {
        self.answer_held(conn, ConnectOutcome::after(None), WithMessages::Messages);
    }

    /// Ends a stream with a reason, as its last envelope.
    pub(crate) fn close_stream(&mut self, conn: ConnKey, code: CloseCode) {
        let Some(at) = self.conns.get(conn) else { return };
        let session = at.session().map(|(session, _)| session);
        if matches!(at.subprotocol(), Some(Subprotocol::Bayeux(_))) {
            return self.close_bayeux(conn, code);
        }
        if matches!(at.subprotocol(), Some(Subprotocol::Bytes(_))) {
            // A server that ends by itself is told apart: its WebSocket ends with 1000.
            return self.conns.close_socket(&mut self.cx, conn, GOING_AWAY, code.name());
        }
        if let Some(session) = session.filter(|session| self.pipe(*session).is_some()) {
            return self.close_pipe(conn, session, code);
        }
        if self.say_close(conn, code) {
            self.conns.end_stream(&mut self.cx, conn);
        }
    }
}

#[cfg(test)]
mod tests;
