//! The account of what arrived: who got what, when, and what is missing.
//!
//! A subscriber is owed every message from the first on, each once and in order. What it did not get must be covered by a gap that
//! it was told before the next message; anything else counts as lost. The publisher's serials decide, not the server's positions.

use hdrhistogram::Histogram;

use crate::sse::Stamp;

/// Where one subscriber stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// The last serial that it got.
    serial: u64,
    /// The last position that it got, or began at.
    n: u64,
    /// A gap that it was told of and that no message has followed yet.
    gap: Option<(u64, u64)>,
}

/// What became of all deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Messages that arrived.
    pub delivered: u64,
    /// Missing, and nobody said so.
    pub lost: u64,
    /// Missing, as a gap had said.
    pub announced: u64,
    /// Arrived again, or after a later one.
    pub repeated: u64,
    /// Gaps told.
    pub gaps: u64,
}

/// Counts deliveries and times them.
#[derive(Debug)]
pub struct Board {
    sums: Sums,
    /// For each message: when it was sent, when it last arrived, and how often.
    messages: Vec<(u64, u64, u32)>,
    each: Histogram<u64>,
}

impl Board {
    /// Nothing has been sent.
    pub fn new() -> Self {
        Self { sums: Sums::default(), messages: Vec::new(), each: histogram() }
    }

    /// What became of all deliveries so far.
    pub fn sums(&self) -> Sums {
        self.sums
    }

    /// Forgets the times and sums, not where subscribers stand: the next part of a run is measured by itself.
    pub fn restart(&mut self) {
        (self.sums, self.each) = (Sums::default(), histogram());
        self.messages.clear();
    }

    /// A message arrived. `timed` says whether it counts for latency: a subscriber that was held back does not.
    pub fn message(&mut self, standing: &mut Standing, stamp: Stamp, now: u64, timed: bool) {
        if stamp.serial <= standing.serial {
            self.sums.repeated += 1;
            return;
        }
        self.sums.delivered += 1;
        let missing = stamp.serial - standing.serial - 1;
        match standing.gap.take() {
            Some((from, to)) if from <= standing.n && to + 1 >= stamp.n => self.sums.announced += missing,
            Some(_) | None => self.sums.lost += missing,
        }
        (standing.serial, standing.n) = (stamp.serial, stamp.n);
        if timed {
            self.time(stamp, now);
        }
    }

    fn time(&mut self, stamp: Stamp, now: u64) {
        self.each.saturating_record(now.saturating_sub(stamp.sent));
        match self.messages.last_mut().filter(|(sent, ..)| *sent == stamp.sent) {
            // Messages of one batch have one time: they are one delivery for "to the last".
            Some((_, last, count)) => (*last, *count) = (now, *count + 1),
            None => match self.messages.iter_mut().rev().find(|(sent, ..)| *sent == stamp.sent) {
                Some((_, last, count)) => (*last, *count) = (now, *count + 1),
                None => self.messages.push((stamp.sent, now, 1)),
            },
        }
    }

    /// A gap was told.
    pub fn gap(&mut self, standing: &mut Standing, from: u64, to: u64) {
        self.sums.gaps += 1;
        let from = standing.gap.map_or(from, |(before, _)| before.min(from));
        standing.gap = Some((from, to));
    }

    /// The run is over, and `serial` was the last message: what is still owed to a subscriber.
    pub fn settle(&mut self, standing: &Standing, serial: u64) {
        let missing = serial.saturating_sub(standing.serial);
        self.sums.lost += missing;
    }

    /// How long deliveries took, in nanoseconds: each of them.
    pub fn each(&self) -> &Histogram<u64> {
        &self.each
    }

    /// How long it took until the last subscriber had a message (or the last of a batch), in nanoseconds.
    pub fn to_the_last(&self) -> Histogram<u64> {
        let mut all = histogram();
        for (sent, last, _) in &self.messages {
            all.saturating_record(last.saturating_sub(*sent));
        }
        all
    }
}

impl Standing {
    /// The stream has begun after this position. Where it goes on after a cut, that is where this stands already, or a gap will be told.
    pub fn open(&mut self, position: u64) {
        if self.serial == 0 {
            self.n = position;
        }
    }

    /// Where to go on from.
    pub fn position(&self) -> u64 {
        self.gap.map_or(self.n, |(_, to)| to.max(self.n))
    }

    /// The last serial that arrived.
    pub fn serial(&self) -> u64 {
        self.serial
    }
}

/// Up to two minutes, three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000_000, 3).unwrap_or_else(|error| unreachable!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(serial: u64) -> Stamp {
        Stamp { serial, sent: serial * 10, n: serial }
    }

    fn after(steps: impl Fn(&mut Board, &mut Standing)) -> Sums {
        let (mut board, mut standing) = (Board::new(), Standing::default());
        steps(&mut board, &mut standing);
        board.sums()
    }

    #[test]
    fn what_is_missing_without_a_word_is_lost() {
        let sums = after(|board, standing| {
            board.message(standing, stamp(1), 11, true);
            board.message(standing, stamp(4), 41, true);
            board.settle(standing, 5);
        });
        assert_eq!(sums, Sums { delivered: 2, lost: 3, ..Sums::default() });
    }

    #[test]
    fn a_gap_excuses_what_it_covers_and_nothing_else() {
        let covered = after(|board, standing| {
            board.gap(standing, 0, 3);
            board.message(standing, stamp(4), 41, true);
        });
        assert_eq!(covered, Sums { delivered: 1, announced: 3, gaps: 1, ..Sums::default() });
        let short = after(|board, standing| {
            board.gap(standing, 0, 2);
            board.message(standing, stamp(4), 41, true);
        });
        assert_eq!(short.lost, 3);
    }

    #[test]
    fn what_comes_again_or_late_is_repeated() {
        let sums = after(|board, standing| {
            for serial in [1, 2, 2, 1] {
                board.message(standing, stamp(serial), 30, true);
            }
        });
        assert_eq!((sums.delivered, sums.repeated), (2, 2));
    }
}
