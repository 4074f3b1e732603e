//! Queued commands, and what they wait for.

use std::rc::Rc;
use std::vec::IntoIter;

use crate::auth::Grant;
use crate::base::ids::ShardId;
use crate::base::slab::SessionKey;
use crate::protocol::native::command::Command;
use crate::request::User;
use crate::request::session_id::SessionId;
use crate::wire::refusal::Refusal;

/// The commands of a native client that are not executed yet.
#[derive(Debug)]
pub struct Rest {
    pub(crate) user: User,
    pub(crate) grant: Rc<Grant>,
    pub(crate) session: Option<SessionKey>,
    pub(crate) stale: bool,
    pub(crate) commands: IntoIter<Result<Command, Refusal>>,
    pub(crate) ahead: Ahead,
    pub(crate) pause: Pause,
}

/// The home of a queue's publishes without an answer yet: one shard for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead(pub(crate) Option<ShardId>);

/// What a queue waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The answers to its publishes.
    Answers,
    /// The next turn: it has used its portion of this one and is in the shard's backlog.
    Turn,
    /// An earlier batch of its session, which has no answer yet.
    Predecessor,
}

/// Where a command takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nowhere: it is only answered.
    Nowhere,
    /// At its session's shard.
    Session,
    /// At the shard that gives a channel its order.
    Home(ShardId),
}

impl Ahead {
    /// Notes a publish that was sent.
    pub(crate) fn sent(&mut self, to: ShardId) {
        self.0 = Some(to);
    }
}

impl Rest {
    /// The remaining commands of a batch, and their sender.
    pub(crate) fn new(
        caller: &Caller<'_>,
        commands: IntoIter<Result<Command, Refusal>>,
        ahead: Ahead,
        pause: Pause,
    ) -> Self {
        Self {
            user: caller.user.clone(),
            grant: Rc::clone(caller.grant),
            session: caller.session,
            stale: caller.stale,
            commands,
            ahead,
            pause,
        }
    }

    /// What it waits for.
    pub(crate) fn pause(&self) -> Pause {
        self.pause
    }
}

/// What commands may read and change.
pub(crate) struct Caller<'a> {
    pub(crate) user: &'a User,
    pub(crate) grant: &'a std::rc::Rc<crate::auth::Grant>,
    pub(crate) session: Option<SessionKey>,
    /// The request named a session that does not exist.
    pub(crate) stale: bool,
}

/// The position from which a client wants to continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// None.
    Unspecified,
    /// After this number of this shard's epoch.
    Here(u64),
    /// After a position of another epoch, or a text that is no position.
    Elsewhere(Box<str>),
}

/// The session of a request.
#[derive(Debug)]
pub struct Located {
    pub(crate) key: SessionKey,
    pub(crate) made: Made,
    pub(crate) since: Since,
}

/// Whether a session is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    New,
    /// New, in place of this one, which another client uses.
    Apart(SessionId),
    Before,
}
