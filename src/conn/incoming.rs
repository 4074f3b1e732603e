//! Assembles a socket's messages from bytes: a WebSocket's frames, or text that ends with a NUL.

use crate::conn::socket::{NORMAL, SocketRefusal};
use crate::wire::deflate::Inflater;
use crate::wire::refusal::Refused;
use crate::wire::websocket::{Compression, Decoder, WebSocketEvent, WebSocketLimits};

/// The unfinished message.
#[derive(Debug)]
pub(crate) enum Incoming {
    WebSocket { decoder: Decoder, compression: Compression, borders: Borders },
    XmlSocket { text: Vec<u8> },
}

/// Whether the borders of a WebSocket's messages mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Borders {
    /// Each message is one.
    Kept,
    /// They are parts of a stream of bytes, whatever their lengths.
    Dropped,
}

/// A complete message or event of a socket.
pub(crate) enum Up {
    Commands(Vec<u8>),
    Record(Vec<u8>),
    Ping(Vec<u8>),
    Nothing,
    Close(u16),
}

impl Incoming {
    /// Buffered bytes of the unfinished message.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::WebSocket { decoder, .. } => decoder.unfinished_bytes(),
            Self::XmlSocket { text } => text.capacity(),
        }
    }

    /// Whether no message has begun.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            // A stream of bytes may rest within a message for as long as it likes.
            Self::WebSocket { decoder, borders: Borders::Dropped, .. } => decoder.unfinished_bytes() == 0,
            Self::WebSocket { decoder, borders: Borders::Kept, .. } => decoder.is_idle(),
            Self::XmlSocket { text } => text.is_empty(),
        }
    }

    /// Consumes bytes up to the end of a message.
    pub(crate) fn take(
        &mut self,
        input: &[u8],
        bytes_max: usize,
        inflater: &mut Inflater,
    ) -> Result<(usize, Option<Up>), SocketRefusal> {
        match self {
            Self::WebSocket { decoder, compression, borders } => {
                let limits = WebSocketLimits { message_bytes_max: bytes_max, compression: *compression };
                let (used, event) = match borders {
                    Borders::Kept => decoder.decode(input, &limits, inflater)?,
                    Borders::Dropped => decoder.decode_pieces(input, &limits, inflater)?,
                };
                Ok((used, event.map(Up::from)))
            }
            Self::XmlSocket { text } => take_text(text, input, bytes_max),
        }
    }
}

/// Consumes bytes up to a NUL.
fn take_text(
    text: &mut Vec<u8>,
    input: &[u8],
    bytes_max: usize,
) -> Result<(usize, Option<Up>), SocketRefusal> {
    let end = memchr::memchr(0, input);
    let part = &input[..end.unwrap_or(input.len())];
    if text.len() + part.len() > bytes_max {
        return Err(SocketRefusal::refused(1009, Refused::MessageUp { bytes_max }));
    }
    text.extend_from_slice(part);
    let Some(end) = end else { return Ok((input.len(), None)) };
    let whole = std::mem::take(text);
    let up = if whole.iter().all(u8::is_ascii_whitespace) { Up::Nothing } else { Up::Commands(whole) };
    Ok((end + 1, Some(up)))
}

impl From<WebSocketEvent> for Up {
    fn from(event: WebSocketEvent) -> Self {
        match event {
            WebSocketEvent::Text(text) => Self::Commands(text.into_bytes()),
            WebSocketEvent::Binary(bytes) => Self::Record(bytes),
            WebSocketEvent::Ping(payload) => Self::Ping(payload),
            WebSocketEvent::Pong(_) => Self::Nothing,
            WebSocketEvent::Close(close) => Self::Close(close.map_or(NORMAL, |(code, _)| code)),
        }
    }
}
