//! What shards say to each other. Letters from one shard to another arrive in the order in which they were sent.
//!
//! There is no acknowledgement and no loss: all shards live in one process. Whoever asks keeps a ticket, and every question is answered.

use std::sync::Arc;

use crate::base::slab::{SessionKey, TicketKey};
use crate::protocol::native::envelope::Message;
use crate::shard::inspect::{Answer, Question};
use crate::shard::presence::Report;
use crate::shard::publish::{Batch, Results};

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
    /// From a channel's home to all: who is in it? And then, whoever comes and goes.
    Watch {
        /// The channel.
        channel: Box<str>,
        /// What the reports are to name.
        watch: u64,
    },
    /// The home does not want to know any more.
    Unwatch {
        /// The channel.
        channel: Box<str>,
    },
    /// To a channel's home: which of the sender's users have come and left.
    Roll {
        /// The channel.
        channel: Box<str>,
        /// By which the home tells its watches apart.
        watch: u64,
        /// Who.
        report: Report,
    },
    /// To a channel's home: a session wants to know who is in it.
    Who {
        /// The channel.
        channel: Box<str>,
        /// The sender's session.
        session: SessionKey,
    },
    /// The answer to it.
    There {
        /// The receiver's session.
        session: SessionKey,
        /// The list, as a message of the hidden channel.
        list: Arc<Message>,
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
            Self::Roll { report, .. } => report.len().max(1),
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
            | Self::Told { .. } => 1,
        }
    }
}
