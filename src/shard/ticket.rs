//! What waits for answers from other shards: the answers so far, and what to do when all are there.

use crate::base::position::Position;
use crate::base::slab::{ConnKey, SessionKey};
use crate::protocol::bayeux::answer::{Answer as Reply, Fault};
use crate::protocol::bayeux::message::Head;
use crate::protocol::native::command;
use crate::shard::bayeux::Call;
use crate::shard::exchange::Located;
use crate::shard::inspect::{Answer, Inquiry};
use crate::shard::publish::{Receipt, Shape};
use crate::shard::queue::{Pause, Rest};
use crate::shard::request::Open;
use crate::wire::json::escape_into;
use crate::wire::refusal::Refusal;

/// A question that is out.
#[derive(Debug)]
pub(super) struct Ticket {
    /// How many answers are still to come.
    pub(super) missing: usize,
    /// Whether they are all.
    pub(super) items: Items,
    /// For whom, and what then.
    pub(super) errand: Errand,
    /// For a client's batch: the session, whose batches are carried out one after another.
    pub(super) session: Option<SessionKey>,
}

/// Whether a ticket has all of its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Items {
    /// Some are not carried out yet, or are just being carried out.
    Open,
    /// All that is missing are answers.
    All,
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
        /// Those that are not carried out yet, while they wait.
        rest: Option<Box<Rest>>,
    },
    /// What a Bayeux client sent.
    Bayeux {
        /// Who asked.
        conn: ConnKey,
        /// What, and the answers.
        call: Box<Call>,
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
}

/// What one item of a request came to.
#[derive(Debug)]
pub enum Said {
    /// Not known yet.
    Awaited(Awaited),
    /// A JSON object.
    Ok(Vec<u8>),
    /// It was refused.
    Refused(Refusal),
}

/// A publish whose outcome is not known yet: how it is answered.
#[derive(Debug)]
pub enum Awaited {
    /// A backend's.
    Backend,
    /// A client's.
    Command {
        /// The channel, which the answer repeats.
        channel: Box<str>,
    },
    /// A Bayeux client's: what the answer repeats.
    Bayeux(Head),
}

impl Ticket {
    /// For an errand without items, to which some are added now.
    pub(super) fn new(errand: Errand, session: Option<SessionKey>) -> Self {
        Self { missing: 0, items: Items::Open, errand, session }
    }
}

impl Awaited {
    /// The answer.
    fn answer(&self, result: Result<Receipt, Refusal>) -> Said {
        match (self, result) {
            (Self::Bayeux(head), Ok(_)) => Said::Ok(Reply::to(head, Ok(())).finish()),
            (Self::Bayeux(head), Err(Refusal { status, reason, .. })) => {
                let fault = Fault::new(status, &head.channel, reason.into_owned());
                Said::Ok(Reply::to(head, Err(&fault)).finish())
            }
            (Self::Backend | Self::Command { .. }, Err(refusal)) => Said::Refused(refusal),
            (Self::Backend, Ok(receipt)) => Said::Ok(receipt.answer()),
            (Self::Command { channel }, Ok(receipt)) => Said::published(channel, receipt.position),
        }
    }
}

impl Errand {
    /// The answers to its items.
    fn answers_mut(&mut self) -> Option<&mut Vec<Said>> {
        match self {
            Self::Publish { answers, .. } | Self::Commands { answers, .. } => Some(answers),
            Self::Bayeux { call, .. } => Some(&mut call.answers),
            Self::Inquiry { .. } => None,
        }
    }

    /// Why items of it are not carried out yet, if there are any.
    pub(super) fn pause(&self) -> Option<Pause> {
        match self {
            Self::Commands { rest, .. } => rest.as_deref().map(Rest::pause),
            Self::Bayeux { call, .. } => call.pause(),
            Self::Publish { .. } | Self::Inquiry { .. } => None,
        }
    }

    /// One more item, whose answer is not known yet: its place.
    pub(super) fn expect(&mut self, awaited: Awaited) -> u32 {
        let Some(answers) = self.answers_mut() else { return 0 };
        answers.push(Said::Awaited(awaited));
        answers.len() as u32 - 1
    }

    /// One more item, whose answer is known.
    pub(super) fn say(&mut self, said: Said) {
        if let Some(answers) = self.answers_mut() {
            answers.push(said);
        }
    }

    /// The home of an item's channel has answered.
    pub(super) fn answered(&mut self, item: usize, result: Result<Receipt, Refusal>) {
        let place = self.answers_mut().and_then(|answers| answers.get_mut(item));
        if let Some(place) = place
            && let Said::Awaited(awaited) = place
        {
            *place = awaited.answer(result);
        }
    }

    /// The first item without an answer.
    pub(super) fn first_awaited(&mut self) -> usize {
        let is_awaited = |said: &Said| matches!(said, Said::Awaited(_));
        self.answers_mut().and_then(|answers| answers.iter().position(is_awaited)).unwrap_or(0)
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
            Self::Awaited(_) => debug_assert!(false, "an answer is written before it is known"),
        }
    }
}
