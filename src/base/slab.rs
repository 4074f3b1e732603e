//! Storage whose slots are named by keys that go stale.
//!
//! A key holds its slot's index and the generation of the tenant it was issued to, so a key that
//! outlives its tenant finds nothing instead of a stranger. Slots are reused last-in first-out, which keeps the
//! resident part small. It does not shrink.

use std::num::NonZeroU32;

/// A key of one kind of slab. Each kind is a type of its own, so keys never mix by accident.
pub trait Key: Copy + Eq {
    /// Builds a key. Only a slab has reason to.
    fn new(index: u32, generation: NonZeroU32) -> Self;
    /// The slot.
    fn index(self) -> u32;
    /// Which tenant of the slot is meant.
    fn generation(self) -> NonZeroU32;
}

/// Declares key types: 8 bytes each, `Option` included.
macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name { generation: NonZeroU32, index: u32 }

        impl Key for $name {
            fn new(index: u32, generation: NonZeroU32) -> Self { Self { generation, index } }
            fn index(self) -> u32 { self.index }
            fn generation(self) -> NonZeroU32 { self.generation }
        }
    )+};
}

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
    TicketKey,
}

impl ConnKey {
    /// The key as a poll token. Never below 2^32, so low tokens stay free for listeners and the waker.
    pub fn token(self) -> usize {
        (self.generation.get() as usize) << 32 | self.index as usize
    }

    /// The key that was made into `token`; `None` for the low tokens.
    pub fn from_token(token: usize) -> Option<Self> {
        let generation = NonZeroU32::new(u32::try_from(token >> 32).ok()?)?;
        let index = u32::try_from(token & 0xffff_ffff).ok()?;
        Some(Self { generation, index })
    }
}

/// Values in reusable slots.
#[derive(Debug)]
pub struct Slab<K, V> {
    slots: Vec<Slot<V>>,
    vacant: u32,
    len: u32,
    key: std::marker::PhantomData<K>,
}

#[derive(Debug)]
struct Slot<V> {
    generation: NonZeroU32,
    state: State<V>,
}

#[derive(Debug)]
enum State<V> {
    Occupied(V),
    /// The next vacant slot, or [`NONE`].
    Vacant(u32),
}

const NONE: u32 = u32::MAX;
const FIRST: NonZeroU32 = NonZeroU32::MIN;

impl<K: Key, V> Default for Slab<K, V> {
    fn default() -> Self {
        Self { slots: Vec::new(), vacant: NONE, len: 0, key: std::marker::PhantomData }
    }
}

impl<K: Key, V> Slab<K, V> {
    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Stores `value`; its key stays good until it is removed.
    ///
    /// # Panics
    /// At 2^32 - 1 values, far above every bound that the configuration allows.
    pub fn insert(&mut self, value: V) -> K {
        self.insert_with(|_| value)
    }

    /// Stores what `make` returns; it is told the key, so a value may know its own name.
    pub fn insert_with(&mut self, make: impl FnOnce(K) -> V) -> K {
        self.len += 1;
        if let Some(slot) = self.slots.get_mut(self.vacant as usize) {
            let key = K::new(self.vacant, slot.generation);
            if let State::Vacant(next) = slot.state {
                self.vacant = next;
            }
            slot.state = State::Occupied(make(key));
            return key;
        }
        let index = u32::try_from(self.slots.len()).ok().filter(|&i| i != NONE).expect("slab is full");
        let key = K::new(index, FIRST);
        self.slots.push(Slot { generation: FIRST, state: State::Occupied(make(key)) });
        key
    }

    /// Takes the value out; the key and its copies go stale.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let vacant = self.vacant;
        let slot = self.slots.get_mut(key.index() as usize).filter(|s| s.generation == key.generation())?;
        match std::mem::replace(&mut slot.state, State::Vacant(vacant)) {
            State::Occupied(value) => {
                slot.generation = slot.generation.checked_add(1).unwrap_or(FIRST);
                self.vacant = key.index();
                self.len -= 1;
                Some(value)
            }
            was @ State::Vacant(_) => {
                slot.state = was;
                None
            }
        }
    }

    /// The value, unless the key is stale.
    pub fn get(&self, key: K) -> Option<&V> {
        let slot = self.slots.get(key.index() as usize).filter(|s| s.generation == key.generation())?;
        match &slot.state {
            State::Occupied(value) => Some(value),
            State::Vacant(_) => None,
        }
    }

    /// The value to change, unless the key is stale.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let slot = self.slots.get_mut(key.index() as usize).filter(|s| s.generation == key.generation())?;
        match &mut slot.state {
            State::Occupied(value) => Some(value),
            State::Vacant(_) => None,
        }
    }

    /// The key of whoever lives in a slot now. For tables that keep bare indices to save memory and
    /// are told of every removal.
    pub fn key_at(&self, index: u32) -> Option<K> {
        let slot = self.slots.get(index as usize)?;
        matches!(slot.state, State::Occupied(_)).then(|| K::new(index, slot.generation))
    }

    /// All values with their keys, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| match &slot.state {
            State::Occupied(value) => Some((K::new(index, slot.generation), value)),
            State::Vacant(_) => None,
        })
    }

    /// All keys, in slot order; a copy, so that the slab may be changed meanwhile.
    pub fn keys(&self) -> Vec<K> {
        self.iter().map(|(key, _)| key).collect()
    }
}

impl<K: Key, V> std::ops::Index<K> for Slab<K, V> {
    type Output = V;

    /// # Panics
    /// If the key is stale: for keys whose tenant the caller knows to be there.
    fn index(&self, key: K) -> &V {
        self.get(key).expect("stale key")
    }
}

impl<K: Key, V> std::ops::IndexMut<K> for Slab<K, V> {
    fn index_mut(&mut self, key: K) -> &mut V {
        self.get_mut(key).expect("stale key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing_even_when_the_slot_has_a_new_tenant() {
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
