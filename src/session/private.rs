//! A session's private log, for older messages of its channels.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::slab::ChannelKey;
use crate::hub::publication::Message;

/// A session's private log, and what went through it.
#[derive(Debug)]
pub struct Private {
    /// The log.
    pub channel: ChannelKey,
    /// By the slots of the session's channels: the history that it was given.
    pub(crate) given: BTreeMap<u32, ReplayedRange>,
    /// Messages that went through it while further history was awaited, by address. The log may be
    /// too short to hold all of them.
    pub(crate) brought: BTreeMap<usize, Arc<Message>>,
}

/// History that a session was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplayedRange {
    /// All messages that the channel's log held above this number, up to the beginning of the
    /// subscription.
    pub(crate) above: u64,
    /// The shard's newest message before they went into the private log.
    pub(crate) at: u64,
}
