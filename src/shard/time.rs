//! The end of a turn, and timers.

use std::collections::BTreeSet;

use crate::shard::Shard;
use crate::shard::limits::{CHECKED_SESSIONS_MAX, TIMERS_PER_TURN};

impl Shard {
    /// Fires the timers that are due.
    pub(super) fn expire(&mut self) {
        let now = self.core.cx.now;
        self.work_off_backlog();
        self.fronts.api.end_some(&mut self.core);
        for _ in 0..TIMERS_PER_TURN {
            let Some(timer) = self.core.cx.wheel.expire(now) else { return };
            self.core.cx.steps.occasions(1);
            self.core.on_timer(timer);
            self.run_todos();
        }
    }
}

impl Shard {
    /// Ends a turn, after all its input.
    pub(super) fn end_turn(&mut self) {
        self.core.report_presence();
        for key in std::mem::take(&mut self.core.waking) {
            self.core.answer_woken(key);
        }
        self.run_todos();
        self.core.sweep_some();
        if self.core.cx.key_watch.wants() {
            self.core.cx.effects.push_back(crate::turn::input::Effect::FetchKeys);
        }
        self.core.arm_ledger();
        self.core.check_drained();
        if cfg!(debug_assertions) && self.core.sessions.len() < CHECKED_SESSIONS_MAX {
            self.check_invariants();
        }
    }
}

impl Shard {
    /// The users of this shard in a channel.
    pub fn users_in(&self, channel: &str) -> BTreeSet<String> {
        let here = self.core.hub.find(channel).and_then(|key| self.core.hub.channel(key));
        let sessions = here.into_iter().flat_map(|channel| &channel.subscribers);
        sessions.filter_map(|subscriber| self.core.user_of(subscriber.session)).collect()
    }
}
