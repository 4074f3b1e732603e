//! A message, and the place it got in this shard's order.
//!
//! The [`Message`] is shared by all shards; a [`Publication`] is one shard's: it adds the number
//! and keeps the encodings, each made at most once, so that ten thousand outboxes hold references
//! to the same bytes. What has one reader is encoded for it and not kept: a log of a user's
//! messages would weigh twice as much.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::position::Position;
use crate::base::ticks::Tick;
use crate::protocol::bayeux::answer::{Wrap, event};
use crate::protocol::native::envelope;
use crate::protocol::native::envelope::Encoding;
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
    /// `None` if there is nobody to share them with.
    encoded: Option<RefCell<Vec<(Form, Encoded)>>>,
}

impl Publication {
    /// Gives `message`, which has so many readers on this shard, its place.
    pub fn new(n: u64, at: Tick, message: Arc<Message>, readers: usize) -> Rc<Self> {
        let encoded = (readers > 1).then(RefCell::default);
        Rc::new(Self { n, at, message, encoded })
    }

    /// Bytes of memory that it holds, roughly: what budgets count.
    pub fn weight(&self) -> usize {
        /// Both structs, their counters and the places in a log and the ledger.
        const FIXED: usize = 200;
        FIXED + self.message.channel.len() + self.message.data.len()
    }

    /// The envelope as `form` spells it, for several readers encoded at the first call.
    pub fn encoded(&self, form: Form, press: &Press) -> Encoded {
        let Some(kept) = &self.encoded else { return self.encode(form, press) };
        if let Some((_, known)) = kept.borrow().iter().find(|(known, _)| *known == form) {
            return known.clone();
        }
        let encoded = self.encode(form, press);
        kept.borrow_mut().push((form, encoded.clone()));
        encoded
    }

    fn encode(&self, form: Form, press: &Press) -> Encoded {
        let position = Position { epoch: press.epoch(), n: self.n };
        let mut json = Vec::with_capacity(self.message.data.len() + 96);
        if form.protocol == Protocol::Bayeux {
            let wrap = if form.framing == Framing::Length { Wrap::Item } else { Wrap::Whole };
            event(&self.message, wrap, &mut json);
            let envelope = Envelope { audience: Audience::All, ..Envelope::plain(&json) };
            return form.encode(&envelope, press);
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
        form.encode(&envelope, press)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::base::position::Epoch;
    use crate::hub::publication::*;
    use crate::transport::{Coding, Dialect, TransportId};

    /// Message `n` of a channel, with so many readers.
    pub(in crate::hub) fn publication(n: u64, readers: usize) -> Rc<Publication> {
        let (channel, data) = ("/c".into(), n.to_string().into());
        let message = Message { channel, from: None, data, encoding: Encoding::Json };
        Publication::new(n, Tick::ZERO, Arc::new(message), readers)
    }

    /// The first transport's native form.
    pub(in crate::hub) fn form(framing: Framing) -> Form {
        Form {
            transport: TransportId::all().next().expect("there are transports"),
            dialect: Dialect::default(),
            protocol: Protocol::Native,
            coding: Coding::Identity,
            framing,
        }
    }

    #[test]
    fn what_has_several_readers_is_encoded_once_and_what_has_one_is_not_kept() {
        let (form, press) = (form(Framing::Chunked), &Press::new(Epoch::new(7)));
        for (readers, shared) in [(0, false), (1, false), (2, true)] {
            let publication = publication(1, readers);
            let [first, again] = [0, 1].map(|_| publication.encoded(form, press).frame);
            assert_eq!(*first, *again);
            assert_eq!(first.as_ptr() == again.as_ptr(), shared, "{readers} readers");
        }
    }
}
