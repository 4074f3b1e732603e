//! The only clock of the node.
//!
//! One [`Clock`] is made at the start and copied to every thread, so that a [`Tick`] means the same
//! moment on all shards. It is monotonic: a step of the system's wall clock moves no timer. Wall
//! time is for comparisons with the outside world (a token's `exp`); the main thread checks it each
//! second, since clocks are set and machines sleep.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::base::ticks::Tick;

/// Turns the machine's monotonic clock into ticks. All copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose [`Tick::ZERO`] is now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The current moment, rounded down to a whole millisecond.
    pub fn now(&self) -> Tick {
        Tick::from_millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Wall time at [`Tick::ZERO`] by the wall clock of this moment, in milliseconds since
    /// 1970-01-01 UTC.
    pub fn unix_ms_at_zero(&self) -> u64 {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let at_zero = unix.saturating_sub(self.start.elapsed());
        u64::try_from(at_zero.as_millis()).unwrap_or(u64::MAX)
    }

    /// How long to sleep from `now` until `deadline`; zero if it has passed.
    ///
    /// `now` is rounded down, so a sleep of this length never ends before the deadline.
    pub fn until(now: Tick, deadline: Tick) -> Duration {
        Duration::from_millis(deadline.since(now).as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_a_clock_agree() {
        let clock = Clock::start();
        let copy = clock;
        let (first, second, third) = (clock.now(), copy.now(), clock.now());
        assert!(first <= second && second <= third);
    }

    #[test]
    fn a_deadline_in_the_past_needs_no_sleep() {
        let (early, late) = (Tick::from_millis(10), Tick::from_millis(35));
        assert_eq!(Clock::until(late, early), Duration::ZERO);
        assert_eq!(Clock::until(early, late), Duration::from_millis(25));
    }
}
