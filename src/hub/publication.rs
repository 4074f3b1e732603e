//! A message, and its place in this shard's order.
//!
//! The [`Message`] is shared by all shards; a [`Publication`] is one shard's: it adds the number
//! and keeps the encodings, each made at most once, so that ten thousand outboxes hold references
//! to the same bytes. A message with one reader is encoded for it and the encoding is not kept: a
//! log of a user's messages would take twice the memory.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::frame::Frame;
use crate::base::position::Position;
use crate::base::ticks::Tick;
use crate::protocol::Wrap;
use crate::protocol::native::envelope::Encoding;
use crate::transport::gzip::Sum;
use crate::transport::{Bytes, Encoded, Encoder, Envelope, Form, Framing, Recipients};

pub use crate::protocol::native::envelope::Message;

/// A message that this shard has taken in.
#[derive(Debug)]
pub struct Publication {
    /// Its place: the `n` of its position.
    pub n: u64,
    /// When it was taken in.
    pub at: Tick,
    /// The published message.
    pub message: Arc<Message>,
    /// `None` if there are no readers to share them.
    encoded: Option<RefCell<Vec<(Form, Encoded)>>>,
}

impl Publication {
    /// Gives `message`, which has this many readers on this shard, its place.
    pub fn new(n: u64, at: Tick, message: Arc<Message>, readers: usize) -> Rc<Self> {
        let encoded = (readers > 1).then(RefCell::default);
        Rc::new(Self { n, at, message, encoded })
    }

    /// Bytes of memory that it holds, roughly, for the bounds.
    pub fn weight(&self) -> usize {
        /// Both structs, their counters and the places in a log and the ledger.
        const FIXED: usize = 200;
        FIXED + self.message.channel.len() + self.message.data.len()
    }

    /// The envelope in this form; for several readers it is encoded at the first call and kept.
    pub fn encoded(&self, form: Form, encoder: &Encoder) -> Encoded {
        let Some(kept) = &self.encoded else { return self.encode(form, encoder) };
        if let Some((_, known)) = kept.borrow().iter().find(|(known, _)| *known == form) {
            return known.clone();
        }
        let encoded = self.encode(form, encoder);
        kept.borrow_mut().push((form, encoded.clone()));
        encoded
    }

    fn encode(&self, form: Form, encoder: &Encoder) -> Encoded {
        if !form.protocol.carries(&self.message) {
            return Encoded { frame: Frame::from(Vec::new()), sum: Sum::default() };
        }
        let position = Position { epoch: encoder.epoch(), n: self.n };
        let mut json = Vec::with_capacity(self.message.data.len() + 96);
        let wrap = if form.framing == Framing::Length { Wrap::Item } else { Wrap::Whole };
        let head = form.protocol.write(&self.message, position, wrap, &mut json);
        let has_bytes = match self.message.encoding {
            Encoding::Base64 => true,
            Encoding::Stream => !self.message.data.is_empty(),
            Encoding::Json | Encoding::Presence | Encoding::Verbatim => false,
        };
        let bytes = head.filter(|_| has_bytes);
        let bytes =
            bytes.map(|head| Bytes { head: &json[..head], base64: self.message.data.trim_matches('"') });
        let position = head.map(|_| position);
        let envelope = Envelope { position, bytes, audience: Recipients::All, ..Envelope::plain(&json) };
        form.encode(&envelope, encoder)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::base::position::Epoch;
    use crate::hub::publication::*;
    use crate::protocol::Protocol;
    use crate::transport::{Coding, Dialect, TransportId};

    /// Message `n` of a channel, with this many readers.
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
        let (form, encoder) = (form(Framing::Chunked), &Encoder::new(Epoch::new(7)));
        for (readers, shared) in [(0, false), (1, false), (2, true)] {
            let publication = publication(1, readers);
            let [first, again] = [0, 1].map(|_| publication.encoded(form, encoder).frame);
            assert_eq!(*first, *again);
            assert_eq!(first.as_ptr() == again.as_ptr(), shared, "{readers} readers");
        }
    }
}
