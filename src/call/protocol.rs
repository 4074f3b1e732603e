//! What connections and sessions keep for the protocol of their client.
//!
//! One of three places that list the protocols, and the lowest. It answers questions about a
//! protocol's data alone; `answer` decides how a client is answered, and `shard::fronts` what a
//! client's message or the end of a session means to a front. No other place distinguishes
//! protocols.

use crate::base::ticks::{Span, Tick};
use crate::call::bayeux::BayeuxSocket;
use crate::config::Config;
use crate::protocol::bayeux::client::BayeuxClient;
use crate::protocol::sockjs::pipe::Pipe;
use crate::transport::tcp::ByteCoding;
use crate::turn::todo::Leaving;

pub use crate::protocol::bayeux::held::Held;

/// A protocol's data about the client of a session.
#[derive(Debug)]
pub enum ClientState {
    /// None: the client speaks Encke's own protocol.
    Native,
    /// What the protocol of another one keeps.
    Other(Box<OtherClient>),
}

/// What a protocol besides Encke's own knows of a session's client.
#[derive(Debug)]
pub enum OtherClient {
    /// The client speaks Bayeux.
    Bayeux(BayeuxClient),
    /// It sends and gets strings by SockJS.
    Sockjs(Box<Pipe>),
    /// It sends and gets the bytes of one TCP stream by a WebSocket.
    Bytes,
}

impl OtherClient {
    /// What Bayeux knows of the client, if it speaks that.
    pub fn bayeux(&self) -> Option<&BayeuxClient> {
        match self {
            Self::Bayeux(client) => Some(client),
            Self::Sockjs(_) | Self::Bytes => None,
        }
    }
}

impl From<OtherClient> for ClientState {
    fn from(client: OtherClient) -> Self {
        Self::Other(Box::new(client))
    }
}

// Each session has one.
const _: () = assert!(std::mem::size_of::<ClientState>() <= 8);

impl ClientState {
    /// Whether the client speaks Encke's own protocol, and so names its session by the id.
    pub fn is_native(&self) -> bool {
        matches!(self, Self::Native)
    }

    fn other(&self) -> Option<&OtherClient> {
        match self {
            Self::Native => None,
            Self::Other(client) => Some(client),
        }
    }

    /// What Bayeux knows of the client, if it speaks that.
    pub fn bayeux(&self) -> Option<&BayeuxClient> {
        self.other()?.bayeux()
    }

    /// The same, to be changed.
    pub fn bayeux_mut(&mut self) -> Option<&mut BayeuxClient> {
        match self {
            Self::Native => None,
            Self::Other(client) => match &mut **client {
                OtherClient::Bayeux(client) => Some(client),
                OtherClient::Sockjs(_) | OtherClient::Bytes => None,
            },
        }
    }

    /// What SockJS knows of the client, if it speaks that.
    pub fn sockjs(&self) -> Option<&Pipe> {
        match self.other()? {
            OtherClient::Bayeux(_) | OtherClient::Bytes => None,
            OtherClient::Sockjs(pipe) => Some(pipe),
        }
    }

    /// The same, to be changed.
    pub fn sockjs_mut(&mut self) -> Option<&mut Pipe> {
        match self {
            Self::Native => None,
            Self::Other(client) => match &mut **client {
                OtherClient::Bayeux(_) | OtherClient::Bytes => None,
                OtherClient::Sockjs(pipe) => Some(pipe),
            },
        }
    }

    /// How long the session lives without a connection. A Bayeux client that asks again only some
    /// time after an answer, by agreement, is not missed for as long.
    pub fn grace(&self, config: &Config) -> Span {
        match self.other() {
            None | Some(OtherClient::Bytes) => config.session_grace,
            Some(OtherClient::Bayeux(client)) => config.session_grace + client.interval(),
            Some(OtherClient::Sockjs(_)) => config.sockjs.disconnect,
        }
    }

    /// Whether the session goes on when its connection has left it. SockJS knows no other sign of a
    /// client that closes than a connection that breaks, and no other connection of a socket's
    /// session.
    pub(crate) fn outlives(&self, leaving: Leaving) -> bool {
        match self.other() {
            None | Some(OtherClient::Bayeux(_)) => true,
            Some(OtherClient::Bytes) => false,
            Some(OtherClient::Sockjs(pipe)) => {
                pipe.name.is_some() && (leaving == Leaving::Ended || pipe.unwritten_after.is_some())
            }
        }
    }

    /// A connection has left the session. Says from which cursor the session goes on, if its last
    /// answer was not written and its client cannot say so itself.
    pub(crate) fn left(&mut self, leaving: Leaving) -> Option<u64> {
        self.sockjs_mut()?.unwritten_after.take().filter(|_| leaving == Leaving::Lost)
    }

    /// The time within which a client that lost its session to another returns for it.
    pub fn comes_back_within(&self, config: &Config) -> Span {
        match self.other() {
            None | Some(OtherClient::Sockjs(_) | OtherClient::Bytes) => config.contest_within,
            Some(OtherClient::Bayeux(_)) => config.bayeux_contest_within,
        }
    }
}

/// The protocol of a socket.
#[derive(Debug)]
pub enum Subprotocol {
    /// Commands up, envelopes down.
    Native,
    /// Bayeux, with its state.
    Bayeux(Box<BayeuxSocket>),
    /// Frames of SockJS, or strings alone.
    Sockjs(Framed),
    /// Bytes of a TCP stream.
    Bytes(ByteCoding),
}

/// How strings come on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    /// In arrays.
    Arrays,
    /// Each is a message.
    Raw,
}

impl Subprotocol {
    /// When a request that the socket holds gets its answer.
    pub fn held_until(&self) -> Option<Tick> {
        match self {
            Self::Native | Self::Sockjs(_) | Self::Bytes(_) => None,
            Self::Bayeux(bayeux) => bayeux.held.as_ref()?.due(),
        }
    }

    /// Whether the borders of its messages mean nothing.
    pub fn is_byte_stream(&self) -> bool {
        matches!(self, Self::Bytes(ByteCoding::Binary))
    }

    /// Whether the socket's next message may name a session of another shard. Such a socket moves
    /// there, and it moves with an empty outbox.
    pub fn may_move(&self) -> bool {
        match self {
            Self::Native | Self::Sockjs(_) | Self::Bytes(_) => false,
            Self::Bayeux(bayeux) => bayeux.session.is_none(),
        }
    }
}
