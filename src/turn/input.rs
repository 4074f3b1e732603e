//! The border between a shard and its driver: every input, and every effect.
//!
//! The reactor drives it with sockets and a clock, the simulation with neither. The driver's
//! duties: give each turn's input, then [`Input::EndTurn`], then execute the effects in their order
//! (mail before sockets are written), then write the outboxes that the effects named and report how
//! much was taken. Bytes come after all mail that was sent before they were read: a client that
//! knows of its subscription at one shard may publish at another one, which must know of the
//! subscription first.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::auth::gate::Keys;
use crate::base::hash::Homes;
use crate::base::slab::{ConnKey, PendingKey, StreamKey};
use crate::base::ticks::Tick;
use crate::turn::hook::{Hook, HookAnswer};
use crate::turn::mail::Mail;
use crate::turn::stream::{StreamAct, StreamReport};

use crate::request::Upgraded;

pub use crate::base::ids::{ListenerKind, ShardId};

/// The identity of a shard.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its id.
    pub id: ShardId,
    /// The number of shards.
    pub shards: u8,
    /// The key of the hash that gives homes: random, and the same for all shards of the node.
    pub home_key: (u64, u64),
    /// The source of all its randomness. Session ids come from it, so it must be unguessable.
    pub seed: [u8; 32],
    /// Wall-clock milliseconds since 1970 at [`Tick::ZERO`].
    pub unix_ms_at_zero: u64,
}

impl Identity {
    /// The homes of users and channels.
    pub fn homes(&self) -> Homes {
        Homes::new(self.home_key, self.shards)
    }
}

/// An event.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes arrived. The shard keeps those that it cannot parse yet, and asks for a pause if it
    /// wants no more.
    Bytes {
        /// The connection.
        conn: ConnKey,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The peer will send no more.
    End {
        /// The connection.
        conn: ConnKey,
    },
    /// The connection is gone; its socket is dropped already.
    Broken {
        /// The connection.
        conn: ConnKey,
    },
    /// The kernel took this much of the outbox.
    Written {
        /// The connection.
        conn: ConnKey,
        /// The number of bytes.
        bytes: usize,
    },
    /// A letter from another shard.
    Mail {
        /// The sender.
        from: ShardId,
        /// The letter.
        mail: Mail,
    },
    /// The result of [`Effect::Hook`]; once for each.
    Hooked {
        /// The waiting pending request.
        pending: PendingKey,
        /// The answer, or the reason for having none.
        answer: HookAnswer,
    },
    /// Something happened to a connection to a backend.
    Stream {
        /// The stream.
        stream: StreamKey,
        /// What.
        report: StreamReport<'a>,
    },
    /// Time has passed: timers may be due.
    Expire,
    /// All input of this turn was given.
    EndTurn,
    /// Which mailboxes are over their bound, one bit for each shard. Only sent when it changes.
    Congestion {
        /// The set.
        shards: u64,
    },
    /// The working time of the last turn.
    Turn {
        /// Microseconds, waiting excluded.
        micros: u32,
    },
    /// Counts that only the driver has; sent at intervals.
    Gauges {
        /// Letters in this shard's mailbox.
        mailbox: usize,
        /// Connections refused because no descriptor was left, since the start.
        refused: u64,
        /// Log lines that could not be written, since the start.
        log_dropped: u64,
    },
    /// The wall clock was set.
    Wall {
        /// Wall-clock milliseconds since 1970 at [`Tick::ZERO`], by the new time.
        unix_ms_at_zero: u64,
    },
    /// The node will drain soon: health checks fail from now on.
    Leave,
    /// The node stops.
    Drain {
        /// When it will be gone.
        by: Tick,
    },
    /// Keys and origins were read again.
    Reload {
        /// The new ones.
        keys: Arc<Keys>,
    },
}

/// An action for the driver.
#[derive(Debug)]
pub enum Effect {
    /// Write this outbox, which was empty before.
    Write(ConnKey),
    /// Stop reading from this socket.
    Pause(ConnKey),
    /// Read again.
    Resume(ConnKey),
    /// Send FIN once the outbox is written; input is discarded from now on.
    ShutdownWrite(ConnKey),
    /// Drop the socket. The key is stale already.
    Close(ConnKey),
    /// Take the socket out of the poll and send it with the parcel. The key is stale already.
    HandOff {
        /// The connection.
        conn: ConnKey,
        /// Its new home.
        to: ShardId,
        /// Its state.
        parcel: Parcel,
    },
    /// A letter to another shard.
    Mail {
        /// The addressee.
        to: ShardId,
        /// The letter.
        mail: Mail,
    },
    /// Call the backend; [`Input::Hooked`] has the answer, in a later turn.
    Hook {
        /// The waiting pending request.
        pending: PendingKey,
        /// The address.
        hook: Hook,
        /// JSON.
        body: Vec<u8>,
    },
    /// Do something for a connection to a backend.
    Stream {
        /// The stream.
        stream: StreamKey,
        /// What.
        act: StreamAct,
    },
    /// Fetch the issuer's keys again; [`Input::Reload`] has them, or the old ones if the fetch
    /// fails.
    FetchKeys,
    /// The drain is done: no client waits for an answer.
    Drained,
}

/// The state of a connection on its way to another shard, without the socket.
#[derive(Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The listener that accepted it.
    pub listener: ListenerKind,
    /// The peer's address, from the socket or the PROXY protocol.
    pub peer: Option<SocketAddr>,
    /// Bytes that were read and not parsed: at least the head that named the new home.
    pub unparsed: Vec<u8>,
    /// Whether the peer will send no more.
    pub ended: bool,
    /// For an upgraded connection: what its head said, and the message to execute first.
    pub upgraded: Option<Box<Upgraded>>,
}
