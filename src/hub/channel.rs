//! One channel as its shard sees it. A pattern and a session's private log are channels too: each
//! has subscribers and a log.

use smallvec::SmallVec;

use crate::base::slab::{ChannelKey, SessionKey, TimerKey};
use crate::hub::census::Charged;
use crate::hub::limits::CHANNEL_BYTES;
pub(super) use crate::hub::limits::SUBSCRIPTION_BYTES;
use crate::hub::log::Log;
use crate::wire::channel_name::is_personal;

/// A channel, a pattern or a private log.
#[derive(Debug)]
pub struct Channel {
    /// Its name; empty for a private log.
    pub name: Box<str>,
    /// The messages that sessions can catch up on.
    pub log: Log,
    /// The subscribers on this shard.
    pub subscribers: Subscribers,
    /// Other shards that have subscribers, a bit for each.
    pub forward: u64,
    /// Its role on this shard.
    pub role: Role,
    /// The timer of a channel without subscribers here that stays for the grace: a replica, or a
    /// presence channel.
    pub linger: Option<TimerKey>,
    /// The owner of its charge.
    pub charged: Charged,
    /// Whether it is in the list of idle channels.
    pub listed: Listed,
}

/// A channel's subscribers. Most channels are personal and have one, which is stored in place.
pub type Subscribers = SmallVec<[Subscriber; 1]>;

/// Whether a channel is in the list of channels that had no use when they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It is; whether it still has no use is checked when it is taken from the list.
    Idle,
    /// It is not.
    No,
}

// Each user has one.
const _: () = assert!(std::mem::size_of::<Channel>() <= 112);

impl Channel {
    /// Whether only its log keeps it.
    pub fn is_idle(&self) -> bool {
        self.subscribers.is_empty() && self.forward == 0 && self.linger.is_none() && !self.role.is_declared()
    }

    /// Bytes of memory that it and its subscriptions hold, its messages aside; roughly, as budgets
    /// count.
    pub fn bytes(&self) -> usize {
        bytes_of(&self.name) + self.subscribers.len() * subscription_bytes_of(&self.name)
    }
}

/// The memory of a channel of this name. A personal one comes with its user's sessions, which are
/// counted separately.
pub(super) fn bytes_of(name: &str) -> usize {
    if is_personal(name) { 0 } else { CHANNEL_BYTES + name.len() }
}

/// The memory of a subscription to a channel of this name.
pub(super) fn subscription_bytes_of(name: &str) -> usize {
    if is_personal(name) { 0 } else { SUBSCRIPTION_BYTES }
}

/// The role of a channel on its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This shard gives the channel its order.
    Home,
    /// Another shard is its home; this one has requested its log and has no answer yet.
    Asked,
    /// Another shard is its home, and forwards new messages.
    Level,
    /// A pattern with subscribers here, or within the grace.
    Pattern,
    /// A pattern that only other shards have subscribers for: it keeps no log.
    Noted,
    /// A session's private log.
    Private,
}

impl Role {
    /// Whether messages that arrive now belong in the log. While a home's answer is missing they do
    /// not: the answer contains them.
    pub fn logs(self) -> bool {
        match self {
            Self::Home | Self::Level | Self::Pattern | Self::Private => true,
            Self::Asked | Self::Noted => false,
        }
    }

    /// Whether other shards know that there are subscribers here.
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
    /// The subscribed session.
    pub session: SessionKey,
    /// The place of the subscription in the session's own list.
    pub slot: u32,
}

/// A session's side of a subscription.
#[derive(Clone, Copy, Debug)]
pub struct Subscription {
    /// The channel.
    pub channel: ChannelKey,
    /// The place of the session in the channel's list.
    pub slot: u32,
    /// Which of the channel's messages it includes.
    pub began: Began,
    /// Whether its session was new when it was made.
    pub stage: SessionStage,
}

impl Began {
    /// Whether messages are pushed to the session, and caught up on.
    pub fn is_pushed(self) -> bool {
        matches!(self, Self::After(_))
    }
}

impl Subscription {
    /// Whether it includes every message after `n`, as far as its channel's log reaches.
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
pub enum SessionStage {
    /// It is being created: no message has arrived yet.
    Opening,
    /// It exists already.
    Later,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// With the first message above this number.
    After(u64),
    /// Unknown until another shard has answered; then with this many recent messages.
    Awaited {
        /// At most this many.
        last: u32,
    },
    /// No place: the newest message is sent at intervals (`core::conflate`), and the session's
    /// cursor ignores the subscription.
    Conflated,
}
