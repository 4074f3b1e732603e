//! Two hashes: one that decides where things live, and one that fills tables.
//!
//! Homes are found by SipHash-1-3 with a fixed key, so every shard and every run agrees. Tables use the same function with a key drawn for
//! each run, so that nobody outside can choose names that collide.

use std::hash::{BuildHasher, Hasher};

use siphasher::sip::SipHasher13;

/// The home hash of a user or channel name. Its upper half travels inside the ids that the server makes.
pub fn home_hash(name: &str) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_bytes());
    (hasher.finish() >> 32) as u32
}

/// Which of `shards` is home to a hash. Even for any count, since it scales rather than takes a remainder.
pub fn home_of(hash: u32, shards: u8) -> u8 {
    ((u64::from(hash) * u64::from(shards)) >> 32) as u8
}

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
                counts[usize::from(home_of(home_hash(&format!("user{i}")), shards))] += 1;
            }
            let even = 6_400 / u32::from(shards);
            assert!(counts.iter().all(|&c| c > even / 2 && c < even * 2), "{shards}: {counts:?}");
        }
    }

    #[test]
    fn the_home_of_a_name_is_the_same_in_every_run() {
        assert_eq!(home_hash("alice"), home_hash("alice"));
        assert_ne!(home_hash("alice"), home_hash("bob"));
    }
}
