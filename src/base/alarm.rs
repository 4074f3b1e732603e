//! A deadline that moves often but rarely arrives.
//!
//! Its owner (a connection, a session) moves the deadline by writing a number; the wheel is touched
//! only when the deadline comes nearer than the armed timer, or when the timer fires and the
//! deadline has moved away meanwhile. Invariant: an owner has at most one timer, and it never fires
//! after the deadline.

use std::num::NonZeroU64;

use super::slab::TimerKey;
use super::ticks::Tick;
use super::wheel::Wheel;

/// One owner's deadline.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alarm {
    /// In milliseconds, and one more: so it needs no room for saying that there is none.
    due: Option<NonZeroU64>,
    timer: Option<TimerKey>,
}

impl Alarm {
    /// The deadline, if it is set.
    pub fn due(&self) -> Option<Tick> {
        self.due.map(|due| Tick::from_millis(due.get() - 1))
    }

    /// Moves the deadline; the wheel returns `value` when it fires.
    pub fn set<T>(&mut self, wheel: &mut Wheel<T>, due: Tick, value: T) {
        self.due = NonZeroU64::MIN.checked_add(due.as_millis());
        if let Some(timer) = self.timer {
            if wheel.due(timer).is_some_and(|armed| armed <= due) {
                return;
            }
            wheel.cancel(timer);
        }
        self.timer = Some(wheel.arm(due, value));
    }

    /// Clears the deadline. The timer stays armed and does nothing when it fires.
    pub fn clear(&mut self) {
        self.due = None;
    }

    /// Removes the timer from the wheel: its owner ends.
    pub fn disarm<T>(&mut self, wheel: &mut Wheel<T>) {
        self.due = None;
        if let Some(timer) = self.timer.take() {
            wheel.cancel(timer);
        }
    }

    /// The timer has fired: `true` if the deadline has passed. Otherwise it is re-armed for the
    /// current deadline.
    #[must_use]
    pub fn rings<T>(&mut self, wheel: &mut Wheel<T>, now: Tick, value: T) -> bool {
        self.timer = None;
        match self.due() {
            None => false,
            Some(due) if due <= now => {
                self.due = None;
                true
            }
            Some(due) => {
                self.timer = Some(wheel.arm(due, value));
                false
            }
        }
    }
}

// Each connection and each session has one.
const _: () = assert!(std::mem::size_of::<Alarm>() <= 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postponed_deadline_costs_one_timer_and_fires_once() {
        let (mut wheel, mut alarm) = (Wheel::default(), Alarm::default());
        for at in [1_000, 2_000, 3_000] {
            alarm.set(&mut wheel, Tick::from_millis(at), ());
        }
        assert_eq!(wheel.len(), 1);
        let mut rings = Vec::new();
        for at in (0..4_000).step_by(16) {
            while wheel.expire(Tick::from_millis(at)).is_some() {
                rings.push((at, alarm.rings(&mut wheel, Tick::from_millis(at), ())));
            }
        }
        assert_eq!(rings, [(1_008, false), (3_008, true)]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_deadline_that_comes_nearer_is_kept() {
        let (mut wheel, mut alarm) = (Wheel::default(), Alarm::default());
        alarm.set(&mut wheel, Tick::from_millis(75_000), ());
        alarm.set(&mut wheel, Tick::from_millis(160), ());
        assert_eq!((wheel.len(), wheel.next_deadline()), (1, Some(Tick::from_millis(160))));
        alarm.disarm(&mut wheel);
        assert!(wheel.is_empty());
    }
}
