//! The number of channels, the user for whom each was created, and the memory of the channels
//! themselves.
//!
//! A channel is charged to the user for whom it was created: the first subscriber, or the
//! publisher, on the shard that created it. If that user leaves and others stay, it is charged to
//! one of those. Channels that backends create are charged to no user, and a part of all channels
//! is reserved for them. A channel that another shard requests was counted there, and is not
//! refused here.
//!
//! It knows no log: the hub counts the memory of messages. Their bound is shared, though, so that
//! `ENCKE_MEMORY` holds for both.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use crate::base::hash::{Keyed, KeyedMap};
use crate::base::slab::ChannelKey;
use crate::hub::channel::Channel;
use crate::hub::limits::{BACKENDS_PART, CENSUS_SWEEP_MIN, LOGS_PART};

/// The cause of a channel's creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker<'a> {
    /// A backend's publish.
    Backend,
    /// A user's first session: the personal channel.
    Personal,
    /// A user's subscription.
    Subscriber(&'a str),
    /// A user's publish.
    Publisher(&'a str),
}

/// A user, as a channel is charged to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelOwner(NonZeroU64);

/// Why a channel cannot be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are as many as allowed.
    Channels,
    /// Clients have created as many as they may: the rest is reserved for backends.
    Clients,
    /// The user has created as many as allowed.
    User,
    /// They take as much memory as allowed.
    Memory,
}

/// The bounds on a shard's channels.
#[derive(Clone, Copy, Debug)]
pub struct ChannelBounds {
    /// All except those that other shards request.
    pub channels_max: usize,
    /// Those that one user creates by subscribing.
    pub subscribed_max: usize,
    /// Those that one user creates by publishing: users publish on all shards, and subscribe on
    /// one.
    pub published_max: usize,
    /// Bytes of channels, subscriptions and logs together.
    pub memory_max: usize,
}

/// The count of a shard's channels.
#[derive(Debug)]
pub(super) struct Census {
    bounds: ChannelBounds,
    /// The number of channels that are charged to each user; never zero.
    owned: KeyedMap<ChannelOwner, usize>,
    /// Channels that other shards requested.
    mirrored: usize,
    /// Bytes of channels and subscriptions.
    bytes: usize,
    /// Channels that had no use when they were added, the earliest at the front. Each is here once.
    idle: VecDeque<ChannelKey>,
}

impl Census {
    pub(super) fn new(bounds: ChannelBounds, keyed: Keyed) -> Self {
        let owned = KeyedMap::with_hasher(keyed);
        Self { bounds, owned, mirrored: 0, bytes: 0, idle: VecDeque::new() }
    }

    /// Bytes of channels and subscriptions.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes for logs: the rest of the channels', and at least a reserved part.
    pub(super) fn logs_max(&self) -> usize {
        let ChannelBounds { memory_max, .. } = self.bounds;
        memory_max.saturating_sub(self.bytes).max(memory_max / LOGS_PART)
    }

    /// Whether one more channel may be created beside `count` others, memory aside.
    pub(super) fn admit(&self, maker: Maker<'_>, count: usize, keyed: &Keyed) -> Result<(), Full> {
        let ChannelBounds { channels_max, subscribed_max, published_max, .. } = self.bounds;
        let count = count - self.mirrored;
        if count >= channels_max {
            return Err(Full::Channels);
        }
        if maker == Maker::Backend {
            return Ok(());
        }
        if count >= channels_max - channels_max / BACKENDS_PART {
            return Err(Full::Clients);
        }
        let most = match maker {
            Maker::Backend | Maker::Personal => return Ok(()),
            Maker::Subscriber(_) => subscribed_max,
            Maker::Publisher(_) => published_max,
        };
        let owned = ChannelOwner::of(maker, keyed).and_then(|owner| self.owned.get(&owner)).copied();
        if owned.unwrap_or(0) >= most { Err(Full::User) } else { Ok(()) }
    }

    /// Whether there is memory for `bytes` more for clients' channels.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let ChannelBounds { memory_max, .. } = self.bounds;
        self.bytes + bytes <= memory_max - memory_max / LOGS_PART
    }

    /// A channel or a subscription was created.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// A channel or a subscription is gone.
    pub(super) fn take(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    /// Another shard has requested a channel that did not exist here.
    pub(super) fn mirror(&mut self) {
        self.mirrored += 1;
    }

    /// A channel is charged to a user.
    pub(super) fn charge(&mut self, owner: ChannelOwner) {
        *self.owned.entry(owner).or_default() += 1;
    }

    /// A channel is no longer charged to a user.
    pub(super) fn acquit(&mut self, owner: ChannelOwner) {
        if let Some(count) = self.owned.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                self.owned.remove(&owner);
            }
        }
    }

    /// A channel is gone.
    pub(super) fn removed(&mut self, channel: &Channel) {
        self.take(channel.bytes());
        match channel.charged {
            Charged::Nobody => {}
            Charged::OtherShard => self.mirrored -= 1,
            Charged::User(owner) => self.acquit(owner),
        }
    }

    /// A channel has no use now.
    pub(super) fn idles(&mut self, key: ChannelKey) {
        self.idle.push_back(key);
    }

    /// The channel that has been idle for longest, which may be in use again or gone.
    pub(super) fn first_idle(&mut self) -> Option<ChannelKey> {
        self.idle.pop_front()
    }

    /// Forgets idle channels that are gone, once they outnumber the existing ones.
    pub(super) fn sweep(&mut self, count: usize, is_there: impl Fn(ChannelKey) -> bool) {
        if self.idle.len() > 2 * count + CENSUS_SWEEP_MIN {
            self.idle.retain(|key| is_there(*key));
        }
    }

    /// Panics if `channels` are not those that were counted.
    pub(super) fn check<'a>(&self, channels: impl Iterator<Item = &'a Channel>) {
        let (mut owned, mut mirrored, mut bytes) = (KeyedMap::with_hasher(*self.owned.hasher()), 0, 0);
        for channel in channels {
            bytes += channel.bytes();
            match channel.charged {
                Charged::Nobody => {}
                Charged::OtherShard => mirrored += 1,
                Charged::User(owner) => *owned.entry(owner).or_insert(0) += 1,
            }
        }
        assert_eq!((mirrored, bytes), (self.mirrored, self.bytes), "channels are counted wrong");
        assert!(owned.iter().all(|(owner, count)| self.owned.get(owner) == Some(count)));
        assert_eq!(owned.len(), self.owned.len(), "a user is charged with channels that are gone");
    }
}

/// The owner of a channel's charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charged {
    /// No user.
    Nobody,
    /// The shard that requested it.
    OtherShard,
    /// A user.
    User(ChannelOwner),
}

impl Charged {
    /// The owner of the charge for a new channel.
    pub(super) fn to(maker: Maker<'_>, keyed: &Keyed) -> Self {
        ChannelOwner::of(maker, keyed).map_or(Self::Nobody, Self::User)
    }
}

impl ChannelOwner {
    /// A user's subscriptions and publications are counted separately. `None` if no user is
    /// charged.
    pub(super) fn of(maker: Maker<'_>, keyed: &Keyed) -> Option<Self> {
        let (user, kind) = match maker {
            Maker::Backend | Maker::Personal => return None,
            Maker::Subscriber(user) => (user, 2),
            Maker::Publisher(user) => (user, 3),
        };
        NonZeroU64::new(keyed.name(user) & !3 | kind).map(Self)
    }
}
