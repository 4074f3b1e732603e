//! The parsed request, which outlives its head; and the router that parses it.

pub mod bayeux;
pub mod cookie;
pub mod greeting;
pub(crate) mod limits;
pub mod publish_key;
pub mod question;
pub mod reply;
pub mod router;
pub mod session_id;
pub mod sockjs;

use std::borrow::Cow;
use std::rc::Rc;

use crate::assets::{Asset, Cached};
use crate::auth::Grant;
use crate::auth::origins::Preflight;
use crate::base::ticks::Span;
use crate::request::bayeux::BayeuxRequest;
pub(crate) use crate::request::bayeux::Upgraded;
use crate::request::publish_key::PublishKey;
use crate::request::question::Question;
use crate::request::sockjs::SockjsRequest;
use crate::transport::tcp::ByteCoding;
use crate::transport::{Delivery, TransportId};
use crate::wire::channel_name::ChannelName;
use crate::wire::refusal::Refusal;
use crate::wire::websocket::{DeflateOffer, Past};

/// The bytes of a request.
pub(crate) struct RawRequest<'a> {
    /// All of them, if they arrived together.
    pub(crate) raw: &'a [u8],
    /// The decoded body.
    pub(crate) body: &'a [u8],
}

/// A parsed request.
#[derive(Debug)]
pub enum Request {
    /// A response with messages, by some transport.
    Open(Box<Open>),
    /// Bayeux messages to execute, or a WebSocket for them.
    Bayeux(Box<BayeuxRequest>),
    /// Strings of a SockJS client, or a response for some.
    Sockjs(Box<SockjsRequest>),
    /// A WebSocket for the bytes of a TCP stream.
    Tcp(Box<TcpOpen>),
    /// The TCP targets that a user may reach.
    TcpTargets(Rc<Grant>),
    /// What comes up a WebSocket, back again.
    Echo(Box<Upgrade>),
    /// A stream whose session ended for good: the browser should stop reconnecting.
    Over,
    /// Commands to execute.
    Send(Box<Send>),
    /// A preflight: what a page of another origin may do.
    Preflight(Preflight),
    /// Whether the node accepts new clients.
    Health,
    /// A redirect. The reference is relative to the path, because a proxy may have removed its
    /// beginning.
    Moved(&'static str),
    /// A file that the server has compiled in.
    Asset {
        /// The file.
        asset: &'static Asset,
        /// Whether the client's copy is current.
        cached: Cached,
    },
    /// Messages that a backend publishes.
    Publish(Box<Publish>),
    /// An operator's query or action.
    Ask(Question),
    /// A refusal. The body, if any, is read before the answer, so that the connection can continue.
    Refused(Refusal),
}

impl Request {
    /// Whether the request needs a body. A request that does not, such as a refused one, is still
    /// answered after its body, so that the connection stays in step; but no byte of the body is
    /// kept.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::Open(open) => open.content.is_some() && open.commands.is_none(),
            Self::Sockjs(asked) => asked.ask.reads_body(),
            Self::Bayeux(_) | Self::Send(_) | Self::Publish(_) => true,
            Self::Echo(_)
            | Self::Tcp(_)
            | Self::TcpTargets(_)
            | Self::Over
            | Self::Moved(_)
            | Self::Preflight { .. }
            | Self::Health
            | Self::Asset { .. }
            | Self::Ask(_)
            | Self::Refused(_) => false,
        }
    }

    /// The user on whose behalf a client sends it, if its head names one.
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::Open(open) => Some(&open.user),
            Self::Send(send) => Some(&send.user),
            Self::Tcp(asked) => Some(&asked.user),
            Self::Bayeux(asked) => asked.caller.user.as_ref(),
            Self::Sockjs(asked) => asked.ask.client()?.user.as_ref(),
            Self::TcpTargets(_)
            | Self::Echo(_)
            | Self::Over
            | Self::Publish(_)
            | Self::Moved(_)
            | Self::Preflight { .. }
            | Self::Health
            | Self::Asset { .. }
            | Self::Ask(_)
            | Self::Refused(_) => None,
        }
    }

    /// The buffer for the request's bytes, if its body may name another shard.
    pub fn raw_mut(&mut self) -> Option<&mut Vec<u8>> {
        if let Self::Bayeux(asked) = self { Some(&mut asked.raw) } else { None }
    }

    /// Bytes that it keeps of itself for another shard.
    pub fn raw_bytes(&self) -> usize {
        if let Self::Bayeux(asked) = self { asked.raw.capacity() } else { 0 }
    }
}

/// The user that a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The decoded id.
    pub name: Box<str>,
    /// The personal channel.
    pub channel: ChannelName,
}

/// A request for messages.
#[derive(Debug)]
pub struct Open {
    /// The user.
    pub user: User,
    /// The transport.
    pub transport: TransportId,
    /// What the user may do.
    pub grant: Rc<Grant>,
    /// Channels to subscribe to at once.
    pub channels: Vec<ChannelName>,
    /// Whether to subscribe to their presence.
    pub presence: bool,
    /// Recent messages of each channel to send first.
    pub last: u32,
    /// Send only the newest message of each channel, at most one per span.
    pub conflate: Option<Span>,
    /// The position to continue from, unparsed.
    pub since: Option<Box<str>>,
    /// The session to continue, unparsed.
    pub session: Option<Box<str>>,
    /// The decoded query.
    pub query: Vec<(String, String)>,
    /// `Accept` and `Host`, for transports that stream; else empty.
    pub accept: Box<str>,
    /// See `accept`.
    pub host: Box<str>,
    /// The server's part of a WebSocket's handshake.
    pub upgrade: Option<Box<Upgrade>>,
    /// Commands in the query.
    pub commands: Option<Box<str>>,
    /// The format of a body with commands; `None` if no body can follow.
    pub content: Option<Content>,
}

/// The server's part of a WebSocket's handshake (RFC 6455, section 4.2.2).
#[derive(Debug)]
pub struct Upgrade {
    /// `Sec-WebSocket-Accept`.
    pub accept: String,
    /// `Sec-WebSocket-Protocol`.
    pub protocol: Option<Cow<'static, str>>,
    /// `Sec-WebSocket-Extensions`.
    pub deflate: Option<DeflateOffer>,
}

impl Upgrade {
    /// The response's headers.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let accept = ("Sec-WebSocket-Accept", self.accept.clone());
        let protocol = self.protocol.as_deref().map(|name| ("Sec-WebSocket-Protocol", name.to_owned()));
        let deflate = self.deflate.map(|offer| ("Sec-WebSocket-Extensions", offer.response()));
        std::iter::once(accept).chain(protocol).chain(deflate).collect()
    }

    /// What the client's compressed messages may refer to.
    pub fn past(&self) -> Past {
        self.deflate.map_or(Past::None, |offer| offer.past())
    }

    /// How far back the server's compressed messages may refer, as a power of two; `None` if it may
    /// not send any.
    pub fn window_bits(&self) -> Option<u8> {
        self.deflate.map(|offer| offer.server_max_window_bits)
    }
}

impl Open {
    /// A request without channels and options.
    pub fn plain(user: User, transport: TransportId, grant: Rc<Grant>) -> Self {
        Self {
            user,
            transport,
            grant,
            channels: Vec::new(),
            presence: false,
            last: 0,
            conflate: None,
            since: None,
            session: None,
            query: Vec::new(),
            accept: Box::default(),
            host: Box::default(),
            upgrade: None,
            commands: None,
            content: None,
        }
    }

    /// Whether its response stays open.
    pub fn streams(&self) -> bool {
        matches!(self.transport.transport().delivery(), Delivery::Stream | Delivery::Duplex(_))
    }

    /// Whether the query sets `name` to 1.
    pub fn asks_for(&self, name: &str) -> bool {
        self.query.iter().any(|(key, value)| key == name && value == "1")
    }

    /// The session that it names. An empty name counts as none.
    pub fn names(&self) -> Option<&str> {
        self.session.as_deref().filter(|id| !id.is_empty())
    }
}

/// A request for a WebSocket with the bytes of a TCP stream.
#[derive(Debug)]
pub struct TcpOpen {
    /// The user.
    pub user: User,
    /// The user's grant.
    pub grant: Rc<Grant>,
    /// The target's name.
    pub target: Box<str>,
    /// How bytes come in messages.
    pub coding: ByteCoding,
    /// The answer to the handshake.
    pub upgrade: Upgrade,
}

/// A request with commands.
#[derive(Debug)]
pub struct Send {
    /// The user.
    pub user: User,
    /// The user's grant.
    pub grant: Rc<Grant>,
    /// The session, unparsed.
    pub session: Option<Box<str>>,
    /// The format of the body.
    pub content: Content,
}

/// A backend's request to publish.
#[derive(Debug)]
pub struct Publish {
    /// The addressee.
    pub to: PublishTo,
    /// The format of the body.
    pub content: Content,
    /// The idempotency key of the request. An item's own key takes precedence.
    pub key: Option<PublishKey>,
}

/// To whom a backend publishes.
#[derive(Debug)]
pub enum PublishTo {
    /// To channels, users or sessions that the body names.
    Named,
    /// To all sessions of a user; the body is the payload.
    User(User),
    /// To one session, by its id as it came; the body is the payload.
    Session(Box<str>),
}

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// JSON. `curl -d` declares it as a form.
    Json,
    /// A form, which may contain JSON.
    Form,
    /// One JSON value per line.
    Lines,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
}
