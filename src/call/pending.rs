//! Requests that wait for answers from other shards: the answers so far, and what they are for.

use crate::base::position::Position;
use crate::base::slab::{ConnKey, SessionKey};
use crate::call::bayeux::Call;
use crate::call::queue::{Located, Pause, Rest};
use crate::protocol::bayeux::answer::BayeuxAnswer as Reply;
use crate::protocol::bayeux::fault::BayeuxFault;
use crate::protocol::bayeux::message::BayeuxHead;
use crate::protocol::native::command;
use crate::request::Open;
use crate::request::publish_key::ResponseShape;
use crate::request::sockjs::SendAnswer;
use crate::turn::inquiry::{Inquiry, InquiryPart};
use crate::turn::publishing::Receipt;
use crate::wire::json::quoted;
use crate::wire::refusal::Refusal;

/// A request whose answers are not all there.
#[derive(Debug)]
pub(crate) struct PendingRequest {
    /// The number of answers that have not arrived.
    pub(crate) missing: usize,
    /// Whether all items are added.
    pub(crate) items: Items,
    /// The requester, and the answers.
    pub(crate) kind: PendingKind,
    /// For a client's batch: its session, which executes batches one after another.
    pub(crate) session: Option<SessionKey>,
}

/// Whether a pending request has all of its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Items {
    /// Some are not executed yet, or are being executed.
    Open,
    /// Only answers are missing.
    All,
}

/// What the answers are for.
#[derive(Debug)]
pub enum PendingKind {
    /// A backend's publishes.
    Publish {
        /// The requesting connection.
        conn: ConnKey,
        /// The form of the response.
        shape: ResponseShape,
        /// One for each item.
        answers: Vec<ItemAnswer>,
    },
    /// A client's commands.
    Commands {
        /// The requesting connection.
        conn: ConnKey,
        /// The form of the response.
        shape: command::BatchShape,
        /// One for each command.
        answers: Vec<ItemAnswer>,
        /// What follows once all are answered.
        then: AfterCommands,
        /// Those that are not carried out yet, while they wait.
        rest: Option<Box<Rest>>,
    },
    /// Messages of a Bayeux client.
    Bayeux {
        /// The requesting connection.
        conn: ConnKey,
        /// The messages and their answers.
        call: Box<Call>,
    },
    /// Strings for a backend.
    Strings {
        /// Who sent them.
        conn: ConnKey,
        /// Their session.
        session: SessionKey,
        /// How a request is answered; a socket is not.
        sent: Option<Box<SendAnswer>>,
        /// What the backend said to them.
        outcome: StringsOutcome,
    },
    /// An operator's question.
    Inquiry {
        /// The requesting connection.
        conn: ConnKey,
        /// How to combine the answers.
        inquiry: Inquiry,
        /// One from each shard that was asked.
        answers: Vec<InquiryPart>,
    },
}

/// What a backend said to strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringsOutcome {
    /// Nothing yet.
    Awaited,
    /// It took them.
    Taken,
    /// It refused them.
    Denied,
    /// It did not answer, or not clearly.
    Unavailable,
}

/// What follows once a client's commands are answered.
#[derive(Debug)]
pub enum AfterCommands {
    /// The request, or the socket, that brought them gets the answers.
    Answer,
    /// The long poll that brought them begins with the answers.
    Open(Box<Open>, Located),
    /// The session gets the answers in its order; the request gets a receipt.
    Tell(SessionKey, Box<SendAnswer>),
    /// Nobody gets the answers; the request, if one brought the commands, gets a receipt.
    Drop(Option<Box<SendAnswer>>),
}

/// What one item of a request came to.
#[derive(Debug)]
pub enum ItemAnswer {
    /// Not known yet.
    Awaited(AnswerSlot),
    /// A JSON object.
    Ok(Vec<u8>),
    /// It was refused.
    Refused(Refusal),
}

/// A publish without a result yet: the form of its answer.
#[derive(Debug)]
pub enum AnswerSlot {
    /// For a backend.
    Backend,
    /// For a client.
    Command {
        /// The channel, which the answer repeats.
        channel: Box<str>,
    },
    /// For a command that a front answers in its own words.
    Front,
    /// For a Bayeux client: what the answer repeats.
    Bayeux(BayeuxHead),
}

impl PendingRequest {
    /// A request without items; the caller adds them.
    pub(crate) fn new(kind: PendingKind, session: Option<SessionKey>) -> Self {
        Self { missing: 0, items: Items::Open, kind, session }
    }
}

impl AnswerSlot {
    /// The answer for a result.
    fn answer(&self, result: Result<Receipt, Refusal>) -> ItemAnswer {
        match (self, result) {
            (Self::Bayeux(head), Ok(_)) => ItemAnswer::Ok(Reply::to(head, Ok(())).finish()),
            (Self::Bayeux(head), Err(refusal)) => {
                let fault = BayeuxFault::refused(&refusal, &head.channel);
                ItemAnswer::Ok(Reply::to(head, Err(&fault)).finish())
            }
            (Self::Backend | Self::Front | Self::Command { .. }, Err(refusal)) => {
                ItemAnswer::Refused(refusal)
            }
            (Self::Backend | Self::Front, Ok(receipt)) => ItemAnswer::Ok(receipt.answer()),
            (Self::Command { channel }, Ok(receipt)) => ItemAnswer::published(channel, receipt.position),
        }
    }
}

impl PendingKind {
    /// The connection that gets the response. It may be gone.
    pub(crate) fn conn(&self) -> ConnKey {
        match self {
            Self::Publish { conn, .. }
            | Self::Commands { conn, .. }
            | Self::Bayeux { conn, .. }
            | Self::Strings { conn, .. }
            | Self::Inquiry { conn, .. } => *conn,
        }
    }

    /// The answers to its items.
    fn answers_mut(&mut self) -> Option<&mut Vec<ItemAnswer>> {
        match self {
            Self::Publish { answers, .. } | Self::Commands { answers, .. } => Some(answers),
            Self::Bayeux { call, .. } => Some(&mut call.answers),
            Self::Strings { .. } | Self::Inquiry { .. } => None,
        }
    }

    /// Why items of it are not executed yet, if there are any.
    pub(crate) fn pause(&self) -> Option<Pause> {
        match self {
            Self::Commands { rest, .. } => rest.as_deref().map(Rest::pause),
            Self::Bayeux { call, .. } => call.pause(),
            Self::Publish { .. } | Self::Strings { .. } | Self::Inquiry { .. } => None,
        }
    }

    /// Adds an item whose answer is not known yet; returns its index.
    pub(crate) fn expect(&mut self, awaited: AnswerSlot) -> u32 {
        let Some(answers) = self.answers_mut() else { return 0 };
        answers.push(ItemAnswer::Awaited(awaited));
        answers.len() as u32 - 1
    }

    /// Adds an item whose answer is known.
    pub(crate) fn push_answer(&mut self, answer: ItemAnswer) {
        if let Some(answers) = self.answers_mut() {
            answers.push(answer);
        }
    }

    /// Stores the answer of a channel's home to an item.
    pub(crate) fn answered(&mut self, item: usize, result: Result<Receipt, Refusal>) {
        let place = self.answers_mut().and_then(|answers| answers.get_mut(item));
        if let Some(place) = place
            && let ItemAnswer::Awaited(awaited) = place
        {
            *place = awaited.answer(result);
        }
    }

    /// Stores the answer of a front to an item.
    pub(crate) fn settled(&mut self, item: usize, answer: ItemAnswer) {
        if let Some(place) = self.answers_mut().and_then(|answers| answers.get_mut(item)) {
            *place = answer;
        }
    }

    /// The index of the first item without an answer.
    pub(crate) fn first_awaited(&mut self) -> usize {
        let is_awaited = |answer: &ItemAnswer| matches!(answer, ItemAnswer::Awaited(_));
        self.answers_mut().and_then(|answers| answers.iter().position(is_awaited)).unwrap_or(0)
    }
}

impl ItemAnswer {
    /// The answer to a client's publish.
    pub(crate) fn published(channel: &str, position: Position) -> Self {
        let id = format!("\"{position}\"");
        Self::Ok(command::ok(&[("publish", &quoted(channel)), ("id", &id)]))
    }

    /// Appends the answer as JSON.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ok(json) => out.extend_from_slice(json),
            Self::Refused(refusal) => command::error(refusal, out),
            Self::Awaited(_) => debug_assert!(false, "an answer is written before it is known"),
        }
    }
}

pub(crate) fn answer_json(answer: &ItemAnswer) -> Vec<u8> {
    let mut out = Vec::new();
    answer.write(&mut out);
    out
}
