//! The messages between shards. Letters from one shard to another arrive in the order in which they
//! were sent.
//!
//! There is no acknowledgement and no loss: all shards live in one process. A shard that asks keeps
//! a pending request, and every question is answered.

use std::sync::Arc;

use crate::base::slab::{PendingKey, SessionKey};
use crate::protocol::native::envelope::Message;
use crate::request::question::Question;
use crate::turn::inquiry::InquiryPart;
use crate::turn::local_members::Report;
use crate::turn::publishing::{OutgoingBatch, Results};

/// A letter.
#[derive(Debug)]
pub enum Mail {
    /// To the home of some channels: publish these, in this order.
    Publish {
        /// The publisher's pending request.
        pending: PendingKey,
        /// The messages.
        batch: OutgoingBatch,
    },
    /// The home's answer to `Publish`.
    Published {
        /// The publisher's pending request.
        pending: PendingKey,
        /// Their positions, or the reasons for refusing them.
        results: Results,
    },
    /// From a channel's home to a shard with subscribers.
    Forward {
        /// All of one channel, in its order; not empty.
        messages: Vec<Arc<Message>>,
    },
    /// To a channel's home (to every shard, for a pattern): the sender has subscribers now.
    Interest {
        /// The channel or pattern.
        channel: Box<str>,
    },
    /// The sender has no subscribers any more.
    Disinterest {
        /// The channel or pattern.
        channel: Box<str>,
    },
    /// From a channel's home, in answer to `Interest`: its log. Forwards follow.
    Snapshot {
        /// The channel.
        channel: Box<str>,
        /// Oldest first.
        messages: Vec<Arc<Message>>,
    },
    /// To every shard: which recent messages match a pattern?
    Recall {
        /// The asker's pending request.
        pending: PendingKey,
        /// The pattern.
        pattern: Box<str>,
        /// The maximum for each channel.
        last: u32,
    },
    /// The answer to `Recall`.
    Recalled {
        /// The asker's pending request.
        pending: PendingKey,
        /// Oldest first.
        messages: Vec<Arc<Message>>,
    },
    /// From a channel's home to all shards: report its members, and then each join and leave.
    Watch {
        /// The channel.
        channel: Box<str>,
        /// The number that the reports repeat.
        watch: u64,
    },
    /// From a channel's home to all shards: report no more.
    Unwatch {
        /// The channel.
        channel: Box<str>,
    },
    /// To a channel's home: which of the sender's users have joined and left.
    LocalMembers {
        /// The channel.
        channel: Box<str>,
        /// The number of the home's watch.
        watch: u64,
        /// The users.
        report: Report,
    },
    /// To a channel's home: a session asks for its members.
    Who {
        /// The channel.
        channel: Box<str>,
        /// The sender's session.
        session: SessionKey,
    },
    /// The answer to `Who`.
    There {
        /// The receiver's session.
        session: SessionKey,
        /// The list, as a message of the hidden channel.
        list: Arc<Message>,
    },
    /// A query of the private API.
    Ask {
        /// The asker's pending request.
        pending: PendingKey,
        /// The query.
        question: Question,
    },
    /// The answer to `Ask`.
    Answered {
        /// The asker's pending request.
        pending: PendingKey,
        /// The answer.
        answer: InquiryPart,
    },
}

impl Mail {
    /// The number of letters that it counts as in a bounded mailbox.
    pub fn weight(&self) -> usize {
        match self {
            Self::Publish { batch, .. } => batch.len(),
            Self::Published { results, .. } => results.len(),
            Self::Forward { messages } => messages.len(),
            Self::LocalMembers { report, .. } => report.len().max(1),
            Self::Interest { .. }
            | Self::Disinterest { .. }
            | Self::Snapshot { .. }
            | Self::Recall { .. }
            | Self::Recalled { .. }
            | Self::Watch { .. }
            | Self::Unwatch { .. }
            | Self::Who { .. }
            | Self::There { .. }
            | Self::Ask { .. }
            | Self::Answered { .. } => 1,
        }
    }
}
