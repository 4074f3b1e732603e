//! Pending requests whose answers are all there, and queues that continue.

use crate::base::slab::PendingKey;
use crate::call::pending::{Items, PendingRequest};
use crate::core::limits::BACKLOG_STEPS_PER_TURN;
use crate::core::queue::weight;
use crate::shard::Shard;

impl Shard {
    /// Completes a request if no answer is missing.
    pub(super) fn complete_if_answered(&mut self, key: PendingKey) {
        if let Some(PendingRequest { missing: 0, items: Items::All, .. }) = self.core.pending.get(key)
            && let Some(PendingRequest { kind, session, .. }) = self.core.pending.remove(key)
        {
            if let Some(session) = session {
                self.core.leave_batch_queue(session, key);
            }
            self.complete(key, kind);
        }
    }
}

impl Shard {
    /// Continues queues that have yielded, the oldest first.
    pub(super) fn work_off_backlog(&mut self) {
        let began = self.core.begin_portion();
        for _ in 0..self.core.backlog.len() {
            let Some(pending) = self.core.backlog.pop_front() else { return };
            self.continue_request(pending);
            if weight(self.core.cx.steps.spent()).wrapping_sub(began.0) >= BACKLOG_STEPS_PER_TURN {
                return;
            }
        }
    }

    /// Continues a queue if it still has all answers.
    pub(super) fn continue_if_answered(&mut self, pending: PendingKey) {
        if self.core.is_answered(pending) {
            self.continue_request(pending);
        }
    }
}
