//! What goes into a shard and what comes out: the whole border between it and whoever drives it.
//!
//! The reactor drives it with sockets and a clock, the simulation with neither. The driver's
//! duties: give each turn's input, then [`Input::EndTurn`], then carry out the effects in the order
//! in which they come (mail before sockets are written), then write the outboxes it was told of and
//! say how much was taken. Bytes come after all mail that was sent before they were read: a client
//! that knows of its subscription at one shard may publish at another one, which must know of the
//! subscription first.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::auth::gate::Keys;
use crate::base::hash::Homes;
pub use crate::base::ids::{Door, ShardId};
use crate::base::slab::{ConnKey, TicketKey};
use crate::base::ticks::Tick;
pub use crate::shard::bayeux::Upgraded;
use crate::shard::hook::{Hook, HookAnswer};
use crate::shard::mail::Mail;

/// Who a shard is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Which one.
    pub id: ShardId,
    /// Of how many.
    pub shards: u8,
    /// By which homes are found: random, and the same for all shards of the node.
    pub home_key: (u64, u64),
    /// All randomness that it will ever have. Session ids come from it, so it must be unguessable.
    pub seed: [u8; 32],
    /// Wall-clock milliseconds since 1970 at [`Tick::ZERO`].
    pub unix_ms_at_zero: u64,
}

impl Identity {
    /// Where users and channels live.
    pub fn homes(&self) -> Homes {
        Homes::new(self.home_key, self.shards)
    }
}

/// Something happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes came. The shard keeps what it cannot use yet, and asks for a pause when it wants no more.
    Bytes {
        /// Where.
        conn: ConnKey,
        /// What.
        bytes: &'a [u8],
    },
    /// The other end will send no more.
    End {
        /// Where.
        conn: ConnKey,
    },
    /// The connection is gone; its socket is dropped already.
    Broken {
        /// Which.
        conn: ConnKey,
    },
    /// The kernel took this much of the outbox.
    Written {
        /// Whose.
        conn: ConnKey,
        /// How much.
        bytes: usize,
    },
    /// A letter from another shard.
    Mail {
        /// The sender.
        from: ShardId,
        /// The letter.
        mail: Mail,
    },
    /// What came of [`Effect::Hook`]; once for each.
    Hooked {
        /// Who asked.
        ticket: TicketKey,
        /// The answer, or why there is none.
        answer: HookAnswer,
    },
    /// Time has passed: timers may be due.
    Expire,
    /// All input of this turn was given.
    EndTurn,
    /// Which mailboxes are over their bound, a bit for each shard. Only sent when it changes.
    Congestion {
        /// The set.
        shards: u64,
    },
    /// How long the last turn worked.
    Turn {
        /// Microseconds, waiting excluded.
        micros: u32,
    },
    /// What only the driver can count; once in a while.
    Gauges {
        /// Letters in this shard's mailbox.
        mailbox: usize,
        /// Connections refused for want of descriptors, since the start.
        refused: u64,
        /// Lines of the log that could not be written, since the start.
        log_dropped: u64,
    },
    /// The wall clock has moved against the monotonic one.
    Wall {
        /// Wall-clock milliseconds since 1970 at [`Tick::ZERO`], as it is now.
        unix_ms_at_zero: u64,
    },
    /// The node will drain soon: health checks are to fail from now on.
    Leave,
    /// The node is going away.
    Drain {
        /// When it will be gone.
        by: Tick,
    },
    /// Keys and origins were read anew.
    Reload {
        /// The new ones.
        keys: Arc<Keys>,
    },
}

/// Something is to be done.
#[derive(Debug)]
pub enum Effect {
    /// The outbox has something, and had nothing before.
    Write(ConnKey),
    /// Read no more from this socket for now.
    Pause(ConnKey),
    /// Read again.
    Resume(ConnKey),
    /// Send FIN once the outbox is written; input is discarded from now on.
    ShutdownWrite(ConnKey),
    /// Drop the socket. The key is stale already.
    Close(ConnKey),
    /// Take the socket out of the poll and send it with the parcel. The key is stale already.
    HandOff {
        /// Which.
        conn: ConnKey,
        /// Its new home.
        to: ShardId,
        /// What goes with it.
        parcel: Parcel,
    },
    /// A letter to another shard.
    Mail {
        /// The addressee.
        to: ShardId,
        /// The letter.
        mail: Mail,
    },
    /// Ask the backend; [`Input::Hooked`] is the answer, and comes in a later turn.
    Hook {
        /// Who asks.
        ticket: TicketKey,
        /// Where.
        hook: Hook,
        /// JSON.
        body: Vec<u8>,
    },
    /// Fetch the issuer's keys anew; [`Input::Reload`] brings them, or the old ones if they cannot be had.
    FetchKeys,
    /// The drain is done: nothing is left that wants an answer.
    Drained,
}

/// A connection between two shards: all there is to it besides the socket.
#[derive(Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Where it came in.
    pub door: Door,
    /// The other end, as told by the socket or by the PROXY protocol.
    pub peer: Option<SocketAddr>,
    /// Bytes that were read and not yet understood: at least the head that named the new home.
    pub unparsed: Vec<u8>,
    /// The other end has said that it will send no more.
    pub ended: bool,
    /// For a WebSocket that speaks Bayeux: what it was opened as, and the message that is to be carried out first.
    pub upgraded: Option<Box<Upgraded>>,
}
