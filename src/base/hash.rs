//! Two hashes: one for the homes of users and channels, one for tables.
//!
//! Both are SipHash-1-3 under a random key, so that a client cannot choose names that collide, or
//! users that share a shard. The key of the homes is the node's: all its shards agree, and ids that
//! carry a home are valid for as long as the node runs. Each shard draws a key for its tables. Keys
//! are arguments here, so that a simulation repeats.

use std::hash::{BuildHasher, Hasher};

use siphasher::sip::SipHasher13;

use crate::base::ids::ShardId;

/// The homes of users and channels: the same for all shards of a node.
#[derive(Clone, Copy, Debug)]
pub struct Homes {
    keyed: Keyed,
    shards: u8,
}

impl Homes {
    /// Homes on this many shards. `key` is the node's: random and secret.
    pub const fn new(key: (u64, u64), shards: u8) -> Self {
        Self { keyed: Keyed::new(key), shards }
    }

    /// The home hash of a user or channel name, which travels inside the ids that the server makes.
    pub fn hash(&self, name: &str) -> u32 {
        (self.keyed.name(name) >> 32) as u32
    }

    /// Which shard is home to a hash. Evenly distributed for any count, because it scales instead
    /// of taking a remainder.
    pub fn of_hash(&self, hash: u32) -> ShardId {
        ShardId(((u64::from(hash) * u64::from(self.shards)) >> 32) as u8)
    }

    /// Which shard is home to a name.
    pub fn of(&self, name: &str) -> ShardId {
        self.of_hash(self.hash(name))
    }
}

/// The hash table of a shard. A shard has no other: the standard library's draws a key from the
/// system, so that a simulation could not repeat. Where no [`Keyed`] is at hand, a `BTreeMap` does.
#[expect(clippy::disallowed_types, reason = "under the shard's key it may be used")]
pub type KeyedMap<K, V> = std::collections::HashMap<K, V, Keyed>;

/// Keyed hashing for tables.
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    key: (u64, u64),
}

impl Keyed {
    /// Hashing under `key`; equal keys hash alike, which keeps a simulation repeatable.
    pub const fn new(key: (u64, u64)) -> Self {
        Self { key }
    }

    /// The hash of a name.
    pub fn name(&self, name: &str) -> u64 {
        let mut hasher = self.build_hasher();
        hasher.write(name.as_bytes());
        hasher.finish()
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key.0, self.key.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_spread_evenly_and_stay_in_range() {
        for shards in [1u8, 2, 3, 7, 64] {
            let mut counts = vec![0u32; usize::from(shards)];
            for i in 0..6_400 {
                counts[usize::from(Homes::new((1, 2), shards).of(&format!("user{i}")).0)] += 1;
            }
            let even = 6_400 / u32::from(shards);
            assert!(counts.iter().all(|&c| c > even / 2 && c < even * 2), "{shards}: {counts:?}");
        }
    }

    #[test]
    fn a_home_is_the_same_under_one_key() {
        let homes = Homes::new((1, 2), 64);
        assert_eq!(homes.hash("alice"), Homes::new((1, 2), 3).hash("alice"));
        assert_ne!(homes.hash("alice"), homes.hash("bob"));
        assert_eq!(homes.of("alice"), homes.of_hash(homes.hash("alice")));
    }

    #[test]
    fn users_that_share_a_shard_under_one_key_are_spread_under_another() {
        let (known, other) = (Homes::new((0, 0), 8), Homes::new((3, 4), 8));
        let chosen: Vec<_> =
            (0..8_000).map(|i| format!("user{i}")).filter(|name| known.of(name) == ShardId(0)).collect();
        let mut counts = [0; 8];
        for name in &chosen {
            counts[usize::from(other.of(name).0)] += 1;
        }
        let even = chosen.len() / 8;
        assert!(counts.iter().all(|&count| count > even / 2 && count < even * 2), "{counts:?}");
    }
}
