//! gzip (RFC 1952) of a stream with many receivers: each piece is compressed by itself, once for
//! all, and a stream is the concatenation of its pieces.
//!
//! This works because a piece begins and ends at a byte and refers to nothing before it. Only the
//! checksum at the very end is per connection; it is combined from those of the pieces, without
//! reading the bytes again.

use crc32fast::Hasher;

use super::Encoder;

use crate::transport::shared::limits::GZIP_BYTES_MIN;

/// How every compressed response begins: deflate, no name, no time, an unknown system.
pub const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Most bytes of a stored block.
const STORED_MAX: usize = 0xffff;

/// The content of gzip's trailer: checksum and length of the uncompressed bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    crc: u32,
    /// The length, modulo 2^32.
    len: u32,
}

impl Sum {
    /// The sum of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { crc: crc32fast::hash(bytes), len: bytes.len() as u32 }
    }

    /// Extends the sum by that of the bytes that follow.
    pub fn add(&mut self, next: Self) {
        let mut all = Hasher::new_with_initial_len(self.crc, u64::from(self.len));
        all.combine(&Hasher::new_with_initial_len(next.crc, u64::from(next.len)));
        *self = Self { crc: all.finalize(), len: self.len.wrapping_add(next.len) };
    }

    /// The end of the stream: an empty last block and the trailer.
    pub fn trailer(self) -> [u8; 10] {
        let mut end = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        end[2..6].copy_from_slice(&self.crc.to_le_bytes());
        end[6..].copy_from_slice(&self.len.to_le_bytes());
        end
    }
}

/// A piece of a compressed stream, and its part of the trailer.
pub(in crate::transport) fn piece(bytes: &[u8], encoder: &Encoder) -> (Vec<u8>, Sum) {
    if bytes.len() >= GZIP_BYTES_MIN {
        let mut deflated = encoder.deflate(bytes);
        // The flush, which a WebSocket omits, lets the reader decode everything sent so far.
        deflated.extend_from_slice(&[0, 0, 0xff, 0xff]);
        if deflated.len() < bytes.len() {
            return (deflated, Sum::of(bytes));
        }
    }
    let mut stored = Vec::with_capacity(bytes.len() + 5);
    for block in bytes.chunks(STORED_MAX) {
        let len = block.len() as u16;
        stored.push(0);
        stored.extend_from_slice(&len.to_le_bytes());
        stored.extend_from_slice(&(!len).to_le_bytes());
        stored.extend_from_slice(block);
    }
    (stored, Sum::of(bytes))
}

/// A whole body, compressed, if that makes it smaller.
pub fn whole(body: &[u8], encoder: &Encoder) -> Option<Vec<u8>> {
    let (piece, sum) = piece(body, encoder);
    let all = [&HEADER[..], &piece, &sum.trailer()].concat();
    (all.len() < body.len()).then_some(all)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;
    use crate::base::position::Epoch;

    fn unpacked(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut out)?;
        Ok(out)
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_and_number_are_one_stream(
            texts in prop::collection::vec("[ab]{0,300}", 1..5),
            order in prop::collection::vec(0_usize..5, 0..12),
        ) {
            let encoder = Encoder::new(Epoch::new(7));
            let pieces: Vec<_> = texts.iter().map(|text| piece(text.as_bytes(), &encoder)).collect();
            let (mut stream, mut sum, mut plain) = (HEADER.to_vec(), Sum::default(), String::new());
            for at in order.into_iter().map(|at| at % pieces.len()) {
                stream.extend_from_slice(&pieces[at].0);
                sum.add(pieces[at].1);
                plain.push_str(&texts[at]);
            }
            stream.extend_from_slice(&sum.trailer());
            // The decoder checks the sum and the length.
            prop_assert_eq!(unpacked(&stream).unwrap(), plain.into_bytes());
        }
    }

    #[test]
    fn what_does_not_shrink_is_stored_and_large_ones_in_blocks() {
        let encoder = Encoder::new(Epoch::new(7));
        let noise: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let (stored, sum) = piece(&noise, &encoder);
        assert!(stored.len() <= noise.len() + 10, "{}", stored.len());
        let all = [&HEADER[..], &stored, &sum.trailer()].concat();
        assert_eq!(unpacked(&all).unwrap(), noise);
        assert_eq!(whole(b"short", &encoder), None);
        assert!(whole(&[b'x'; 1000], &encoder).unwrap().len() < 60);
    }
}
