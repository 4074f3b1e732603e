//! Which refusals are already in the log: each once in a node, on any shard.
//!
//! Shared by all shards without a lock: a slot changes from 0 to the hash of a logged refusal, and
//! stays. When no slot is left, nothing more is logged, so that a client that invents origins
//! cannot fill the log.
#![expect(clippy::disallowed_types, reason = "its hashes decide about lines of the log only")]

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::auth::limits::LOGGED_SLOTS;

/// The logged refusals.
#[derive(Debug)]
pub(super) struct LoggedRefusals {
    slots: [AtomicU64; LOGGED_SLOTS],
    hasher: RandomState,
}

impl Default for LoggedRefusals {
    fn default() -> Self {
        Self { slots: [const { AtomicU64::new(0) }; LOGGED_SLOTS], hasher: RandomState::new() }
    }
}

impl LoggedRefusals {
    /// Whether a refusal must be logged now.
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
    use crate::auth::origins::logged::*;

    #[test]
    fn each_is_logged_once_until_there_is_no_slot_left() {
        let logged = LoggedRefusals::default();
        for n in 0..LOGGED_SLOTS {
            assert!(logged.is_first(&n.to_string()));
            assert!(!logged.is_first(&n.to_string()));
        }
        assert!(!logged.is_first("one more"));
        assert!(!logged.is_first("0"));
    }
}
