//! Batches of one session from several requests: each waits for the one before it.
//!
//! Without this, a later request of the same client could overtake a batch that pauses. Libraries
//! send such requests: Faye's splits its messages above 2 KiB. Only a session whose batch has
//! paused has a queue; all others cost one look-up in an empty table. Requests that are in transit
//! at the same time may arrive in any order, which the server cannot correct.

use std::collections::VecDeque;

use crate::base::hash::{Keyed, KeyedMap};
use crate::base::slab::{PendingKey, SessionKey};
use crate::core::Core;

/// By session: its unfinished batches, the one in execution first; never empty.
#[derive(Debug)]
pub(crate) struct BatchQueues(KeyedMap<SessionKey, VecDeque<PendingKey>>);

impl BatchQueues {
    /// No queues. `keyed` is for the table.
    pub(crate) fn new(keyed: Keyed) -> Self {
        Self(KeyedMap::with_hasher(keyed))
    }

    /// A batch begins. Returns whether it waits for another one of its session.
    fn join(&mut self, session: SessionKey, pending: PendingKey) -> bool {
        let queue = self.0.get_mut(&session);
        queue.map(|queue| queue.push_back(pending)).is_some()
    }

    /// A batch pauses: from now on others of its session wait for it.
    fn hold(&mut self, session: SessionKey, pending: PendingKey) {
        self.0.entry(session).or_insert_with(|| VecDeque::from([pending]));
    }

    /// A batch has its answer. Returns the next one, which may begin.
    fn leave(&mut self, session: SessionKey, pending: PendingKey) -> Option<PendingKey> {
        let queue = self.0.get_mut(&session)?;
        queue.pop_front_if(|first| *first == pending)?;
        let next = queue.front().copied();
        if next.is_none() {
            self.0.remove(&session);
        }
        next
    }
}

impl Core {
    /// Whether a new batch waits for an earlier one of its session.
    pub(crate) fn joins_batch_queue(&mut self, pending: PendingKey) -> bool {
        let session = self.pending.get(pending).and_then(|request| request.session);
        session.is_some_and(|session| self.batch_queues.join(session, pending))
    }

    /// A batch pauses.
    pub(crate) fn hold_batch_queue(&mut self, pending: PendingKey) {
        if let Some(session) = self.pending.get(pending).and_then(|request| request.session) {
            self.batch_queues.hold(session, pending);
        }
    }

    /// A batch of a session has its answer. The next one continues in the next turn.
    pub(crate) fn leave_batch_queue(&mut self, session: SessionKey, pending: PendingKey) {
        self.backlog.extend(self.batch_queues.leave(session, pending));
    }

    /// Panics if a queue is empty or has a batch that is gone.
    pub(crate) fn check_batch_queues(&self) {
        for queue in self.batch_queues.0.values() {
            assert!(!queue.is_empty(), "a queue without a batch");
            assert!(queue.iter().all(|pending| self.pending.get(*pending).is_some()), "a batch is gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slab::Slab;

    #[test]
    fn batches_leave_in_the_order_in_which_they_came() {
        let (mut sessions, mut pending) = (Slab::default(), Slab::default());
        let session: SessionKey = sessions.insert(());
        let [first, second, third]: [PendingKey; 3] = std::array::from_fn(|_| pending.insert(()));
        let mut queues = BatchQueues::new(Keyed::new((1, 2)));
        assert!(!queues.join(session, first), "nothing has paused");
        queues.hold(session, first);
        queues.hold(session, first);
        assert!(queues.join(session, second) && queues.join(session, third));
        assert_eq!(queues.leave(session, second), None, "it has not begun");
        assert_eq!(queues.leave(session, first), Some(second));
        assert_eq!(queues.leave(session, second), Some(third));
        assert_eq!(queues.leave(session, third), None);
        assert!(queues.0.is_empty());
    }
}
