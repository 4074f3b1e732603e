//! How often a session moved between connections lately.

use crate::base::ticks::{Span, Tick};
use crate::session::limits::CONTEST_CHANGES_MIN;

/// How often a session moved between connections lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Moves in a row, each soon after the one before it.
    count: u8,
    /// The last move, in seconds since the start; its low bits are enough.
    at: u16,
}

impl Moves {
    /// Counts a move to another connection.
    pub(crate) fn change(&mut self, now: Tick, soon: Span) {
        self.count = if self.is_recent(now, soon) { self.count.saturating_add(1) } else { 1 };
        self.at = seconds(now);
    }

    fn is_recent(self, now: Tick, soon: Span) -> bool {
        self.count > 0 && Span::from_secs(u64::from(seconds(now).wrapping_sub(self.at))) <= soon
    }

    /// Whether two clients take it from each other.
    pub(crate) fn is_contested(self, now: Tick, soon: Span) -> bool {
        self.count >= CONTEST_CHANGES_MIN && self.is_recent(now, soon)
    }
}

fn seconds(now: Tick) -> u16 {
    (now.as_millis() / 1000) as u16
}

#[cfg(test)]
mod tests {
    use crate::session::moves::*;

    const SOON: Span = Span::from_secs(10);

    #[test]
    fn it_takes_two_rounds_each_soon_after_the_other() {
        let at = |secs| Tick::ZERO + Span::from_secs(secs);
        let mut moves = Moves::default();
        for n in 0..4 {
            assert!(!moves.is_contested(at(n), SOON));
            moves.change(at(n), SOON);
        }
        assert!(moves.is_contested(at(13), SOON));
        assert!(!moves.is_contested(at(14), SOON));
        moves.change(at(20), SOON);
        assert!(!moves.is_contested(at(20), SOON), "that was the first of others");
    }
}
