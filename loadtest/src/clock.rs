//! The one clock of a run: nanoseconds that the kernel counts since it started, the same in every
//! process.
//!
//! So a message may carry the time at which it was due, and whichever process reads it can say how
//! long it took.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Now, in nanoseconds of the run's clock.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    (time.tv_sec as u64) * SECOND + time.tv_nsec as u64
}

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds of a millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// A span in nanoseconds.
pub fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// From now until then; nothing, if that is over.
pub fn until(then: u64) -> Duration {
    Duration::from_nanos(then.saturating_sub(now()))
}
