//! What a page is told of one of its streams: the value of `tcp` in an envelope.

use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::protocol::native::envelope::{Encoding, Message};
use crate::wire::json::quoted;

/// Something that happened to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEvent<'a> {
    /// The server has accepted the connection.
    Open {
        /// How far the page may send, as an offset.
        credit: u64,
    },
    /// Bytes of the server.
    Data {
        /// The number of the stream's bytes before these.
        at: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// How far the page may send now, as an offset.
    Credit(u64),
    /// The server sends no more.
    End {
        /// The number of bytes that it has sent.
        at: u64,
    },
    /// The stream is over.
    Closed {
        /// Why.
        code: StreamClose,
        /// The same for people.
        reason: &'a str,
    },
}

/// Why a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamClose {
    /// Both directions have ended.
    Ok,
    /// The page has reset it.
    Reset,
    /// The server accepts no connection there.
    Refused,
    /// The server did not answer in time, or cannot be reached.
    Timeout,
    /// The server's name has no address, or none that the rules allow.
    Resolve,
    /// TLS with the server failed: its certificate is not trusted, or it refused.
    Tls,
    /// The server has reset it.
    BackendReset,
    /// It was silent for too long, or half-closed.
    Idle,
    /// The node has no descriptor left, or another bound is reached.
    Limit,
    /// The session has ended.
    Expired,
}

impl StreamClose {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Reset,
        Self::Refused,
        Self::Timeout,
        Self::Resolve,
        Self::Tls,
        Self::BackendReset,
        Self::Idle,
        Self::Limit,
        Self::Expired,
    ];

    /// Its text on the wire.
    pub fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Reset => "reset",
            Self::Refused => "backend-refused",
            Self::Timeout => "backend-timeout",
            Self::Resolve => "backend-unknown",
            Self::Tls => "backend-tls",
            Self::BackendReset => "backend-reset",
            Self::Idle => "idle",
            Self::Limit => "limit",
            Self::Expired => "expired",
        }
    }

    /// Its place in [`StreamClose::ALL`].
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|code| *code == self).unwrap_or(0)
    }
}

impl StreamEvent<'_> {
    /// The message that tells a session of it.
    pub fn message(self, stream: u32) -> Message {
        let mut head = format!("{{\"stream\":{stream},");
        let mut data = String::new();
        let _ = match self {
            Self::Open { credit } => write!(head, "\"open\":true,\"credit\":{credit}"),
            Self::Data { at, bytes } => {
                data.reserve(bytes.len().div_ceil(3) * 4 + 2);
                data.push('"');
                BASE64_STANDARD.encode_string(bytes, &mut data);
                data.push('"');
                write!(head, "\"at\":{at}")
            }
            Self::Credit(credit) => write!(head, "\"credit\":{credit}"),
            Self::End { at } => write!(head, "\"at\":{at},\"end\":true"),
            Self::Closed { code, reason } => {
                write!(head, "\"closed\":{{\"code\":\"{}\",\"reason\":{}}}", code.text(), quoted(reason))
            }
        };
        head.push('}');
        Message { channel: head.into(), from: None, data: data.into(), encoding: Encoding::Stream }
    }
}
