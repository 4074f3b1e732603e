//! What timers are for, and whether the node drains.

use crate::base::slab::{ChannelKey, ConnKey, SessionKey, StreamKey};
use crate::base::ticks::Tick;

/// The phase of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodePhase {
    Serving,
    /// It serves as usual, and health checks fail.
    Leaving,
    Draining {
        /// When the node will be gone.
        by: Tick,
    },
    Drained,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    Conn(ConnKey),
    Session(SessionKey),
    /// The end of the grace of another shard's channel without sessions here.
    Linger(ChannelKey),
    /// The next value of a conflated subscription.
    Conflated(SessionKey, ChannelKey),
    /// A front wants to do something for a session.
    Front(SessionKey),
    /// How long a TCP stream may wait.
    Stream(StreamKey),
    /// Old messages.
    Ledger,
    /// The expiry of idempotency keys.
    IdempotencyKeys,
    /// The next report of a presence channel.
    Roster(ChannelKey),
}
