//! One stream: two directions, and how far its connection to the server is.

use std::net::SocketAddr;
use std::rc::Rc;

use crate::base::alarm::Alarm;
use crate::base::slab::{AddressKey, SessionKey};
use crate::base::ticks::{Span, Tick};
use crate::config::Introduction;
use crate::protocol::tcp::command::Destination;
use crate::protocol::tcp::event::StreamClose;
use crate::tcp::downlink::Downlink;
use crate::tcp::open::Carried;
use crate::tcp::text::TextState;
use crate::tcp::uplink::Uplink;

/// A page's connection to a server.
#[derive(Debug)]
pub(super) struct PageStream {
    pub(super) session: SessionKey,
    /// The session's user, for the log: the stream may outlive the session.
    pub(super) user: Rc<str>,
    /// Its number in its session.
    pub(super) number: u32,
    pub(super) to: Destination,
    pub(super) introduction: Introduction,
    /// Silence after which it is reset.
    pub(super) idle: Option<Span>,
    pub(super) stage: Stage,
    pub(super) up: Uplink,
    pub(super) down: Downlink,
    pub(super) intake: ServerReading,
    /// The client's address when it was opened.
    pub(super) peer: Option<SocketAddr>,
    /// The count of that address, while the stream is live.
    pub(super) address: Option<AddressKey>,
    /// The origin of the page that opened it.
    pub(super) page: Option<Box<str>>,
    pub(super) began: Tick,
    pub(super) alarm: Alarm,
    pub(super) carried: Carried,
    /// For a session of text.
    pub(super) text: Option<Box<TextState>>,
    /// Bytes at the beginning of the outbox that are the node's own.
    pub(super) introduction_left: usize,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The driver connects to the server.
    Dialing,
    /// The connection stands.
    Open,
    /// Its session has ended; what the page sent is still written.
    Leaving,
    /// It is over, and kept for bytes that the page has not acknowledged.
    Over(StreamClose),
}

/// Whether the driver reads from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerReading {
    Reading,
    /// The page has no room for more.
    Paused,
}

impl PageStream {
    /// The kernel has taken bytes of the outbox. Returns the page's new credit, if it should hear
    /// of it.
    pub(super) fn took(&mut self, bytes: usize) -> Option<u64> {
        self.up.outbox.advance(bytes);
        let own = bytes.min(self.introduction_left);
        self.introduction_left -= own;
        self.up.took((bytes - own) as u64)
    }

    /// Whether it has a connection, or is about to.
    pub(super) fn is_live(&self) -> bool {
        !matches!(self.stage, Stage::Over(_))
    }

    /// Whether both directions have ended and everything is written.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Open && self.up.has_ended() && self.down.has_ended() && self.up.outbox.is_empty()
    }

    /// The server's name, for logs.
    pub(super) fn name(&self) -> String {
        match &self.to {
            Destination::Target(name) => name.to_string(),
            Destination::Host { host, port } => format!("{host}:{port}"),
        }
    }
}
