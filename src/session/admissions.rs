//! How many sessions a second the shard creates.
//!
//! When a balancer or a node restarts, all its clients come back at once. Clients that are here
//! must not wait for them, so those above the rate are told when to come back: each later than the
//! one before, as if they stood in a line.

use crate::base::ticks::{Span, Tick};
use crate::config::Config;
use crate::session::limits::{ADMISSION_BURST, ADMISSION_WAIT_MAX};

/// The sessions that were created lately, and the clients that were told to come back.
///
/// Times are microseconds of the shard's clock. Each session moves `full_until` on by the time in
/// which the rate allows one; a session is created while that is less than the burst ahead of now.
#[derive(Debug)]
pub(crate) struct Admissions {
    /// The time for which one session uses up the rate; 0: there is no rate.
    each: u64,
    full_until: u64,
    /// When the last one of those who wait may come.
    line_until: u64,
}

impl Admissions {
    /// Nobody was admitted lately.
    pub(crate) fn new(config: &Config, shards: u8) -> Self {
        let each = match config.admit {
            0 => 0,
            rate => (1_000_000 * u64::from(shards)).div_ceil(rate as u64),
        };
        Self { each, full_until: 0, line_until: 0 }
    }

    /// Whether a session may be created now.
    ///
    /// # Errors
    /// When its client should come back: after all that were told to before.
    pub(crate) fn admit(&mut self, now: Tick) -> Result<(), Span> {
        if self.each == 0 {
            return Ok(());
        }
        let now = micros(now.since(Tick::ZERO));
        let full_until = self.full_until.max(now) + self.each;
        // One comes even if it uses up the rate for longer than the burst.
        if full_until - now <= micros(ADMISSION_BURST).max(self.each) {
            self.full_until = full_until;
            return Ok(());
        }
        let line_until = self.line_until.max(now) + self.each;
        let wait = (line_until - now).min(micros(ADMISSION_WAIT_MAX));
        self.line_until = now + wait;
        Err(Span::from_millis(wait.div_ceil(1000)))
    }
}

fn micros(span: Span) -> u64 {
    span.as_millis() * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admissions(rate: usize, shards: u8) -> Admissions {
        Admissions::new(&Config { admit: rate, ..Config::default() }, shards)
    }

    fn at(ms: u64) -> Tick {
        Tick::ZERO + Span::from_millis(ms)
    }

    #[test]
    fn without_a_rate_all_are_admitted() {
        let mut admissions = admissions(0, 1);
        assert!((0..100_000).all(|_| admissions.admit(Tick::ZERO).is_ok()));
    }

    #[test]
    fn a_burst_is_admitted_and_the_rest_stands_in_line() {
        let mut admissions = admissions(1000, 2);
        let admitted = (0..1_500).filter(|_| admissions.admit(at(5_000)).is_ok()).count();
        assert_eq!(admitted, 1_000, "two seconds of 500 a shard and second");
        // 500 wait already, two milliseconds each.
        assert_eq!(admissions.admit(at(5_000)), Err(Span::from_millis(1_002)));
        assert_eq!(admissions.admit(at(5_000)), Err(Span::from_millis(1_004)));
        assert_eq!(admissions.admit(at(5_010)), Ok(()), "the rate goes on");
        let later = (0..2_000).filter(|_| admissions.admit(at(7_000)).is_ok()).count();
        assert_eq!(later, 999, "and has made up for the burst, but for one");
    }

    #[test]
    fn a_rate_below_that_of_a_session_a_shard_and_burst_still_admits_some() {
        let mut admissions = admissions(1, 8);
        assert_eq!(admissions.admit(at(1)), Ok(()));
        assert_eq!(admissions.admit(at(1)), Err(Span::from_secs(8)));
        assert!(admissions.admit(at(8_000)).is_err());
        assert_eq!(admissions.admit(at(8_001)), Ok(()));
    }

    #[test]
    fn nobody_waits_for_longer_than_the_bound() {
        let mut admissions = admissions(1, 1);
        let waits: Vec<_> = (0..50).filter_map(|_| admissions.admit(Tick::ZERO).err()).collect();
        assert_eq!((waits.len(), waits[0], waits[47]), (48, Span::from_secs(1), ADMISSION_WAIT_MAX));
    }
}
