//! A message, and the place it got in this shard's order.
//!
//! The [`Message`] is shared by all shards; a [`Publication`] is one shard's: it adds the number and keeps the encodings, each made at
//! most once, so that ten thousand outboxes hold references to the same bytes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::position::Position;
use crate::base::ticks::Tick;
use crate::protocol::bayeux::answer::{Wrap, event};
use crate::protocol::native::envelope::{self, Encoding};
use crate::transport::{Audience, Bytes, Encoded, Envelope, Form, Framing, Press, Protocol};

pub use crate::protocol::native::envelope::Message;

/// A message that this shard has taken in.
#[derive(Debug)]
pub struct Publication {
    /// Its place: the `n` of its position.
    pub n: u64,
    /// When it was taken in.
    pub at: Tick,
    /// What was published.
    pub message: Arc<Message>,
    encoded: RefCell<Vec<(Form, Encoded)>>,
}

impl Publication {
    /// Gives `message` its place.
    pub fn new(n: u64, at: Tick, message: Arc<Message>) -> Rc<Self> {
        Rc::new(Self { n, at, message, encoded: RefCell::default() })
    }

    /// Bytes of memory that it holds, roughly: what budgets count.
    pub fn weight(&self) -> usize {
        /// Both structs, their counters and the places in a log and the ledger.
        const FIXED: usize = 200;
        FIXED + self.message.channel.len() + self.message.data.len()
    }

    /// The envelope as `form` spells it, encoded at the first call.
    pub fn encoded(&self, form: Form, press: &Press) -> Encoded {
        if let Some((_, known)) = self.encoded.borrow().iter().find(|(known, _)| *known == form) {
            return known.clone();
        }
        let position = Position { epoch: press.epoch(), n: self.n };
        let mut json = Vec::with_capacity(self.message.data.len() + 96);
        if form.protocol == Protocol::Bayeux {
            let wrap = if form.framing == Framing::Length { Wrap::Item } else { Wrap::Whole };
            event(&self.message, wrap, &mut json);
            let envelope = Envelope { audience: Audience::All, ..Envelope::plain(&json) };
            return self.keep(form, form.encode(&envelope, press));
        }
        let head = envelope::message(&self.message, position, &mut json);
        let bytes = match self.message.encoding {
            Encoding::Json | Encoding::Presence => None,
            Encoding::Base64 => {
                Some(Bytes { head: &json[..head], base64: self.message.data.trim_matches('"') })
            }
        };
        let position = Some(position);
        let envelope = Envelope { position, bytes, audience: Audience::All, ..Envelope::plain(&json) };
        self.keep(form, form.encode(&envelope, press))
    }

    fn keep(&self, form: Form, encoded: Encoded) -> Encoded {
        self.encoded.borrow_mut().push((form, encoded.clone()));
        encoded
    }
}
