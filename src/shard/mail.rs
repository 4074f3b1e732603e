//! What shards say to each other. Letters from one shard to another arrive in the order in which they were sent.
//!
//! There is no acknowledgement and no loss: all shards live in one process. Whoever asks keeps a ticket, and every question is answered.

use std::sync::Arc;

use super::inspect::{Answer, Question};
use super::publish::{Batch, Results};
use crate::base::slab::TicketKey;
use crate::protocol::native::envelope::Message;

/// A letter.
#[derive(Debug)]
pub enum Mail {
    /// To the home of some channels: put these in order.
    Publish {
        /// The publisher's ticket.
        ticket: TicketKey,
        /// What.
        batch: Batch,
    },
    /// The home's answer.
    Published {
        /// The publisher's ticket.
        ticket: TicketKey,
        /// Their places, or why they have none.
        results: Results,
    },
    /// From a channel's home to a shard that has subscribers.
    Forward {
        /// All of one channel, in its order; not empty.
        messages: Vec<Arc<Message>>,
    },
    /// To a channel's home (to every shard, for a pattern): the sender has subscribers now.
    Interest {
        /// The channel or pattern.
        channel: Box<str>,
    },
    /// The sender has none any more.
    Disinterest {
        /// The channel or pattern.
        channel: Box<str>,
    },
    /// From a channel's home, in answer to interest: what it holds. Forwards follow.
    Snapshot {
        /// The channel.
        channel: Box<str>,
        /// Oldest first.
        messages: Vec<Arc<Message>>,
    },
    /// To every shard: what came lately in the channels that match a pattern?
    Recall {
        /// The asker's ticket.
        ticket: TicketKey,
        /// The pattern.
        pattern: Box<str>,
        /// At most so many of each channel.
        last: u32,
    },
    /// The answer to it.
    Recalled {
        /// The asker's ticket.
        ticket: TicketKey,
        /// Oldest first.
        messages: Vec<Arc<Message>>,
    },
    /// A question of the private API.
    Ask {
        /// The asker's ticket.
        ticket: TicketKey,
        /// What it wants to know, or have done.
        question: Question,
    },
    /// The answer to it.
    Told {
        /// The asker's ticket.
        ticket: TicketKey,
        /// What there is to say.
        answer: Answer,
    },
}

impl Mail {
    /// As how many letters it counts in a mailbox that is bounded.
    pub fn weight(&self) -> usize {
        match self {
            Self::Publish { batch, .. } => batch.len(),
            Self::Published { results, .. } => results.len(),
            Self::Forward { messages } => messages.len(),
            Self::Interest { .. }
            | Self::Disinterest { .. }
            | Self::Snapshot { .. }
            | Self::Recall { .. }
            | Self::Recalled { .. }
            | Self::Ask { .. }
            | Self::Told { .. } => 1,
        }
    }
}
