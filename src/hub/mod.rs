//! The channels of one shard: their logs, their subscribers, and the one order of all messages
//! taken in.
//!
//! It knows sessions only by their keys, sends no mail and writes to no connection;
//! `core::deliver` and `core::interest` do. Every message in every log has an entry in the
//! ledger, so age and memory are bounded over all logs at once, oldest first.
//!
//! Invariant: a reader after position `p` either gets all messages after `p`, or `p` is below some
//! log's `complete_from` (or the hub's `floor`, for channels that no longer exist) and a gap is
//! owed.

pub mod census;
pub mod channel;
pub mod ledger;
mod limits;
pub mod log;
pub mod merge;
pub mod publication;
mod recent;
pub mod run;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::base::hash::{Keyed, KeyedMap};
use crate::base::position::{Epoch, Position};
use crate::base::slab::{ChannelKey, Slab, SlabKey};
use crate::base::ticks::{Span, Tick};
use crate::hub::census::{Census, ChannelOwner, Charged, Full, Maker};
use crate::hub::channel::{
    Channel, Listed, Role, SUBSCRIPTION_BYTES, Subscriber, Subscribers, bytes_of, subscription_bytes_of,
};
use crate::hub::ledger::{Ledger, LedgerEntry};
use crate::hub::log::Log;
use crate::hub::publication::{Message, Publication};
use crate::hub::recent::Recent;
use crate::wire::channel_name::{candidates_of, presence_of};

/// The bounds on a shard's logs.
#[derive(Clone, Copy, Debug)]
pub struct HubBounds {
    /// Channels and patterns, and their memory.
    pub channels: census::ChannelBounds,
    /// Messages a log, once they are older than `grace`.
    pub log_len_max: usize,
    /// Bytes of each log.
    pub log_bytes_max: usize,
    /// Age of a message.
    pub age_max: Span,
    /// How long a session may be away: younger messages leave a log only to free memory.
    pub grace: Span,
}

/// All channels of a shard.
#[derive(Debug)]
pub struct Hub {
    epoch: Epoch,
    /// Messages taken in so far.
    n: u64,
    /// At or below this number, messages of channels that are gone may be forgotten.
    floor: u64,
    channels: Slab<ChannelKey, Channel>,
    /// The index of names.
    names: HashTable<NameEntry>,
    keyed: Keyed,
    patterns: usize,
    ledger: Ledger,
    census: Census,
    /// Created by the first recall; dropped at intervals, so that it does not outlive its use.
    recent: Option<Box<Recent>>,
    weight: usize,
    bounds: HubBounds,
}

/// A channel in the table of names.
#[derive(Debug)]
struct NameEntry {
    /// The hash of its name: it nearly always suffices to distinguish names, and to move the entry
    /// when the table grows, without reading the name elsewhere.
    hash: u32,
    /// Its slot in the slab.
    index: u32,
}

/// Spreads a hash for the table, which takes the place from its low bits and the tag from its high
/// ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Hub {
    /// A hub without channels.
    pub fn new(epoch: Epoch, keyed: Keyed, bounds: HubBounds) -> Self {
        Self {
            epoch,
            n: 0,
            floor: 0,
            channels: Slab::default(),
            names: HashTable::new(),
            keyed,
            patterns: 0,
            ledger: Ledger::default(),
            census: Census::new(bounds.channels, keyed),
            recent: None,
            weight: 0,
            bounds,
        }
    }

    /// This run of this shard.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The number of the newest message.
    pub fn head(&self) -> u64 {
        self.n
    }

    /// Skips a number: sessions above it did not exist before.
    pub fn skip(&mut self) {
        self.n += 1;
    }

    /// A number as a position.
    pub fn position(&self, n: u64) -> Position {
        Position { epoch: self.epoch, n }
    }

    /// The number of channels, patterns and private logs.
    pub fn len(&self) -> usize {
        self.channels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// Messages in the logs, each counted once per log, and their bytes.
    pub fn held(&self) -> (usize, usize) {
        (self.ledger.live(), self.weight)
    }

    /// Bytes of channels and subscriptions, messages aside.
    pub fn channel_bytes(&self) -> usize {
        self.census.bytes()
    }

    /// A channel, if it exists.
    pub fn channel(&self, key: ChannelKey) -> Option<&Channel> {
        self.channels.get(key)
    }

    /// A channel, if it exists, to change it.
    pub fn channel_mut(&mut self, key: ChannelKey) -> Option<&mut Channel> {
        self.channels.get_mut(key)
    }

    /// All channels.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelKey, &Channel)> {
        self.channels.iter()
    }

    /// The channel or pattern of this name.
    pub fn find(&self, name: &str) -> Option<ChannelKey> {
        let hash = self.hash(name);
        let is_it = |known: &NameEntry| {
            known.hash == hash
                && self.channels.key_at(known.index).is_some_and(|key| *self.channels[key].name == *name)
        };
        self.names.find(spread(hash), is_it).and_then(|known| self.channels.key_at(known.index))
    }

    /// The channel or pattern of this name, created with `role` if it is new (then `true`).
    pub fn ensure(&mut self, name: &str, role: Role, maker: Maker<'_>) -> Result<(ChannelKey, bool), Full> {
        if let Some(key) = self.find(name) {
            return Ok((key, false));
        }
        self.census.admit(maker, self.channels.len(), &self.keyed)?;
        let bytes = bytes_of(name);
        if bytes > 0 && maker != Maker::Backend {
            self.make_room(bytes)?;
        }
        let charged = Charged::to(maker, &self.keyed);
        if let Charged::User(owner) = charged {
            self.census.charge(owner);
        }
        Ok((self.insert_named(name, role, charged), true))
    }

    /// The channel or pattern of this name, for another shard that has it within its own bound. If
    /// it were refused, that shard would miss later messages.
    pub fn ensure_for_other(&mut self, name: &str, role: Role) -> ChannelKey {
        self.find(name).unwrap_or_else(|| {
            self.census.mirror();
            self.insert_named(name, role, Charged::OtherShard)
        })
    }

    /// Frees memory for this many bytes of channels or subscriptions, if necessary by dropping
    /// channels without subscribers, those longest without first.
    pub fn make_room(&mut self, bytes: usize) -> Result<(), Full> {
        while !self.census.has_room(bytes) {
            let key = self.census.first_idle().ok_or(Full::Memory)?;
            let Some(channel) = self.channels.get_mut(key) else { continue };
            channel.listed = Listed::No;
            if channel.is_idle() {
                self.remove(key);
            }
        }
        Ok(())
    }

    /// Frees memory for one more subscription.
    pub fn make_room_for_subscription(&mut self) -> Result<(), Full> {
        self.make_room(SUBSCRIPTION_BYTES)
    }

    /// A user has left a channel that remains. If it was charged to them, it is now charged to
    /// `heir`, another subscriber.
    pub fn inherit(&mut self, key: ChannelKey, user: &str, heir: &str) {
        let owner = |user| ChannelOwner::of(Maker::Subscriber(user), &self.keyed);
        let (Some(from), Some(to)) = (owner(user), owner(heir)) else { return };
        let Some(channel) = self.channels.get_mut(key) else { return };
        if channel.charged == Charged::User(from) {
            channel.charged = Charged::User(to);
            self.census.acquit(from);
            self.census.charge(to);
        }
    }

    fn hash(&self, name: &str) -> u32 {
        (self.keyed.name(name) >> 32) as u32
    }

    fn insert_named(&mut self, name: &str, role: Role, charged: Charged) -> ChannelKey {
        let key = self.insert(name, role, charged);
        let named = NameEntry { hash: self.hash(name), index: key.index() };
        self.names.insert_unique(spread(named.hash), named, |known| spread(known.hash));
        self.patterns += usize::from(name.ends_with('*'));
        self.list_if_idle(key);
        key
    }

    fn list_if_idle(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(key) else { return };
        if channel.listed == Listed::No && channel.is_idle() {
            channel.listed = Listed::Idle;
            self.census.idles(key);
            let channels = &self.channels;
            self.census.sweep(channels.len(), |key| channels.get(key).is_some());
        }
    }

    /// A new private log.
    pub fn private(&mut self) -> ChannelKey {
        self.insert("", Role::Private, Charged::Nobody)
    }

    fn insert(&mut self, name: &str, role: Role, charged: Charged) -> ChannelKey {
        self.census.add(bytes_of(name));
        let complete_from = match role {
            Role::Home => self.floor,
            Role::Asked | Role::Level | Role::Pattern | Role::Noted | Role::Private => self.n,
        };
        self.channels.insert(Channel {
            name: name.into(),
            log: Log::new(complete_from),
            subscribers: Subscribers::new(),
            forward: 0,
            role,
            linger: None,
            charged,
            listed: Listed::No,
        })
    }

    /// Adds a subscriber to a channel's list; returns its index.
    pub fn subscribe(&mut self, key: ChannelKey, subscriber: Subscriber) -> u32 {
        self.census.add(subscription_bytes_of(&self.channels[key].name));
        let subscribers = &mut self.channels[key].subscribers;
        subscribers.push(subscriber);
        subscribers.len() as u32 - 1
    }

    /// Removes a subscriber from a channel's list. Returns the one that has moved to its place.
    pub fn unsubscribe(&mut self, key: ChannelKey, slot: u32) -> Option<Subscriber> {
        self.census.take(subscription_bytes_of(&self.channels[key].name));
        let subscribers = &mut self.channels[key].subscribers;
        subscribers.swap_remove(slot as usize);
        if subscribers.is_empty() {
            *subscribers = Subscribers::new();
        }
        subscribers.get(slot as usize).copied()
    }

    /// The patterns here that match a channel.
    pub fn matching(&self, name: &str) -> Vec<ChannelKey> {
        if self.patterns == 0 {
            return Vec::new();
        }
        let mut spelled = String::new();
        candidates_of(name).filter_map(|candidate| self.find(candidate.spell(&mut spelled))).collect()
    }

    /// Gives a message its number and puts it in the logs of `channels` that keep one.
    pub fn take_in(&mut self, now: Tick, message: Arc<Message>, channels: &[ChannelKey]) -> Rc<Publication> {
        self.n += 1;
        let readers =
            channels.iter().filter_map(|&key| self.channel(key)).map(|channel| channel.subscribers.len());
        let publication = Publication::new(self.n, now, message, readers.sum());
        for &key in channels {
            self.store(now, key, &publication);
        }
        while self.weight > self.census.logs_max() && self.forget_oldest() {}
        self.sweep();
        publication
    }

    fn store(&mut self, now: Tick, key: ChannelKey, publication: &Rc<Publication>) {
        let bounds = self.bounds;
        let Some(channel) = self.channels.get_mut(key).filter(|channel| channel.role.logs()) else { return };
        let log = &mut channel.log;
        let before = log.weight();
        log.push(Rc::clone(publication));
        let mut forgotten = 0;
        while log.weight() > bounds.log_bytes_max
            || (log.len() > bounds.log_len_max
                && log.oldest_at().is_some_and(|at| now.since(at) >= bounds.grace))
        {
            log.forget_oldest();
            forgotten += 1;
        }
        self.weight = self.weight + log.weight() - before;
        self.ledger.push(LedgerEntry { n: publication.n, at: now, log: key });
        self.ledger.forgot(forgotten);
    }

    /// Drops messages that are older than allowed.
    pub fn expire(&mut self, now: Tick) {
        while self.ledger.oldest().is_some_and(|entry| now.since(entry.at) >= self.bounds.age_max) {
            self.forget_oldest();
        }
        self.recent = None;
        self.sweep();
    }

    /// When [`Hub::expire`] will have something to do.
    pub fn expires(&self) -> Option<Tick> {
        self.ledger.oldest().map(|entry| entry.at + self.bounds.age_max)
    }

    /// Drops the oldest message of all; `false` if there is none.
    fn forget_oldest(&mut self) -> bool {
        let Some(LedgerEntry { n, log: key, .. }) = self.ledger.oldest() else { return false };
        let forgotten = self
            .channels
            .get_mut(key)
            .filter(|channel| channel.log.oldest() == Some(n))
            .and_then(|channel| channel.log.forget_oldest());
        self.ledger.pop(forgotten.is_some());
        if let Some(publication) = forgotten {
            self.weight -= publication.weight();
            self.release(key);
        }
        true
    }

    fn sweep(&mut self) {
        if self.ledger.wants_sweep() {
            let channels = &self.channels;
            let oldest = |key| channels.get(key).and_then(|channel: &Channel| channel.log.oldest());
            self.ledger.sweep(|entry| oldest(entry.log).is_some_and(|oldest| oldest <= entry.n));
        }
    }

    /// Removes a channel without any use: no subscriber here or elsewhere, and an empty log. A
    /// channel that other shards know is kept until it is [`Hub::remove`]d.
    pub fn release(&mut self, key: ChannelKey) {
        let unused = |channel: &Channel| channel.is_idle() && channel.log.is_empty();
        if self.channels.get(key).is_some_and(unused) {
            self.remove(key);
        } else {
            self.list_if_idle(key);
        }
    }

    /// Removes a channel with its log. It must have no subscribers.
    pub fn remove(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else { return };
        assert!(channel.subscribers.is_empty(), "a channel with subscribers is removed");
        let (hash, index) = (self.hash(&channel.name), key.index());
        if channel.role != Role::Private
            && let Ok(entry) = self.names.find_entry(spread(hash), |known| known.index == index)
        {
            entry.remove();
            self.patterns -= usize::from(channel.name.ends_with('*'));
        }
        self.empty(key);
        let Some(channel) = self.channels.remove(key) else { return };
        self.census.removed(&channel);
        // No subscription to a hidden channel begins in the past.
        if channel.role == Role::Home && presence_of(&channel.name).is_none() {
            self.floor = self.floor.max(channel.log.complete_from());
        }
    }

    /// Drops a channel's log.
    fn empty(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(key) else { return };
        self.weight -= channel.log.weight();
        self.ledger.forgot(channel.log.len());
        while channel.log.forget_oldest().is_some() {}
    }

    /// A declared channel has no session of this shard any more: its log is dropped, and with it
    /// the channel, unless other shards' interest in a pattern must be kept.
    pub fn undeclare(&mut self, key: ChannelKey) {
        self.empty(key);
        if let Some(channel) = self.channels.get_mut(key) {
            channel.role = Role::Noted;
        }
        self.release(key);
    }

    /// A pattern that was only noted gets subscribers here: its log begins now.
    pub fn declare(&mut self, key: ChannelKey) {
        let n = self.n;
        if let Some(channel) = self.channels.get_mut(key) {
            channel.role = Role::Pattern;
            channel.log.begin(n);
        }
    }

    /// The newest messages in channels that match a pattern and have their home here: at most
    /// `last` of each channel, oldest first. Visits no more than the last `RECALL_MESSAGES_MAX`
    /// messages of this shard, and returns how many it has visited.
    pub fn recall(&mut self, pattern: &str, last: usize) -> (Vec<Arc<Message>>, usize) {
        let mut looks = self.enter_recent();
        let mut taken: KeyedMap<ChannelKey, usize> = KeyedMap::with_hasher(self.keyed);
        let mut found = Vec::new();
        for (n, key) in self.recent.iter().flat_map(|recent| recent.matching(pattern)) {
            looks += 1;
            let Some(log) = self.channels.get(key).map(|channel| &channel.log) else { continue };
            let count = taken.entry(key).or_default();
            if *count < last
                && let Some(publication) = log.between(n - 1, n).next()
            {
                *count += 1;
                found.push(Arc::clone(&publication.message));
            }
        }
        found.reverse();
        (found, looks)
    }

    /// Enters the messages since the last recall; returns how many.
    fn enter_recent(&mut self) -> usize {
        let recent = self.recent.get_or_insert_with(|| Box::new(Recent::new(self.keyed)));
        let above = recent.above(self.n);
        let new: Vec<_> = self
            .ledger
            .newest()
            .take(recent::RECALL_MESSAGES_MAX as usize)
            .take_while(|entry| entry.n > above)
            .collect();
        let count = new.len();
        for entry in new.into_iter().rev() {
            if let Some(channel) = self.channels.get(entry.log).filter(|channel| channel.role == Role::Home) {
                recent.enter(entry.n, &channel.name, entry.log);
            }
        }
        recent.advance(self.n);
        count
    }

    /// Walks everything and panics if a counter disagrees. For debug builds.
    pub fn check_invariants(&self) {
        let weight: usize = self.channels.iter().map(|(_, channel)| channel.log.weight()).sum();
        let live: usize = self.channels.iter().map(|(_, channel)| channel.log.len()).sum();
        let named = self.channels.iter().filter(|(_, channel)| channel.role != Role::Private).count();
        self.census.check(self.channels.iter().map(|(_, channel)| channel));
        assert_eq!((weight, live, named), (self.weight, self.ledger.live(), self.names.len()));
    }
}
