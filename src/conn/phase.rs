//! One connection: its phase between requests and responses, its unparsed bytes, and its outbox.
//!
//! A connection knows no socket and no other connection. Its phase holds exactly what is true in
//! it; an idle one owns no buffer.

use std::net::SocketAddr;

use crate::base::alarm::Alarm;
use crate::base::frame::Frame;
use crate::base::ids::ListenerKind;
use crate::base::outbox::Outbox;
use crate::base::peer::PeerAddr;
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::{Span, Tick};
use crate::call::protocol::{Held, Subprotocol};
use crate::config::ProxyHeader;
use crate::conn::access::AccessEntry;
use crate::conn::echo::Echo;
use crate::conn::pipeline::PipelinedRequest;
use crate::conn::silent::Network;
use crate::conn::socket::Socket;
use crate::conn::tail::Tail;
use crate::conn::withheld::Withheld;
use crate::request::Request;
use crate::request::reply::Reply;
use crate::transport::gzip::Sum;
use crate::transport::{Form, Opening};
use crate::wire::http::Scanned;
use crate::wire::http::body::BodyDecoder;
use crate::wire::http::head::KeepAlive;

/// One connection.
#[derive(Debug)]
pub struct Conn {
    /// The listener that accepted it.
    pub listener: ListenerKind,
    /// Whether the driver reads it.
    pub intake: Intake,
    /// The peer's address; `None` on a Unix socket.
    peer: Option<PeerAddr>,
    /// Bytes that were received and not parsed.
    pub tail: Tail,
    /// Bytes to be written.
    pub outbox: Outbox,
    /// The phase's deadline.
    pub alarm: Alarm,
    /// Its phase.
    pub phase: Phase,
    /// The request in progress, while the access log is on.
    pub access: Option<Box<AccessEntry>>,
    /// Bytes of unfinished input by the last count: two bodies at most.
    pub kept: u32,
}

/// Whether bytes can arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Yes.
    Open,
    /// No: the driver was asked to pause.
    Paused,
    /// No: the peer has sent FIN.
    Ended,
}

/// The phase of a connection.
#[derive(Debug)]
pub enum Phase {
    /// Accepted; no byte has arrived, or none after the PROXY header.
    Silent {
        /// Whether it begins with a PROXY header.
        header: ProxyHeader,
        /// The network for which it counts as silent, if it does.
        network: Option<Network>,
    },
    /// Reading what may be a PROXY header.
    Preface(ProxyHeader),
    /// Waiting for the first message of an XMLSocket.
    Greeting {
        /// Bytes that were searched for its NUL.
        scanned: u32,
    },
    /// Between requests.
    Idle,
    /// Reading a head.
    Head {
        /// The parser's progress.
        scanned: Scanned,
    },
    /// Reading a body.
    Body(Box<Receiving>),
    /// Waiting for answers of other shards; never empty, the oldest request first.
    Waiting(Vec<PipelinedRequest>),
    /// A long poll without messages to send.
    Parked(Box<Poll>),
    /// A long poll that waits behind another of its session.
    Behind(Box<Poll>),
    /// A refusal that is delayed.
    Withheld(Box<Withheld>),
    /// A response that stays open, or a socket.
    Streaming(Exchange),
    /// A WebSocket whose protocol binds sessions to it, without a session at present.
    Unbound(Box<Socket>),
    /// A WebSocket that returns each message.
    Echo(Box<Echo>),
    /// A WebSocket on which we have sent `close`: the peer must answer.
    Closing(Box<Socket>),
    /// The last response is in the outbox; then this follows.
    Flushing(Then),
    /// The same, and the session whose response it is has no other until it is written.
    Finishing {
        /// The session.
        session: SessionKey,
        /// What follows.
        then: Then,
    },
    /// FIN is sent; further input is discarded.
    Lingering,
}

/// The first phase of a connection that arrived from another shard.
pub fn first_phase(listener: ListenerKind) -> Phase {
    match listener {
        ListenerKind::Public | ListenerKind::Private => Phase::Idle,
        ListenerKind::XmlSocket => Phase::Greeting { scanned: 0 },
    }
}

/// What follows once the outbox is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next request.
    Next,
    /// FIN, and a moment for the peer to read.
    Close,
}

/// A request whose body has not arrived completely.
#[derive(Debug)]
pub struct Receiving {
    /// The request.
    pub request: Request,
    /// How to write its response.
    pub reply: Reply,
    /// Finds the end of the body.
    pub decoder: BodyDecoder,
    /// The body so far.
    pub body: Vec<u8>,
}

/// A response that streams.
#[derive(Debug)]
pub struct Exchange {
    /// Its session.
    pub session: SessionKey,
    /// The wire format of its envelopes.
    pub form: Form,
    /// What follows the response.
    pub then: Then,
    /// When data last moved: the outbox got its first frame, or the kernel took some.
    pub moved: Tick,
    /// Bytes that the kernel has taken, up to 4 GiB.
    pub sent: u32,
    /// When it is recycled.
    pub recycle: Recycle,
    /// Data that few responses have, boxed to keep the others small.
    pub extra: Option<Box<Extra>>,
}

/// Additional data of a response.
#[derive(Debug)]
pub enum Extra {
    /// It is compressed: the values of its trailer.
    Gzip(Sum),
    /// It is a socket.
    Socket(Socket),
    /// It ends once so many more bytes of its body are sent.
    Limit(u32),
}

impl Exchange {
    /// A frame goes out. Says whether the response is to end with it.
    #[inline]
    pub fn count(&mut self, frame: &Frame, sum: Sum) -> bool {
        match self.extra.as_deref_mut() {
            Some(Extra::Gzip(all)) => all.add(sum),
            Some(Extra::Limit(left)) => {
                let before = std::mem::replace(left, left.saturating_sub(self.form.body_bytes(frame)));
                return before > 0 && *left == 0;
            }
            Some(Extra::Socket(_)) | None => {}
        }
        false
    }

    /// Its next deadline, whatever is written until then.
    pub fn deadline(&self) -> Option<Tick> {
        let socket = self.socket().into_iter();
        let due = socket.flat_map(|socket| [socket.held_until(), socket.message_due()]).flatten();
        self.recycle.deadline().into_iter().chain(due).min()
    }

    /// Whether it has reached `bytes` and must be recycled.
    pub fn is_long(&self, bytes: Option<usize>) -> bool {
        let is_announced = matches!(self.recycle, Recycle::Announced(_));
        let ends_itself = || matches!(self.extra.as_deref(), Some(Extra::Socket(_) | Extra::Limit(_)));
        bytes.is_some_and(|bytes| self.sent as usize >= bytes) && !is_announced && !ends_itself()
    }

    /// Whether its session has no other response until its last byte is written: a client that it
    /// does not reach cannot say from where to go on.
    pub fn holds_session(&self) -> bool {
        matches!(self.extra.as_deref(), Some(Extra::Limit(_)))
    }

    /// The sum in the trailer; empty if there is none.
    pub fn sum(&self) -> Sum {
        match self.extra.as_deref() {
            Some(Extra::Gzip(sum)) => *sum,
            Some(Extra::Socket(_) | Extra::Limit(_)) | None => Sum::default(),
        }
    }

    /// Its incoming half.
    pub fn socket(&self) -> Option<&Socket> {
        match self.extra.as_deref() {
            Some(Extra::Socket(socket)) => Some(socket),
            Some(Extra::Gzip(_) | Extra::Limit(_)) | None => None,
        }
    }

    /// Its incoming half.
    pub fn socket_mut(&mut self) -> Option<&mut Socket> {
        match self.extra.as_deref_mut() {
            Some(Extra::Socket(socket)) => Some(socket),
            Some(Extra::Gzip(_) | Extra::Limit(_)) | None => None,
        }
    }
}

/// When a response that is long or old is recycled. Times are whole seconds since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recycle {
    /// Only if it becomes too long.
    Unscheduled,
    /// At this time, or before if it becomes too long.
    Due(u32),
    /// The client knows; the response ends at this time at the latest.
    Announced(u32),
}

impl Recycle {
    /// For a response that starts now and may last for `span`.
    pub fn after(now: Tick, span: Option<Span>) -> Self {
        span.map_or(Self::Unscheduled, |span| Self::Due(seconds(now + span)))
    }

    /// The client learns it now and has `patience` to reconnect.
    pub fn announced(now: Tick, patience: Span) -> Self {
        Self::Announced(seconds(now + patience))
    }

    /// The next deadline.
    pub fn deadline(self) -> Option<Tick> {
        match self {
            Self::Unscheduled => None,
            Self::Due(at) | Self::Announced(at) => Some(Tick::ZERO + Span::from_secs(u64::from(at))),
        }
    }
}

fn seconds(at: Tick) -> u32 {
    u32::try_from(at.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// A poll that is answered once.
#[derive(Debug)]
pub struct Poll {
    /// Its session.
    pub session: SessionKey,
    /// The wire format of its envelopes.
    pub form: Form,
    /// How to write its response.
    pub reply: Reply,
    /// The beginning of the response.
    pub opening: Opening,
    /// A second poll of the session, which follows this one.
    pub behind: Option<ConnKey>,
    /// What the answer repeats of the request, if the protocol wants that.
    pub held: Option<Box<Held>>,
}

impl Phase {
    /// Makes the pending answer the connection's last, if its head is not written yet.
    pub fn answer_and_close(&mut self) {
        let reply = match self {
            Self::Body(receiving) => &mut receiving.reply,
            Self::Waiting(queue) => match queue.last_mut() {
                Some(last) => &mut last.reply,
                None => return,
            },
            Self::Parked(poll) | Self::Behind(poll) => &mut poll.reply,
            Self::Withheld(withheld) => &mut withheld.reply,
            Self::Silent { .. }
            | Self::Preface(_)
            | Self::Greeting { .. }
            | Self::Idle
            | Self::Head { .. }
            | Self::Streaming(_)
            | Self::Unbound(_)
            | Self::Echo(_)
            | Self::Closing(_)
            | Self::Flushing(_)
            | Self::Finishing { .. }
            | Self::Lingering => return,
        };
        reply.keep_alive = KeepAlive::Close;
    }
}

impl Conn {
    /// A connection that was just accepted or adopted.
    pub fn new(listener: ListenerKind, peer: Option<SocketAddr>, phase: Phase) -> Self {
        Self {
            listener,
            intake: Intake::Open,
            peer: peer.map(PeerAddr::from),
            tail: Tail::default(),
            outbox: Outbox::default(),
            alarm: Alarm::default(),
            phase,
            access: None,
            kept: 0,
        }
    }

    /// The peer's address; `None` on a Unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer.map(SocketAddr::from)
    }

    /// A PROXY header says that the peer is another one.
    pub fn stands_for(&mut self, peer: SocketAddr) {
        self.peer = Some(peer.into());
    }

    /// Bytes of unfinished input that it buffers.
    pub fn input_bytes(&self) -> usize {
        let unfinished = match &self.phase {
            Phase::Body(receiving) => receiving.request.raw_bytes() + receiving.body.capacity(),
            Phase::Streaming(exchange) => exchange.socket().map_or(0, Socket::input_bytes),
            Phase::Unbound(socket) | Phase::Closing(socket) => socket.input_bytes(),
            Phase::Echo(echo) => echo.input_bytes(),
            Phase::Silent { .. }
            | Phase::Preface(_)
            | Phase::Greeting { .. }
            | Phase::Idle
            | Phase::Head { .. }
            | Phase::Waiting(_)
            | Phase::Parked(_)
            | Phase::Behind(_)
            | Phase::Withheld(_)
            | Phase::Flushing(_)
            | Phase::Finishing { .. }
            | Phase::Lingering => 0,
        };
        self.tail.capacity() + unfinished
    }

    /// What is said on it, if it is a socket.
    pub fn subprotocol(&self) -> Option<&Subprotocol> {
        self.socket().map(Socket::subprotocol)
    }

    /// The session that it serves or waits for, and the long poll that waits behind it.
    pub fn session(&self) -> Option<(SessionKey, Option<ConnKey>)> {
        match &self.phase {
            Phase::Streaming(exchange) => Some((exchange.session, None)),
            Phase::Parked(poll) => Some((poll.session, poll.behind)),
            Phase::Behind(poll) => Some((poll.session, None)),
            Phase::Finishing { session, .. } => Some((*session, None)),
            Phase::Silent { .. }
            | Phase::Preface(_)
            | Phase::Greeting { .. }
            | Phase::Unbound(_)
            | Phase::Echo(_)
            | Phase::Closing(_)
            | Phase::Idle
            | Phase::Head { .. }
            | Phase::Body(_)
            | Phase::Waiting(_)
            | Phase::Withheld(_)
            | Phase::Flushing(_)
            | Phase::Lingering => None,
        }
    }

    /// Whether the client sends messages on it.
    pub fn takes_messages(&self) -> bool {
        matches!(self.phase, Phase::Echo(_)) || self.socket().is_some()
    }

    /// Its incoming half.
    pub fn socket(&self) -> Option<&Socket> {
        if let Phase::Unbound(socket) = &self.phase {
            return Some(socket);
        }
        if let Phase::Streaming(exchange) = &self.phase { exchange.socket() } else { None }
    }

    /// Its incoming half.
    pub fn socket_mut(&mut self) -> Option<&mut Socket> {
        // Borrowed by the pattern, so that only a match holds the borrow.
        if let Phase::Unbound(ref mut socket) = self.phase {
            return Some(socket);
        }
        if let Phase::Streaming(exchange) = &mut self.phase { exchange.socket_mut() } else { None }
    }

    /// Whether the phase reads bytes.
    pub fn reads(&self) -> bool {
        match &self.phase {
            Phase::Silent { .. }
            | Phase::Preface(_)
            | Phase::Greeting { .. }
            | Phase::Idle
            | Phase::Head { .. }
            | Phase::Body(_)
            | Phase::Echo(_)
            | Phase::Closing(_) => true,
            Phase::Streaming(exchange) => exchange.socket().is_some_and(Socket::reads),
            Phase::Unbound(socket) => socket.reads(),
            Phase::Waiting(_)
            | Phase::Parked(_)
            | Phase::Behind(_)
            | Phase::Withheld(_)
            | Phase::Flushing(_)
            | Phase::Finishing { .. }
            | Phase::Lingering => false,
        }
    }
}

// The budget of an idle stream is 1 KiB with its session and subscriptions.
const _: () = assert!(std::mem::size_of::<Conn>() <= 152);

/// The result of a step on the bytes at hand.
pub(crate) enum Step {
    /// It consumed this many bytes; call it again.
    Used(usize),
    /// It needs more, or must wait, or the connection is gone.
    Stop,
}

impl From<KeepAlive> for Then {
    fn from(keep: KeepAlive) -> Self {
        match keep {
            KeepAlive::Keep => Self::Next,
            KeepAlive::Close => Self::Close,
        }
    }
}
