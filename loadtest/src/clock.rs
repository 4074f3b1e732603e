//! The one clock of a run: nanoseconds since the kernel started, the same in every process.
//!
//! So a message can carry the time at which it was due, and any process that reads it can compute
//! its latency.

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

/// The time from now until then; zero if it has passed.
pub fn until(then: u64) -> Duration {
    Duration::from_nanos(then.saturating_sub(now()))
}
