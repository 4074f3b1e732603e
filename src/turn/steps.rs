//! Units of work: they bound a turn's share of a long batch, and the simulation checks every turn
//! by them.
//!
//! A step is one element that a loop visits: a message that is hashed, merged, replayed or
//! recalled, a subscription that is compared, a session of a list. A function with a loop whose
//! length a client can determine adds that length here, once, outside of the loop. Offers to
//! subscribers are counted separately, because one publish may cost as many as there are
//! subscribers. Beside the work stands what justifies it: occasions (a request, a command, an item
//! of a letter, a timer, the end of a session, the answer to a poll), the history that a
//! subscription asked for, and the bytes that were put into outboxes.
//!
//! This file only counts: `tests/sim/cost.rs` has the rule.

use std::cell::Cell;

/// The counters of one shard. They only rise; a driver takes differences.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    work: Cell<u64>,
    offers: Cell<u64>,
    occasions: Cell<u64>,
    history: Cell<u64>,
    bytes: Cell<u64>,
}

/// The work of a shard since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Elements visited.
    pub work: u64,
    /// Subscribers to whom messages were offered.
    pub offers: u64,
    /// Events that may each cost some work.
    pub occasions: u64,
    /// Messages of history that a session asked for, and got for the first time.
    pub history: u64,
    /// Bytes put into outboxes; none in a release build.
    pub bytes: u64,
}

impl Steps {
    /// A loop visits `count` elements.
    #[inline]
    pub(crate) fn work(&self, count: usize) {
        add(&self.work, count);
    }

    /// A run is offered to `count` subscribers.
    #[inline]
    pub(crate) fn offers(&self, count: usize) {
        add(&self.offers, count);
    }

    /// The shard handles `count` requests, commands, letters' items, timers, ends of sessions or
    /// answers to polls.
    #[inline]
    pub(crate) fn occasions(&self, count: usize) {
        add(&self.occasions, count);
    }

    /// A subscription asks for `count` old messages: the length of a channel's log, counted the
    /// first time.
    pub(crate) fn history(&self, count: usize) {
        add(&self.history, count);
    }

    /// `count` bytes were put into an outbox. Called in the fan-out loop, so release builds do not
    /// count them.
    #[inline]
    pub(crate) fn bytes(&self, count: usize) {
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
    /// The work so far, and what justifies it.
    pub(crate) fn spent(&self) -> Spent {
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
