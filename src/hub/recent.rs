//! The newest messages of a shard, by the patterns that match their channels, for new subscriptions
//! to patterns.
//!
//! Taking messages in does not update it. A recall first enters the messages since the one before,
//! each message once, and then visits only messages that its pattern matches. So a request that
//! names 100 patterns costs as much as its result, and not 100 walks over the window.

use std::collections::VecDeque;

use crate::base::hash::{Keyed, KeyedMap};
use crate::base::slab::ChannelKey;
pub(super) use crate::hub::limits::RECALL_MESSAGES_MAX;
use crate::wire::channel_name::candidates_of;

/// The window, by patterns.
#[derive(Debug)]
pub(super) struct Recent {
    /// In the order of their numbers; the name is needed again when an entry leaves.
    entries: VecDeque<(u64, Box<str>)>,
    by: KeyedMap<Box<str>, VecDeque<(u64, ChannelKey)>>,
    /// Everything up to this number was entered.
    upto: u64,
}

impl Recent {
    /// An empty window. `keyed` is for the table.
    pub(super) fn new(keyed: Keyed) -> Self {
        Self { entries: VecDeque::new(), by: KeyedMap::with_hasher(keyed), upto: 0 }
    }

    /// The number above which messages must be entered, if `head` is the shard's newest.
    pub(super) fn above(&self, head: u64) -> u64 {
        self.upto.max(head.saturating_sub(RECALL_MESSAGES_MAX))
    }

    /// A message of a channel that has its home here; numbers only rise.
    pub(super) fn enter(&mut self, n: u64, name: &str, channel: ChannelKey) {
        let mut spelled = String::new();
        for candidate in candidates_of(name) {
            let pattern = candidate.spell(&mut spelled);
            match self.by.get_mut(pattern) {
                Some(list) => list.push_back((n, channel)),
                None => drop(self.by.insert(pattern.into(), VecDeque::from([(n, channel)]))),
            }
        }
        self.entries.push_back((n, name.into()));
    }

    /// All messages up to `head` were entered: those that have left the window go.
    pub(super) fn advance(&mut self, head: u64) {
        self.upto = head;
        let mut spelled = String::new();
        while let Some((n, name)) =
            self.entries.pop_front_if(|(n, _)| *n <= head.saturating_sub(RECALL_MESSAGES_MAX))
        {
            for candidate in candidates_of(&name) {
                let pattern = candidate.spell(&mut spelled);
                let Some(list) = self.by.get_mut(pattern) else { continue };
                let first = list.pop_front();
                debug_assert_eq!(first.map(|(n, _)| n), Some(n), "a list and the window disagree");
                if list.is_empty() {
                    self.by.remove(pattern);
                }
            }
        }
    }

    /// The numbers of those that a pattern matches, and their channels, newest first.
    pub(super) fn matching(&self, pattern: &str) -> impl Iterator<Item = (u64, ChannelKey)> {
        self.by.get(pattern).into_iter().flat_map(|list| list.iter().rev().copied())
    }
}
