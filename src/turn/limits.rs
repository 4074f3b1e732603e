//! Bounds on what a shard logs and counts.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use crate::base::ticks::Span;

/// Time for which a warning that clients can cause is not repeated: long enough to keep the log
/// small, short enough to show that the cause lasts.
pub(in crate::turn) const WARNING_PAUSE: Span = Span::from_secs(10);

/// Buckets of a histogram. They double from 16 µs to 65 ms, and the last one counts all that is
/// longer: such a turn is too long, whatever its length.
pub(in crate::turn) const HISTOGRAM_BUCKETS: usize = 14;
