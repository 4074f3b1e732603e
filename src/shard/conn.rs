//! One connection: where it stands between requests and responses, what it has not understood yet, and what it still has to send.
//!
//! A connection knows no socket and no other connection. Its phase holds exactly what is true in it; an idle one owns no buffer.

use std::net::SocketAddr;

use crate::base::alarm::Alarm;
use crate::base::ids::Door;
use crate::base::outbox::Outbox;
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::{Span, Tick};
use crate::config::ProxyHeader;
use crate::shard::access::Access;
use crate::shard::bayeux::Held;
use crate::shard::echo::Echo;
use crate::shard::pipeline::Asked;
use crate::shard::reply::Reply;
use crate::shard::request::Request;
use crate::shard::silent::Network;
use crate::shard::socket::{Socket, Speaks};
use crate::shard::withheld::Withheld;
use crate::transport::gzip::Sum;
use crate::transport::{Form, Opening};
use crate::wire::http::Scanned;
use crate::wire::http::body::BodyDecoder;
use crate::wire::http::head::KeepAlive;

/// One connection.
#[derive(Debug)]
pub struct Conn {
    /// Where it came in.
    pub door: Door,
    /// Whether it may be read.
    pub intake: Intake,
    /// The other end; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Bytes that came and could not be used yet.
    pub tail: Vec<u8>,
    /// What waits for the kernel.
    pub outbox: Outbox,
    /// The phase's deadline.
    pub alarm: Alarm,
    /// Where it stands.
    pub phase: Phase,
    /// The request that is being answered, while the access log is on.
    pub access: Option<Box<Access>>,
    /// Bytes of unfinished input that it was last seen to keep: two bodies at most.
    pub kept: u32,
}

/// Whether bytes can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// They can.
    Open,
    /// The driver was asked to hold them back.
    Paused,
    /// The other end has said its last.
    Ended,
}

/// Where a connection stands.
#[derive(Debug)]
pub enum Phase {
    /// Accepted; nothing has come on it yet, or nothing after the proxy's header.
    Silent {
        /// What it begins with.
        header: ProxyHeader,
        /// Where it counts as silent, if it does.
        network: Option<Network>,
    },
    /// In the middle of what may be a proxy's header.
    Preface(ProxyHeader),
    /// Waiting for the first message of an XMLSocket; so many bytes of it hold no NUL.
    Greeting {
        /// How far the search has got.
        scanned: u32,
    },
    /// Between requests.
    Idle,
    /// In the middle of a head.
    Head {
        /// How far the parser has looked.
        scanned: Scanned,
    },
    /// In the middle of a body.
    Body(Box<Receiving>),
    /// Other shards have been asked for something; never empty, the oldest request first.
    Waiting(Vec<Asked>),
    /// A long poll without anything to say.
    Parked(Box<Poll>),
    /// A long poll that waits behind another of its session.
    Behind(Box<Poll>),
    /// A refusal that is given late.
    Withheld(Box<Withheld>),
    /// A response that stays open, or what a connection was upgraded to.
    Streaming(Exchange),
    /// A WebSocket that speaks Bayeux, and down which no session's messages go just now.
    Unbound(Box<Socket>),
    /// A WebSocket that gives back what it gets.
    Echo(Box<Echo>),
    /// A WebSocket on which we have said `close`: the other end is to answer.
    Closing(Box<Socket>),
    /// The last response is in the outbox; what then follows.
    Flushing(Then),
    /// Everything is said, and FIN is sent: what still comes is thrown away.
    Lingering,
}

/// Where a connection begins that moved here from another shard.
pub fn first_phase(door: Door) -> Phase {
    match door {
        Door::Public | Door::Private => Phase::Idle,
        Door::XmlSocket => Phase::Greeting { scanned: 0 },
    }
}

/// What follows once the outbox is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next request.
    Next,
    /// FIN, and a moment for the other end to read.
    Close,
}

/// A request whose body is on its way.
#[derive(Debug)]
pub struct Receiving {
    /// What was asked.
    pub request: Request,
    /// How to answer.
    pub reply: Reply,
    /// Where the body ends.
    pub decoder: BodyDecoder,
    /// The body so far.
    pub body: Vec<u8>,
}

/// A response that streams.
#[derive(Debug)]
pub struct Exchange {
    /// Whose.
    pub session: SessionKey,
    /// How envelopes are spelled.
    pub form: Form,
    /// What follows the response.
    pub then: Then,
    /// When something last moved: the outbox got its first frame, or the kernel took some.
    pub moved: Tick,
    /// Bytes that the kernel took of it, up to 4 GiB.
    pub sent: u32,
    /// When it is to make room for another.
    pub recycle: Recycle,
    /// What few responses have, and so is not paid for by all.
    pub extra: Option<Box<Extra>>,
}

/// What a response has besides.
#[derive(Debug)]
pub enum Extra {
    /// It is compressed: what its trailer will say.
    Gzip(Sum),
    /// It has a way up.
    Socket(Socket),
}

impl Exchange {
    /// Something goes out that counts so much in the trailer.
    pub fn count(&mut self, sum: Sum) {
        if let Some(Extra::Gzip(all)) = self.extra.as_deref_mut() {
            all.add(sum);
        }
    }

    /// When something is to be done about it, whatever goes out until then.
    pub fn deadline(&self) -> Option<Tick> {
        let socket = self.socket().into_iter();
        let due = socket.flat_map(|socket| [socket.held_until(), socket.message_due()]).flatten();
        self.recycle.deadline().into_iter().chain(due).min()
    }

    /// Whether so much of it was written, compared with `bytes`, that it is to make room for another.
    pub fn is_long(&self, bytes: Option<usize>) -> bool {
        let told = matches!(self.recycle, Recycle::Told(_));
        !told && bytes.is_some_and(|bytes| self.sent as usize >= bytes) && self.socket().is_none()
    }

    /// What the trailer will say; nothing, where there is none.
    pub fn sum(&self) -> Sum {
        match self.extra.as_deref() {
            Some(Extra::Gzip(sum)) => *sum,
            Some(Extra::Socket(_)) | None => Sum::default(),
        }
    }

    /// Its way up.
    pub fn socket(&self) -> Option<&Socket> {
        match self.extra.as_deref() {
            Some(Extra::Socket(socket)) => Some(socket),
            Some(Extra::Gzip(_)) | None => None,
        }
    }

    /// Its way up.
    pub fn socket_mut(&mut self) -> Option<&mut Socket> {
        match self.extra.as_deref_mut() {
            Some(Extra::Socket(socket)) => Some(socket),
            Some(Extra::Gzip(_)) | None => None,
        }
    }
}

/// The end of a response that has become long or old. Times are whole seconds since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recycle {
    /// Only if it becomes too long.
    Unscheduled,
    /// At this time, or when it becomes too long.
    Due(u32),
    /// The client was told; at the latest at this time it ends.
    Told(u32),
}

impl Recycle {
    /// For a response that begins now and may last so long.
    pub fn after(now: Tick, span: Option<Span>) -> Self {
        span.map_or(Self::Unscheduled, |span| Self::Due(seconds(now + span)))
    }

    /// The client is told now and has so long to come back.
    pub fn told(now: Tick, patience: Span) -> Self {
        Self::Told(seconds(now + patience))
    }

    /// When something is to be done.
    pub fn deadline(self) -> Option<Tick> {
        match self {
            Self::Unscheduled => None,
            Self::Due(at) | Self::Told(at) => Some(Tick::ZERO + Span::from_secs(u64::from(at))),
        }
    }
}

fn seconds(at: Tick) -> u32 {
    u32::try_from(at.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// A poll that is answered once.
#[derive(Debug)]
pub struct Poll {
    /// Whose.
    pub session: SessionKey,
    /// How envelopes are spelled.
    pub form: Form,
    /// How to answer.
    pub reply: Reply,
    /// How the answer begins.
    pub opening: Opening,
    /// A second poll of the session, which takes its place.
    pub behind: Option<ConnKey>,
    /// The connect that it is, in Bayeux.
    pub connect: Option<Box<Held>>,
}

impl Phase {
    /// The answer that is owed, if its head is not written yet, will be the connection's last, and say so.
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
            | Self::Lingering => return,
        };
        reply.keep_alive = KeepAlive::Close;
    }
}

impl Conn {
    /// A connection that was just accepted, or just adopted.
    pub fn new(door: Door, peer: Option<SocketAddr>, phase: Phase) -> Self {
        Self {
            door,
            intake: Intake::Open,
            peer,
            tail: Vec::new(),
            outbox: Outbox::default(),
            alarm: Alarm::default(),
            phase,
            access: None,
            kept: 0,
        }
    }

    /// Bytes of unfinished input that it keeps: what was read and neither carried out nor thrown away.
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
            | Phase::Lingering => 0,
        };
        self.tail.capacity() + unfinished
    }

    /// Whether it is a WebSocket that speaks Bayeux.
    pub fn speaks_bayeux(&self) -> bool {
        self.socket().is_some_and(|socket| matches!(socket.speaks(), Speaks::Bayeux(_)))
    }

    /// The session whose messages it brings, or is to bring, and the long poll that waits behind it.
    pub fn session(&self) -> Option<(SessionKey, Option<ConnKey>)> {
        match &self.phase {
            Phase::Streaming(exchange) => Some((exchange.session, None)),
            Phase::Parked(poll) => Some((poll.session, poll.behind)),
            Phase::Behind(poll) => Some((poll.session, None)),
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

    /// Whether messages come up it, one after another.
    pub fn takes_messages(&self) -> bool {
        match &self.phase {
            Phase::Streaming(exchange) => exchange.socket().is_some(),
            Phase::Echo(_) | Phase::Unbound(_) => true,
            _ => false,
        }
    }

    /// Its way up.
    pub fn socket(&self) -> Option<&Socket> {
        match &self.phase {
            Phase::Streaming(exchange) => exchange.socket(),
            Phase::Unbound(socket) => Some(socket),
            _ => None,
        }
    }

    /// Its way up.
    pub fn socket_mut(&mut self) -> Option<&mut Socket> {
        match &mut self.phase {
            Phase::Streaming(exchange) => exchange.socket_mut(),
            Phase::Unbound(socket) => Some(socket),
            _ => None,
        }
    }

    /// Whether the phase wants bytes.
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
            | Phase::Lingering => false,
        }
    }
}

// The budget of an idle stream is 1 KiB with its session and subscriptions.
const _: () = assert!(std::mem::size_of::<Conn>() <= 200);
