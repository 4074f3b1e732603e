//! What comes up a socket, from bytes to whole messages: a WebSocket's frames, or text that ends with a NUL.

use crate::shard::socket::{Broken, NORMAL};
use crate::wire::deflate::Inflater;
use crate::wire::websocket::{Compression, Decoder, WebSocketEvent, WebSocketLimits};

/// What has come of an unfinished message.
#[derive(Debug)]
pub(super) enum Incoming {
    WebSocket { decoder: Decoder, compression: Compression },
    XmlSocket { text: Vec<u8> },
}

/// Something whole that came up.
pub(super) enum Up {
    Commands(Vec<u8>),
    Record(Vec<u8>),
    Ping(Vec<u8>),
    Nothing,
    Close(u16),
}

impl Incoming {
    /// Bytes that are kept of an unfinished message.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::WebSocket { decoder, .. } => decoder.unfinished_bytes(),
            Self::XmlSocket { text } => text.capacity(),
        }
    }

    /// Whether nothing of a message is here.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::WebSocket { decoder, .. } => decoder.is_idle(),
            Self::XmlSocket { text } => text.is_empty(),
        }
    }

    /// Takes bytes up to the end of a message.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        bytes_max: usize,
        inflater: &mut Inflater,
    ) -> Result<(usize, Option<Up>), Broken> {
        match self {
            Self::WebSocket { decoder, compression } => {
                let limits = WebSocketLimits { message_bytes_max: bytes_max, compression: *compression };
                let (used, event) = decoder.decode(input, &limits, inflater)?;
                Ok((used, event.map(Up::from)))
            }
            Self::XmlSocket { text } => take_text(text, input, bytes_max),
        }
    }
}

/// Takes bytes up to a NUL.
fn take_text(text: &mut Vec<u8>, input: &[u8], bytes_max: usize) -> Result<(usize, Option<Up>), Broken> {
    let end = memchr::memchr(0, input);
    let part = &input[..end.unwrap_or(input.len())];
    if text.len() + part.len() > bytes_max {
        let reason = format!("a message up may have {bytes_max} bytes");
        return Err(Broken::new(1009, "message-too-large", reason));
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
            WebSocketEvent::Close(said) => Self::Close(said.map_or(NORMAL, |(code, _)| code)),
        }
    }
}
