//! The places of messages among the entries of one life. The judge looks up every message of every
//! channel, so the table is built once per life.

use super::book::{Entry, Life};

/// The entries of a life, by message.
#[derive(Debug)]
pub(super) struct Got {
    /// For each message, its last entry.
    last: Vec<u32>,
    /// For each entry, the previous one of the same message.
    earlier: Vec<u32>,
}

/// No entry.
const NONE: u32 = u32::MAX;

fn some(at: u32) -> Option<usize> {
    (at != NONE).then_some(at as usize)
}

impl Got {
    /// The table of a life; `messages` is the number of publishes.
    pub(super) fn by(life: &Life, messages: usize) -> Self {
        let mut last = vec![NONE; messages];
        let earlier = (0..).zip(&life.entries).map(|(at, entry)| {
            let place = entry.number().and_then(|number| last.get_mut(number));
            place.map_or(NONE, |place| std::mem::replace(place, at))
        });
        let earlier = earlier.collect();
        Self { last, earlier }
    }

    /// The last entry of a message.
    pub(super) fn last(&self, number: usize) -> Option<usize> {
        some(self.last[number])
    }

    /// All entries of a message, the last one first.
    pub(super) fn all(&self, number: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.last(number), |at| some(self.earlier[*at]))
    }

    /// Whether a message arrived.
    pub(super) fn has(&self, number: usize) -> bool {
        self.last[number] != NONE
    }
}

impl Entry {
    /// Whether it is a gap that was told at `time` or later.
    pub(super) fn is_gap_since(&self, time: u64) -> bool {
        matches!(self, Self::Gap { at, .. } if *at >= time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_a_message_is_found() {
        let mut life = Life::default();
        for number in [3, 0, 3, 1, 3] {
            life.push(Entry::Message { n: 0, number, at: 0 });
        }
        life.push(Entry::Gap { from: 0, to: 1, at: 0, apart: false });
        let got = Got::by(&life, 5);
        let all: Vec<Vec<_>> = (0..5).map(|number| got.all(number).collect()).collect();
        assert_eq!(all, [vec![1], vec![3], vec![], vec![4, 2, 0], vec![]]);
        assert_eq!((got.last(3), got.has(3), got.has(4)), (Some(4), true, false));
    }
}
