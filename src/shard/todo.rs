//! What is left to do once the method under way has returned.
//!
//! Closing a connection, answering a poll and ending a session each lead to one another. If they
//! called one another, a method that is in the middle of reading a connection could find it gone,
//! or be entered a second time. So what would lead back is noted here instead, and carried out
//! by [`Shard::carry_out_todos`], which [`Shard::handle`] calls before it returns. Hence the calls
//! between the shard's methods have no cycle.

use crate::base::slab::{ConnKey, SessionKey, TicketKey};
use crate::protocol::native::envelope::CloseCode;
use crate::shard::Shard;

/// One such step. Whatever it concerns may be gone by the time it is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Todo {
    /// The bytes that a connection has kept can be looked at, and more can be read.
    Reread(ConnKey),
    /// A connection has left its session.
    Left {
        /// The connection, which may be gone.
        conn: ConnKey,
        /// Its session.
        session: SessionKey,
        /// The long poll that waits behind it.
        behind: Option<ConnKey>,
    },
    /// A session whose protocol wants to know is reached no longer by the response that it had.
    Detached(SessionKey),
    /// There is room for what a session is behind with.
    CatchUp(SessionKey),
    /// A session's long poll was answered, or is gone: the one that waits behind it takes its place.
    MoveUp {
        /// The session.
        session: SessionKey,
        /// The poll that waits.
        conn: ConnKey,
    },
    /// A session is over.
    End {
        /// The session.
        session: SessionKey,
        /// What its client is told.
        code: CloseCode,
    },
    /// The last answer has come that a queue of commands waited for.
    GoOn(TicketKey),
}

impl Shard {
    /// Carries out what is left to do, and what that leads to.
    pub(super) fn carry_out_todos(&mut self) {
        while let Some(todo) = self.core.cx.todos.pop_front() {
            match todo {
                Todo::Reread(conn) => self.reread(conn),
                Todo::Left { conn, session, behind } => self.leave_session(conn, session, behind),
                Todo::Detached(session) => self.release_if_detached(session),
                Todo::CatchUp(session) => self.catch_up(session),
                Todo::MoveUp { session, conn } => self.move_up(session, conn),
                Todo::End { session, code } => self.end_session(session, code),
                Todo::GoOn(ticket) => self.go_on_if_answered(ticket),
            }
        }
    }
}
