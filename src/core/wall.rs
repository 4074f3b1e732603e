//! The time of day, for tokens and for clients that ask; and what follows when it is set.
//!
//! Timers stay on the monotonic clock. When the wall clock was set, or the machine slept, the
//! driver reports it, and sessions whose tokens now expire sooner get an earlier deadline: some of
//! them in each turn, because there may be a million. Sessions whose tokens now expire later notice
//! that at their deadline.

use crate::base::slab::SessionKey;
use crate::core::Core;
use crate::core::limits::SWEPT_SESSIONS_PER_TURN;
use crate::turn::timer::Timer;

/// How many sessions have been checked since the wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// All.
    Done,
    /// Those below this slot.
    From(u32),
}

impl Core {
    /// The wall clock was set.
    pub(crate) fn set_wall(&mut self, unix_ms_at_zero: u64) {
        let is_later = unix_ms_at_zero > self.cx.identity.unix_ms_at_zero;
        self.cx.identity.unix_ms_at_zero = unix_ms_at_zero;
        if is_later {
            self.sweep = Sweep::From(0);
        }
    }

    /// Checks some sessions whose tokens may expire sooner than before.
    pub(crate) fn sweep_some(&mut self) {
        let Sweep::From(first) = self.sweep else { return };
        let end = self.sessions.end();
        let next = end.min(first.saturating_add(SWEPT_SESSIONS_PER_TURN));
        for slot in first..next {
            if let Some(key) = self.sessions.key_at(slot) {
                self.advance_expiry(key);
            }
        }
        self.sweep = if next == end { Sweep::Done } else { Sweep::From(next) };
    }

    fn advance_expiry(&mut self, key: SessionKey) {
        let Some(expires) = self.sessions[key].grant.expires() else { return };
        let due = self.cx.tick_of(expires);
        let session = &mut self.sessions[key];
        if session.alarm.due().is_none_or(|later| due < later) {
            session.alarm.set(&mut self.cx.wheel, due, Timer::Session(key));
        }
    }
}
