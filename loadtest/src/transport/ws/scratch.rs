//! Shared by all connections of a worker while decoding: an inflater and a buffer for unescaped
//! values.

use flate2::{Decompress, FlushDecompress, Status};

use crate::http::Broken;
use crate::rng::Rng;

/// Borrowed by one decoder at a time.
#[derive(Debug)]
pub struct DecodeScratch {
    /// Buffer for a value that differs from its bytes.
    pub room: Vec<u8>,
    inflater: Decompress,
    rng: Rng,
}

/// The bytes that a sender omits at the end of each message (RFC 7692, section 7.2.1).
const TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff];

/// Room for one step of the inflater.
const STEP_BYTES: usize = 4096;

impl DecodeScratch {
    /// Empty.
    pub fn new(seed: u64) -> Self {
        Self { room: Vec::new(), inflater: Decompress::new(false), rng: Rng::new(seed) }
    }

    /// A mask for a frame of a client.
    pub fn mask(&mut self) -> [u8; 4] {
        (self.rng.next() as u32).to_ne_bytes()
    }

    /// A message before compression, if it is not longer than `bytes_max`.
    pub fn inflate(&mut self, message: &[u8], bytes_max: usize) -> Result<&[u8], Broken> {
        self.inflater.reset(false);
        self.room.clear();
        for mut input in [message, TAIL] {
            loop {
                if self.room.len() > bytes_max {
                    return Err(Broken("a message that inflates without end"));
                }
                self.room.reserve(STEP_BYTES);
                let before = self.inflater.total_in();
                let status = self.inflater.decompress_vec(input, &mut self.room, FlushDecompress::Sync);
                let status = status.map_err(|_| Broken("a compressed message that cannot be read"))?;
                input = &input[(self.inflater.total_in() - before) as usize..];
                // A sender may end its stream within the message; what follows is only padding.
                if status == Status::StreamEnd {
                    return Ok(&self.room);
                }
                if input.is_empty() && self.room.len() < self.room.capacity() {
                    break;
                }
            }
        }
        Ok(&self.room)
    }
}
