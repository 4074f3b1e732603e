//! Frames from clients (RFC 6455 5) to messages and control frames, cut anywhere.
//!
//! Every given byte is consumed: unmasked, checked and appended to the unfinished message, so
//! nothing stays in a read buffer. Errors are detected where they occur, not at the end of the
//! message: text is checked incrementally, bounds at the frame head. Not here: answering a ping or
//! a close.
//!
//! Invariants: an idle decoder owns no heap but the [`Past`] to which its client may refer; a
//! message never takes more room than its bound, and at most twice its received bytes; the cuts
//! between reads change no event and no verdict.

use super::close;
use super::frame::{Compressed, Opcode};
use super::head::{Fin, FrameHead, PartialHead};
use super::mask::Mask;
use super::message::{MessageKind, Piece, UnfinishedMessage};
use super::past::Past;
use super::violation::Violation;
use crate::wire::deflate::Inflater;

/// The unfinished frame and message of one connection.
///
/// After a violation or a close it is finished: its owner passes no more bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    stage: DecodeStage,
    message: UnfinishedMessage,
    past: Past,
}

/// Every WebSocket has one.
const _: () = assert!(size_of::<Decoder>() <= 96);

/// Bounds, and the negotiated compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// Longest message, in bytes, after decompression.
    pub message_bytes_max: usize,
    /// Whether messages may be compressed.
    pub compression: Compression,
}

/// The negotiated compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nothing: RSV1 is reserved.
    Off,
    /// permessage-deflate.
    Deflate,
}

/// The result of decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketEvent {
    /// A message of text.
    Text(String),
    /// A message of bytes.
    Binary(Vec<u8>),
    /// To be answered by a pong with the same payload; at most 125 bytes.
    Ping(Vec<u8>),
    /// A pong; at most 125 bytes.
    Pong(Vec<u8>),
    /// The client closes, or answers our close: the code and reason, if it gave them.
    Close(Option<(u16, String)>),
}

/// The part of a frame to which the next byte belongs.
#[derive(Debug)]
enum DecodeStage {
    /// In the head.
    Head(PartialHead),
    /// In the payload of a data frame, of which `left` bytes are to come: at least one.
    Data { left: usize, mask: Mask, fin: Fin },
    /// In the payload of a control frame, of which `left` bytes are to come: at least one.
    Control { opcode: Opcode, left: u8, mask: Mask, payload: Vec<u8> },
}

impl Default for DecodeStage {
    fn default() -> Self {
        Self::Head(PartialHead::default())
    }
}

impl Decoder {
    /// For a client whose compressor may refer to `past`.
    pub fn new(past: Past) -> Self {
        Self { past, ..Self::default() }
    }

    /// The context of its client's compressor.
    pub fn past(&self) -> &Past {
        &self.past
    }

    /// Takes bytes up to the first event, or all of them. Returns how many, and the event: call
    /// again with the rest while there is one. Without an event it took all bytes.
    pub fn decode(
        &mut self,
        input: &[u8],
        limits: &WebSocketLimits,
        inflater: &mut Inflater,
    ) -> Result<(usize, Option<WebSocketEvent>), Violation> {
        let mut taken = 0;
        while taken < input.len() {
            let (used, event) = self.step(&input[taken..], limits, inflater)?;
            taken += used;
            if event.is_some() {
                return Ok((taken, event));
            }
        }
        Ok((taken, None))
    }

    /// The same for a stream of bytes, whose borders mean nothing: what has come of a plain binary
    /// message is an event at once, so such a message may have any length. Others are bounded by
    /// `limits`, whose compression is ignored: there is none.
    pub fn decode_pieces(
        &mut self,
        input: &[u8],
        limits: &WebSocketLimits,
        inflater: &mut Inflater,
    ) -> Result<(usize, Option<WebSocketEvent>), Violation> {
        let endless = WebSocketLimits { message_bytes_max: usize::MAX, compression: Compression::Off };
        let (used, event) = self.decode(input, &endless, inflater)?;
        let event = event.or_else(|| self.message.take_piece().map(WebSocketEvent::Binary));
        let held = match &event {
            Some(WebSocketEvent::Text(text)) => text.len(),
            Some(_) | None => self.message.len(),
        };
        if held > limits.message_bytes_max {
            return Err(Violation::TooBig { bytes_max: limits.message_bytes_max });
        }
        Ok((used, event))
    }

    /// Whether nothing of a frame or message is held.
    pub fn is_idle(&self) -> bool {
        self.message.is_none() && matches!(&self.stage, DecodeStage::Head(partial) if partial.is_empty())
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.unfinished_bytes() + self.past.heap_bytes()
    }

    /// Those of an unfinished frame or message.
    pub fn unfinished_bytes(&self) -> usize {
        let control = match &self.stage {
            DecodeStage::Control { payload, .. } => payload.capacity(),
            DecodeStage::Head(_) | DecodeStage::Data { .. } => 0,
        };
        control + self.message.heap_bytes()
    }

    /// Takes at least one byte of `input`, which is not empty, and at most to the end of the head
    /// or payload.
    fn step(
        &mut self,
        input: &[u8],
        limits: &WebSocketLimits,
        inflater: &mut Inflater,
    ) -> Result<(usize, Option<WebSocketEvent>), Violation> {
        match &mut self.stage {
            DecodeStage::Head(partial) => {
                let (used, head) = partial.take(input)?;
                let Some(head) = head else { return Ok((used, None)) };
                self.stage = DecodeStage::default();
                Ok((used, self.begin(head, limits, inflater)?))
            }
            DecodeStage::Data { left, mask, fin } => {
                let used = input.len().min(*left);
                *left -= used;
                let end = (*left == 0).then_some(*fin);
                let piece = if end == Some(Fin::Last) { Piece::Last } else { Piece::Inner };
                self.message.extend(&input[..used], piece, mask, limits)?;
                Ok((used, end.map(|fin| self.end_data(fin, limits, inflater)).transpose()?.flatten()))
            }
            DecodeStage::Control { opcode, left, mask, payload } => {
                let used = input.len().min(usize::from(*left));
                *left -= used as u8;
                let start = payload.len();
                payload.extend_from_slice(&input[..used]);
                mask.apply(&mut payload[start..]);
                if *left > 0 {
                    return Ok((used, None));
                }
                let event = control(*opcode, std::mem::take(payload))?;
                self.stage = DecodeStage::default();
                Ok((used, event))
            }
        }
    }

    /// A head is complete: checks whether it is allowed here, and begins its payload. An empty
    /// payload ends at once.
    fn begin(
        &mut self,
        head: FrameHead,
        limits: &WebSocketLimits,
        inflater: &mut Inflater,
    ) -> Result<Option<WebSocketEvent>, Violation> {
        let FrameHead { opcode, fin, compressed, len, mask } = head;
        match opcode {
            Opcode::Text => self.begin_message(MessageKind::Text, compressed, limits)?,
            Opcode::Binary => self.begin_message(MessageKind::Binary, compressed, limits)?,
            Opcode::Continuation if self.message.is_none() => return Err(Violation::NothingToContinue),
            Opcode::Continuation => {}
            Opcode::Close | Opcode::Ping | Opcode::Pong => return self.begin_control(opcode, len, mask),
        }
        self.message.admit(len, limits)?;
        match usize::try_from(len) {
            Ok(0) => self.end_data(fin, limits, inflater),
            Ok(left) => {
                self.stage = DecodeStage::Data { left, mask, fin };
                Ok(None)
            }
            Err(_) => Err(Violation::TooBig { bytes_max: limits.message_bytes_max }),
        }
    }

    fn begin_message(
        &mut self,
        kind: MessageKind,
        compressed: Compressed,
        limits: &WebSocketLimits,
    ) -> Result<(), Violation> {
        match (compressed, limits.compression) {
            (Compressed::Yes, Compression::Off) => return Err(Violation::ReservedBits),
            (Compressed::Yes, Compression::Deflate) | (Compressed::No, _) => {}
        }
        if !self.message.is_none() {
            return Err(Violation::MessageUnfinished);
        }
        self.message = UnfinishedMessage::begin(kind, compressed);
        Ok(())
    }

    fn begin_control(
        &mut self,
        opcode: Opcode,
        len: u64,
        mask: Mask,
    ) -> Result<Option<WebSocketEvent>, Violation> {
        match u8::try_from(len) {
            Ok(0) => control(opcode, Vec::new()),
            Ok(left) => {
                self.stage = DecodeStage::Control { opcode, left, mask, payload: Vec::new() };
                Ok(None)
            }
            Err(_) => Err(Violation::ControlTooLong),
        }
    }

    /// The payload of a data frame is whole.
    fn end_data(
        &mut self,
        fin: Fin,
        limits: &WebSocketLimits,
        inflater: &mut Inflater,
    ) -> Result<Option<WebSocketEvent>, Violation> {
        self.stage = DecodeStage::default();
        match fin {
            Fin::More => Ok(None),
            Fin::Last => std::mem::take(&mut self.message).finish(limits, &mut self.past, inflater).map(Some),
        }
    }
}

/// A whole control frame.
fn control(opcode: Opcode, payload: Vec<u8>) -> Result<Option<WebSocketEvent>, Violation> {
    match opcode {
        Opcode::Ping => Ok(Some(WebSocketEvent::Ping(payload))),
        Opcode::Pong => Ok(Some(WebSocketEvent::Pong(payload))),
        Opcode::Close => close::parse(&payload).map(|close| Some(WebSocketEvent::Close(close))),
        Opcode::Continuation | Opcode::Text | Opcode::Binary => Ok(None),
    }
}

#[cfg(test)]
mod tests;
