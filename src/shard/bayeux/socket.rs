//! WebSockets that speak Bayeux: which session one has, and the connect that it holds.
//!
//! A socket without a session, or whose session gets its messages with the answers to connects, is [`Unbound`](Phase::Unbound);
//! one to which messages are pushed streams, as a native one does.

use std::rc::Rc;

use crate::auth::Grant;
use crate::base::frame::Frame;
use crate::base::ids::ShardId;
use crate::base::slab::{ConnKey, SessionKey, TicketKey};
use crate::base::ticks::Tick;
use crate::protocol::bayeux::answer::Crowd;
use crate::protocol::bayeux::message;
use crate::protocol::bayeux::message::Connect;
use crate::protocol::native::envelope::CloseCode;
use crate::shard::bayeux::browsers::Stranger;
use crate::shard::bayeux::connect::{Held, Turn};
use crate::shard::bayeux::{Call, Caller, Credential, Marks, SOCKET_COOKIE, Sender};
use crate::shard::commands::written;
use crate::shard::conn::{Conn, Exchange, Extra, Phase, Recycle, Then};
use crate::shard::mutation::Mutation;
use crate::shard::reply::Reply;
use crate::shard::request::{Upgrade, User};
use crate::shard::session::Link;
use crate::shard::socket::{GOING_AWAY, POLICY, Socket, Speaks};
use crate::shard::todo::Todo;
use crate::shard::{Shard, Timer};
use crate::transport::{Coding, Dialect, Envelope, Form, Framing, Protocol, Through, TransportId, ws};
use crate::wire::refusal::Refusal;
use crate::wire::websocket::Past;

/// What is known of the other end of a socket that speaks Bayeux.
#[derive(Debug)]
pub struct Talk {
    /// Who opened it.
    pub caller: Caller,
    /// The session that was made or taken up on it.
    pub session: Option<SessionKey>,
    /// When it began, if no cookie came with it.
    pub unmarked: Option<Tick>,
    /// Connects for sessions that are not its own, since the last message for one that is.
    pub refused: u8,
    /// The connect that is not answered yet.
    pub held: Option<Box<Held>>,
    /// How messages are spelled on it.
    pub dialect: Dialect,
}

/// A socket on its way to the shard that has the session which its message names.
#[derive(Debug, PartialEq, Eq)]
pub struct Upgraded {
    dialect: Dialect,
    past: Past,
    user: Option<User>,
    grant: Option<Grant>,
    refusal: Option<Refusal>,
    marks: Marks,
    agent: Option<u32>,
    sender: Sender,
    unmarked: Option<Tick>,
    message: Vec<u8>,
}

/// Connects in a row for sessions that are not the socket's. One follows a restart, and two a race; who is at the third shakes hands by
/// requests and gets no nearer, which a new socket ends: it begins before the next handshake, or brings a cookie.
const REFUSED_MAX: u8 = 3;

impl Shard {
    /// A WebSocket begins.
    pub(super) fn open_bayeux_socket(
        &mut self,
        key: ConnKey,
        mut caller: Caller,
        upgrade: &Upgrade,
        reply: &Reply,
    ) {
        let now = self.core.cx.now;
        let mut headers = upgrade.headers();
        let unmarked = caller.marks.name().is_none().then_some(now);
        if unmarked.is_some() {
            let browser = self.fresh_browser();
            let cookie =
                crate::shard::bayeux::Bayeux::cookie(SOCKET_COOKIE, browser, caller.page, caller.sender);
            headers.push(("Set-Cookie", cookie));
            caller.marks.socket = Some(browser);
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let mut head = Vec::with_capacity(320);
        reply.switch("websocket", &headers, &mut head);
        self.core.conns.push(&mut self.core.cx, key, Frame::from(head));
        let dialect = ws::compressing(Dialect::default(), upgrade.window_bits());
        let talk = Talk { caller, session: None, unmarked, refused: 0, held: None, dialect };
        self.unbind_new(key, talk, upgrade.past());
    }

    fn unbind_new(&mut self, key: ConnKey, talk: Talk, past: Past) {
        let now = self.core.cx.now;
        let dialect = talk.dialect;
        let socket = Socket::new(Through::Upgrade, dialect, past, Speaks::Bayeux(Box::new(talk)));
        let conn = &mut self.core.conns[key];
        conn.phase = Phase::Unbound(Box::new(socket));
        conn.alarm.set(&mut self.core.cx.wheel, now + self.core.cx.config.idle_timeout, Timer::Conn(key));
    }

    /// What is known of a socket's other end, where it speaks Bayeux.
    pub(super) fn talk(&self, key: ConnKey) -> Option<&Talk> {
        match self.core.conns.get(key)?.socket()?.speaks() {
            Speaks::Bayeux(talk) => Some(talk),
            Speaks::Native => None,
        }
    }

    pub(super) fn talk_mut(&mut self, key: ConnKey) -> Option<&mut Talk> {
        match self.core.conns.get_mut(key)?.socket_mut()?.speaks_mut() {
            Speaks::Bayeux(talk) => Some(talk),
            Speaks::Native => None,
        }
    }

    /// A message has come up. Says where the socket is to go, if the session that it names lives on another shard.
    pub(in crate::shard) fn hear_bayeux(
        &mut self,
        key: ConnKey,
        text: Vec<u8>,
    ) -> Result<Option<(ShardId, Box<Upgraded>)>, Refusal> {
        // The heartbeat of older clients.
        if text.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(b"[]") {
            self.tell_bayeux(key, b"[]");
            return Ok(None);
        }
        let mut messages = Vec::new();
        message::decode(&text, &self.bayeux_limits(), &mut messages)?;
        let Some(talk) = self.talk(key) else { return Ok(None) };
        let is_free = talk.session.is_none() && self.core.conns[key].outbox.is_empty();
        let caller = talk.caller.clone();
        match self.bayeux_home(&caller, &messages) {
            Some(to) if to != self.core.cx.identity.id && is_free => {
                let past = self.core.conns[key].socket().map_or(Past::None, Socket::past);
                return Ok(Some((to, Box::new(Upgraded::new(talk, past, text)))));
            }
            _ => self.call_bayeux(key, caller, messages, None),
        }
        Ok(None)
    }

    /// A socket has come from another shard, with the message that named its session.
    pub(in crate::shard) fn adopt_upgraded(&mut self, key: ConnKey, upgraded: Upgraded) {
        let Upgraded { dialect, past, user, grant, refusal, marks, agent, sender, unmarked, message } =
            upgraded;
        let credential = match (grant, refusal) {
            (Some(grant), _) => Credential::Token(Rc::new(grant)),
            (None, Some(refusal)) => Credential::Missing(Box::new(refusal)),
            (None, None) => Credential::Open,
        };
        let caller = Caller { user, credential, marks, agent, page: None, sender };
        let talk = Talk { caller, session: None, unmarked, refused: 0, held: None, dialect };
        self.unbind_new(key, talk, past);
        if self.core.cx.broken_by(Mutation::EmptyUpgrade) {
            return;
        }
        // It was read once, so it can be; and its home is here.
        _ = self.hear_bayeux(key, message);
    }

    /// All answers to what came up in one message are there.
    pub(in crate::shard) fn answer_talk(&mut self, key: ConnKey, ticket: TicketKey, call: Call) {
        let socket = self.core.conns.get_mut(key).and_then(Conn::socket_mut);
        if !socket.is_some_and(|socket| socket.answered(ticket)) {
            return;
        }
        let Call { answers, connect, .. } = call;
        if !answers.is_empty() {
            let answers: Vec<_> = answers.iter().map(written).collect();
            self.tell_bayeux(key, &array(&answers));
        }
        if let Some((session, held, asked)) = connect {
            if self.core.sessions.get(session).is_some() {
                self.connect_by_socket(key, session, held, &asked);
            } else {
                self.tell_bayeux(key, &array(&[held.in_vain(Stranger::Unknown, self.stamp_ms())]));
            }
        }
        if self.talk(key).is_some_and(|talk| talk.refused >= REFUSED_MAX) {
            return self.core.conns.close_socket(
                &mut self.core.cx,
                key,
                POLICY,
                "the sessions are not of this socket: open another",
            );
        }
        self.core.conns.read_on(&mut self.core.cx, key);
    }

    /// A connect has come up a socket.
    fn connect_by_socket(&mut self, key: ConnKey, session: SessionKey, mut held: Box<Held>, asked: &Connect) {
        let now = self.core.cx.now;
        if self.core.sessions[session].link.conn() == Some(key) {
            // The one before it is answered now.
            self.answer_held(key, Turn::On(Crowd::Alone), Gives::Nothing);
            if self.talk(key).is_none() {
                // The node is going away, and the socket with that answer.
                return;
            }
        } else if self.core.is_contested(session) {
            let answer = held.in_vain(Stranger::Shared, self.stamp_ms());
            return self.tell_bayeux(key, &array(&[answer]));
        } else {
            self.core.change_hands(session);
            self.supersede(session);
        }
        if self.core.sessions[session].link.conn() != Some(key) {
            if let Some(other) = self.streamed_on(key) {
                self.close_link(other, CloseCode::Replaced);
            }
            self.bind(key, session);
            if self.core.cx.broken_by(Mutation::JumpAtBind) {
                self.core.sessions[session].cursor = self.core.hub.head();
            }
        }
        // Sockets are none of the few connections that a browser has for requests.
        let wait = self.begin_connect(session, &held, asked, Crowd::Alone);
        let due = wait.map(|wait| now + self.core.cx.jittered(wait, 7));
        held.hold_until(due);
        let acknowledges = self.acknowledges(session);
        let Some(talk) = self.talk_mut(key) else { return };
        (talk.session, talk.held) = (Some(session), Some(held));
        if acknowledges {
            self.core.sessions[session].link = Link::Parked(key);
        }
        if !acknowledges {
            // What there is goes down before the answer, as it does by a request without `ack`. It
            // may turn out to be lost, and the session with it.
            self.catch_up(session);
        }
        if due.is_none() || (acknowledges && self.has_news(session)) {
            self.answer_held(key, Turn::On(Crowd::Alone), Gives::Messages);
        } else {
            self.core.conns.arm_heartbeat(&mut self.core.cx, key, now);
        }
    }

    /// The session whose messages go down this socket.
    fn streamed_on(&self, key: ConnKey) -> Option<SessionKey> {
        match &self.core.conns.get(key)?.phase {
            Phase::Streaming(exchange) => Some(exchange.session),
            _ => None,
        }
    }

    /// Messages of a session go down this socket from now on.
    fn bind(&mut self, key: ConnKey, session: SessionKey) {
        let now = self.core.cx.now;
        let transport = TransportId::ws();
        let Some(dialect) = self.talk(key).map(|talk| talk.dialect) else { return };
        let conn = &mut self.core.conns[key];
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
            recycle: Recycle::Unscheduled,
            extra: Some(Box::new(Extra::Socket(*socket))),
        });
        let at = &mut self.core.sessions[session];
        (at.link, at.transport) = (Link::Behind(key), transport);
        self.core.cx.metrics.exchanges[transport.index()] += 1;
        self.core.cx.metrics.attached[transport.index()] += 1;
        self.core.arm_session(session);
        self.core.conns.arm_heartbeat(&mut self.core.cx, key, now);
    }

    /// No session's messages go down this socket any more.
    fn unbind(&mut self, key: ConnKey) {
        let now = self.core.cx.now;
        let Some(session) = self.streamed_on(key) else { return };
        self.core.detach_session(session);
        let conn = &mut self.core.conns[key];
        let Phase::Streaming(exchange) = std::mem::replace(&mut conn.phase, Phase::Idle) else { return };
        let mut due = now + self.core.cx.config.idle_timeout;
        if let Some(Extra::Socket(socket)) = exchange.extra.map(|extra| *extra) {
            due = socket.message_due().map_or(due, |message| message.min(due));
            conn.phase = Phase::Unbound(Box::new(socket));
        }
        conn.alarm.set(&mut self.core.cx.wheel, due, Timer::Conn(key));
    }

    pub(super) fn acknowledges(&self, key: SessionKey) -> bool {
        self.core.sessions[key].bayeux.as_deref().is_some_and(|client| client.acks.is_some())
    }

    /// Answers the connect that a socket holds, if it does; where messages come with such answers, with what there is.
    pub(in crate::shard) fn answer_held(&mut self, key: ConnKey, turn: Turn, gives: Gives) {
        let Some(session) = self.streamed_on(key) else { return };
        let Some(held) = self.talk_mut(key).and_then(|talk| talk.held.take()) else { return };
        if !self.acknowledges(session) {
            let answer = self.connect_answer(&held, turn, None);
            self.tell_bayeux(key, &array(&[answer]));
            return self.part_if_draining(key);
        }
        let turn = if self.core.owed(session).is_some() { Turn::Over } else { turn };
        let gives = gives == Gives::Messages && matches!(turn, Turn::On(_));
        let (events, ack) = self.batch(session, item_form(), gives);
        let answer = self.connect_answer(&held, turn, ack);
        let [first, last] = self.around_events(ack, answer, Vec::new());
        let events = events.into_iter().map(|event| event.frame.to_vec());
        let pieces: Vec<_> = first.into_iter().chain(events).chain(last).collect();
        self.tell_bayeux(key, &array(&pieces));
        self.unbind(key);
        if turn == Turn::Over {
            self.core.cx.todos.push_back(Todo::End { session, code: CloseCode::Ended });
        }
        self.part_if_draining(key);
    }

    /// Whose connect was answered while the node goes away is not to send another one here.
    fn part_if_draining(&mut self, key: ConnKey) {
        if !self.core.cx.takes_clients() && self.talk(key).is_some() {
            self.core.conns.close_socket(&mut self.core.cx, key, GOING_AWAY, "the node is going away");
        }
    }

    /// The session of a socket ends, or goes elsewhere: its connect is answered, and the socket stays for another.
    pub(in crate::shard) fn close_talk(&mut self, key: ConnKey, code: CloseCode) {
        self.answer_held(key, Turn::after(Some(code)), Gives::Nothing);
        self.unbind(key);
        self.part_if_draining(key);
    }

    /// The logs no longer reach back to where a session is, which Bayeux has no words for: it ends, and its client has to handshake.
    pub(in crate::shard) fn lose_bayeux(&mut self, key: ConnKey, session: SessionKey) {
        self.answer_held(key, Turn::Over, Gives::Nothing);
        self.end_session(session, CloseCode::Ended);
    }

    /// Puts an array of messages down a socket.
    fn tell_bayeux(&mut self, key: ConnKey, json: &[u8]) {
        let Some(dialect) = self.talk(key).map(|talk| talk.dialect) else { return };
        let transport = TransportId::ws();
        let mut bytes = Vec::with_capacity(json.len() + 8);
        transport.transport().encode(dialect, &Envelope::plain(json), &self.core.cx.press, &mut bytes);
        self.core.conns.push(&mut self.core.cx, key, Frame::from(bytes));
    }
}

/// Whether an answer to a connect may bring messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Gives {
    Messages,
    Nothing,
}

/// Events that stand in an array with others.
fn item_form() -> Form {
    Form {
        transport: TransportId::longpoll(),
        dialect: Dialect::default(),
        protocol: Protocol::Bayeux,
        coding: Coding::Identity,
        framing: Framing::Length,
    }
}

fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [b"[", &*items.join(&b","[..]), b"]"].concat()
}

impl Upgraded {
    fn new(talk: &Talk, past: Past, message: Vec<u8>) -> Self {
        let (grant, refusal) = match &talk.caller.credential {
            Credential::Open => (None, None),
            Credential::Token(grant) => (Some((**grant).clone()), None),
            Credential::Missing(refusal) => (None, Some((**refusal).clone())),
        };
        Self {
            dialect: talk.dialect,
            past,
            user: talk.caller.user.clone(),
            grant,
            refusal,
            marks: talk.caller.marks.clone(),
            agent: talk.caller.agent,
            sender: talk.caller.sender,
            unmarked: talk.unmarked,
            message,
        }
    }
}
