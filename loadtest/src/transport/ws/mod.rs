//! WebSocket (RFC 6455) as a client speaks it: the server's frames, put together to messages, and the few that a client sends.
//!
//! It takes the server's word where only a browser's safety is at stake, such as that text is UTF-8, and complains where the framing is
//! wrong. The context of a compression (RFC 7692) ends with each message: nothing else is offered, so one inflater serves all clients.

mod bench;
mod handshake;

use serde::{Deserialize, Serialize};

pub use bench::Bench;
pub use handshake::{headers, upgraded};

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

/// What is kept of a connection from one read to the next.
#[derive(Debug, Default)]
pub struct Frames {
    compression: Compression,
    /// The beginning of a message whose last frame has not come.
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    form: Form,
    bytes: Vec<u8>,
}

/// How a message's bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Deflated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Continuation,
    /// Text or bytes.
    Data,
    Close,
    Ping,
    Pong,
}

/// A frame as it stands in the bytes.
struct Frame<'a> {
    kind: Kind,
    form: Form,
    is_last: bool,
    payload: &'a [u8],
    /// Of all of it.
    len: usize,
}

/// Bytes of the longest message that is taken, put together and inflated.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of the longest payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;

impl Frames {
    /// Of a connection that has just been upgraded.
    pub fn new(compression: Compression) -> Self {
        Self { compression, message: None }
    }

    pub(super) fn pieces(
        &mut self,
        bytes: &[u8],
        bench: &mut Bench,
        each: &mut impl FnMut(Item<'_>),
    ) -> Result<usize, Broken> {
        let mut used = 0;
        while let Some(frame) = Frame::read(&bytes[used..])? {
            used += frame.len;
            self.take(&frame, bench, each)?;
        }
        Ok(used)
    }

    fn take(
        &mut self,
        frame: &Frame<'_>,
        bench: &mut Bench,
        each: &mut impl FnMut(Item<'_>),
    ) -> Result<(), Broken> {
        if frame.form == Form::Deflated && self.compression == Compression::None {
            return Err(Broken("a compressed frame where nothing was agreed on"));
        }
        match frame.kind {
            Kind::Ping => each(Item::Ping(frame.payload)),
            Kind::Pong => each(Item::Piece(Piece { id: &[], data: &[] })),
            Kind::Close => each(Item::Bye(frame.payload)),
            Kind::Data if self.message.is_some() => return Err(Broken("a message within a message")),
            Kind::Data if frame.is_last => whole(frame.form, frame.payload, bench, each)?,
            Kind::Data => {
                self.message = Some(Message { form: frame.form, bytes: frame.payload.to_vec() });
            }
            Kind::Continuation => self.go_on(frame, bench, each)?,
        }
        Ok(())
    }

    /// A further frame of a message.
    fn go_on(
        &mut self,
        frame: &Frame<'_>,
        bench: &mut Bench,
        each: &mut impl FnMut(Item<'_>),
    ) -> Result<(), Broken> {
        let mut message = self.message.take().ok_or(Broken("the rest of no message"))?;
        if message.bytes.len() + frame.payload.len() > MESSAGE_BYTES_MAX {
            return Err(Broken("an endless message"));
        }
        message.bytes.extend_from_slice(frame.payload);
        if frame.is_last {
            return whole(message.form, &message.bytes, bench, each);
        }
        self.message = Some(message);
        Ok(())
    }
}

fn whole(
    form: Form,
    payload: &[u8],
    bench: &mut Bench,
    each: &mut impl FnMut(Item<'_>),
) -> Result<(), Broken> {
    let data = match form {
        Form::Plain => payload,
        Form::Deflated => bench.inflate(payload, MESSAGE_BYTES_MAX)?,
    };
    each(Item::Piece(Piece { id: &[], data }));
    Ok(())
}

impl<'a> Frame<'a> {
    /// The frame that `bytes` begin with; `None`, if it is not whole.
    fn read(bytes: &'a [u8]) -> Result<Option<Self>, Broken> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (is_last, form) =
            (first & 0x80 != 0, if first & 0x40 == 0 { Form::Plain } else { Form::Deflated });
        if first & 0x30 != 0 {
            return Err(Broken("a reserved bit"));
        }
        if second & 0x80 != 0 {
            return Err(Broken("a masked frame from a server"));
        }
        let kind = Kind::new(first & 0x0f).ok_or(Broken("a reserved opcode"))?;
        if kind.is_control() && (!is_last || usize::from(*second) > CONTROL_BYTES_MAX) {
            return Err(Broken("a control frame that is torn or too long"));
        }
        if form == Form::Deflated && kind != Kind::Data {
            return Err(Broken("a mark of compression where none belongs"));
        }
        let Some((length, head_len)) = length(*second, rest) else { return Ok(None) };
        if length > MESSAGE_BYTES_MAX as u64 {
            return Err(Broken("an endless frame"));
        }
        let payload = bytes.get(head_len..head_len + length as usize);
        Ok(payload.map(|payload| Self { kind, form, is_last, payload, len: head_len + payload.len() }))
    }
}

/// The payload's length and where it begins; `None`, if that has not all come.
fn length(second: u8, rest: &[u8]) -> Option<(u64, usize)> {
    match second {
        126 => rest.first_chunk().map(|bytes| (u64::from(u16::from_be_bytes(*bytes)), 4)),
        127 => rest.first_chunk().map(|bytes| (u64::from_be_bytes(*bytes), 10)),
        short => Some((u64::from(short), 2)),
    }
}

impl Kind {
    fn new(opcode: u8) -> Option<Self> {
        match opcode {
            0 => Some(Self::Continuation),
            1 | 2 => Some(Self::Data),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    fn is_control(self) -> bool {
        match self {
            Self::Close | Self::Ping | Self::Pong => true,
            Self::Continuation | Self::Data => false,
        }
    }
}

/// What a client answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a ping.
    Pong,
    /// To a close.
    Close,
}

/// Appends the frame of an answer, masked as all of a client's frames are.
pub fn answer(what: Answer, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
    let opcode = match what {
        Answer::Pong => 10,
        Answer::Close => 8,
    };
    out.extend_from_slice(&[0x80 | opcode, 0x80 | payload.len() as u8]);
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Appends a client's message of text.
pub fn text(payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.push(0x81);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ ..=125), _) => out.push(0x80 | len),
        (_, Ok(len)) => {
            out.push(0xfe);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests;
