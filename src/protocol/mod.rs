//! The messages between client and server, on any transport.

pub mod bayeux;
pub mod native;
pub mod sockjs;
pub mod tcp;

use crate::base::position::Position;
use crate::protocol::native::envelope::{Encoding, Message};

/// A protocol of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Envelopes to the client, commands from it.
    Native,
    /// Bayeux 1.0.
    Bayeux,
    /// The strings that a backend sends, and nothing else.
    Strings,
    /// The bytes of one TCP stream, and nothing else.
    Bytes,
    /// What one TCP stream brings, as text, and nothing else.
    Text,
}

/// Where a message stands in what a client receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// Among others in one body.
    Item,
    /// Alone, in a frame of its own.
    Whole,
}

impl Protocol {
    /// Whether the protocol has a form for a message; else its clients do not get it.
    pub fn carries(self, message: &Message) -> bool {
        match (self, message.encoding) {
            (Self::Text, encoding) => encoding == Encoding::Verbatim,
            (Self::Bytes, encoding) => encoding == Encoding::Stream && !message.data.is_empty(),
            (Self::Native, _)
            | (_, Encoding::Json | Encoding::Base64)
            | (Self::Strings, Encoding::Verbatim) => true,
            (Self::Bayeux, Encoding::Verbatim)
            | (Self::Bayeux | Self::Strings, Encoding::Presence | Encoding::Stream) => false,
        }
    }

    /// Appends a published message as the protocol writes it. Says after how many bytes its
    /// encoding and data begin if the message has a position, and so may be sent with binary data;
    /// a protocol without positions has only JSON.
    pub fn write(
        self,
        message: &Message,
        position: Position,
        wrap: Wrap,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        match self {
            Self::Native if message.encoding == Encoding::Verbatim => {
                out.extend_from_slice(message.data.as_bytes());
                None
            }
            Self::Native | Self::Bytes => Some(native::envelope::message(message, position, out)),
            Self::Bayeux => {
                bayeux::answer::event(message, wrap, out);
                None
            }
            Self::Text => {
                out.extend_from_slice(message.data.as_bytes());
                None
            }
            Self::Strings => {
                sockjs::pipe::string_of(message, out);
                None
            }
        }
    }
}
