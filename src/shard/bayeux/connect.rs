//! When a connect is answered, and with what.
//!
//! Over HTTP a connect is a long poll, which is answered with events and with the connect's own
//! answer; [`Shard::around_events`] says in which order. On a socket it is held beside the stream,
//! unless the client acknowledges: then messages come with the answers to connects there, too, and
//! in the same order.

use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::{Span, Tick};
use crate::protocol::bayeux::answer::{Advice, Answer, Clocks, Crowd, Fault};
use crate::protocol::bayeux::message::{CONNECT, Connect, Head, Timesync};
use crate::protocol::bayeux::stamp::Stamp;
use crate::protocol::native::envelope::CloseCode;
use crate::shard::bayeux::browsers::Stranger;
use crate::shard::bayeux::{Callback, Client, Stage};
use crate::shard::conn::{Intake, Phase, Poll};
use crate::shard::mutation::Mutation;
use crate::shard::poll::Batch;
use crate::shard::reply::{Refusals, Reply};
use crate::shard::session::Link;
use crate::shard::todo::Todo;
use crate::shard::{Shard, Timer};
use crate::transport::{Asked, Coding, Dialect, Encoded, Form, Framing, Opening, Protocol, TransportId};
use crate::wire::refusal::Refusal;

/// A connect that is to be answered: what is left to know once it was taken, since idle clients have one each.
#[derive(Debug)]
pub struct Held {
    /// Its id, which the answer repeats.
    id: Option<Box<str>>,
    /// The client's clock, where it wants to know ours.
    clock: Option<Box<Timesync>>,
    /// Whether its answer says when it was given.
    stamp: Stamp,
    since: Tick,
    pace: Pace,
    /// When a socket is to answer it at the latest.
    due: Option<Tick>,
}

/// Whether a connect may be held: not if the client says so, and not if what came with it waits for the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    AtLeisure,
    AtOnce,
}

/// What an answer to a connect says besides that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Turn {
    /// Go on.
    On(Crowd),
    /// The session is over, and another may be had.
    Over,
    /// The session is over, and that is that.
    Gone,
}

impl Held {
    pub(super) fn new(now: Tick, head: Head, asked: &Connect, alone: bool) -> Self {
        let at_once = !alone || asked.timeout == Some(0);
        let pace = if at_once { Pace::AtOnce } else { Pace::AtLeisure };
        Self {
            id: head.id,
            clock: asked.timesync.map(Box::new),
            stamp: head.stamp,
            since: now,
            pace,
            due: None,
        }
    }

    /// `unix_ms`: when it is answered, in milliseconds since 1970.
    fn answer(&self, outcome: Result<(), &Fault>, unix_ms: i64) -> Answer {
        Answer::on(CONNECT, self.id.as_deref(), outcome).with_stamp(self.stamp.at(unix_ms))
    }

    /// A socket holds it until then.
    pub(super) fn hold_until(&mut self, due: Option<Tick>) {
        self.due = due;
    }

    /// When a socket is to answer it.
    pub(in crate::shard) fn due(&self) -> Option<Tick> {
        self.due
    }

    /// The answer where there is no session, or not for this client.
    pub(super) fn in_vain(&self, stranger: Stranger, unix_ms: i64) -> Vec<u8> {
        let (fault, advice) = stranger.told();
        self.answer(Err(&fault), unix_ms).with_advice(advice).finish()
    }
}

impl Shard {
    /// A connect has come by itself, as in nearly all requests: nothing else has to be known before it is answered. `key` is the session
    /// that it names, if its sender may use that.
    pub(super) fn connect_alone(
        &mut self,
        conn: ConnKey,
        reply: Reply,
        key: Result<SessionKey, Stranger>,
        (head, asked): (Head, Connect),
    ) {
        let now = self.core.cx.now;
        let held = Box::new(Held::new(now, head, &asked, true));
        match key {
            Ok(key) => self.connect_by_request(conn, reply, key, (held, &asked), Vec::new()),
            Err(stranger) => {
                let answer = held.in_vain(stranger, self.stamp_ms());
                self.core.conns.respond(&mut self.core.cx, conn, reply.bayeux(&answer, None));
            }
        }
    }

    /// A connect has come by a request, after `answers` to what came with it.
    pub(super) fn connect_by_request(
        &mut self,
        conn: ConnKey,
        reply: Reply,
        key: SessionKey,
        (held, asked): (Box<Held>, &Connect),
        answers: Vec<Vec<u8>>,
    ) {
        let now = self.core.cx.now;
        let (transport, opening) = match poll_opening(&reply) {
            Ok(opening) => opening,
            Err(refusal) => return self.core.conns.refuse(&mut self.core.cx, conn, &reply, &refusal),
        };
        if self.core.is_contested(key) {
            let answers = [answers, vec![held.in_vain(Stranger::Shared, self.stamp_ms())]].concat();
            return self.core.conns.respond(
                &mut self.core.cx,
                conn,
                reply.bayeux(&answers.join(&b","[..]), None),
            );
        }
        self.core.change_hands(key);
        self.supersede(key);
        let crowd = if self.is_crowded(key) { Crowd::Several } else { Crowd::Alone };
        let wait = self.begin_connect(key, &held, asked, crowd);
        let session = &mut self.core.sessions[key];
        session.link = Link::Behind(conn);
        session.transport = transport;
        self.core.cx.metrics.exchanges[transport.index()] += 1;
        self.core.cx.metrics.attached[transport.index()] += 1;
        self.core.arm_session(key);
        let form = Form {
            transport,
            dialect: Dialect::default(),
            protocol: Protocol::Bayeux,
            coding: Coding::Identity,
            framing: Framing::Length,
        };
        let poll = Poll { session: key, form, reply, opening, behind: None, connect: Some(held) };
        let Some(wait) = wait.filter(|_| answers.is_empty() && !self.has_news(key)) else {
            return self.answer_connect(conn, poll, Turn::On(crowd), true, answers);
        };
        self.core.sessions[key].link = Link::Parked(conn);
        self.hold_connect(key);
        let hold = self.core.cx.jittered(wait, 7);
        let at = &mut self.core.conns[conn];
        at.phase = Phase::Parked(Box::new(poll));
        at.alarm.set(&mut self.core.cx.wheel, now + hold, Timer::Conn(conn));
    }

    /// Takes what a connect says of its client. Says for how long it may be held, if at all.
    pub(super) fn begin_connect(
        &mut self,
        key: SessionKey,
        held: &Held,
        asked: &Connect,
        crowd: Crowd,
    ) -> Option<Span> {
        let most = self.core.cx.config.poll_hold;
        let grace = self.core.cx.config.session_grace;
        let acknowledged = asked.ack.map(|k| match k {
            _ if self.core.cx.broken_by(Mutation::ForgetUnacknowledged) => u64::MAX,
            k if self.core.cx.broken_by(Mutation::ResendAcknowledged) => k.saturating_sub(1),
            k => k,
        });
        self.release_connect(key);
        let forgets = self.core.cx.broken_by(Mutation::ForgetBatches);
        let session = &mut self.core.sessions[key];
        let Client { acks, interval_ms, stage, .. } = session.bayeux.as_deref_mut()?;
        if let (Some(acks), Some(k)) = (acks, acknowledged) {
            session.cursor = acks.acknowledge(k);
            if forgets {
                acks.forget();
            }
            session.told = 0;
        }
        if let Some(ms) = asked.interval {
            *interval_ms = u32::try_from(ms.min(grace.as_millis())).unwrap_or(u32::MAX);
        }
        let is_first = std::mem::replace(stage, Stage::Connected) == Stage::Shaken;
        let wait = asked.timeout.map_or(most, |ms| Span::from_millis(ms).min(most));
        let may_wait = held.pace == Pace::AtLeisure
            && !is_first
            && crowd == Crowd::Alone
            && self.core.cx.takes_clients();
        may_wait.then_some(wait)
    }

    /// Whether a session is to be told something now.
    pub(super) fn has_news(&self, key: SessionKey) -> bool {
        let session = &self.core.sessions[key];
        self.core.owed(key).is_some() || self.core.hub.has_more(session.cursor, &session.subscriptions)
    }

    /// Whether a connection waits for the answer to a connect.
    pub(in crate::shard) fn holds_bayeux(&self, conn: ConnKey) -> bool {
        let of_request = |phase: &Phase| matches!(phase, Phase::Parked(poll) if poll.connect.is_some());
        self.core.conns.get(conn).is_some_and(|conn| of_request(&conn.phase))
            || self.talk(conn).is_some_and(|talk| talk.held.is_some())
    }

    /// The node is going away: a connect that is held is answered some time before `by`. Clients come back at once, and an interval
    /// would be understood by some of them alone, so it is the answers that are spread.
    pub(in crate::shard) fn answer_before(&mut self, conn: ConnKey, by: Tick) {
        let now = self.core.cx.now;
        let within = by.since(now).part(DRAIN_PART, 8);
        let within = if self.core.cx.broken_by(Mutation::SendAwayAtOnce) { Span::ZERO } else { within };
        let due = now + self.core.cx.jittered(within, 0);
        if let Some(talk) = self.talk_mut(conn) {
            if let Some(held) = &mut talk.held {
                held.due = Some(held.due.map_or(due, |at| at.min(due)));
            }
            return self.core.conns.arm_heartbeat(&mut self.core.cx, conn, now);
        }
        let Some(at) = self.core.conns.get_mut(conn) else { return };
        if at.alarm.due().is_none_or(|held| due < held) {
            at.alarm.set(&mut self.core.cx.wheel, due, Timer::Conn(conn));
        }
    }

    /// Answers a connect that came by a request, with what there is and with `answers` to what came
    /// with the connect.
    pub(in crate::shard) fn answer_connect(
        &mut self,
        conn: ConnKey,
        poll: Poll,
        turn: Turn,
        gives: bool,
        answers: Vec<Vec<u8>>,
    ) {
        let Poll { session: key, form, reply, opening, connect, .. } = poll;
        let Some(held) = connect else { return };
        // A gap cannot be told in Bayeux: the session ends instead, and the client learns that it has missed something by having to handshake.
        let turn = if self.core.owed(key).is_some() { Turn::Over } else { turn };
        // Who has said his last may not be there to read: what there is waits for the next connect, unless it comes again anyway.
        let hears = self.core.conns.get(conn).is_some_and(|conn| conn.intake != Intake::Ended);
        let hears = hears || self.acknowledges(key);
        let gives = gives && hears && matches!(turn, Turn::On(_));
        let (events, ack) = self.batch(key, form, gives);
        // Who is behind is not slowed down: no connect of his is held until he is level.
        let turn = match turn {
            Turn::On(_) if gives && self.has_news(key) => Turn::On(Crowd::Alone),
            turn => turn,
        };
        let own = self.connect_answer(&held, turn, ack);
        self.core.detach_session(key);
        let (reply, opening) = (&reply, &opening);
        let [first, last] = self.around_events(ack, own, answers);
        let batch = Batch { form, reply, opening, first: &first, messages: &events, last: &last };
        self.core.conns.send_poll(&mut self.core.cx, conn, &batch, Vec::new());
        if turn == Turn::Over {
            self.core.cx.todos.push_back(Todo::End { session: key, code: CloseCode::Ended });
        }
    }

    /// What stands before the events of a batch, and what after them: the connect's `own` answer and
    /// the `answers` to what came with it.
    ///
    /// A client with `ack` reads the number of a batch at its head, so there the connect's own answer
    /// comes first. Without `ack` events come first, as CometD's server sends them: the clients that
    /// depend on it know no `ack` (Go's gobayeux hands on what stands before the last answer and
    /// nothing else).
    pub(super) fn around_events(
        &self,
        ack: Option<u64>,
        own: Vec<u8>,
        mut answers: Vec<Vec<u8>>,
    ) -> [Vec<Vec<u8>>; 2] {
        if ack.is_some() || self.core.cx.broken_by(Mutation::AnswerBeforeEvents) {
            answers.insert(0, own);
            [answers, Vec::new()]
        } else {
            answers.push(own);
            [Vec::new(), answers]
        }
    }

    /// What there is for a session, which counts as had from now on; and the batch's number, where batches have one.
    pub(super) fn batch(&mut self, key: SessionKey, form: Form, gives: bool) -> (Vec<Encoded>, Option<u64>) {
        let mut events = Vec::new();
        let after = self.core.sessions[key].cursor;
        if gives {
            let cursor;
            (events, cursor) = self.core.collect(key, form, self.core.cx.config.outbox_bytes);
            self.core.cx.metrics.messages_out += events.len() as u64;
            let session = &mut self.core.sessions[key];
            session.cursor = cursor;
            if !self.core.hub.has_more(cursor, &session.subscriptions) {
                session.cursor = self.core.hub.head();
            }
        }
        let session = &mut self.core.sessions[key];
        let cursor = session.cursor;
        let acks = session.bayeux.as_deref_mut().and_then(|client| client.acks.as_mut());
        (events, acks.map(|acks| acks.send(after, cursor)))
    }

    /// The answer to a connect as JSON.
    pub(super) fn connect_answer(&self, held: &Held, turn: Turn, ack: Option<u64>) -> Vec<u8> {
        let now = self.core.cx.now;
        let unknown = Fault::session_unknown();
        let (outcome, advice) = match turn {
            Turn::On(crowd) => (Ok(()), self.retry(crowd)),
            Turn::Over => (Err(&unknown), Advice::Handshake(Span::ZERO)),
            Turn::Gone => (Ok(()), Advice::Nothing),
        };
        let ms = |span: Span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let clocks = held.clock.as_deref().map(|client| Clocks {
            client: *client,
            received: i64::try_from(self.core.cx.unix_ms_at(held.since)).unwrap_or(i64::MAX),
            held: ms(now.since(held.since)),
        });
        let ack = ack.map(|ack| ack.to_string());
        held.answer(outcome, self.stamp_ms()).with_ext(ack.as_deref(), clocks).with_advice(advice).finish()
    }
}

/// Connects are answered within so many eighths of a drain: what is written last has time to arrive.
const DRAIN_PART: u64 = 6;

impl Turn {
    /// What a session's end, or another connect, means for a connect that is held.
    pub(in crate::shard) fn after(code: Option<CloseCode>) -> Self {
        match code {
            None | Some(CloseCode::Replaced | CloseCode::Drain | CloseCode::Recycle) => {
                Self::On(Crowd::Alone)
            }
            Some(CloseCode::Closed | CloseCode::Ended | CloseCode::TooManySessions) => Self::Gone,
            Some(CloseCode::Expired) => Self::Over,
        }
    }
}

/// How the answer to a connect begins: as an array, or as a script.
fn poll_opening(reply: &Reply) -> Result<(TransportId, Opening), Refusal> {
    let (transport, query) = match &reply.refusals {
        Refusals::Script(callback) => {
            (TransportId::jsonp(), vec![("callback".to_owned(), callback.to_string())])
        }
        Refusals::Status | Refusals::Message => (TransportId::longpoll(), Vec::new()),
    };
    let asked = Asked { query: &query, accept: "", host: "", nonce: "", may_receive: &|_| false };
    Ok((transport, transport.transport().open(&asked)?))
}

impl Callback {
    /// The function's name where a request names none.
    pub const DEFAULT: &str = "jsonpcallback";
}
