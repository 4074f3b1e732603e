//! The incoming half of a connection that carries messages both ways: WebSocket and XMLSocket.
//!
//! One message is executed at a time. While its answers are missing, or the outbox is over its
//! bound, nothing more is read, so a client that sends without reading only delays itself.

use std::borrow::Cow;

use crate::base::frame::Frame;
use crate::base::slab::{ConnKey, PendingKey};
use crate::base::ticks::Tick;
use crate::call::pending::ItemAnswer;
use crate::call::protocol::Subprotocol;
use crate::conn::Conns;
use crate::conn::incoming::{Borders, Incoming, Up};
use crate::conn::limits::LINGER;
use crate::conn::phase::{Conn, Extra, Intake, Phase, Step, Then};
use crate::conn::unfinished::{Change, Deadline};
use crate::request::reply::Reply;
use crate::transport::{Dialect, Envelope, Form, Through, ws};
use crate::turn::cx::Cx;
use crate::turn::timer::Timer;
use crate::turn::todo::{Leaving, Todo};
use crate::wire::refusal::Refusal;
use crate::wire::websocket::{Decoder, Opcode, Past, Violation};

/// The incoming half of one connection.
#[derive(Debug)]
pub struct Socket {
    incoming: Incoming,
    awaits: Awaits,
    life: Liveness,
    pub(crate) after_answers: AfterAnswers,
    pub(crate) subprotocol: Subprotocol,
    /// [`Reply::page`] of the request that opened it.
    page: Option<Box<str>>,
    deadline: Deadline,
}

/// What follows the answers to the message that is being carried out.
///
/// A `close` cannot end the session at once, nor by a to-do of its turn: the socket ends with the
/// session, and it has yet to bring the answers to the whole message. Those to commands behind the
/// `close` may come from other shards, in later turns. So the socket keeps the end until all
/// answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterAnswers {
    /// The next message is read.
    ReadOn,
    /// The session ends, as its client asked.
    EndSession,
}

/// What a socket waits for before it reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    Nothing,
    /// Answers to the pending request of the last message.
    Answers(PendingKey),
    /// Room where its bytes go.
    Room,
}

/// Whether the peer is known to be alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Liveness {
    Heard,
    /// Pinged at this time; nothing has arrived since.
    Pinged(Tick),
}

/// Why a socket is broken off.
pub(crate) enum SocketRefusal {
    /// The client broke a rule of WebSocket.
    Violation(Violation),
    /// A message, and with it the socket, is refused.
    Refused {
        /// The close code of a WebSocket.
        close: u16,
        refusal: Refusal,
    },
}

impl SocketRefusal {
    pub(crate) fn refused(close: u16, refused: impl Into<Refusal>) -> Self {
        Self::Refused { close, refusal: refused.into() }
    }

    /// The label of its counter.
    fn label(&self) -> &'static str {
        match self {
            Self::Violation(violation) => violation.code(),
            Self::Refused { refusal, .. } => refusal.code.text(),
        }
    }

    /// The close code of a WebSocket, and the reason.
    fn close(self) -> (u16, Cow<'static, str>) {
        match self {
            Self::Violation(violation) => (violation.close_code(), violation.reason()),
            Self::Refused { close, refusal } => (close, refusal.reason),
        }
    }
}

impl From<Violation> for SocketRefusal {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl Socket {
    /// For a new connection.
    pub fn new(through: Through, dialect: Dialect, past: Past, subprotocol: Subprotocol) -> Self {
        let incoming = match through {
            Through::Upgrade => {
                let borders = if subprotocol.is_byte_stream() { Borders::Dropped } else { Borders::Kept };
                let compression = ws::compression(dialect);
                Incoming::WebSocket { decoder: Decoder::new(past), compression, borders }
            }
            Through::Listener => Incoming::XmlSocket { text: Vec::new() },
        };
        Self {
            incoming,
            awaits: Awaits::Nothing,
            life: Liveness::Heard,
            after_answers: AfterAnswers::ReadOn,
            subprotocol,
            page: None,
            deadline: Deadline::default(),
        }
    }

    /// With the origin of the request that opens it.
    pub(crate) fn of_page(self, reply: &Reply) -> Self {
        Self { page: reply.page.clone(), ..self }
    }

    /// The origin of the request that opened it.
    pub(crate) fn page(&self) -> Option<&str> {
        self.page.as_deref()
    }

    /// What compressed messages from the client may refer to.
    pub fn past(&self) -> Past {
        match &self.incoming {
            Incoming::WebSocket { decoder, .. } => decoder.past().clone(),
            Incoming::XmlSocket { .. } => Past::None,
        }
    }

    /// Its protocol.
    pub fn subprotocol(&self) -> &Subprotocol {
        &self.subprotocol
    }

    /// Its protocol.
    pub fn subprotocol_mut(&mut self) -> &mut Subprotocol {
        &mut self.subprotocol
    }

    /// The deadline of the unfinished message.
    pub fn message_due(&self) -> Option<Tick> {
        self.deadline.due()
    }

    /// Whether the unfinished message has passed its deadline.
    pub fn is_late(&self, now: Tick) -> bool {
        self.deadline.is_over(now)
    }

    /// Buffered bytes of an unfinished message.
    pub fn input_bytes(&self) -> usize {
        self.incoming.bytes()
    }

    /// When the request that it holds gets its answer.
    pub fn held_until(&self) -> Option<Tick> {
        self.subprotocol.held_until()
    }

    /// All answers of a pending request are there. Returns whether the socket waited for it.
    pub(crate) fn answered(&mut self, pending: PendingKey) -> bool {
        let is_it = self.awaits == Awaits::Answers(pending);
        if is_it {
            self.awaits = Awaits::Nothing;
        }
        is_it
    }

    /// Whether it reads bytes.
    pub fn reads(&self) -> bool {
        self.awaits == Awaits::Nothing
    }

    /// Notes a ping. Returns the time of an earlier one that is still unanswered; a pong that may
    /// be in unread bytes does not count as missing.
    pub fn pinged(&mut self, now: Tick) -> Option<Tick> {
        match (&self.incoming, self.life) {
            (Incoming::XmlSocket { .. }, _) => None,
            (Incoming::WebSocket { .. }, _) if !self.reads() => None,
            (Incoming::WebSocket { .. }, Liveness::Pinged(since)) => Some(since),
            (Incoming::WebSocket { .. }, Liveness::Heard) => {
                self.life = Liveness::Pinged(now);
                None
            }
        }
    }
}

/// The close code of an ordinary end (RFC 6455, 7.4.1).
pub(crate) const NORMAL: u16 = 1000;

/// The close code of a server that stops.
pub(crate) const GOING_AWAY: u16 = 1001;

/// The close code for data of an unsupported kind.
pub(crate) const UNSUPPORTED: u16 = 1003;

/// The close code for a message that breaks the rules of its protocol.
pub(crate) const POLICY: u16 = 1008;

impl Conns {
    /// Consumes bytes of a socket: returns how many, and the message that they complete. `None` if
    /// it consumes nothing now, because it waits for answers, or `waiting_max` bytes are in its
    /// outbox.
    pub(crate) fn take_up(
        &mut self,
        cx: &mut Cx,
        key: ConnKey,
        input: &[u8],
        waiting_max: usize,
    ) -> Option<Result<(usize, Option<Up>), SocketRefusal>> {
        let conn = self.slab.get_mut(key)?;
        let is_full = conn.outbox.len() >= waiting_max;
        let socket = conn.socket_mut().filter(|socket| socket.reads() && !is_full)?;
        socket.life = Liveness::Heard;
        let inflater = self.inflater.get_or_insert_default();
        let taken = socket.incoming.take(input, cx.config.body_bytes, inflater);
        let change = socket.deadline.look(socket.incoming.is_idle(), cx.now + cx.config.body_timeout);
        if change != Change::None {
            self.message_changed(cx, key, change);
        }
        Some(taken)
    }

    /// Stops reading from a socket until a pending request is complete.
    pub(crate) fn await_answers(&mut self, key: ConnKey, pending: PendingKey) {
        if let Some(socket) = self.slab.get_mut(key).and_then(Conn::socket_mut) {
            socket.awaits = Awaits::Answers(pending);
        }
    }

    /// Stops reading from a socket until there is room where its bytes go.
    pub(crate) fn await_room(&mut self, key: ConnKey) {
        if let Some(socket) = self.slab.get_mut(key).and_then(Conn::socket_mut) {
            socket.awaits = Awaits::Room;
        }
    }

    /// There is room again.
    pub(crate) fn has_room(&mut self, cx: &mut Cx, key: ConnKey) {
        if let Some(socket) = self.slab.get_mut(key).and_then(Conn::socket_mut)
            && socket.awaits == Awaits::Room
        {
            socket.awaits = Awaits::Nothing;
            self.read_on(cx, key);
        }
    }

    /// After our `close` on a WebSocket: waits for a moment for the peer's answer.
    pub(crate) fn await_close(&mut self, cx: &mut Cx, key: ConnKey) {
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

    /// Bytes after our `close`: only the peer's answer counts.
    pub(crate) fn on_bytes_after_close(&mut self, cx: &mut Cx, key: ConnKey, input: &[u8]) -> Step {
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

    pub(crate) fn send_answer(&mut self, cx: &mut Cx, key: ConnKey, answer: &ItemAnswer) {
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.slab.get(key) else { return };
        let form: Form = exchange.form;
        let mut json = Vec::new();
        answer.write(&mut json);
        let encoded = form.encode(&Envelope::plain(&json), &cx.encoder);
        self.stream(cx, key, encoded);
    }

    /// Reports a violation in the protocol's own way, and stops reading.
    pub(crate) fn break_off(&mut self, cx: &mut Cx, key: ConnKey, broken: SocketRefusal) -> Step {
        cx.metrics.refused(broken.label());
        let is_xml = if let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.slab.get(key) {
            exchange.socket().is_some_and(|socket| matches!(socket.incoming, Incoming::XmlSocket { .. }))
        } else {
            false
        };
        match broken {
            SocketRefusal::Refused { refusal, .. } if is_xml => {
                log::debug!("a socket is closed: {}", refusal.reason);
                self.send_answer(cx, key, &ItemAnswer::Refused(refusal));
                self.end_stream(cx, key);
            }
            broken @ (SocketRefusal::Violation(_) | SocketRefusal::Refused { .. }) => {
                let (close, reason) = broken.close();
                log::debug!("a socket is closed: {reason}");
                self.close_socket(cx, key, close, &reason);
            }
        }
        Step::Stop
    }

    /// Sends `close` on a WebSocket, or answers it, and then closes the connection.
    pub(crate) fn close_socket(&mut self, cx: &mut Cx, key: ConnKey, code: u16, reason: &str) {
        self.detach(cx, key, Leaving::Ended);
        let mut bytes = Vec::new();
        ws::close(code, reason, &mut bytes);
        self.push(cx, key, Frame::from(bytes));
        self.flush(cx, key, Then::Close);
    }

    /// Continues reading: the outbox has room, or an answer has arrived.
    pub(crate) fn read_on(&mut self, cx: &mut Cx, key: ConnKey) {
        let Some(conn) = self.slab.get(key) else { return };
        let has_waited = !conn.tail.is_empty() || conn.intake != Intake::Open;
        if has_waited && conn.takes_messages() && conn.outbox.len() < cx.config.outbox_bytes {
            cx.todos.push_back(Todo::Reread(key));
        }
    }
}

pub(crate) fn pong(payload: &[u8]) -> Frame {
    let mut bytes = Vec::with_capacity(payload.len() + 2);
    ws::control(Opcode::Pong, payload, &mut bytes);
    Frame::from(bytes)
}
