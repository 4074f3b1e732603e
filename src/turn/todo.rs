//! Actions that a method leaves for the end of `handle`.
//!
//! Closing a connection, answering a poll and ending a session each lead to one another. If they
//! called one another, a method that is reading a connection could find it gone, or be entered a
//! second time. So a method notes here what would lead back, and `Shard::run_todos` executes it
//! before `Shard::handle` returns. Hence the calls between the shard's methods have no cycle.

use crate::base::slab::{ConnKey, PendingKey, SessionKey, StreamKey};
use crate::protocol::native::envelope::CloseCode;

/// Why a connection leaves its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// The server ended its response.
    Ended,
    /// The connection went before its response was over.
    Lost,
}

/// One such step. Whatever it concerns may be gone by the time it is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Todo {
    /// A connection can parse its buffered bytes and read on.
    Reread(ConnKey),
    /// A connection was detached from its session.
    Left {
        /// The connection, which may be gone.
        conn: ConnKey,
        /// Its session.
        session: SessionKey,
        /// The long poll that waits behind it.
        behind: Option<ConnKey>,
        /// Why.
        leaving: Leaving,
    },
    /// A response has carried all that it may: it ends.
    EndStream(ConnKey),
    /// A session whose protocol wants to know is reached no longer by the response that it had.
    Detached(SessionKey),
    /// The front forgets the client of the oldest departed session.
    Departed,
    /// A session whose front wants to know can take more.
    Room(SessionKey),
    /// The oldest command for a TCP stream waits for its front.
    StreamCommand,
    /// The oldest request of a session of text waits for its stream's front.
    Text,
    /// A TCP stream has waited for as long as it may.
    StreamDue(StreamKey),
    /// The time has come that a session's front has set.
    Front(SessionKey),
    /// There is room for what a session is behind with.
    CatchUp(SessionKey),
    /// A session's long poll was answered or is gone: the one that waits behind it takes its place.
    MoveUp {
        /// The session.
        session: SessionKey,
        /// The waiting poll.
        conn: ConnKey,
    },
    /// A session ends.
    End {
        /// The session.
        session: SessionKey,
        /// The reason for its client.
        code: CloseCode,
    },
    /// A queue of commands has the last answer that it waited for.
    Continue(PendingKey),
}
