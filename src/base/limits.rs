//! Bounds of the data structures.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

/// Timers that move to a finer level of the wheel at once: under a millisecond. A slot of a million
/// would take a tenth of a second.
pub(in crate::base) const TIMERS_SPREAD_MAX: usize = 4096;

/// Digits of the number in a position: as many as 64 bits need.
pub(in crate::base) const POSITION_DIGITS_MAX: usize = 20;

/// Slots of users: enough that a thousand nodes hold some each, and few enough for maps of
/// balancers.
pub(crate) const SLOTS: u16 = 16_384;

/// Nodes up to which a slot's home is simply the node of the highest rank. With more, chance would
/// give some twice the share of others.
pub(in crate::base) const NODES_RANKED_MAX: usize = 100;
