//! How many channels there may be, for whom they were made, and what they take of memory
//! themselves.
//!
//! A channel is charged to the user because of whom it exists: who subscribed first, or published
//! to it, on the shard where it was made. When that user leaves and others stay, it is charged to
//! one of those. What backends make is charged to nobody, and a part of all channels is kept for
//! them. A channel that another shard asks for was counted there, and is not refused here.
//!
//! It knows no log: what messages weigh is the hub's. Their bound is shared, though, so that
//! `ENCKE_MEMORY` holds for both.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;

use crate::base::hash::Keyed;
use crate::base::slab::ChannelKey;
use crate::hub::channel::Channel;

/// For whom a channel is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker<'a> {
    /// A backend.
    Backend,
    /// A user's own: the channel that comes with the first session.
    Personal,
    /// A user who subscribes.
    Subscriber(&'a str),
    /// A user who publishes.
    Publisher(&'a str),
}

/// A user, as a channel is charged to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(NonZeroU64);

/// Why no channel can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are as many as allowed.
    Channels,
    /// As many as clients may make: the rest is kept for backends.
    Clients,
    /// As many as the user may make.
    User,
    /// They take as much memory as they may.
    Memory,
}

/// What bounds the channels of a shard.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// All but those that other shards ask for.
    pub channels_max: usize,
    /// Those that one user makes by subscribing.
    pub subscribed_max: usize,
    /// Those that one user makes by publishing: users publish on all shards, and subscribe on one.
    pub published_max: usize,
    /// Bytes of channels, subscriptions and logs together.
    pub memory_max: usize,
}

/// The count of a shard's channels.
#[derive(Debug)]
pub(super) struct Census {
    bounds: Bounds,
    /// By user, how many channels are charged to them; never zero.
    owned: HashMap<Owner, usize, Keyed>,
    /// Channels that other shards asked for.
    mirrored: usize,
    /// Bytes of channels and subscriptions.
    bytes: usize,
    /// Channels that nobody needed when they were put here, those that were so first at the front.
    /// Each is here once.
    idle: VecDeque<ChannelKey>,
}

impl Census {
    pub(super) fn new(bounds: Bounds, keyed: Keyed) -> Self {
        let owned = HashMap::with_hasher(keyed);
        Self { bounds, owned, mirrored: 0, bytes: 0, idle: VecDeque::new() }
    }

    /// Bytes of channels and subscriptions.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that logs may take: what channels leave, but a part that is always theirs.
    pub(super) fn logs_max(&self) -> usize {
        let Bounds { memory_max, .. } = self.bounds;
        memory_max.saturating_sub(self.bytes).max(memory_max / LOGS_PART)
    }

    /// Whether one more channel can be made where there are `count`, save for memory.
    pub(super) fn admit(&self, maker: Maker<'_>, count: usize, keyed: &Keyed) -> Result<(), Full> {
        let Bounds { channels_max, subscribed_max, published_max, .. } = self.bounds;
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
        let owned = Owner::of(maker, keyed).and_then(|owner| self.owned.get(&owner)).copied();
        if owned.unwrap_or(0) >= most { Err(Full::User) } else { Ok(()) }
    }

    /// Whether there is memory for `bytes` more of what clients make.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let Bounds { memory_max, .. } = self.bounds;
        self.bytes + bytes <= memory_max - memory_max / LOGS_PART
    }

    /// A channel was made, or a subscription.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// A channel is gone, or a subscription.
    pub(super) fn take(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    /// Another shard has asked for a channel that was not here.
    pub(super) fn mirror(&mut self) {
        self.mirrored += 1;
    }

    /// A channel is charged to a user.
    pub(super) fn charge(&mut self, owner: Owner) {
        *self.owned.entry(owner).or_default() += 1;
    }

    /// It is not any more.
    pub(super) fn acquit(&mut self, owner: Owner) {
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

    /// Nobody needs a channel at the moment.
    pub(super) fn idles(&mut self, key: ChannelKey) {
        self.idle.push_back(key);
    }

    /// The channel that was idle first, which may be needed again or gone.
    pub(super) fn first_idle(&mut self) -> Option<ChannelKey> {
        self.idle.pop_front()
    }

    /// Forgets idle channels that are gone, once they outnumber those that are there.
    pub(super) fn sweep(&mut self, count: usize, is_there: impl Fn(ChannelKey) -> bool) {
        if self.idle.len() > 2 * count + SWEEP_MIN {
            self.idle.retain(|key| is_there(*key));
        }
    }

    /// Panics if `channels` are not those that were counted.
    pub(super) fn check<'a>(&self, channels: impl Iterator<Item = &'a Channel>) {
        let (mut owned, mut mirrored, mut bytes) = (HashMap::new(), 0, 0);
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

/// To whom a channel is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charged {
    /// To nobody.
    Nobody,
    /// It was counted on the shard that asked for it.
    OtherShard,
    /// To a user.
    User(Owner),
}

impl Charged {
    /// To whom a channel is charged that is made for somebody.
    pub(super) fn to(maker: Maker<'_>, keyed: &Keyed) -> Self {
        Owner::of(maker, keyed).map_or(Self::Nobody, Self::User)
    }
}

impl Owner {
    /// A user's subscriptions and publications are counted apart. `None` where no user is charged.
    pub(super) fn of(maker: Maker<'_>, keyed: &Keyed) -> Option<Self> {
        let (user, kind) = match maker {
            Maker::Backend | Maker::Personal => return None,
            Maker::Subscriber(user) => (user, 2),
            Maker::Publisher(user) => (user, 3),
        };
        NonZeroU64::new(keyed.name(user) & !3 | kind).map(Self)
    }
}

/// One channel in so many is kept for backends.
const BACKENDS_PART: usize = 8;

/// One byte in so many is always for logs, however many channels there are.
const LOGS_PART: usize = 4;

/// Sweeping is not worth while below this many.
const SWEEP_MIN: usize = 1024;
