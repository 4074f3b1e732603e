//! Bounds of Bayeux messages, and how soon clients return.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

/// `message` fields of a form; each may hold several messages.
pub(super) const FORM_FIELDS_MAX: usize = 256;

/// Most batches stored at once: a client acknowledges each with its next connect, so more than one
/// is rare.
pub(super) const UNACKNOWLEDGED_MAX: usize = 16;

/// Milliseconds between two connects of a browser's second client: a browser opens six connections
/// to one host, and held connects of several pages would take them all.
pub(super) const CROWD_INTERVAL_MS: u64 = 2000;
