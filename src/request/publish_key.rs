//! Idempotency keys, by which a publisher marks a repeat of a publish.

use crate::request::limits::PUBLISH_KEY_CHARS_MAX;
use crate::request::session_id::SessionId;
use crate::wire::refusal::{Refusal, Refused};

/// The idempotency key of one publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishKey {
    pub(crate) scope: KeyScope,
    pub(crate) text: Box<str>,
}

/// The owner of a key. Keys of two scopes are never equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// A backend, for one message.
    Backend,
    /// A backend, for a request with several messages: the index of this one.
    BackendItem(u32),
    /// The publishing user (`Message::from`).
    User,
    /// A session whose protocol gives every message an id, which need not be unique: the id and the
    /// data together identify a publish, so the same id with other data is another publish.
    MessageId(SessionId),
}

impl PublishKey {
    /// A key, if the text is a valid one.
    pub fn new(scope: KeyScope, text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.chars().count() > PUBLISH_KEY_CHARS_MAX {
            return Err(Refused::Key { chars_max: PUBLISH_KEY_CHARS_MAX }.into());
        }
        Ok(Self { scope, text: text.into() })
    }

    /// The key of one message of the request that this key names.
    #[must_use]
    pub fn of_item(&self, shape: ResponseShape, item: u32) -> Self {
        match shape {
            ResponseShape::Single => self.clone(),
            ResponseShape::Array | ResponseShape::Lines => {
                Self { scope: KeyScope::BackendItem(item), text: self.text.clone() }
            }
        }
    }

    /// The refusal of another message under the same key.
    pub fn reused(&self, channel: &str) -> Refusal {
        Refused::KeyReused { key: &self.text, channel }.into()
    }
}

/// The form of a response with several answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseShape {
    /// One object, whose status is the response's.
    Single,
    /// A JSON array.
    Array,
    /// One per line.
    Lines,
}
