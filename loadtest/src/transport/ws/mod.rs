//! WebSocket (RFC 6455), client side: assembles the server's frames to messages, and writes a
//! client's few frames.
//!
//! It does not check what only protects a browser, such as valid UTF-8; wrong framing is an error.
//! Compression contexts (RFC 7692) end with each message: nothing else is offered, so one inflater
//! serves all clients.

mod handshake;
mod scratch;

use std::io::Cursor;

use serde::{Deserialize, Serialize};
use tungstenite::Bytes;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

pub use handshake::{headers, upgraded};
pub use scratch::DecodeScratch;

use super::{Item, Piece};
use crate::http::Broken;

/// Whether messages may come compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// All are plain.
    #[default]
    None,
    /// Each may be compressed by itself.
    PerMessage,
}

/// The state of a connection between two reads.
#[derive(Debug, Default)]
pub struct Frames {
    compression: Compression,
    /// The beginning of a message whose last frame has not arrived.
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    encoding: Encoding,
    bytes: Vec<u8>,
}

/// How a message's bytes are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Deflated,
}

/// A server's frame in the bytes.
struct ServerFrame<'a> {
    header: FrameHeader,
    payload: &'a [u8],
    /// Bytes of header and payload.
    len: usize,
}

/// Bytes of the longest accepted message, assembled and inflated.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of the longest payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;

impl Frames {
    /// The state after the upgrade.
    pub fn new(compression: Compression) -> Self {
        Self { compression, message: None }
    }

    pub(super) fn pieces(
        &mut self,
        bytes: &[u8],
        decode: &mut DecodeScratch,
        each: &mut impl FnMut(Item<'_>),
    ) -> Result<usize, Broken> {
        let mut used = 0;
        while let Some(frame) = ServerFrame::read(&bytes[used..])? {
            used += frame.len;
            self.take(&frame, decode, each)?;
        }
        Ok(used)
    }

    fn take(
        &mut self,
        frame: &ServerFrame<'_>,
        decode: &mut DecodeScratch,
        each: &mut impl FnMut(Item<'_>),
    ) -> Result<(), Broken> {
        let encoding = if frame.header.rsv1 { Encoding::Deflated } else { Encoding::Plain };
        if encoding == Encoding::Deflated && self.compression == Compression::None {
            return Err(Broken("a compressed frame without an agreed extension"));
        }
        match frame.header.opcode {
            OpCode::Control(Control::Ping) => each(Item::Ping(frame.payload)),
            OpCode::Control(Control::Pong) => each(Item::Piece(Piece { id: &[], data: &[] })),
            OpCode::Control(Control::Close) => each(Item::Close(frame.payload)),
            OpCode::Data(Data::Continue) => self.go_on(frame, decode, each)?,
            OpCode::Data(Data::Text | Data::Binary) if self.message.is_some() => {
                return Err(Broken("a message within a message"));
            }
            OpCode::Data(Data::Text | Data::Binary) if frame.header.is_final => {
                whole(encoding, frame.payload, decode, each)?;
            }
            OpCode::Data(Data::Text | Data::Binary) => {
                self.message = Some(Message { encoding, bytes: frame.payload.to_vec() });
            }
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                return Err(Broken("a reserved opcode"));
            }
        }
        Ok(())
    }

    /// A further frame of a message.
    fn go_on(
        &mut self,
        frame: &ServerFrame<'_>,
        decode: &mut DecodeScratch,
        each: &mut impl FnMut(Item<'_>),
    ) -> Result<(), Broken> {
        let mut message = self.message.take().ok_or(Broken("the rest of no message"))?;
        if message.bytes.len() + frame.payload.len() > MESSAGE_BYTES_MAX {
            return Err(Broken("an endless message"));
        }
        message.bytes.extend_from_slice(frame.payload);
        if frame.header.is_final {
            return whole(message.encoding, &message.bytes, decode, each);
        }
        self.message = Some(message);
        Ok(())
    }
}

fn whole(
    encoding: Encoding,
    payload: &[u8],
    decode: &mut DecodeScratch,
    each: &mut impl FnMut(Item<'_>),
) -> Result<(), Broken> {
    let data = match encoding {
        Encoding::Plain => payload,
        Encoding::Deflated => decode.inflate(payload, MESSAGE_BYTES_MAX)?,
    };
    each(Item::Piece(Piece { id: &[], data }));
    Ok(())
}

impl<'a> ServerFrame<'a> {
    /// The frame at the start of `bytes`; `None` if it is not complete.
    fn read(bytes: &'a [u8]) -> Result<Option<Self>, Broken> {
        let mut cursor = Cursor::new(bytes);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Broken("a reserved opcode"))?;
        let Some((header, length)) = parsed else { return Ok(None) };
        check(&header, length)?;
        let head_len = cursor.position() as usize;
        let payload = bytes.get(head_len..head_len + length as usize);
        Ok(payload.map(|payload| Self { header, payload, len: head_len + payload.len() }))
    }
}

/// Checks the rules of RFC 6455, section 5, for a server's frame.
fn check(header: &FrameHeader, length: u64) -> Result<(), Broken> {
    if header.rsv2 || header.rsv3 {
        return Err(Broken("a reserved bit"));
    }
    if header.mask.is_some() {
        return Err(Broken("a masked frame from a server"));
    }
    if matches!(header.opcode, OpCode::Control(_)) && (!header.is_final || length > CONTROL_BYTES_MAX as u64)
    {
        return Err(Broken("a control frame that is fragmented or too long"));
    }
    if header.rsv1 && !matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary)) {
        return Err(Broken("a compression bit on a frame that does not begin a message"));
    }
    if length > MESSAGE_BYTES_MAX as u64 {
        return Err(Broken("a frame above 16 MiB"));
    }
    Ok(())
}

/// The kind of a client's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlReply {
    /// To a ping.
    Pong,
    /// To a close.
    Close,
}

/// Appends the frame of an answer, masked as every frame of a client.
pub fn answer(what: ControlReply, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
    let control = match what {
        ControlReply::Pong => Control::Pong,
        ControlReply::Close => Control::Close,
    };
    write(OpCode::Control(control), payload, mask, out);
}

/// Appends a client's text message.
pub fn text(payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    write(OpCode::Data(Data::Text), payload, mask, out);
}

fn write(opcode: OpCode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
    // Writing into a vector cannot fail.
    let _ = Frame::from_payload(header, Bytes::copy_from_slice(payload)).format(out);
}

#[cfg(test)]
mod tests;
