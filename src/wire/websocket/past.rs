//! The context of a client's compressor: the last bytes of the earlier compressed messages (RFC
//! 7692 7.2.3.2).
//!
//! A client that did not offer to drop this context cannot be asked to, so the server keeps it: the
//! received bytes, up to the client's window. The server's own messages refer to no earlier ones,
//! so none of them is kept.

use crate::wire::deflate::{InflateError, Inflater};

/// The past of one connection's messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Past {
    /// Each message is compressed by itself.
    #[default]
    None,
    /// At most `bytes_max` bytes. There is no heap before the first compressed message.
    Window {
        /// The bound: at most 32 KiB.
        bytes_max: u16,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

impl Past {
    /// Empty, for a window of this many bits.
    pub fn empty(bits: u8) -> Self {
        Self::Window { bytes_max: 1 << bits.min(WINDOW_BITS_MAX), bytes: Vec::new() }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Window { bytes, .. } => bytes.capacity(),
        }
    }

    /// Decompresses a message of at most `message_bytes_max` bytes, and keeps the bytes to which
    /// the next may refer.
    pub(super) fn inflate(
        &mut self,
        message: &[u8],
        message_bytes_max: usize,
        inflater: &mut Inflater,
    ) -> Result<Vec<u8>, InflateError> {
        let mut out = Vec::new();
        let before: &[u8] = match self {
            Self::None => &[],
            Self::Window { bytes, .. } => bytes,
        };
        inflater.message(message, before, message_bytes_max, &mut out)?;
        self.keep(&out);
        Ok(out)
    }

    fn keep(&mut self, message: &[u8]) {
        let Self::Window { bytes_max, bytes } = self else { return };
        let most = usize::from(*bytes_max);
        let new = &message[message.len().saturating_sub(most)..];
        let surplus = (bytes.len() + new.len()).saturating_sub(most);
        bytes.drain(..surplus);
        let needed = bytes.len() + new.len();
        if needed > bytes.capacity() {
            // At most twice the need, and never over the bound.
            bytes.reserve_exact(needed.saturating_mul(2).min(most) - bytes.len());
        }
        bytes.extend_from_slice(new);
    }
}

/// The largest window of deflate: 32 KiB.
const WINDOW_BITS_MAX: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_kept_as_came_and_as_the_window_has() {
        let mut past = Past::empty(8);
        let mut all = Vec::new();
        for len in [0, 1, 100, 154, 1, 1, 255, 256, 257, 3] {
            let message: Vec<u8> = (0..len).map(|i| (all.len() + i) as u8).collect();
            past.keep(&message);
            all.extend_from_slice(&message);
            let expected = all[all.len().saturating_sub(256)..].to_vec();
            assert!(past.heap_bytes() <= 256, "{}", past.heap_bytes());
            assert_eq!(past, Past::Window { bytes_max: 256, bytes: expected });
        }
        let mut none = Past::None;
        none.keep(b"x");
        assert_eq!((none.heap_bytes(), none), (0, Past::None));
    }
}
