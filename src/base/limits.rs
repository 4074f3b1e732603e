//! Bounds of the data structures.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

/// Timers that move to a finer level of the wheel at once: under a millisecond. A slot of a million
/// would take a tenth of a second.
pub(in crate::base) const TIMERS_SPREAD_MAX: usize = 4096;

/// Digits of the number in a position: as many as 64 bits need.
pub(in crate::base) const POSITION_DIGITS_MAX: usize = 20;
