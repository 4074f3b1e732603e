//! The messages of one channel, pattern or session that can still be caught up on.
//!
//! A log never drops messages silently: [`Log::complete_from`] rises past all that it drops, and a
//! reader whose cursor is below it is owed a gap. It enforces no bound of its own; the hub does,
//! since bounds span logs.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crate::base::ticks::Tick;
use crate::hub::publication::{Message, Publication};

/// References to publications, in the order of their numbers.
#[derive(Debug, Default)]
pub struct Log {
    /// Its messages; boxed, because most logs are of users to whom nothing was said lately.
    kept: Option<Box<Kept>>,
    complete_from: u64,
    /// Where it began, and up to where it then received history: messages published before.
    began: u64,
    history: u64,
}

/// The messages of a log that has some.
#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Rc<Publication>>,
    /// Sum of the entries' weights in bytes.
    weight: usize,
    /// Created for the first search, and extended by newer messages at the next one.
    index: Option<Box<Index>>,
}

/// The places of messages in a log. Taking messages in does not update it: most logs are never
/// searched.
#[derive(Debug, Default)]
struct Index {
    /// By the message's address, its newest number in this log. Below the log's oldest number an
    /// entry is meaningless: the message is gone, and another may have its address.
    numbers: BTreeMap<usize, u64>,
    /// Everything up to this number was entered.
    upto: u64,
}

impl Kept {
    /// The place of the first message above `n`.
    fn place(&self, n: u64) -> usize {
        self.entries.partition_point(|publication| publication.n <= n)
    }
}

impl Log {
    /// An empty log without knowledge of messages at or before `complete_from`.
    pub fn new(complete_from: u64) -> Self {
        let (began, history) = (complete_from, complete_from);
        Self { kept: None, complete_from, began, history }
    }

    /// Everything of this log with a number above this one is in it.
    pub fn complete_from(&self) -> u64 {
        self.complete_from
    }

    /// How many messages it holds.
    pub fn len(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.entries.len())
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_none()
    }

    /// Bytes that its messages weigh.
    pub fn weight(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.weight)
    }

    fn front(&self) -> Option<&Publication> {
        self.kept.as_ref()?.entries.front().map(|publication| &**publication)
    }

    fn back(&self) -> Option<&Publication> {
        self.kept.as_ref()?.entries.back().map(|publication| &**publication)
    }

    /// Appends; numbers only rise.
    pub fn push(&mut self, publication: Rc<Publication>) {
        let kept = self.kept.get_or_insert_default();
        debug_assert!(kept.entries.back().is_none_or(|last| last.n < publication.n));
        kept.weight += publication.weight();
        kept.entries.push_back(publication);
    }

    /// Begins again after `n`.
    pub fn begin(&mut self, n: u64) {
        self.complete_from = self.complete_from.max(n);
        (self.began, self.history) = (n, n);
    }

    /// Where it began: earlier messages of the channel are unknown here, or history.
    pub fn began(&self) -> u64 {
        self.began
    }

    /// Messages up to `n` are history that no session was promised: readers are complete only from
    /// `n` on.
    pub fn complete_only_from(&mut self, n: u64) {
        self.complete_from = self.complete_from.max(n);
        self.history = n;
    }

    /// Up to where it holds history.
    pub fn history(&self) -> u64 {
        self.history
    }

    /// Where a reader that has everything up to `n` continues. A reader that was there when the log
    /// began has missed nothing in its history; another one may have, and gets a gap.
    pub fn goes_on_from(&self, n: u64) -> u64 {
        n.max(self.history)
    }

    /// The oldest message's number.
    pub fn oldest(&self) -> Option<u64> {
        self.front().map(|publication| publication.n)
    }

    /// The newest message's number.
    pub fn newest(&self) -> Option<u64> {
        self.back().map(|publication| publication.n)
    }

    /// When the newest message was accepted, if there is one.
    pub fn newest_at(&self) -> Option<Tick> {
        self.back().map(|publication| publication.at)
    }

    /// When the oldest message was accepted.
    pub fn oldest_at(&self) -> Option<Tick> {
        self.front().map(|publication| publication.at)
    }

    /// Drops the oldest message.
    pub fn forget_oldest(&mut self) -> Option<Rc<Publication>> {
        let kept = self.kept.as_mut()?;
        let oldest = kept.entries.pop_front()?;
        kept.weight -= oldest.weight();
        if kept.entries.is_empty() {
            self.kept = None;
        }
        self.complete_from = self.complete_from.max(oldest.n);
        Some(oldest)
    }

    /// The messages above `n`, oldest first.
    pub fn after(&self, n: u64) -> impl Iterator<Item = &Rc<Publication>> {
        self.kept.iter().flat_map(move |kept| kept.entries.range(kept.place(n)..))
    }

    /// The messages above `n` up to `upto`, oldest first.
    pub fn between(&self, n: u64, upto: u64) -> impl Iterator<Item = &Rc<Publication>> {
        self.kept.iter().flat_map(move |kept| {
            let start = kept.place(n);
            kept.entries.range(start..kept.place(upto).max(start))
        })
    }

    /// The newest number of a message in this log; `None` if it is not here. Each message is
    /// entered in the index once, so the cost of a search beyond a look-up is paid for by the
    /// messages.
    pub fn number_of(&mut self, message: &Arc<Message>) -> Option<u64> {
        let oldest = self.oldest()?;
        let Kept { entries, index, .. } = &mut **self.kept.as_mut()?;
        let index = index.get_or_insert_default();
        let start = entries.partition_point(|publication| publication.n <= index.upto);
        for publication in entries.range(start..) {
            index.numbers.insert(Arc::as_ptr(&publication.message).addr(), publication.n);
            index.upto = publication.n;
        }
        if index.numbers.len() > 2 * entries.len() {
            index.numbers.retain(|_, n| *n >= oldest);
        }
        index.numbers.get(&Arc::as_ptr(message).addr()).copied().filter(|n| *n >= oldest)
    }

    /// The number just below the newest `count` messages; all of them come after it.
    pub fn before_last(&self, count: usize) -> Option<u64> {
        let entries = &self.kept.as_ref()?.entries;
        let start = entries.len().saturating_sub(count);
        entries.get(start).map(|publication| publication.n - 1)
    }
}
