//! The acknowledgement extension: which batches are unacknowledged, and where to resume when one
//! was lost.
//!
//! A batch is the events in one answer to a connect. Only the position at its end is stored; its
//! events are in the logs, so nothing is kept twice.

use std::collections::VecDeque;

use crate::protocol::bayeux::limits::UNACKNOWLEDGED_MAX;

/// Unacknowledged batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acks {
    /// The newest batch.
    batch: u64,
    /// The client has everything up to here.
    had: u64,
    /// Unacknowledged batches, oldest first.
    sent: VecDeque<SentBatch>,
}

/// A sent batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SentBatch {
    batch: u64,
    /// It has the events after this number.
    after: u64,
    /// It has no events after this number.
    end: u64,
}

impl Acks {
    /// For a session that begins at `n`.
    pub fn new(n: u64) -> Self {
        Self { batch: 0, had: n, sent: VecDeque::new() }
    }

    /// Records a batch with the events after `after`, up to `end`. Returns its number.
    pub fn send(&mut self, after: u64, end: u64) -> u64 {
        self.batch += 1;
        if self.sent.len() == UNACKNOWLEDGED_MAX {
            // A client that acknowledges this one later gets its events again.
            self.sent.pop_front();
        }
        self.sent.push_back(SentBatch { batch: self.batch, after, end });
        self.batch
    }

    /// The client has received batch `k`. Returns the position to resume from. It only rises,
    /// because requests overtake each other, and a number below an earlier one is late. A batch
    /// sent without the events of a possibly lost one before it proves nothing. An unknown number
    /// counts as the newest.
    pub fn acknowledge(&mut self, k: u64) -> u64 {
        if let Some(seen) = self.sent.iter().rfind(|sent| sent.batch <= k)
            && seen.after <= self.had
        {
            self.had = self.had.max(seen.end);
            let batch = seen.batch;
            self.sent.retain(|sent| sent.batch > batch);
        }
        self.had
    }

    /// Deliberate breakage: forgets which batches were sent.
    pub fn forget(&mut self) {
        self.sent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_is_not_sent_again() {
        let mut acks = Acks::new(10);
        assert_eq!((acks.send(10, 12), acks.acknowledge(1)), (1, 12));
        assert_eq!((acks.send(12, 15), acks.acknowledge(2)), (2, 15));
    }

    #[test]
    fn a_lost_batch_is_sent_again_under_a_new_number() {
        let mut acks = Acks::new(10);
        let _ = (acks.send(10, 12), acks.acknowledge(1));
        assert_eq!(acks.send(12, 15), 2);
        assert_eq!(acks.acknowledge(1), 12);
        assert_eq!(acks.send(12, 16), 3);
        assert_eq!(acks.acknowledge(3), 16);
    }

    #[test]
    fn a_number_that_comes_late_takes_nothing_back() {
        let mut acks = Acks::new(10);
        assert_eq!(acks.send(10, 12), 1);
        // A connect that its client has given up: it will not read the answer.
        assert_eq!((acks.acknowledge(0), acks.send(10, 12)), (10, 2));
        assert_eq!((acks.acknowledge(1), acks.send(12, 14)), (12, 3));
        assert_eq!((acks.acknowledge(0), acks.send(12, 14)), (12, 4));
        assert_eq!((acks.acknowledge(3), acks.acknowledge(1)), (14, 14));
    }

    #[test]
    fn a_batch_that_left_something_out_does_not_acknowledge_that() {
        let mut acks = Acks::new(10);
        let _ = (acks.send(10, 12), acks.send(12, 14));
        assert_eq!(acks.acknowledge(2), 10);
        assert_eq!((acks.acknowledge(1), acks.acknowledge(2)), (12, 14));
    }

    #[test]
    fn an_acknowledgement_from_the_future_is_one_of_the_newest() {
        let mut acks = Acks::new(0);
        assert_eq!(acks.acknowledge(99), 0);
        acks.send(0, 5);
        assert_eq!(acks.acknowledge(99), 5);
    }

    #[test]
    fn a_client_that_acknowledges_nothing_costs_no_more_and_loses_nothing() {
        let mut acks = Acks::new(0);
        (1..=100).for_each(|n| _ = acks.send(0, n));
        assert_eq!(acks.sent.len(), UNACKNOWLEDGED_MAX);
        assert_eq!((acks.acknowledge(0), acks.acknowledge(3)), (0, 0));
        assert_eq!(acks.acknowledge(99), 99);
    }
}
