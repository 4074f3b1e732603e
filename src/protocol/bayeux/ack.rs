//! The acknowledgement extension: which batches are out, and where to go on when one was lost.
//!
//! A batch is what one answer to a connect carries. It is remembered as the position that it brought its client to; what it held lies in
//! the logs, so nothing is kept twice.

use std::collections::VecDeque;

/// Batches whose arrival is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acks {
    /// The newest batch.
    batch: u64,
    /// The client has everything up to here.
    had: u64,
    /// Batches after that, and where each ends.
    sent: VecDeque<(u64, u64)>,
}

/// Batches that may be out at once: a client acknowledges each with its next connect, so more than one is rare.
const SENT_MAX: usize = 16;

impl Acks {
    /// For a session that begins at `n`.
    pub fn new(n: u64) -> Self {
        Self { batch: 0, had: n, sent: VecDeque::new() }
    }

    /// A batch goes out that ends at `n`: its number.
    pub fn send(&mut self, n: u64) -> u64 {
        self.batch += 1;
        if self.sent.len() == SENT_MAX {
            // All that came after what it has is sent again, should it not acknowledge the next.
            self.sent.pop_front();
        }
        self.sent.push_back((self.batch, n));
        self.batch
    }

    /// The client has seen batch `k`, and none after it. Says where to go on: after what it has. A number that was never given counts as the
    /// newest.
    pub fn acknowledge(&mut self, k: u64) -> u64 {
        while let Some((_, n)) = self.sent.pop_front_if(|(batch, _)| *batch <= k) {
            self.had = n;
        }
        self.sent.clear();
        self.had
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_is_not_sent_again() {
        let mut acks = Acks::new(10);
        assert_eq!((acks.send(12), acks.acknowledge(1)), (1, 12));
        assert_eq!((acks.send(15), acks.acknowledge(2)), (2, 15));
    }

    #[test]
    fn a_lost_batch_is_sent_again_under_a_new_number() {
        let mut acks = Acks::new(10);
        let _ = (acks.send(12), acks.acknowledge(1));
        assert_eq!(acks.send(15), 2);
        assert_eq!(acks.acknowledge(1), 12);
        assert_eq!(acks.send(16), 3);
        assert_eq!(acks.acknowledge(3), 16);
    }

    #[test]
    fn an_acknowledgement_from_the_future_is_one_of_the_newest() {
        let mut acks = Acks::new(0);
        acks.send(5);
        assert_eq!(acks.acknowledge(99), 5);
    }

    #[test]
    fn a_client_that_acknowledges_nothing_costs_no_more_and_loses_nothing() {
        let mut acks = Acks::new(0);
        (1..=100).for_each(|n| _ = acks.send(n));
        assert_eq!(acks.sent.len(), SENT_MAX);
        assert_eq!(acks.acknowledge(0), 0);
    }
}
