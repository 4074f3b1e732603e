//! What a request asks for, once its head is understood and freed.

use std::rc::Rc;

use crate::assets::{Asset, Cached};
use crate::auth::Grant;
use crate::auth::origins::Preflight;
use crate::base::ticks::Span;
use crate::shard::bayeux::Bayeux;
use crate::shard::inspect::Question;
use crate::shard::once::PublishKey;
use crate::transport::{Delivery, TransportId};
use crate::wire::channel_name::ChannelName;
use crate::wire::refusal::Refusal;
use crate::wire::websocket::{DeflateOffer, Past};

/// What is asked for.
#[derive(Debug)]
pub enum Request {
    /// Messages, by some transport.
    Open(Box<Open>),
    /// Bayeux messages to be carried out, or a WebSocket for them.
    Bayeux(Box<Bayeux>),
    /// What comes up a WebSocket, back again.
    Echo(Box<Upgrade>),
    /// A stream whose session is over for good: the browser is to stay away.
    Over,
    /// Commands to be carried out.
    Send(Box<Send>),
    /// What a page of another origin may do.
    Preflight(Preflight),
    /// Whether new clients are taken.
    Health,
    /// Something that is elsewhere: by a reference relative to the path, since a proxy may have taken away its beginning.
    Moved(&'static str),
    /// A file of the server's own.
    Asset {
        /// Which.
        asset: &'static Asset,
        /// Whether it must be sent.
        cached: Cached,
    },
    /// Messages to be published by a backend.
    Publish(Box<Publish>),
    /// Something that an operator wants to know, or have done.
    Ask(Question),
    /// Nothing that can be had. The body, if any, is read before it is said, so that the connection can go on.
    Refused(Refusal),
}

impl Request {
    /// Whether it has a use for a body. One that has none, as where its refusal is certain, is answered after its body all the same, so
    /// that the connection stays in step; but nothing of the body is kept.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::Open(open) => open.content.is_some() && open.commands.is_none(),
            Self::Bayeux(_) | Self::Send(_) | Self::Publish(_) => true,
            Self::Echo(_)
            | Self::Over
            | Self::Moved(_)
            | Self::Preflight { .. }
            | Self::Health
            | Self::Asset { .. }
            | Self::Ask(_)
            | Self::Refused(_) => false,
        }
    }

    /// Bytes of itself that it keeps as they came, for another shard.
    pub fn raw_bytes(&self) -> usize {
        match self {
            Self::Bayeux(asked) => asked.raw.capacity(),
            Self::Open(_)
            | Self::Send(_)
            | Self::Publish(_)
            | Self::Echo(_)
            | Self::Over
            | Self::Moved(_)
            | Self::Preflight { .. }
            | Self::Health
            | Self::Asset { .. }
            | Self::Ask(_)
            | Self::Refused(_) => 0,
        }
    }
}

/// Whom a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The id, decoded.
    pub name: Box<str>,
    /// The personal channel.
    pub channel: ChannelName,
}

/// A request for messages.
#[derive(Debug)]
pub struct Open {
    /// Whose.
    pub user: User,
    /// How.
    pub transport: TransportId,
    /// What the user may do.
    pub grant: Rc<Grant>,
    /// Subscribed at once.
    pub channels: Vec<ChannelName>,
    /// Whether it wants to know who is in them.
    pub presence: bool,
    /// Recent messages of each to start with.
    pub last: u32,
    /// Or the newest message of each only, at most one in so long.
    pub conflate: Option<Span>,
    /// Where to go on from, as it came.
    pub since: Option<Box<str>>,
    /// The session to take up again, as it came.
    pub session: Option<Box<str>>,
    /// The decoded query.
    pub query: Vec<(String, String)>,
    /// `Accept` and `Host`, for those that stream; else empty.
    pub accept: Box<str>,
    /// See `accept`.
    pub host: Box<str>,
    /// What a WebSocket's handshake came to.
    pub upgrade: Option<Box<Upgrade>>,
    /// Commands that came in the query.
    pub commands: Option<Box<str>>,
    /// How a body with commands is to be read; `None` where none can come.
    pub content: Option<Content>,
}

/// The server's part of a WebSocket's handshake (RFC 6455, section 4.2.2).
#[derive(Debug)]
pub struct Upgrade {
    /// `Sec-WebSocket-Accept`.
    pub accept: String,
    /// `Sec-WebSocket-Protocol`.
    pub protocol: Option<&'static str>,
    /// `Sec-WebSocket-Extensions`.
    pub deflate: Option<DeflateOffer>,
}

impl Upgrade {
    /// The response's headers.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let accept = ("Sec-WebSocket-Accept", self.accept.clone());
        let protocol = self.protocol.map(|name| ("Sec-WebSocket-Protocol", name.to_owned()));
        let deflate = self.deflate.map(|offer| ("Sec-WebSocket-Extensions", offer.response()));
        std::iter::once(accept).chain(protocol).chain(deflate).collect()
    }

    /// What compressed messages that come up may refer to.
    pub fn past(&self) -> Past {
        self.deflate.map_or(Past::None, |offer| offer.past())
    }

    /// How far back compressed messages may reach, as a power of two; `None` where none may be sent.
    pub fn window_bits(&self) -> Option<u8> {
        self.deflate.map(|offer| offer.server_max_window_bits)
    }
}

impl Open {
    /// A request for nothing but a session.
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

    /// Whether the query switches `name` on.
    pub fn asks_for(&self, name: &str) -> bool {
        self.query.iter().any(|(key, value)| key == name && value == "1")
    }

    /// The session that it names. An empty name is none.
    pub fn names(&self) -> Option<&str> {
        self.session.as_deref().filter(|id| !id.is_empty())
    }
}

/// A request with commands.
#[derive(Debug)]
pub struct Send {
    /// Whose.
    pub user: User,
    /// What the user may do.
    pub grant: Rc<Grant>,
    /// Which session is meant, as it came.
    pub session: Option<Box<str>>,
    /// How the body is to be read.
    pub content: Content,
}

/// A backend's request to publish.
#[derive(Debug)]
pub struct Publish {
    /// To whom, if the URL says so; else the body does.
    pub user: Option<User>,
    /// How the body is to be read.
    pub content: Content,
    /// The key of the request, by which a repeat is known. An item's own key counts before it.
    pub key: Option<PublishKey>,
}

/// How a body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// As JSON: also what `curl -d` sends, which calls it a form.
    Json,
    /// As JSON; declared as a form, which it may really be.
    Form,
    /// As one JSON value a line.
    Lines,
    /// As text.
    Text,
    /// As bytes.
    Bytes,
}
