//! One message to raw deflate and back, as permessage-deflate frames it (RFC 7692 7.2).
//!
//! No state of a message is kept here: each outgoing message is independent (no context take-over),
//! and the context of a client's message is an argument. So one [`Deflater`] and one [`Inflater`]
//! serve all connections of a shard, and a message that goes to many is compressed once. Not here:
//! which message is worth compressing, and whether a receiver takes it; see
//! [`super::websocket::DeflateOffer::takes`].
//!
//! Memory: a deflater takes some 370 KiB, an inflater some 47 KiB.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Compresses messages, one after the other, with a window of 32 KiB.
pub struct Deflater {
    stream: Compress,
}

/// Decompresses messages, one after the other, with any window.
pub struct Inflater {
    stream: Decompress,
}

/// Why a message could not be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InflateError {
    /// It exceeds the bound; the output so far is dropped.
    TooLarge,
    /// It is not valid deflate, or ends within a block.
    Corrupt,
}

impl Deflater {
    /// A deflater.
    pub fn new() -> Self {
        Self { stream: Compress::new(LEVEL, false) }
    }

    /// Appends `bytes`, compressed, to `out`: blocks up to a flush, whose last four bytes (`00 00
    /// ff ff`) are not sent (7.2.1). `out` may have much more room than it needs afterwards:
    /// callers that keep it should shrink it.
    pub fn message(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if bytes.is_empty() {
            // The compressor has nothing to flush then; 7.2.3.6 defines its form.
            out.push(0);
            return;
        }
        self.stream.reset();
        let mut rest = bytes;
        loop {
            // Enough for incompressible data, so that one call suffices: an interrupted flush would
            // start again.
            out.reserve(rest.len() + rest.len() / 8 + DEFLATE_ROOM);
            let before = self.stream.total_in();
            let status = self.stream.compress_vec(rest, out, FlushCompress::Sync);
            debug_assert!(matches!(status, Ok(Status::Ok | Status::BufError)), "{status:?}");
            rest = &rest[self.consumed_since(before).min(rest.len())..];
            // Unused room means that the flush is complete.
            if status.is_err() || (rest.is_empty() && out.len() < out.capacity()) {
                break;
            }
        }
        debug_assert!(out.ends_with(&FLUSH_TAIL));
        out.truncate(out.len().saturating_sub(FLUSH_TAIL.len()));
    }

    fn consumed_since(&self, before: u64) -> usize {
        usize::try_from(self.stream.total_in() - before).unwrap_or(usize::MAX)
    }
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Inflater {
    /// An inflater.
    pub fn new() -> Self {
        Self { stream: Decompress::new(false) }
    }

    /// Appends the message whose compressed form is `bytes` to `out`, at most `bytes_max` bytes of
    /// it. It may refer to `before`, the end of the earlier output of the same compressor. After a
    /// failure `out` is unchanged.
    ///
    /// Blocks may follow a final block (7.2.3.4), but may not refer to data before it. No bytes at
    /// all are an empty message, which some senders produce.
    pub fn message(
        &mut self,
        bytes: &[u8],
        before: &[u8],
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), InflateError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.stream.reset(false);
        if !before.is_empty() {
            self.stream.set_dictionary(before).map_err(|_| InflateError::Corrupt)?;
        }
        let start = out.len();
        let bound = start.saturating_add(bytes_max);
        let result = self
            .inflate(bytes, bound, out)
            .and_then(|_| self.inflate(&MESSAGE_TAIL, bound, out))
            .and_then(|end| match end {
                // The decoder read our own final block: the message ended between blocks.
                Status::StreamEnd => Ok(()),
                Status::Ok | Status::BufError => Err(InflateError::Corrupt),
            });
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// Takes all of `bytes`; `bound` is the length that `out` may grow to.
    fn inflate(&mut self, bytes: &[u8], bound: usize, out: &mut Vec<u8>) -> Result<Status, InflateError> {
        let mut rest = bytes;
        loop {
            // One byte more than allowed, to detect an excess.
            let room = bound.saturating_add(1) - out.len();
            let wanted = rest.len().saturating_mul(EXPANSION).max(INFLATE_ROOM).max(out.len() / 2);
            out.reserve_exact(wanted.min(room));
            let before = self.stream.total_in();
            let status = self
                .stream
                .decompress_vec(rest, out, FlushDecompress::None)
                .map_err(|_| InflateError::Corrupt)?;
            if out.len() > bound {
                return Err(InflateError::TooLarge);
            }
            let used = usize::try_from(self.stream.total_in() - before).unwrap_or(usize::MAX);
            rest = &rest[used.min(rest.len())..];
            match status {
                Status::StreamEnd if rest.is_empty() => return Ok(status),
                Status::StreamEnd => self.stream.reset(false),
                // Room left over: the output of these bytes is complete.
                Status::Ok | Status::BufError if out.len() < out.capacity() => {
                    return if rest.is_empty() { Ok(status) } else { Err(InflateError::Corrupt) };
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

/// The compression level: JSON of 500 bytes shrinks to 69 % in 2.8 µs with level 1, to 53 % in 8.4
/// µs with this one, to 52.6 % in 9.3 µs with level 6; of 2000 bytes to 57 % in 7 µs, 40 % in 16
/// µs, 37 % in 22 µs. A message is compressed once and sent to many, so the size counts for more.
const LEVEL: Compression = Compression::new(2);

/// The end of a flush, which a message omits (RFC 7692 7.2.1).
const FLUSH_TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Read after a message: the end of its flush, and an empty final block. The block shows that the
/// message ended at the right place; the stream alone does not.
const MESSAGE_TAIL: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// Room beyond what the message itself could take, in bytes: for the flush, and the heads of
/// blocks.
const DEFLATE_ROOM: usize = 64;

/// Initial room for inflating, in bytes for each received byte. Text is compressed to a third or a
/// fifth; a bomb needs more room, and reaches its bound.
const EXPANSION: usize = 4;

/// The least room to inflate into, in bytes.
const INFLATE_ROOM: usize = 256;

#[cfg(test)]
mod tests;
