//! The order in which the commands of one request or socket message take effect, and their portion
//! of a turn.
//!
//! A change of a subscription takes effect at the session's shard, a publish at its channel's home.
//! The home forwards a message before it answers the publisher, by the same mailbox, so when the
//! answer is here, so is the message. Hence the rule: a command waits until the publishes before it
//! are answered, unless it is a publish to the same shard, or has no effect. Other shards see a
//! client's publishes in its order too, because the next home is asked after the last one has
//! answered. A backend's publishes do not use this queue: they keep their order in each channel,
//! and wait for nothing.
//!
//! A batch that waits also delays later batches of its session (`core::batch_queues`).
//!
//! A queue yields when its commands have cost their portion of a turn, and continues in the next
//! one. Queued commands are executed even if their connection or session is gone by then: a command
//! for a session that has ended is refused.

use crate::base::slab::PendingKey;
use crate::call::pending::PendingRequest;
use crate::call::queue::{Ahead, Pause, Reach};
use crate::core::Core;
use crate::core::limits::{COMMAND_STEPS, QUEUE_STEPS_PER_TURN};
use crate::turn::mutation::Mutation;
use crate::turn::steps::Spent;

/// The cost when a queue began its portion.
#[derive(Clone, Copy)]
pub(crate) struct Portion(pub(crate) u64);

pub(crate) fn weight(Spent { work, offers, occasions, .. }: Spent) -> u64 {
    work.wrapping_add(offers).wrapping_add(occasions.wrapping_mul(COMMAND_STEPS))
}

impl Core {
    /// A queue waits: its pending request stays open for its remaining commands.
    pub(crate) fn note_pause(&mut self, pending: PendingKey, pause: Pause) {
        self.hold_batch_queue(pending);
        match pause {
            Pause::Turn => self.backlog.push_back(pending),
            Pause::Answers | Pause::Predecessor => {}
        }
    }

    /// Whether a queue has all answers that it waits for.
    pub(crate) fn is_answered(&self, pending: PendingKey) -> bool {
        let has_all =
            |request: &PendingRequest| request.missing == 0 && request.kind.pause() == Some(Pause::Answers);
        self.pending.get(pending).is_some_and(has_all)
    }

    /// Whether commands are queued. They are executed before the node stops.
    pub(crate) fn has_queued(&self) -> bool {
        self.pending.iter().any(|(_, request)| request.kind.pause().is_some())
    }

    /// A queue begins its portion of this turn.
    pub(crate) fn begin_portion(&self) -> Portion {
        Portion(weight(self.cx.steps.spent()))
    }

    /// What the next command of a queue waits for, if anything. `reach` is only called if it
    /// matters.
    pub(crate) fn pause(
        &self,
        pending: PendingKey,
        ahead: Ahead,
        portion: Portion,
        reach: impl FnOnce(&Self) -> Reach,
    ) -> Option<Pause> {
        let is_owed = self.pending.get(pending).is_some_and(|request| request.missing > 0);
        if is_owed && !self.cx.broken_by(Mutation::OvertakeOwnPublishes) {
            let may_go = match reach(self) {
                Reach::Nowhere => true,
                Reach::Session => false,
                Reach::Home(home) => ahead == Ahead(Some(home)) && home != self.cx.identity.id,
            };
            if !may_go {
                return Some(Pause::Answers);
            }
        }
        let is_used_up = weight(self.cx.steps.spent()).wrapping_sub(portion.0) >= QUEUE_STEPS_PER_TURN;
        (is_used_up && !self.cx.broken_by(Mutation::NeverYield)).then_some(Pause::Turn)
    }
}
