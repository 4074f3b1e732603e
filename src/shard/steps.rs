//! Units of work: what a long batch is measured by, and what the simulation holds every turn to.
//!
//! A step is one element that a loop looks at: a message that is hashed, merged, replayed or looked back at, a subscription that
//! is compared, a session of a list. A function with a loop over something that a client can make long adds its length here,
//! once, outside of the loop. Offers to subscribers are counted apart, since one publish may rightly cost as many as there are
//! subscribers. Beside the work stands what justifies it: occasions (a request, a command, an item of a letter, a timer, the
//! end of a session, the answer to a poll), the history that a subscription asked for, and the bytes that were put into
//! outboxes.
//!
//! It judges nothing: `tests/sim/cost.rs` has the rule.

use std::cell::Cell;

/// The counters of one shard. They only rise; a driver takes differences.
#[derive(Debug, Default)]
pub(super) struct Steps {
    work: Cell<u64>,
    offers: Cell<u64>,
    occasions: Cell<u64>,
    history: Cell<u64>,
    bytes: Cell<u64>,
}

/// What a shard has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Elements looked at.
    pub work: u64,
    /// Subscribers to whom messages were offered.
    pub offers: u64,
    /// Things that may each cost some work.
    pub occasions: u64,
    /// Messages of history that a session asked for and was not given before.
    pub history: u64,
    /// Bytes put into outboxes; none in a release build.
    pub bytes: u64,
}

impl Steps {
    /// A loop has looked, or is about to look, at so many elements.
    #[inline]
    pub(super) fn work(&self, count: usize) {
        add(&self.work, count);
    }

    /// A run is offered to so many subscribers.
    #[inline]
    pub(super) fn offers(&self, count: usize) {
        add(&self.offers, count);
    }

    /// So many requests, commands, letters' items, timers, ends of sessions or answers to polls are dealt with.
    #[inline]
    pub(super) fn occasions(&self, count: usize) {
        add(&self.occasions, count);
    }

    /// A subscription asks for so many old messages: as long as a channel's log, and for the first time.
    pub(super) fn history(&self, count: usize) {
        add(&self.history, count);
    }

    /// So many bytes were put into an outbox. Called in the fan-out loop, so release builds do not count them.
    #[inline]
    pub(super) fn bytes(&self, count: usize) {
        if cfg!(debug_assertions) {
            add(&self.bytes, count);
        }
    }
}

#[inline]
fn add(counter: &Cell<u64>, count: usize) {
    counter.set(counter.get().wrapping_add(count as u64));
}

impl Steps {
    /// How much work was done, and what for.
    pub(super) fn spent(&self) -> Spent {
        let Self { work, offers, occasions, history, bytes } = self;
        Spent {
            work: work.get(),
            offers: offers.get(),
            occasions: occasions.get(),
            history: history.get(),
            bytes: bytes.get(),
        }
    }
}
