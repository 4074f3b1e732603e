//! What only Bayeux knows about a session.

use crate::base::slab::keys;
use crate::base::ticks::Span;
use crate::protocol::bayeux::ack::Acks;

keys! {
    /// Names one browser of clients.
    BrowserKey,
}

/// What only Bayeux knows about a session.
#[derive(Debug)]
pub struct BayeuxClient {
    /// The browser that created it.
    pub browser: BrowserKey,
    /// Unacknowledged batches, if the client acknowledges them.
    pub acks: Option<Box<Acks>>,
    /// Milliseconds between an answer and its next connect, by its own account.
    pub interval_ms: u32,
    /// Its progress.
    pub stage: ClientStage,
}

// Each idle client has one.
const _: () = assert!(std::mem::size_of::<BayeuxClient>() <= 24);

impl BayeuxClient {
    /// The time between an answer and its next connect, by its own account.
    pub fn interval(&self) -> Span {
        Span::from_millis(self.interval_ms.into())
    }
}

/// The progress of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientStage {
    /// It has a session.
    HandshakeDone,
    /// It has connected.
    Connected,
    /// It holds a connect by a request, and its browser's count includes it.
    Holding,
}
