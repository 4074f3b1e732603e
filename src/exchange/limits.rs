//! Bounds on what the start and the progress of a response cost.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

/// Sessions of a user that are compared to find the one to end: all that most users may have, and
/// little work even for a shard that creates thousands of sessions a second.
pub(in crate::exchange) const SESSIONS_COMPARED_MAX: usize = 256;

/// The reciprocal of the part of `ENCKE_OUTBOX_BYTES` to which an outbox has to sink before it is
/// filled again: fewer, larger pieces, and the peer still has bytes to read meanwhile.
pub(in crate::exchange) const OUTBOX_ROOM_PART: usize = 2;

/// The part of its wait by which a client that is not admitted may come later: those who were
/// refused together do not come back together.
pub(in crate::exchange) const ADMISSION_SPREAD_PART: u64 = 2;
