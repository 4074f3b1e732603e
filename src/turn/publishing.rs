//! Publishes on their way to the home of their channel, and their results.

use std::sync::Arc;

use crate::base::position::Position;
use crate::protocol::native::envelope::Message;
use crate::request::publish_key::PublishKey;
use crate::request::session_id::SessionId;
use crate::wire::refusal::Refusal;

/// The result of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The message's position in its home's log.
    pub position: Position,
    /// For a personal channel: the number of live sessions that it reached.
    pub sessions: Option<usize>,
}

/// A message on its way to its home.
#[derive(Debug)]
pub struct Outgoing {
    /// Its index among a pending request's items.
    pub item: u32,
    /// The addressee.
    pub to: Addressee,
    /// The message.
    pub message: Arc<Message>,
    /// Its idempotency key.
    pub key: Option<PublishKey>,
}

/// The addressee of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// All subscribers of its channel.
    Channel,
    /// One session, at its user's home.
    Session(SessionId),
}

/// Messages on their way to a common home.
pub type OutgoingBatch = Vec<Outgoing>;

/// The results of a batch's messages.
pub type Results = Vec<(u32, Result<Receipt, Refusal>)>;

impl Receipt {
    /// `{"id":…,"sessions":…}`.
    pub fn answer(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(br#"{"id":""#);
        self.position.write_to(&mut out);
        out.push(b'"');
        if let Some(sessions) = self.sessions {
            out.extend_from_slice(br#","sessions":"#);
            out.extend_from_slice(itoa::Buffer::new().format(sessions).as_bytes());
        }
        out.push(b'}');
        out
    }
}

/// The digests that identify a publish with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublishDigest {
    pub(crate) owner: KeyOwner,
    pub(crate) key: u128,
    pub(crate) message: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyOwner {
    Client,
    Backend,
    MessageId,
}
