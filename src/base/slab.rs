//! Storage with typed keys and generations over the `slab` crate: stale keys find nothing.
//!
//! A key holds its slot's index and the generation of its entry, so a key that outlives its entry
//! finds nothing instead of another entry. Slots are reused last-in first-out, which keeps the
//! resident part small. It does not shrink.

use std::num::NonZeroU32;

/// A key of one kind of slab. Each kind is a type of its own, so keys never mix by accident.
pub trait SlabKey: Copy + Eq {
    /// Builds a key. Only a slab has reason to.
    fn new(index: u32, generation: NonZeroU32) -> Self;
    /// The index of its slot.
    fn index(self) -> u32;
    /// The generation of the slot's entry.
    fn generation(self) -> NonZeroU32;
}

/// Declares key types: 8 bytes each, `Option` included.
macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name { generation: std::num::NonZeroU32, index: u32 }

        impl $crate::base::slab::SlabKey for $name {
            fn new(index: u32, generation: std::num::NonZeroU32) -> Self { Self { generation, index } }
            fn index(self) -> u32 { self.index }
            fn generation(self) -> std::num::NonZeroU32 { self.generation }
        }
    )+};
}
pub(crate) use keys;

keys! {
    /// Names one connection of a shard.
    ConnKey,
    /// Names one session of a shard.
    SessionKey,
    /// Names one channel (or pattern) of a shard.
    ChannelKey,
    /// Names one armed timer of a wheel.
    TimerKey,
    /// Names one question that waits for answers from other shards.
    PendingKey,
    /// Names one network address with sessions.
    AddressKey,
    /// Names one TCP stream of a page.
    StreamKey,
}

/// A key whose value has a socket.
pub trait SocketKey: SlabKey {
    /// A bit of tokens that only keys of this kind have: no slab has as many slots.
    const MARK: usize;

    /// The key as a poll token. Never below 2^32, so low tokens stay free for listeners and the
    /// waker.
    fn token(self) -> usize {
        (self.generation().get() as usize) << 32 | Self::MARK | self.index() as usize
    }

    /// The key that was made into `token`; `None` for the low tokens, and those of other kinds.
    fn from_token(token: usize) -> Option<Self> {
        let generation = NonZeroU32::new(u32::try_from(token >> 32).ok()?)?;
        let (mark, index) = (token & MARKS, token & !MARKS & 0xffff_ffff);
        (mark == Self::MARK).then_some(Self::new(u32::try_from(index).ok()?, generation))
    }
}

/// The bits of a token that say of which kind it is.
const MARKS: usize = 1 << 31;

impl SocketKey for ConnKey {
    const MARK: usize = 0;
}

impl SocketKey for StreamKey {
    const MARK: usize = MARKS;
}

/// Values in reusable slots.
#[derive(Debug)]
pub struct Slab<K, V> {
    slots: slab::Slab<Tenant<V>>,
    /// The next entry's generation. No two live entries share one before 2^32 insertions.
    generation: NonZeroU32,
    key: std::marker::PhantomData<K>,
}

#[derive(Debug)]
struct Tenant<V> {
    generation: NonZeroU32,
    value: V,
}

const FIRST: NonZeroU32 = NonZeroU32::MIN;

impl<K: SlabKey, V> Default for Slab<K, V> {
    fn default() -> Self {
        Self { slots: slab::Slab::new(), generation: FIRST, key: std::marker::PhantomData }
    }
}

impl<K: SlabKey, V> Slab<K, V> {
    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Stores `value`; its key is valid until it is removed.
    ///
    /// # Panics
    /// At 2^32 values, far above every bound that the configuration allows.
    pub fn insert(&mut self, value: V) -> K {
        self.insert_with(|_| value)
    }

    /// Stores the result of `make`, which gets the key, so that a value can hold its own key.
    pub fn insert_with(&mut self, make: impl FnOnce(K) -> V) -> K {
        let generation = self.generation;
        self.generation = generation.checked_add(1).unwrap_or(FIRST);
        let slot = self.slots.vacant_entry();
        let key = K::new(u32::try_from(slot.key()).expect("slab is full"), generation);
        slot.insert(Tenant { generation, value: make(key) });
        key
    }

    /// Removes the value; the key and its copies become stale.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let slot = key.index() as usize;
        self.slots.get(slot).filter(|tenant| tenant.generation == key.generation())?;
        Some(self.slots.remove(slot).value)
    }

    /// The value, unless the key is stale.
    pub fn get(&self, key: K) -> Option<&V> {
        let tenant = self.slots.get(key.index() as usize)?;
        (tenant.generation == key.generation()).then_some(&tenant.value)
    }

    /// The value to change, unless the key is stale.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let tenant = self.slots.get_mut(key.index() as usize)?;
        (tenant.generation == key.generation()).then_some(&mut tenant.value)
    }

    /// The key of the value that is in a slot now. For tables that store bare indices to save
    /// memory and see every removal.
    pub fn key_at(&self, index: u32) -> Option<K> {
        self.slots.get(index as usize).map(|tenant| K::new(index, tenant.generation))
    }

    /// No value is in this slot or a later one, for [`Self::key_at`].
    pub fn end(&self) -> u32 {
        u32::try_from(self.slots.capacity()).unwrap_or(u32::MAX)
    }

    /// All values with their keys, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.slots.iter().map(|(index, tenant)| (K::new(index as u32, tenant.generation), &tenant.value))
    }

    /// All keys, in slot order; a copy, so that the caller may change the slab while it uses them.
    pub fn keys(&self) -> Vec<K> {
        self.iter().map(|(key, _)| key).collect()
    }
}

impl<K: SlabKey, V> std::ops::Index<K> for Slab<K, V> {
    type Output = V;

    /// # Panics
    /// If the key is stale: for keys whose entry the caller knows to exist.
    fn index(&self, key: K) -> &V {
        self.get(key).expect("stale key")
    }
}

impl<K: SlabKey, V> std::ops::IndexMut<K> for Slab<K, V> {
    fn index_mut(&mut self, key: K) -> &mut V {
        self.get_mut(key).expect("stale key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing_even_when_its_slot_is_reused() {
        let mut slab: Slab<ConnKey, &str> = Slab::default();
        let old = slab.insert("old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new");
        assert_eq!((new.index(), slab.get(old), slab.get(new)), (old.index(), None, Some(&"new")));
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn slots_are_reused_before_new_ones_are_made() {
        let mut slab: Slab<SessionKey, u32> = Slab::default();
        let keys: Vec<_> = (0..5).map(|i| slab.insert(i)).collect();
        slab.remove(keys[1]);
        slab.remove(keys[3]);
        assert_eq!((slab.insert(10).index(), slab.insert(11).index(), slab.insert(12).index()), (3, 1, 5));
        assert_eq!(slab.iter().map(|(_, v)| *v).collect::<Vec<_>>(), [0, 11, 2, 10, 4, 12]);
    }

    #[test]
    fn a_conn_key_survives_the_trip_through_a_token() {
        let mut slab: Slab<ConnKey, ()> = Slab::default();
        for _ in 0..3 {
            let key = slab.insert(());
            assert_eq!(ConnKey::from_token(key.token()), Some(key));
            slab.remove(key);
        }
        assert_eq!(ConnKey::from_token(7), None);
        assert_eq!(std::mem::size_of::<Option<ConnKey>>(), 8);
    }
}
