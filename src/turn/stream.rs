//! TCP connections to backends, as a shard sees them: what it asks of the driver, and what the
//! driver reports. A shard knows no address until the driver has connected.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::base::ticks::Span;
use crate::config::{AddressRule, TargetPlace};

/// An action for the driver, for one stream.
#[derive(Debug)]
pub enum StreamAct {
    /// Connect. [`StreamReport::Connected`] or [`StreamReport::Failed`] follows.
    Dial(Box<Dial>),
    /// Write the stream's outbox, which was empty before.
    Write,
    /// Stop reading.
    Pause,
    /// Read again.
    Resume,
    /// Send FIN once the outbox is written.
    ShutdownWrite,
    /// Drop the socket, connected or not. Nothing is reported any more.
    Close,
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// The server.
    pub place: TargetPlace,
    /// The target by whose TLS settings the connection is encrypted; `None`: it is not.
    pub tls: Option<Box<str>>,
    /// The addresses that may be reached; `None`: any.
    pub rules: Option<Arc<[AddressRule]>>,
    /// How long it may take, resolving the name included.
    pub within: Span,
}

/// A report of the driver about one stream.
#[derive(Debug)]
pub enum StreamReport<'a> {
    /// The connection stands.
    Connected {
        /// The server's address; `None` for a Unix socket.
        peer: Option<SocketAddr>,
    },
    /// No connection came about; the socket is gone.
    Failed(DialFailure),
    /// Bytes of the server.
    Bytes(&'a [u8]),
    /// The server sends no more.
    End,
    /// The connection was reset; the socket is gone.
    Broken,
    /// The kernel took this many bytes of the outbox.
    Written(usize),
}

/// Why a connection did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialFailure {
    /// The server refuses connections there.
    Refused(String),
    /// It cannot be reached, or does not answer in time.
    Unreachable(String),
    /// Its name has no address.
    Unknown(String),
    /// The rules allow none of its addresses.
    Forbidden,
    /// TLS was refused, or the server's certificate is not trusted.
    Tls(String),
    /// The node has no descriptor left for it, or too many names wait to be resolved.
    Full(String),
}
