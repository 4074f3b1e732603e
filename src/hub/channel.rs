//! One channel as its shard sees it. A pattern and a session's private log are channels too: each
//! has subscribers and a log.

use crate::base::slab::{ChannelKey, SessionKey, TimerKey};
use crate::hub::census::Charged;
use crate::hub::log::Log;
use crate::wire::channel_name::is_personal;

/// A channel, a pattern or a private log.
#[derive(Debug)]
pub struct Channel {
    /// Its name; empty for a private log.
    pub name: Box<str>,
    /// What can be caught up on.
    pub log: Log,
    /// Who is here on this shard.
    pub subscribers: Vec<Subscriber>,
    /// Other shards that have subscribers, a bit for each.
    pub forward: u64,
    /// What it is to this shard.
    pub role: Role,
    /// The timer of a channel that no session here wants any more, and that stays for the grace: a
    /// replica, or one with news of presence.
    pub linger: Option<TimerKey>,
    /// To whom it is charged.
    pub charged: Charged,
    /// Whether it stands in the list of idle ones.
    pub listed: Listed,
}

/// Whether a channel stands in the list of those that nobody needed when they were put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It does; whether nobody needs it still is looked at when its turn comes.
    Idle,
    /// It does not.
    No,
}

impl Channel {
    /// Whether nothing but its log keeps it.
    pub fn is_idle(&self) -> bool {
        self.subscribers.is_empty() && self.forward == 0 && self.linger.is_none() && !self.role.is_declared()
    }

    /// Bytes of memory that it and its subscriptions hold, its messages aside; roughly, as budgets
    /// count.
    pub fn bytes(&self) -> usize {
        bytes_of(&self.name) + self.subscribers.len() * subscription_bytes_of(&self.name)
    }
}

/// What a channel of this name takes. A personal one comes with its user's sessions, which are
/// counted by themselves.
pub(super) fn bytes_of(name: &str) -> usize {
    if is_personal(name) { 0 } else { CHANNEL_BYTES + name.len() }
}

/// What a subscription to a channel of this name takes.
pub(super) fn subscription_bytes_of(name: &str) -> usize {
    if is_personal(name) { 0 } else { SUBSCRIPTION_BYTES }
}

/// A channel with its slot, its place in the table of names, the buffer of its log, and what tables
/// that grow leave free.
const CHANNEL_BYTES: usize = 320;

/// A subscription in its session's list and in its channel's.
pub(super) const SUBSCRIPTION_BYTES: usize = 64;

/// What a channel is to its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This shard gives the channel its order.
    Home,
    /// Another shard does; it was asked for what it holds and has not answered yet.
    Asked,
    /// Another shard does, and forwards what comes.
    Level,
    /// A pattern with subscribers here, or lately so.
    Pattern,
    /// A pattern that only other shards have subscribers for: it keeps no log.
    Noted,
    /// A session's private log.
    Private,
}

impl Role {
    /// Whether messages that arrive now belong in the log. While a home's answer is awaited they do
    /// not: they will be in it.
    pub fn logs(self) -> bool {
        match self {
            Self::Home | Self::Level | Self::Pattern | Self::Private => true,
            Self::Asked | Self::Noted => false,
        }
    }

    /// Whether other shards were told that there are subscribers here.
    pub fn is_declared(self) -> bool {
        match self {
            Self::Asked | Self::Level | Self::Pattern => true,
            Self::Home | Self::Noted | Self::Private => false,
        }
    }
}

/// One session in a channel's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// Which session.
    pub session: SessionKey,
    /// The place of the subscription in the session's own list.
    pub slot: u32,
}

/// A session's side of a subscription.
#[derive(Clone, Copy, Debug)]
pub struct Subscription {
    /// To what.
    pub channel: ChannelKey,
    /// The place of the session in the channel's list.
    pub slot: u32,
    /// Which of the channel's messages are meant.
    pub began: Began,
    /// Whether its session was new when it was made.
    pub stage: Stage,
}

impl Began {
    /// Whether messages are pushed to the session, and caught up on.
    pub fn is_pushed(self) -> bool {
        matches!(self, Self::After(_))
    }
}

impl Subscription {
    /// Whether it brings all that came after `n`, as far as its channel's log reaches.
    pub fn has_all_since(&self, n: u64) -> bool {
        match self.began {
            Began::After(began) => began <= n,
            Began::Awaited { .. } => false,
            Began::Conflated => true,
        }
    }
}

/// How far a session is when it subscribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is being made: nothing has been said on it yet.
    Opening,
    /// It is under way.
    Later,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// With the first message above this number.
    After(u64),
    /// Not known before another shard has answered; then with so many recent messages.
    Awaited {
        /// At most so many.
        last: u32,
    },
    /// Nowhere: the newest message is sent now and then (`shard::conflate`), and the session's
    /// cursor passes it over.
    Conflated,
}
