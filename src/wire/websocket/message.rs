//! The unfinished message: the payloads of its frames so far.
//!
//! Text is checked up to the last whole character of each piece. A compressed message can only be
//! checked at its end, because it is inflated only then: one inflater serves many connections.

use super::decode::{WebSocketEvent, WebSocketLimits};
use super::frame::Compressed;
use super::mask::Mask;
use super::past::Past;
use super::violation::Violation;
use crate::wire::deflate::{InflateError, Inflater};

/// The unfinished message of one connection.
#[derive(Debug, Default)]
pub(super) enum UnfinishedMessage {
    /// The next data frame begins one.
    #[default]
    None,
    /// Plain text. The last `unchecked` bytes (at most 3) are the beginning of a character.
    Text { bytes: Vec<u8>, unchecked: u8 },
    /// Plain bytes.
    Binary(Vec<u8>),
    /// Either, compressed.
    Deflated { kind: MessageKind, bytes: Vec<u8> },
}

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageKind {
    Text,
    Binary,
}

/// Whether more of the message follows a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Checked as it arrives, so that bad text fails at once.
    Inner,
    /// Not yet: [`UnfinishedMessage::finish`] follows at once, and checks the message in one pass.
    Last,
}

impl UnfinishedMessage {
    /// No unfinished message.
    pub(super) fn begin(kind: MessageKind, compressed: Compressed) -> Self {
        match (kind, compressed) {
            (kind, Compressed::Yes) => Self::Deflated { kind, bytes: Vec::new() },
            (MessageKind::Text, Compressed::No) => Self::Text { bytes: Vec::new(), unchecked: 0 },
            (MessageKind::Binary, Compressed::No) => Self::Binary(Vec::new()),
        }
    }

    /// Whether there is no unfinished message.
    pub(super) fn is_none(&self) -> bool {
        match self {
            Self::None => true,
            Self::Text { .. } | Self::Binary(_) | Self::Deflated { .. } => false,
        }
    }

    /// Bytes of it that have come.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Text { bytes, .. } | Self::Binary(bytes) | Self::Deflated { bytes, .. } => bytes.len(),
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Text { bytes, .. } | Self::Binary(bytes) | Self::Deflated { bytes, .. } => bytes.capacity(),
        }
    }

    /// Whether a frame of `len` bytes is allowed now; call it before consuming its payload.
    pub(super) fn admit(&self, len: u64, limits: &WebSocketLimits) -> Result<(), Violation> {
        if len > self.room(limits).saturating_sub(self.len()) as u64 {
            return Err(Violation::TooBig { bytes_max: limits.message_bytes_max });
        }
        Ok(())
    }

    /// Bytes that this message may take while it arrives. Compressed, incompressible data may grow
    /// a little.
    fn room(&self, limits: &WebSocketLimits) -> usize {
        let plain = limits.message_bytes_max;
        match self {
            Self::None | Self::Text { .. } | Self::Binary(_) => plain,
            Self::Deflated { .. } => plain.saturating_add(plain / 8).saturating_add(DEFLATED_ROOM),
        }
    }

    /// Appends a piece of payload that [`UnfinishedMessage::admit`] has let in.
    pub(super) fn extend(
        &mut self,
        input: &[u8],
        piece: Piece,
        mask: &mut Mask,
        limits: &WebSocketLimits,
    ) -> Result<(), Violation> {
        let room = self.room(limits);
        match self {
            Self::None => Ok(()),
            Self::Binary(bytes) | Self::Deflated { bytes, .. } => {
                append(bytes, input, mask, room);
                Ok(())
            }
            Self::Text { bytes, unchecked } => {
                let from = bytes.len() - usize::from(*unchecked);
                append(bytes, input, mask, room);
                if piece == Piece::Inner {
                    *unchecked = unfinished(&bytes[from..])?;
                }
                Ok(())
            }
        }
    }

    /// Takes what has come of a plain binary message; the rest of it may follow.
    pub(super) fn take_piece(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Binary(bytes) if !bytes.is_empty() => Some(std::mem::take(bytes)),
            Self::None | Self::Text { .. } | Self::Binary(_) | Self::Deflated { .. } => None,
        }
    }

    /// The message, all of which has come.
    pub(super) fn finish(
        self,
        limits: &WebSocketLimits,
        past: &mut Past,
        inflater: &mut Inflater,
    ) -> Result<WebSocketEvent, Violation> {
        match self {
            Self::None => Err(Violation::NothingToContinue),
            Self::Text { bytes, .. } => text(bytes),
            Self::Binary(bytes) => Ok(WebSocketEvent::Binary(bytes)),
            Self::Deflated { kind, bytes } => {
                let bytes_max = limits.message_bytes_max;
                let bytes = past.inflate(&bytes, bytes_max, inflater).map_err(|error| match error {
                    InflateError::TooLarge => Violation::TooBig { bytes_max },
                    InflateError::Corrupt => Violation::BadDeflate,
                })?;
                match kind {
                    MessageKind::Text => text(bytes),
                    MessageKind::Binary => Ok(WebSocketEvent::Binary(bytes)),
                }
            }
        }
    }
}

/// Appends the unmasked `input`. Grows to at most twice the need, and never over `room`, which the
/// need is within.
fn append(bytes: &mut Vec<u8>, input: &[u8], mask: &mut Mask, room: usize) {
    let start = bytes.len();
    let needed = start + input.len();
    if needed > bytes.capacity() {
        let capacity = needed.max(bytes.capacity().saturating_mul(2).min(room));
        bytes.reserve_exact(capacity - start);
    }
    bytes.extend_from_slice(input);
    mask.apply(&mut bytes[start..]);
}

/// Bytes at the end of `text` that are the beginning of a character, so far a valid one.
fn unfinished(text: &[u8]) -> Result<u8, Violation> {
    match str::from_utf8(text) {
        Ok(_) => Ok(0),
        Err(error) if error.error_len().is_none() => Ok((text.len() - error.valid_up_to()) as u8),
        Err(_) => Err(Violation::BadUtf8),
    }
}

fn text(bytes: Vec<u8>) -> Result<WebSocketEvent, Violation> {
    String::from_utf8(bytes).map(WebSocketEvent::Text).map_err(|_| Violation::BadUtf8)
}

/// Bytes that a compressed message may always be longer than allowed for a plain one: heads of
/// blocks.
const DEFLATED_ROOM: usize = 64;
