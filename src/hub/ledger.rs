//! All messages in a shard's logs, oldest first: decides which to drop next, by age or memory.
//!
//! One entry for each place of a message in a log. A log that forgets on its own account leaves a
//! stale entry behind; stale entries are swept when they outnumber the live ones, so the ledger is
//! never much longer than the logs together.

use std::collections::VecDeque;

use crate::base::slab::ChannelKey;
use crate::base::ticks::Tick;
use crate::hub::limits::LEDGER_SWEEP_MIN;

/// One message in one log.
#[derive(Clone, Copy, Debug)]
pub struct LedgerEntry {
    /// The message's number.
    pub n: u64,
    /// When the shard accepted it.
    pub at: Tick,
    /// Its log.
    pub log: ChannelKey,
}

/// The order of all messages in a shard's logs.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: VecDeque<LedgerEntry>,
    live: usize,
}

impl Ledger {
    /// A message was added to a log.
    pub fn push(&mut self, entry: LedgerEntry) {
        self.live += 1;
        self.entries.push_back(entry);
    }

    /// The oldest entry, which may be stale.
    pub fn oldest(&self) -> Option<LedgerEntry> {
        self.entries.front().copied()
    }

    /// The newest entries first; they may be stale.
    pub fn newest(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.entries.iter().rev()
    }

    /// Removes the oldest entry; `was_live` says whether its log still held the message.
    pub fn pop(&mut self, was_live: bool) {
        self.entries.pop_front();
        self.live -= usize::from(was_live);
    }

    /// Logs forgot `count` messages on their own account: their entries are stale now.
    pub fn forgot(&mut self, count: usize) {
        self.live -= count;
    }

    /// How many messages the logs hold, each counted once a log.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Whether [`Ledger::sweep`] is due.
    pub fn wants_sweep(&self) -> bool {
        self.entries.len() > 2 * self.live + LEDGER_SWEEP_MIN
    }

    /// Drops the entries that `is_live` disowns.
    pub fn sweep(&mut self, mut is_live: impl FnMut(&LedgerEntry) -> bool) {
        self.entries.retain(|entry| is_live(entry));
        debug_assert_eq!(self.entries.len(), self.live);
    }
}
