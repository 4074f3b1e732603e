//! Bounds on what operators see and do with one request.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

/// Sessions that are ended in one turn: as many as most users may have. Each may have a hundred
/// subscriptions to end.
pub(in crate::api) const SESSIONS_ENDED_PER_TURN: usize = 64;

/// Users of one channel that are shown, and messages of it: what a person reads.
pub(in crate::api) const SHOWN_MAX: usize = 100;
