//! The way up a connection that carries messages both ways: WebSocket and XMLSocket.
//!
//! A message up holds commands, as the body of `send` does; each is answered by a message down, in order. One message is carried out at a
//! time: while other shards owe an answer to it, or more waits for the client than it may, nothing more is read, so a client
//! that sends without reading holds up itself alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::frame::Frame;
use crate::base::slab::{ConnKey, SessionKey, TicketKey};
use crate::base::ticks::Tick;
use crate::protocol::native::command;
use crate::protocol::native::command::Batch;
use crate::protocol::native::envelope::CloseCode;
use crate::shard::bayeux::Talk;
use crate::shard::commands::Caller;
use crate::shard::conn::{Conn, Extra, Intake, Phase, Then};
use crate::shard::conns::Conns;
use crate::shard::conns::LINGER;
use crate::shard::cx::Cx;
use crate::shard::incoming::{Incoming, Up};
use crate::shard::mutation::Mutation;
use crate::shard::receive::Step;
use crate::shard::request::User;
use crate::shard::ticket::Said;
use crate::shard::todo::Todo;
use crate::shard::unfinished::{Change, Deadline};
use crate::shard::{Shard, Timer};
use crate::transport::{Dialect, Envelope, Form, Through, record, ws};
use crate::wire::refusal::Refusal;
use crate::wire::websocket::{Decoder, Opcode, Past, Violation};

/// The way up of one connection.
#[derive(Debug)]
pub struct Socket {
    incoming: Incoming,
    /// The answers to the last message up, while they are not all there.
    awaits: Option<TicketKey>,
    life: Life,
    then: After,
    speaks: Speaks,
    deadline: Deadline,
}

/// What is said on a socket.
#[derive(Debug)]
pub enum Speaks {
    /// Commands up, envelopes down.
    Native,
    /// Bayeux, with what is known of the other end.
    Bayeux(Box<Talk>),
}

/// What follows the answers to the last message up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The next message.
    Next,
    /// The session's end, for which the client asked.
    End,
}

/// Whether the other end is known to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Heard,
    /// Pinged at this time; nothing has come since.
    Pinged(Tick),
}

/// What is wrong with what came up: the close code and the words.
pub(super) struct Broken {
    close: u16,
    code: &'static str,
    reason: String,
}

impl Broken {
    pub(super) fn new(close: u16, code: &'static str, reason: String) -> Self {
        Self { close, code, reason }
    }
}

impl From<Violation> for Broken {
    fn from(violation: Violation) -> Self {
        Self {
            close: violation.close_code(),
            code: violation.code(),
            reason: violation.reason().into_owned(),
        }
    }
}

impl Socket {
    /// For a connection that was just opened.
    pub fn new(through: Through, dialect: Dialect, past: Past, speaks: Speaks) -> Self {
        let incoming = match through {
            Through::Upgrade => {
                Incoming::WebSocket { decoder: Decoder::new(past), compression: ws::compression(dialect) }
            }
            Through::Listener => Incoming::XmlSocket { text: Vec::new() },
        };
        Self {
            incoming,
            awaits: None,
            life: Life::Heard,
            then: After::Next,
            speaks,
            deadline: Deadline::default(),
        }
    }

    /// What compressed messages that come up may refer to.
    pub fn past(&self) -> Past {
        match &self.incoming {
            Incoming::WebSocket { decoder, .. } => decoder.past().clone(),
            Incoming::XmlSocket { .. } => Past::None,
        }
    }

    /// What is said on it.
    pub fn speaks(&self) -> &Speaks {
        &self.speaks
    }

    /// What is said on it.
    pub fn speaks_mut(&mut self) -> &mut Speaks {
        &mut self.speaks
    }

    /// By when the message that has begun must be whole.
    pub fn message_due(&self) -> Option<Tick> {
        self.deadline.due()
    }

    /// Whether the message that has begun should be whole by now.
    pub fn is_late(&self, now: Tick) -> bool {
        self.deadline.is_over(now)
    }

    /// Bytes that it keeps of a message.
    pub fn input_bytes(&self) -> usize {
        self.incoming.bytes()
    }

    /// When the connect that it holds is to be answered.
    pub fn held_until(&self) -> Option<Tick> {
        match &self.speaks {
            Speaks::Native => None,
            Speaks::Bayeux(talk) => talk.held.as_ref()?.due(),
        }
    }

    /// All answers to a message up are there: whether it waited for them.
    pub(super) fn answered(&mut self, ticket: TicketKey) -> bool {
        self.awaits.take_if(|awaited| *awaited == ticket).is_some()
    }

    /// Whether it wants bytes.
    pub fn reads(&self) -> bool {
        self.awaits.is_none()
    }

    /// A ping was sent. Says whether an earlier one is still unanswered: a pong that may wait to be read does not count as missing.
    pub fn pinged(&mut self, now: Tick) -> Option<Tick> {
        match (&self.incoming, self.life) {
            (Incoming::XmlSocket { .. }, _) => None,
            (Incoming::WebSocket { .. }, _) if !self.reads() => None,
            (Incoming::WebSocket { .. }, Life::Pinged(since)) => Some(since),
            (Incoming::WebSocket { .. }, Life::Heard) => {
                self.life = Life::Pinged(now);
                None
            }
        }
    }
}

/// The close code of an ordinary end (RFC 6455, 7.4.1).
pub(super) const NORMAL: u16 = 1000;

/// That of a server that goes away.
pub(super) const GOING_AWAY: u16 = 1001;

/// That of data of a kind that is not taken.
const UNSUPPORTED: u16 = 1003;

/// That of a message which is against the rules of what is spoken.
pub(super) const POLICY: u16 = 1008;

impl Conns {
    /// Takes bytes that came up a socket: says how many, and which message is whole by them. `None`
    /// if it takes nothing now: it awaits answers, or `waiting_max` bytes and more wait for it.
    fn take_up(
        &mut self,
        cx: &mut Cx,
        key: ConnKey,
        input: &[u8],
        waiting_max: usize,
    ) -> Option<Result<(usize, Option<Up>), Broken>> {
        let conn = self.slab.get_mut(key)?;
        let is_full = conn.outbox.len() >= waiting_max;
        let socket = conn.socket_mut().filter(|socket| socket.reads() && !is_full)?;
        socket.life = Life::Heard;
        let inflater = self.inflater.get_or_insert_default();
        let taken = socket.incoming.take(input, cx.config.body_bytes, inflater);
        let change = socket.deadline.look(socket.incoming.is_idle(), cx.now + cx.config.body_timeout);
        if change != Change::None {
            self.message_changed(cx, key, change);
        }
        Some(taken)
    }

    /// Nothing more is read from a socket until a ticket is settled.
    pub(super) fn await_answers(&mut self, key: ConnKey, ticket: TicketKey) {
        if let Some(socket) = self.slab.get_mut(key).and_then(Conn::socket_mut) {
            socket.awaits = Some(ticket);
        }
    }

    /// We have said `close` on a WebSocket: the connection stays until the other end has answered, for a moment.
    pub(super) fn await_close(&mut self, cx: &mut Cx, key: ConnKey) {
        let now = cx.now;
        let Some(conn) = self.slab.get_mut(key) else { return };
        if let Some(access) = conn.access.take() {
            access.finish(now, conn);
        }
        let Phase::Streaming(exchange) = std::mem::replace(&mut conn.phase, Phase::Lingering) else { return };
        let Some(Extra::Socket(socket)) = exchange.extra.map(|extra| *extra) else { return };
        conn.phase = Phase::Closing(Box::new(socket));
        conn.alarm.set(&mut cx.wheel, now + LINGER, Timer::Conn(key));
        cx.todos.push_back(Todo::Reread(key));
    }

    /// Bytes came after our `close`: whatever they say, only the answer to it counts.
    pub(super) fn hear_close(&mut self, cx: &mut Cx, key: ConnKey, input: &[u8]) -> Step {
        let bytes_max = cx.config.body_bytes;
        let Some(Conn { phase: Phase::Closing(socket), .. }) = self.slab.get_mut(key) else {
            return Step::Stop;
        };
        match socket.incoming.take(input, bytes_max, self.inflater.get_or_insert_default()) {
            Ok((_, Some(Up::Close(_)))) | Err(_) => {
                self.flush(cx, key, Then::Close);
                Step::Stop
            }
            Ok((used, _)) => Step::Used(used),
        }
    }

    fn tell_socket(&mut self, cx: &mut Cx, key: ConnKey, said: &Said) {
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.slab.get(key) else { return };
        let form: Form = exchange.form;
        let mut json = Vec::new();
        said.write(&mut json);
        let encoded = form.encode(&Envelope::plain(&json), &cx.press);
        self.stream(cx, key, encoded);
    }

    /// The client broke the protocol: it is told in the protocol's own way, and nothing more is read.
    pub(super) fn break_off(&mut self, cx: &mut Cx, key: ConnKey, broken: Broken) -> Step {
        cx.metrics.refused(broken.code);
        log::debug!("a socket is closed: {}", broken.reason);
        if let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.slab.get(key)
            && exchange.socket().is_some_and(|socket| matches!(socket.incoming, Incoming::XmlSocket { .. }))
        {
            let refusal = Refusal::new(413, broken.code, broken.reason);
            self.tell_socket(cx, key, &Said::Refused(refusal));
            self.end_stream(cx, key);
        } else {
            self.close_socket(cx, key, broken.close, &broken.reason);
        }
        Step::Stop
    }

    /// Says `close` on a WebSocket, or answers it, and then closes the connection.
    pub(super) fn close_socket(&mut self, cx: &mut Cx, key: ConnKey, code: u16, reason: &str) {
        self.detach(cx, key);
        let mut bytes = Vec::new();
        ws::close(code, reason, &mut bytes);
        self.push(cx, key, Frame::from(bytes));
        self.flush(cx, key, Then::Close);
    }

    /// There is room again, or an answer has come: what waited to be read may go on.
    pub(super) fn read_on(&mut self, cx: &mut Cx, key: ConnKey) {
        let Some(conn) = self.slab.get(key) else { return };
        let has_waited = !conn.tail.is_empty() || conn.intake != Intake::Open;
        if has_waited && conn.takes_messages() && conn.outbox.len() < cx.config.outbox_bytes {
            cx.todos.push_back(Todo::Reread(key));
        }
    }
}

impl Shard {
    /// Bytes came up a socket.
    pub(super) fn hear_socket(&mut self, key: ConnKey, input: &[u8]) -> Step {
        let Some(socket) = self.core.conns.get(key).and_then(Conn::socket) else { return Step::Stop };
        let is_native = matches!(socket.speaks, Speaks::Native);
        // One that has no session yet may have to move with its next message, and moves with nothing in its outbox.
        let moves = matches!(socket.speaks(), Speaks::Bayeux(talk) if talk.session.is_none());
        let waiting_max = if moves { 1 } else { self.core.cx.config.outbox_bytes };
        let Some(taken) = self.core.conns.take_up(&mut self.core.cx, key, input, waiting_max) else {
            return Step::Stop;
        };
        match taken {
            Err(broken) => self.core.conns.break_off(&mut self.core.cx, key, broken),
            Ok((used, None)) => Step::Used(used),
            Ok((used, Some(Up::Commands(text)))) if !is_native => match self.hear_bayeux(key, text) {
                Ok(None) => Step::Used(used),
                Ok(Some((to, upgraded))) => {
                    self.core.conns.hand_off_upgraded(
                        &mut self.core.cx,
                        key,
                        to,
                        input[used..].to_vec(),
                        upgraded,
                    );
                    Step::Used(input.len())
                }
                Err(refusal) => {
                    let (close, code) = (POLICY, refusal.code);
                    self.core.conns.break_off(
                        &mut self.core.cx,
                        key,
                        Broken { close, code, reason: refusal.reason.into_owned() },
                    )
                }
            },
            Ok((_, Some(Up::Record(_)))) if !is_native => {
                let reason = "Bayeux messages are text".to_owned();
                self.core.conns.break_off(
                    &mut self.core.cx,
                    key,
                    Broken { close: UNSUPPORTED, code: "bad-record", reason },
                )
            }
            Ok((used, Some(up))) => {
                self.up(key, up);
                Step::Used(used)
            }
        }
    }

    fn up(&mut self, key: ConnKey, up: Up) {
        match up {
            Up::Nothing => {}
            Up::Ping(payload) => self.core.conns.push(&mut self.core.cx, key, pong(&payload)),
            Up::Close(code) => self.core.conns.close_socket(&mut self.core.cx, key, code, ""),
            Up::Commands(text) => {
                let batch = command::decode(&text, self.core.cx.config.batch, self.core.cx.config.json_depth);
                self.ask_of_socket(key, batch);
            }
            Up::Record(bytes) => {
                let batch = publish_of_bytes(&bytes);
                self.ask_of_socket(key, batch);
            }
        }
    }

    /// Carries out what came up in one message.
    fn ask_of_socket(&mut self, key: ConnKey, batch: Result<Batch, Refusal>) {
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.core.conns.get(key) else { return };
        let session = exchange.session;
        let batch = match batch {
            Ok(batch) => batch,
            Err(refusal) => {
                self.core.cx.metrics.refused(refusal.code);
                return self.core.conns.tell_socket(&mut self.core.cx, key, &Said::Refused(refusal));
            }
        };
        let Some(user) = self.user_of_session(session) else { return };
        let grant = std::rc::Rc::clone(&self.core.sessions[session].grant);
        let caller = Caller { user: &user, grant: &grant, session: Some(session), stale: false };
        let ticket = self.carry_out(key, &caller, batch, None);
        self.core.conns.await_answers(key, ticket);
        self.settle_ticket(ticket);
    }

    /// All answers to what came up in one message are there.
    pub(super) fn answer_socket(&mut self, key: ConnKey, ticket: TicketKey, answers: &[Said]) {
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.core.conns.get_mut(key) else {
            return;
        };
        let Some(socket) = exchange.socket_mut() else { return };
        if !socket.answered(ticket) {
            return;
        }
        let (then, session) = (socket.then, exchange.session);
        let backwards = self.core.cx.broken_by(Mutation::SocketAnswersBackwards);
        for at in 0..answers.len() {
            let at = if backwards { answers.len() - 1 - at } else { at };
            self.core.conns.tell_socket(&mut self.core.cx, key, &answers[at]);
        }
        match then {
            After::End => self.end_session(session, CloseCode::Closed),
            After::Next => self.core.conns.read_on(&mut self.core.cx, key),
        }
    }

    /// A client wants its session to end. If it says so up the session's own socket, `conn`, it gets its answers first; whether
    /// that is so.
    pub(super) fn end_after_answers(&mut self, conn: ConnKey, session: SessionKey) -> bool {
        let own = self.core.sessions.get(session).and_then(|session| session.link.conn());
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) =
            own.filter(|own| *own == conn).and_then(|conn| self.core.conns.get_mut(conn))
        else {
            return false;
        };
        let Some(socket) = exchange.socket_mut() else { return false };
        socket.then = After::End;
        true
    }

    pub(super) fn user_of_session(&self, session: SessionKey) -> Option<User> {
        let personal =
            self.core.hub.channel(self.core.sessions.get(session)?.subscriptions.first()?.channel)?;
        let name = crate::wire::channel_name::user_of(&personal.name)?;
        let channel = crate::wire::channel_name::ChannelName::personal(&name).ok()?;
        Some(User { name: (*name).into(), channel })
    }
}

fn pong(payload: &[u8]) -> Frame {
    let mut bytes = Vec::with_capacity(payload.len() + 2);
    ws::control(Opcode::Pong, payload, &mut bytes);
    Frame::from(bytes)
}

/// A binary message: the command `publish` as a record whose payload is published as bytes.
fn publish_of_bytes(message: &[u8]) -> Result<Batch, Refusal> {
    let bad = |reason: &str| Refusal::new(400, "bad-record", reason.to_owned());
    let (header, payload) =
        record::decode(message).ok_or_else(|| bad("the message is shorter than its header says"))?;
    let data = format!("\"{}\"", STANDARD.encode(payload));
    command::publish_bytes(header, data.into())
}
