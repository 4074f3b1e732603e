//! Which refusals have been told in the log: each once in a node, whichever shards it met.
//!
//! Shared by all shards without a lock: a slot goes from 0 to the hash of what was told, and stays.
//! When no slot is left, nothing more is logged, so that a client that invents origins cannot fill
//! the log.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// What was told.
#[derive(Debug)]
pub(super) struct Told {
    slots: [AtomicU64; SLOTS],
    hasher: RandomState,
}

/// Origins that are told: more pages than that are no mistake in a configuration.
const SLOTS: usize = 64;

impl Default for Told {
    fn default() -> Self {
        Self { slots: [const { AtomicU64::new(0) }; SLOTS], hasher: RandomState::new() }
    }
}

impl Told {
    /// Whether this is to be told now.
    pub(super) fn is_first(&self, text: &str) -> bool {
        let hash = self.hasher.hash_one(text).max(1);
        for slot in &self.slots {
            match slot.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(found) if found == hash => return false,
                Err(_) => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use crate::auth::origins::told::*;

    #[test]
    fn each_is_told_once_until_there_is_no_slot_left() {
        let told = Told::default();
        for n in 0..SLOTS {
            assert!(told.is_first(&n.to_string()));
            assert!(!told.is_first(&n.to_string()));
        }
        assert!(!told.is_first("one more"));
        assert!(!told.is_first("0"));
    }
}
