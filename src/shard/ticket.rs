//! What waits for answers from other shards: the answers so far, and what to do when all are there.

use std::sync::Arc;

use super::exchange::Located;
use super::inspect::{Answer, Inquiry};
use super::once::Name;
use super::publish::{Receipt, Shape};
use super::request::Open;
use crate::base::position::Position;
use crate::base::slab::{ConnKey, SessionKey};
use crate::protocol::native::command;
use crate::protocol::native::envelope::Message;
use crate::wire::json::escape_into;
use crate::wire::refusal::Refusal;

/// A question that is out.
#[derive(Debug)]
pub(super) struct Ticket {
    /// How many answers are still to come.
    pub(super) missing: usize,
    /// For whom, and what then.
    pub(super) errand: Errand,
}

/// What the answers are for.
#[derive(Debug)]
pub enum Errand {
    /// A backend's publishes.
    Publish {
        /// Who asked.
        conn: ConnKey,
        /// How to answer.
        shape: Shape,
        /// One for each item.
        answers: Vec<Said>,
    },
    /// A client's commands.
    Commands {
        /// Who asked.
        conn: ConnKey,
        /// How to answer.
        shape: command::Shape,
        /// One for each command.
        answers: Vec<Said>,
        /// The long poll that brought them, if one did.
        open: Option<(Box<Open>, Located)>,
    },
    /// An operator's question.
    Inquiry {
        /// Who asked.
        conn: ConnKey,
        /// What.
        inquiry: Inquiry,
        /// One from each shard that was asked.
        answers: Vec<Answer>,
    },
    /// Recent messages for a new subscription to a pattern.
    Recall {
        /// Whose.
        session: SessionKey,
        /// The pattern.
        pattern: Box<str>,
        /// The shard's newest message when the subscription began.
        after: u64,
        /// Oldest first within each shard's.
        messages: Vec<Arc<Message>>,
    },
}

/// What one item of a request came to.
#[derive(Debug)]
pub enum Said {
    /// Not known yet.
    Awaited {
        /// The channel, which the answer repeats where it is a command's.
        channel: Box<str>,
        /// What it is remembered by.
        once: Option<Name>,
    },
    /// A JSON object.
    Ok(Vec<u8>),
    /// It was refused.
    Refused(Refusal),
}

impl Errand {
    /// One more item, whose answer is not known yet. `channel` is what a command's answer repeats.
    pub(super) fn expect(&mut self, channel: &str, once: Option<Name>) {
        if let Self::Publish { answers, .. } | Self::Commands { answers, .. } = self {
            answers.push(Said::Awaited { channel: channel.into(), once });
        }
    }

    /// What an item whose answer is not known yet is remembered by.
    pub(super) fn once(&mut self, item: usize) -> Option<Name> {
        match self {
            Self::Publish { answers, .. } | Self::Commands { answers, .. } => match answers.get_mut(item)? {
                Said::Awaited { once, .. } => once.take(),
                Said::Ok(_) | Said::Refused(_) => None,
            },
            Self::Inquiry { .. } | Self::Recall { .. } => None,
        }
    }

    /// One more item, whose answer is known.
    pub(super) fn say(&mut self, said: Said) {
        if let Self::Publish { answers, .. } | Self::Commands { answers, .. } = self {
            answers.push(said);
        }
    }

    /// The home of an item's channel has answered.
    pub(super) fn answered(&mut self, item: usize, result: Result<Receipt, Refusal>) {
        let (answers, is_command) = match self {
            Self::Publish { answers, .. } => (answers, false),
            Self::Commands { answers, .. } => (answers, true),
            Self::Inquiry { .. } | Self::Recall { .. } => return,
        };
        let Some(place) = answers.get_mut(item) else { return };
        let Said::Awaited { channel, .. } = place else { return };
        *place = match result {
            Err(refusal) => Said::Refused(refusal),
            Ok(receipt) if is_command => Said::published(channel, receipt.position),
            Ok(receipt) => Said::Ok(receipt.answer()),
        };
    }

    /// The first item without an answer.
    pub(super) fn first_awaited(&self) -> usize {
        match self {
            Self::Publish { answers, .. } | Self::Commands { answers, .. } => {
                answers.iter().position(|said| matches!(said, Said::Awaited { .. })).unwrap_or(0)
            }
            Self::Inquiry { .. } | Self::Recall { .. } => 0,
        }
    }
}

impl Said {
    /// The answer to a client's publish.
    pub(super) fn published(channel: &str, position: Position) -> Self {
        let id = format!("\"{position}\"");
        let mut name = Vec::new();
        escape_into(channel, &mut name);
        Self::Ok(command::ok(&[("publish", &String::from_utf8_lossy(&name)), ("id", &id)]))
    }

    /// Appends the answer as JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ok(json) => out.extend_from_slice(json),
            Self::Refused(refusal) => command::error(refusal, out),
            Self::Awaited { .. } => debug_assert!(false, "an answer is written before it is known"),
        }
    }
}
