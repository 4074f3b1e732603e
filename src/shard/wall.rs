//! The time of day, as the outside world has it: for tokens, and for clients that ask.
//!
//! Timers stay on the monotonic clock. When the wall clock was set, or the machine slept, the driver says so, and the sessions
//! whose tokens are over sooner by it get a nearer deadline: some of them in each turn, since there may be a million. Those that
//! are over later find that out when their deadline comes.

use crate::base::slab::SessionKey;
use crate::shard::Timer;
use crate::shard::core::Core;

/// How far the sessions have been looked through since the wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sweep {
    /// To their end.
    Done,
    /// Up to this slot.
    From(u32),
}

impl Core {
    /// The wall clock is not where it was believed to be.
    pub(super) fn set_wall(&mut self, unix_ms_at_zero: u64) {
        let is_later = unix_ms_at_zero > self.cx.identity.unix_ms_at_zero;
        self.cx.identity.unix_ms_at_zero = unix_ms_at_zero;
        if is_later {
            self.sweep = Sweep::From(0);
        }
    }

    /// Looks through some sessions whose tokens may be over sooner than they were.
    pub(super) fn sweep_some(&mut self) {
        let Sweep::From(first) = self.sweep else { return };
        let end = self.sessions.end();
        let next = end.min(first.saturating_add(SLOTS_A_TURN));
        for slot in first..next {
            if let Some(key) = self.sessions.key_at(slot) {
                self.hurry(key);
            }
        }
        self.sweep = if next == end { Sweep::Done } else { Sweep::From(next) };
    }

    fn hurry(&mut self, key: SessionKey) {
        let Some(expires) = self.sessions[key].grant.expires() else { return };
        let due = self.cx.tick_of(expires);
        let session = &mut self.sessions[key];
        if session.alarm.due().is_none_or(|later| due < later) {
            session.alarm.set(&mut self.cx.wheel, due, Timer::Session(key));
        }
    }
}

/// Sessions looked at in one turn: a millisecond of work at most.
const SLOTS_A_TURN: u32 = 4096;
