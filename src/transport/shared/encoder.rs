//! The inputs of encoding besides the message: the shard's epoch, and the tools that all messages
//! of a shard share.
//!
//! It counts encodings, which shows that a message is encoded once for each form, however many
//! receive it.

use std::cell::{Cell, RefCell};
use std::fmt;

use crate::base::position::Epoch;
use crate::wire::deflate::Deflater;

/// One shard's tools for encoding.
pub struct Encoder {
    epoch: Epoch,
    encoded: Cell<u64>,
    deflated: Cell<u64>,
    /// Created at first use: it takes some hundred KiB.
    deflater: RefCell<Option<Box<Deflater>>>,
}

impl Encoder {
    /// For the run of a shard with this `epoch`.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, encoded: Cell::new(0), deflated: Cell::new(0), deflater: RefCell::default() }
    }

    /// The epoch of the positions.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Envelopes encoded since the start.
    pub fn encoded(&self) -> u64 {
        self.encoded.get()
    }

    /// Messages compressed since the start.
    pub fn deflated(&self) -> u64 {
        self.deflated.get()
    }

    /// A message as raw deflate (RFC 7692, section 7.2.1).
    pub(in crate::transport) fn deflate(&self, message: &[u8]) -> Vec<u8> {
        self.deflated.set(self.deflated.get() + 1);
        let mut out = Vec::new();
        self.deflater
            .borrow_mut()
            .get_or_insert_with(|| Box::new(Deflater::new()))
            .message(message, &mut out);
        out
    }

    pub(in crate::transport) fn count(&self) {
        self.encoded.set(self.encoded.get() + 1);
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Press")
            .field("epoch", &self.epoch)
            .field("encoded", &self.encoded.get())
            .finish_non_exhaustive()
    }
}
