//! Budgets of a turn.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

/// Requests of one connection that may be in progress at once: further ones would only wait
/// elsewhere.
pub(in crate::shard) const REQUESTS_AHEAD_MAX: usize = 64;

/// Timers that expire in one turn. Sixty thousand sessions that were created together end together,
/// and each end takes some microseconds: other clients must not wait for all of them. The wheel
/// stays due, so the next turn continues at once.
pub(in crate::shard) const TIMERS_PER_TURN: usize = 512;

/// Sessions below which a debug build checks all invariants after each turn: a walk over more would
/// take most of a turn.
pub(in crate::shard) const CHECKED_SESSIONS_MAX: usize = 256;
