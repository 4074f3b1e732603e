//! Batches of one session from several requests: each waits for the one before it.
//!
//! Without this, a later request of the same client could overtake a batch that pauses. Libraries
//! send such requests: Faye's splits its messages above 2 KiB. Only a session whose batch has
//! paused has a line; all others cost one look-up in an empty table. Requests that are in transit
//! at the same time may arrive in any order, which the server cannot correct.

use std::collections::VecDeque;

use crate::base::hash::{Keyed, KeyedMap};
use crate::base::slab::{PendingKey, SessionKey};
use crate::core::Core;

/// By session: its unfinished batches, the one in execution first; never empty.
#[derive(Debug)]
pub(crate) struct Lines(KeyedMap<SessionKey, VecDeque<PendingKey>>);

impl Lines {
    /// No lines. `keyed` is for the table.
    pub(crate) fn new(keyed: Keyed) -> Self {
        Self(KeyedMap::with_hasher(keyed))
    }

    /// A batch begins. Returns whether it waits for another one of its session.
    fn join(&mut self, session: SessionKey, pending: PendingKey) -> bool {
        let line = self.0.get_mut(&session);
        line.map(|line| line.push_back(pending)).is_some()
    }

    /// A batch pauses: from now on others of its session wait for it.
    fn hold(&mut self, session: SessionKey, pending: PendingKey) {
        self.0.entry(session).or_insert_with(|| VecDeque::from([pending]));
    }

    /// A batch has its answer. Returns the next one, which may begin.
    fn leave(&mut self, session: SessionKey, pending: PendingKey) -> Option<PendingKey> {
        let line = self.0.get_mut(&session)?;
        line.pop_front_if(|first| *first == pending)?;
        let next = line.front().copied();
        if next.is_none() {
            self.0.remove(&session);
        }
        next
    }
}

impl Core {
    /// Whether a new batch waits for an earlier one of its session.
    pub(crate) fn joins_line(&mut self, pending: PendingKey) -> bool {
        let session = self.pending.get(pending).and_then(|request| request.session);
        session.is_some_and(|session| self.lines.join(session, pending))
    }

    /// A batch pauses.
    pub(crate) fn hold_line(&mut self, pending: PendingKey) {
        if let Some(session) = self.pending.get(pending).and_then(|request| request.session) {
            self.lines.hold(session, pending);
        }
    }

    /// A batch of a session has its answer. The next one continues in the next turn.
    pub(crate) fn leave_line(&mut self, session: SessionKey, pending: PendingKey) {
        self.backlog.extend(self.lines.leave(session, pending));
    }

    /// Panics if a line is empty or has a batch that is gone.
    pub(crate) fn check_lines(&self) {
        for line in self.lines.0.values() {
            assert!(!line.is_empty(), "a line without a batch");
            assert!(line.iter().all(|pending| self.pending.get(*pending).is_some()), "a batch is gone");
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
        let mut lines = Lines::new(Keyed::new((1, 2)));
        assert!(!lines.join(session, first), "nothing has paused");
        lines.hold(session, first);
        lines.hold(session, first);
        assert!(lines.join(session, second) && lines.join(session, third));
        assert_eq!(lines.leave(session, second), None, "it has not begun");
        assert_eq!(lines.leave(session, first), Some(second));
        assert_eq!(lines.leave(session, second), Some(third));
        assert_eq!(lines.leave(session, third), None);
        assert!(lines.0.is_empty());
    }
}
