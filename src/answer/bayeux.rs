//! Answers to Bayeux connects, held by a request or a socket, and events before or after them.

use crate::answer::limits::DRAIN_EIGHTHS_MAX;
use crate::base::frame::Frame;
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::{Span, Tick};
use crate::call::bayeux::BayeuxSocket;
use crate::call::protocol::Subprotocol;
use crate::conn::batch::BatchResponse;
use crate::conn::phase::{Exchange, Extra, Intake, Phase, Poll, Recycle, Then};
use crate::conn::socket::GOING_AWAY;
use crate::core::Core;
use crate::protocol::Protocol;
use crate::protocol::bayeux::answer::{Advice, Clocks, MultipleClients};
use crate::protocol::bayeux::fault::FaultCause;
use crate::protocol::bayeux::held::{ConnectOutcome, Held};
use crate::protocol::native::envelope::CloseCode;
use crate::session::Link;
use crate::transport::{Coding, Dialect, Encoded, Envelope, Form, Framing, TransportId};
use crate::turn::mutation::Mutation;
use crate::turn::timer::Timer;
use crate::turn::todo::Todo;

impl Core {
    /// Whether a session has messages, or a gap, that its client has not been sent.
    pub(crate) fn has_news(&self, key: SessionKey) -> bool {
        let session = &self.sessions[key];
        self.unreported_gap(key).is_some() || self.hub.has_more(session.cursor, &session.subscriptions)
    }

    /// Whether a connection holds a request of its protocol, which a drain answers at a random
    /// time.
    pub(crate) fn is_held(&self, conn: ConnKey) -> bool {
        let of_request = |phase: &Phase| matches!(phase, Phase::Parked(poll) if poll.held.is_some());
        self.conns.get(conn).is_some_and(|conn| of_request(&conn.phase))
            || self.bayeux_socket(conn).is_some_and(|bayeux| bayeux.held.is_some())
    }

    /// The node drains: answers a held connect at some time before `by`. Clients reconnect at once,
    /// and only some understand an interval, so the answers are spread instead.
    pub(crate) fn answer_before(&mut self, conn: ConnKey, by: Tick) {
        let now = self.cx.now;
        let within = by.since(now).part(DRAIN_EIGHTHS_MAX, 8);
        let within = if self.cx.broken_by(Mutation::SendAwayAtOnce) { Span::ZERO } else { within };
        let due = now + self.cx.jittered(within, 0);
        if let Some(bayeux) = self.bayeux_socket_mut(conn) {
            if let Some(held) = &mut bayeux.held {
                held.due = Some(held.due.map_or(due, |at| at.min(due)));
            }
            return self.conns.arm_heartbeat(&mut self.cx, conn, now);
        }
        let Some(at) = self.conns.get_mut(conn) else { return };
        if at.alarm.due().is_none_or(|held| due < held) {
            at.alarm.set(&mut self.cx.wheel, due, Timer::Conn(conn));
        }
    }

    /// Answers a connect of a request, with the session's events and with `answers` to the other
    /// messages of the request.
    pub(crate) fn answer_connect(
        &mut self,
        conn: ConnKey,
        poll: Poll,
        outcome: ConnectOutcome,
        with_messages: bool,
        answers: Vec<Vec<u8>>,
    ) {
        let Poll { session: key, form, reply, opening, held, .. } = poll;
        let Some(held) = held else { return };
        // Bayeux cannot express a gap: the session ends instead, and by the handshake the client
        // learns that it has missed something.
        let outcome = if self.unreported_gap(key).is_some() { ConnectOutcome::Over } else { outcome };
        // After a half-close the client may not read the answer: events stay for its next connect,
        // unless it acknowledges them.
        let can_receive = self.conns.get(conn).is_some_and(|conn| conn.intake != Intake::Ended);
        let can_receive = can_receive || self.acknowledges(key);
        let with_messages = with_messages && can_receive && matches!(outcome, ConnectOutcome::On(_));
        let (events, ack) = self.batch(key, form, with_messages);
        // A client with unsent messages is never held.
        let outcome = if with_messages && self.has_news(key) {
            ConnectOutcome::On(MultipleClients::Alone)
        } else {
            outcome
        };
        let own = self.connect_answer(&held, outcome, ack);
        self.detach_session(key);
        let (reply, opening) = (&reply, &opening);
        let [first, last] = self.around_events(ack, own, answers);
        let batch = BatchResponse { form, reply, opening, first: &first, messages: &events, last: &last };
        self.conns.send_poll(&mut self.cx, conn, &batch, Vec::new());
        if outcome == ConnectOutcome::Over {
            self.cx.todos.push_back(Todo::End { session: key, code: CloseCode::Ended });
        }
    }

    /// What goes before the events of a batch, and what after them: the connect's `own` answer and
    /// the `answers` to the request's other messages.
    ///
    /// A client with `ack` reads the number of a batch at its head, so there the connect's own
    /// answer comes first. Without `ack` events come first, as CometD's server sends them: the
    /// clients that depend on it know no `ack` (Go's gobayeux delivers only what precedes the last
    /// answer).
    pub(crate) fn around_events(
        &self,
        ack: Option<u64>,
        own: Vec<u8>,
        mut answers: Vec<Vec<u8>>,
    ) -> [Vec<Vec<u8>>; 2] {
        if ack.is_some() || self.cx.broken_by(Mutation::AnswerBeforeEvents) {
            answers.insert(0, own);
            [answers, Vec::new()]
        } else {
            answers.push(own);
            [Vec::new(), answers]
        }
    }

    /// The events after a session's cursor, which count as delivered from now on; and the batch's
    /// number, if batches have one.
    pub(crate) fn batch(
        &mut self,
        key: SessionKey,
        form: Form,
        with_messages: bool,
    ) -> (Vec<Encoded>, Option<u64>) {
        let after = self.sessions[key].cursor;
        let events = if with_messages { self.take_batch(key, form).0 } else { Vec::new() };
        let session = &mut self.sessions[key];
        let cursor = session.cursor;
        let acks = session.client.bayeux_mut().and_then(|client| client.acks.as_mut());
        (events, acks.map(|acks| acks.send(after, cursor)))
    }

    /// The answer to a connect as JSON.
    pub(crate) fn connect_answer(&self, held: &Held, outcome: ConnectOutcome, ack: Option<u64>) -> Vec<u8> {
        let now = self.cx.now;
        let unknown = FaultCause::SessionUnknown.into();
        let (outcome, advice) = match outcome {
            ConnectOutcome::On(clients) => (Ok(()), self.retry(clients)),
            ConnectOutcome::Over => (Err(&unknown), Advice::Handshake(Span::ZERO)),
            ConnectOutcome::Gone => (Ok(()), Advice::Nothing),
        };
        let ms = |span: Span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let clocks = held.clock.as_deref().map(|client| Clocks {
            client: *client,
            received: i64::try_from(self.cx.unix_ms_at(held.since)).unwrap_or(i64::MAX),
            held: ms(now.since(held.since)),
        });
        let ack = ack.map(|ack| ack.to_string());
        held.answer(outcome, self.stamp_ms()).with_ext(ack.as_deref(), clocks).with_advice(advice).finish()
    }

    /// The advice for a client in normal operation.
    pub(crate) fn retry(&self, clients: MultipleClients) -> Advice {
        Advice::Retry {
            timeout: self.cx.config.poll_hold,
            max_interval: self.cx.config.session_grace,
            clients,
        }
    }

    /// Milliseconds since 1970, as in timestamps.
    pub(crate) fn stamp_ms(&self) -> i64 {
        i64::try_from(self.cx.unix_ms()).unwrap_or(i64::MAX)
    }
}

impl Core {
    /// The state of a socket that speaks Bayeux.
    pub(crate) fn bayeux_socket(&self, key: ConnKey) -> Option<&BayeuxSocket> {
        match self.conns.get(key)?.socket()?.subprotocol() {
            Subprotocol::Bayeux(bayeux) => Some(bayeux),
            Subprotocol::Native | Subprotocol::Sockjs(_) | Subprotocol::Bytes(_) => None,
        }
    }

    pub(crate) fn bayeux_socket_mut(&mut self, key: ConnKey) -> Option<&mut BayeuxSocket> {
        match self.conns.get_mut(key)?.socket_mut()?.subprotocol_mut() {
            Subprotocol::Bayeux(bayeux) => Some(bayeux),
            Subprotocol::Native | Subprotocol::Sockjs(_) | Subprotocol::Bytes(_) => None,
        }
    }

    /// The session that streams to this socket.
    pub(crate) fn streamed_on(&self, key: ConnKey) -> Option<SessionKey> {
        let Phase::Streaming(exchange) = &self.conns.get(key)?.phase else { return None };
        Some(exchange.session)
    }

    /// Lets a session stream to this socket.
    pub(crate) fn bind(&mut self, key: ConnKey, session: SessionKey) {
        let now = self.cx.now;
        let transport = TransportId::ws();
        let Some((dialect, leaves)) = self.bayeux_socket(key).map(|bayeux| (bayeux.dialect, bayeux.leaves))
        else {
            return;
        };
        // Of a guest that acknowledges, each connect binds the socket anew.
        let recycle = match leaves {
            Some(at) => Recycle::after(now, Some(at.since(now))),
            None => self.stay(session),
        };
        if let Some(bayeux) = self.bayeux_socket_mut(key) {
            bayeux.leaves = recycle.deadline();
        }
        let conn = &mut self.conns[key];
        let Phase::Unbound(socket) = std::mem::replace(&mut conn.phase, Phase::Idle) else { return };
        let form = Form {
            transport,
            dialect,
            protocol: Protocol::Bayeux,
            coding: Coding::Identity,
            framing: Framing::UntilClose,
        };
        conn.phase = Phase::Streaming(Exchange {
            session,
            form,
            then: Then::Close,
            moved: now,
            sent: 0,
            recycle,
            extra: Some(Box::new(Extra::Socket(*socket))),
        });
        self.cx.metrics.exchanges[transport.index()] += 1;
        self.attach_session(session, Link::Behind(key), transport);
        self.conns.arm_heartbeat(&mut self.cx, key, now);
    }

    /// Ends the streaming to this socket.
    fn unbind(&mut self, key: ConnKey) {
        let now = self.cx.now;
        let Some(session) = self.streamed_on(key) else { return };
        self.detach_session(session);
        let conn = &mut self.conns[key];
        let Phase::Streaming(exchange) = std::mem::replace(&mut conn.phase, Phase::Idle) else { return };
        let mut due = now + self.cx.config.idle_timeout;
        if let Some(Extra::Socket(socket)) = exchange.extra.map(|extra| *extra) {
            due = socket.message_due().map_or(due, |message| message.min(due));
            conn.phase = Phase::Unbound(Box::new(socket));
        }
        conn.alarm.set(&mut self.cx.wheel, due, Timer::Conn(key));
    }

    pub(crate) fn acknowledges(&self, key: SessionKey) -> bool {
        self.sessions[key].client.bayeux().is_some_and(|client| client.acks.is_some())
    }

    /// Answers the connect that a socket holds, if any; with messages, if they come with such
    /// answers.
    pub(crate) fn answer_held(&mut self, key: ConnKey, outcome: ConnectOutcome, with: WithMessages) {
        let Some(session) = self.streamed_on(key) else { return };
        let Some(held) = self.bayeux_socket_mut(key).and_then(|bayeux| bayeux.held.take()) else { return };
        if !self.acknowledges(session) {
            let answer = self.connect_answer(&held, outcome, None);
            self.send_bayeux(key, &array(&[answer]));
            return self.part_if_draining(key);
        }
        let outcome = if self.unreported_gap(session).is_some() { ConnectOutcome::Over } else { outcome };
        let with_messages = with == WithMessages::Messages && matches!(outcome, ConnectOutcome::On(_));
        let (events, ack) = self.batch(session, item_form(), with_messages);
        let answer = self.connect_answer(&held, outcome, ack);
        let [first, last] = self.around_events(ack, answer, Vec::new());
        let events = events.into_iter().map(|event| event.frame.to_vec());
        let pieces: Vec<_> = first.into_iter().chain(events).chain(last).collect();
        self.send_bayeux(key, &array(&pieces));
        self.unbind(key);
        if outcome == ConnectOutcome::Over {
            self.cx.todos.push_back(Todo::End { session, code: CloseCode::Ended });
        }
        self.part_if_draining(key);
    }

    /// Ends a socket whose connect was answered during a drain: its client must not send another
    /// one here.
    fn part_if_draining(&mut self, key: ConnKey) {
        if !self.cx.takes_clients() && self.bayeux_socket(key).is_some() {
            self.conns.close_socket(&mut self.cx, key, GOING_AWAY, "the node is going away");
        }
    }

    /// The session of a socket ends or moves: answers its connect. The socket stays for another
    /// session.
    pub(crate) fn close_bayeux(&mut self, key: ConnKey, code: CloseCode) {
        self.answer_held(key, ConnectOutcome::after(Some(code)), WithMessages::Nothing);
        self.unbind(key);
        if code == CloseCode::Moved {
            return self.conns.close_socket(&mut self.cx, key, GOING_AWAY, "the user's node may be back");
        }
        self.part_if_draining(key);
    }

    /// The session's logs no longer reach back to its cursor, which Bayeux cannot express: the
    /// session ends, and its client has to handshake.
    pub(crate) fn end_after_gap(&mut self, key: ConnKey, session: SessionKey) {
        self.answer_held(key, ConnectOutcome::Over, WithMessages::Nothing);
        self.cx.todos.push_back(Todo::End { session, code: CloseCode::Ended });
    }

    /// Appends an array of messages to a socket's outbox.
    pub(crate) fn send_bayeux(&mut self, key: ConnKey, json: &[u8]) {
        let Some(dialect) = self.bayeux_socket(key).map(|bayeux| bayeux.dialect) else { return };
        let transport = TransportId::ws();
        let mut bytes = Vec::with_capacity(json.len() + 8);
        transport.transport().encode(dialect, &Envelope::plain(json), &self.cx.encoder, &mut bytes);
        self.conns.push(&mut self.cx, key, Frame::from(bytes));
    }
}

/// Whether an answer to a connect may contain messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WithMessages {
    Messages,
    Nothing,
}

/// The form of events in an array with other messages.
fn item_form() -> Form {
    Form {
        transport: TransportId::longpoll(),
        dialect: Dialect::default(),
        protocol: Protocol::Bayeux,
        coding: Coding::Identity,
        framing: Framing::Length,
    }
}

pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [b"[", &*items.join(&b","[..]), b"]"].concat()
}
