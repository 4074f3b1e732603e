//! Bounds of channels and their logs.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

// ---- memory ----

/// Bytes of a channel with its slot, its entry in the table of names, the buffer of its log, and
/// the free room of growing tables.
pub(in crate::hub) const CHANNEL_BYTES: usize = 320;

/// Bytes of a subscription in its session's list and in its channel's.
pub(in crate::hub) const SUBSCRIPTION_BYTES: usize = 64;

// ---- channels ----

/// The reciprocal of the part of channels that is reserved for backends.
pub(in crate::hub) const BACKENDS_PART: usize = 8;

/// The reciprocal of the part of memory that is reserved for logs, however many channels there are.
pub(in crate::hub) const LOGS_PART: usize = 4;

/// Sweeping is not worth while below this many.
pub(in crate::hub) const CENSUS_SWEEP_MIN: usize = 1024;

/// Sweeping is not worth while below this many stale entries.
pub(in crate::hub) const LEDGER_SWEEP_MIN: usize = 4096;

/// Messages of its shard that a recall looks back through.
pub(in crate::hub) const RECALL_MESSAGES_MAX: u64 = 1000;
