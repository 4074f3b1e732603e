//! The wire formats of exchanges: one file per transport, one row in [`REGISTRY`].
//!
//! A transport is stateless and knows neither sessions nor protocols: it defines the start of a
//! response, the format of one envelope, the bytes between and after envelopes, and the heartbeat.
//! HTTP's own framing (chunks, lengths) is added here, so that connections share bytes in their
//! final form.

mod frame;
mod htmlfile;
pub mod jsonp;
mod longpoll;
mod multipart;
mod poll;
mod shared;
mod sockjs;
mod sse;
mod stream;
pub(crate) mod tcp;
#[cfg(test)]
mod tests;
pub mod ws;
mod xmlsocket;

use std::borrow::Cow;

use self::gzip::Sum;
use crate::base::frame::Frame;
use crate::base::position::Position;
use crate::base::ticks::Span;
use crate::protocol::Protocol;
use crate::protocol::sockjs::carrier::Carrier;
use crate::wire::http::response::{CHUNK_TAIL, Header, LAST_CHUNK, chunk_head};
use crate::wire::refusal::{Refusal, Refused};

use crate::transport::shared::limits::PAD_BYTES_MAX;

pub use self::sse::OVER;

pub use self::shared::{Encoder, gzip, is_callback, record};

/// A format of envelopes in a response.
pub trait Transport: Sync {
    /// Its name in URLs, in `open` and in metrics.
    fn name(&self) -> &'static str;

    /// One batch per response, or many.
    fn delivery(&self) -> Delivery;

    /// Where the request may carry commands.
    fn commands(&self) -> Commands {
        Commands::Apart
    }

    /// Whether a page of any origin can use its response, as a script, a document or an image.
    fn embeds(&self) -> bool {
        false
    }

    /// Whether its client sees the status of a response, and the body of one that is no success.
    fn shows_status(&self) -> bool {
        !self.embeds() && !matches!(self.delivery(), Delivery::Duplex(_))
    }

    /// Whether the last segment of a user's URL selects it by its name.
    fn has_url(&self) -> bool {
        true
    }

    /// The start of the response, or the reason why there is none.
    fn open(&self, asked: &TransportRequest<'_>) -> Result<Opening, Refusal>;

    /// Appends the beginning of a stream, before its first envelope; the reader begins at
    /// `position`.
    fn begin(&self, _: Dialect, _position: Position, _out: &mut Vec<u8>) {}

    /// Appends one envelope with its framing. No-op if the dialect omits envelopes of this kind.
    fn encode(&self, dialect: Dialect, envelope: &Envelope<'_>, encoder: &Encoder, out: &mut Vec<u8>);

    /// The bytes between two envelopes.
    fn separator(&self) -> &'static [u8] {
        b""
    }

    /// The end of the response's body.
    fn epilogue(&self, _: Dialect) -> &'static [u8] {
        b""
    }

    /// Appends a heartbeat; the reader is level with `position`. No-op for transports that do not
    /// stream.
    fn heartbeat(&self, _: Dialect, _position: Position, _out: &mut Vec<u8>) {}

    /// Whether its clients can decompress it incrementally.
    fn may_compress(&self) -> bool {
        false
    }

    /// Appends about this many bytes of padding, to push the stream through a proxy that holds back
    /// its first bytes. No-op for transports that do not stream.
    fn pad(&self, _: Dialect, _bytes: usize, _out: &mut Vec<u8>) {}
}

/// When a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once, with the pending messages.
    Once,
    /// With the first message, or when the hold is over.
    Held,
    /// When something ends it.
    Stream,
    /// The same, and the client sends commands on the same connection.
    Duplex(Through),
}

/// How a connection becomes bidirectional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// By an HTTP request for an upgrade.
    Upgrade,
    /// By its listener.
    Listener,
}

/// Where a request for messages may carry commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commands {
    /// Nowhere: clients send them separately.
    Apart,
    /// In a POST's body.
    InBody,
    /// In the query's `message`.
    InQuery,
}

/// The dialect that the request selects. Only the transport interprets the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect(u8);

/// The start of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// `Content-Type`, charset included.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<Header>,
    /// The first bytes of the body.
    pub preamble: Cow<'static, [u8]>,
    /// How envelopes will be encoded.
    pub dialect: Dialect,
}

impl Opening {
    /// One with only a type.
    pub fn of(content_type: &'static str) -> Self {
        Self { content_type, headers: Vec::new(), preamble: Cow::Borrowed(b""), dialect: Dialect::default() }
    }
}

/// One JSON object on its way to a browser.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The object as JSON; holds no CR or LF.
    pub json: &'a [u8],
    /// The position to resume from once this is received.
    pub position: Option<Position>,
    /// For the last envelope of a stream: whether the browser should reconnect.
    pub retry: Retry,
    /// For a message that was published as bytes.
    pub bytes: Option<Bytes<'a>>,
    /// The number of receivers.
    pub audience: Recipients,
}

/// Whether a browser that reconnects by itself should do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// As at the beginning of the stream.
    Unspecified,
    /// After this time.
    After(Span),
    /// Never: the session has ended for good.
    Never,
}

/// The number of connections for which an envelope is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// For one: compressing it would not be shared.
    One,
    /// For all that receive a message.
    All,
}

/// The parts of an envelope with bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    /// Its JSON without `encoding`, `data` and the closing brace.
    pub head: &'a [u8],
    /// The payload, in base64 (RFC 4648, section 4).
    pub base64: &'a str,
}

impl<'a> Envelope<'a> {
    /// An envelope for one receiver, JSON and without a position.
    pub fn plain(json: &'a [u8]) -> Self {
        Self { json, position: None, retry: Retry::Unspecified, bytes: None, audience: Recipients::One }
    }
}

/// The parts of a request that transports use.
#[derive(Clone, Copy)]
pub struct TransportRequest<'a> {
    /// The decoded query.
    pub query: &'a [(String, String)],
    /// `Accept`; empty if there is none.
    pub accept: &'a str,
    /// `Host`.
    pub host: &'a str,
    /// An unguessable token, only for this response.
    pub nonce: &'a str,
    /// Whether pages of an origin may have this server's messages.
    pub may_receive: &'a dyn Fn(&str) -> bool,
}

impl<'a> TransportRequest<'a> {
    /// The first value of `name` in the query.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the query switches `name` on: 1, or 0 or nothing.
    pub fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.value(name) {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(text) => Err(Refused::Flag { name, text }.into()),
        }
    }

    /// Bytes of padding that the query's `pad` asks for.
    pub fn padding(&self) -> Result<usize, Refusal> {
        let Some(text) = self.value("pad").or(self.value("evs_preamble")) else { return Ok(0) };
        let bytes = text.parse().ok().filter(|bytes| *bytes <= PAD_BYTES_MAX);
        bytes.ok_or_else(|| Refused::Pad { text, bytes_max: PAD_BYTES_MAX }.into())
    }

    /// Whether `Accept` names this very media type.
    fn accepts(&self, media_type: &str) -> bool {
        let essence = |range: &str| {
            let essence = range.split_once(';').map_or(range, |(essence, _)| essence);
            essence.trim().eq_ignore_ascii_case(media_type)
        };
        // Most values are too short to contain it.
        self.accept.len() >= media_type.len() && self.accept.split(',').any(essence)
    }
}

/// Names a row of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransportId(u8);

/// Every transport. `tests/tidy.rs` compares these rows with the folder.
pub static REGISTRY: [&dyn Transport; 19] = [
    &poll::LongPoll,
    &longpoll::Longpoll,
    &jsonp::Jsonp,
    &stream::Stream,
    &sse::Sse,
    &frame::ForeverFrame,
    &htmlfile::Htmlfile,
    &multipart::Multipart,
    &ws::Ws,
    &sockjs::XHR,
    &sockjs::XHR_STREAMING,
    &sockjs::EVENT_SOURCE,
    &sockjs::HTMLFILE,
    &sockjs::JSONP,
    &sockjs::WEBSOCKET,
    &sockjs::RAW,
    &tcp::TcpSocket { coding: tcp::ByteCoding::Binary },
    &tcp::TcpSocket { coding: tcp::ByteCoding::Base64 },
    &xmlsocket::XmlSocket,
];

/// Where SockJS's rows begin, in the order of [`Carrier::ALL`].
const SOCKJS_ROWS: u8 = 9;

impl TransportId {
    /// The transport with URLs that end in `/{name}`.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().find(|id| id.transport().name() == name && id.has_url())
    }

    /// The transport of the XMLSocket listener.
    pub fn xmlsocket() -> Self {
        Self(REGISTRY.len() as u8 - 1)
    }

    /// The long poll.
    pub fn longpoll() -> Self {
        Self::row("longpoll")
    }

    /// The long poll as a script.
    pub fn jsonp() -> Self {
        Self::row("jsonp")
    }

    /// Server-sent events.
    pub fn sse() -> Self {
        Self::row("sse")
    }

    /// WebSocket.
    pub fn ws() -> Self {
        Self::row("ws")
    }

    /// SockJS by one of its transports.
    pub fn sockjs(carrier: Carrier) -> Self {
        Self(SOCKJS_ROWS + carrier as u8)
    }

    /// SockJS's raw WebSocket.
    pub fn sockjs_raw() -> Self {
        Self(SOCKJS_ROWS + Carrier::ALL.len() as u8)
    }

    /// The WebSocket for the bytes of a TCP stream.
    pub fn tcp(coding: tcp::ByteCoding) -> Self {
        let back = match coding {
            tcp::ByteCoding::Binary => 3,
            tcp::ByteCoding::Base64 => 2,
        };
        Self(REGISTRY.len() as u8 - back)
    }

    /// The transport of SockJS that the row is; `None` for others, and for its raw WebSocket.
    pub fn carrier(self) -> Option<Carrier> {
        Carrier::ALL.get(self.0.checked_sub(SOCKJS_ROWS)? as usize).copied()
    }

    /// The row's index; the tests check that it exists.
    fn row(name: &str) -> Self {
        Self::by_name(name).unwrap_or_else(Self::xmlsocket)
    }

    /// All rows.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..REGISTRY.len() as u8).map(Self)
    }

    /// Whether a URL selects it.
    pub fn has_url(self) -> bool {
        self.transport().has_url()
    }

    /// The row's index, for tables by transport.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The transport.
    pub fn transport(self) -> &'static dyn Transport {
        REGISTRY[self.index()]
    }
}

/// HTTP's framing of a transport's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// HTTP/1.1: each write is a chunk.
    Chunked,
    /// None: HTTP/1.0, where the connection's end ends the body, and upgraded connections.
    UntilClose,
    /// A batch of known length.
    Length,
}

/// An encoding on the wire: all connections of one form share their frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// The transport.
    pub transport: TransportId,
    /// Its dialect.
    pub dialect: Dialect,
    /// The protocol of the messages.
    pub protocol: Protocol,
    /// Whether it is compressed below HTTP's framing.
    pub coding: Coding,
    /// HTTP's framing.
    pub framing: Framing,
}

/// A stream's `Content-Encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Uncompressed.
    Identity,
    /// gzip, each piece on its own.
    Gzip,
}

/// Bytes ready for the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The bytes.
    pub frame: Frame,
    /// Their part of the trailer of a compressed stream; empty in others.
    pub sum: Sum,
}

/// An upper bound of the bytes around a chunk's data.
const CHUNK_FRAMING: usize = 16;

/// The line ends around a chunk's data.
const CHUNK_LINES_BYTES: usize = 4;

impl Form {
    /// One envelope, ready for the socket.
    pub fn encode(self, envelope: &Envelope<'_>, encoder: &Encoder) -> Encoded {
        encoder.count();
        let mut body = Vec::with_capacity(envelope.json.len() + 64);
        self.transport.transport().encode(self.dialect, envelope, encoder, &mut body);
        self.frame(body, encoder)
    }

    /// Bytes of the body, compressed and in HTTP framing.
    pub fn frame(self, body: Vec<u8>, encoder: &Encoder) -> Encoded {
        let (body, sum) = match self.coding {
            Coding::Gzip if !body.is_empty() => gzip::piece(&body, encoder),
            Coding::Gzip | Coding::Identity => (body, Sum::default()),
        };
        Encoded { frame: self.chunk(body), sum }
    }

    /// Bytes of the body in a frame of this form, without the chunk's framing.
    pub fn body_bytes(self, frame: &Frame) -> u32 {
        let len = frame.len();
        let digits = |bytes: usize| (usize::BITS - bytes.leading_zeros()).div_ceil(4) as usize;
        let framing = match self.framing {
            Framing::Chunked => digits(len.saturating_sub(CHUNK_LINES_BYTES + 1)) + CHUNK_LINES_BYTES,
            Framing::UntilClose | Framing::Length => 0,
        };
        u32::try_from(len.saturating_sub(framing)).unwrap_or(u32::MAX)
    }

    /// Bytes in HTTP framing. No bytes give no frame: an empty chunk would end the body.
    pub fn chunk(self, body: Vec<u8>) -> Frame {
        match self.framing {
            Framing::Chunked if !body.is_empty() => {
                let mut chunk = Vec::with_capacity(body.len() + CHUNK_FRAMING);
                chunk_head(body.len(), &mut chunk);
                chunk.extend_from_slice(&body);
                chunk.extend_from_slice(CHUNK_TAIL);
                Frame::from(chunk)
            }
            Framing::Chunked | Framing::UntilClose | Framing::Length => Frame::from(body),
        }
    }

    /// The end of the response: the transport's epilogue and the body's end. `sum` covers the bytes
    /// sent before.
    pub fn end(self, mut sum: Sum, encoder: &Encoder) -> Frame {
        let words = self.frame(self.transport.transport().epilogue(self.dialect).to_vec(), encoder);
        sum.add(words.sum);
        let trailer = match self.coding {
            Coding::Identity => self.chunk(Vec::new()),
            Coding::Gzip => self.chunk(sum.trailer().to_vec()),
        };
        let end: &[u8] = match self.framing {
            Framing::Chunked => LAST_CHUNK,
            Framing::UntilClose | Framing::Length => b"",
        };
        Frame::from([&words.frame, &trailer, end].concat())
    }

    /// A heartbeat.
    pub fn heartbeat(self, position: Position, encoder: &Encoder) -> Encoded {
        let mut beat = Vec::new();
        self.transport.transport().heartbeat(self.dialect, position, &mut beat);
        self.frame(beat, encoder)
    }
}
