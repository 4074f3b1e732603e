//! Timers, among a hundred thousand armed ones. The unit is one timer.
//!
//! `arm and cancel` is the cost of a held poll, `deadline moved` that of traffic on a connection,
//! `fires and is armed anew` that of a heartbeat.

use std::hint::black_box;

use encke::base::alarm::Alarm;
use encke::base::ticks::{Span, Tick};
use encke::base::wheel::Wheel;

use crate::suite::{Pass, Suite};

/// All benchmarks of this file.
pub(crate) fn all(suite: &mut Suite) {
    let state = || (standing(), Vec::with_capacity(ROUND));
    suite.bench(("wheel", "arm and cancel"), Pass::Elements(ROUND), state, |(wheel, keys)| {
        keys.extend((0..ROUND).map(|i| wheel.arm(Tick::from_millis(110_000 + i as u64 * 7), STANDING)));
        keys.drain(..).for_each(|key| assert!(wheel.cancel(key).is_some()));
    });
    let state = || {
        let mut wheel = standing();
        let mut alarm = Alarm::default();
        alarm.set(&mut wheel, Tick::from_millis(25_000), STANDING);
        (wheel, alarm)
    };
    suite.bench(("wheel", "deadline moved"), Pass::Elements(ROUND), state, |(wheel, alarm)| {
        (0..ROUND).for_each(|i| alarm.set(wheel, Tick::from_millis(25_000 + i as u64), STANDING));
        black_box(alarm.due());
    });
    let state = || (standing(), Tick::ZERO);
    suite.bench(("wheel", "fires and is armed anew"), Pass::Elements(ROUND), state, |(wheel, now)| {
        let mut fired = 0;
        while fired < ROUND {
            match wheel.expire(*now) {
                Some(value) => {
                    wheel.arm(*now + PERIOD, value);
                    fired += 1;
                }
                None => *now = wheel.next_deadline().unwrap_or(*now),
            }
        }
    });
}

/// A wheel with a heartbeat for each of many connections, spread over its period.
fn standing() -> Wheel<usize> {
    let mut wheel = Wheel::default();
    for i in 0..STANDING {
        wheel.arm(Tick::from_millis(i as u64 * PERIOD.as_millis() / STANDING as u64), i);
    }
    wheel
}

const STANDING: usize = 100_000;

/// Timers of one pass.
const ROUND: usize = 1_000;

/// The value of a heartbeat's timer.
const PERIOD: Span = Span::from_secs(25);
