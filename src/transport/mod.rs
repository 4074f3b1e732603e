//! How messages reach a browser: one file a transport, one row in [`REGISTRY`].
//!
//! A transport is stateless and knows neither sessions nor protocols: it answers how a response opens, how one envelope is spelled,
//! what stands between and after envelopes, and what keeps the response alive. HTTP's own framing (chunks, lengths) is added here, so that what is
//! shared between connections is shared as it goes over the wire.

mod longpoll;
mod poll;
mod sse;
mod stream;
#[cfg(test)]
mod tests;

use crate::base::frame::Frame;
use crate::base::position::Position;
use crate::base::ticks::Span;
use crate::wire::http::response::{CHUNK_TAIL, chunk_head};
use crate::wire::refusal::Refusal;

/// One way of carrying envelopes in a response.
pub trait Transport: Sync {
    /// Its name in URLs, in `open` and in metrics.
    fn name(&self) -> &'static str;

    /// One batch a response, or many.
    fn delivery(&self) -> Delivery;

    /// How the response begins, or why it cannot. `query` is the request's.
    fn open(&self, query: &Query<'_>) -> Result<Opening, Refusal>;

    /// Appends what a stream says before its first envelope; the reader is to begin at `position`.
    fn begin(&self, _position: Position, _out: &mut Vec<u8>) {}

    /// Appends one envelope with all that surrounds it.
    fn encode(&self, envelope: &Envelope<'_>, out: &mut Vec<u8>);

    /// What stands between two envelopes.
    fn separator(&self) -> &'static [u8] {
        b""
    }

    /// What ends the response's body.
    fn epilogue(&self) -> &'static [u8] {
        b""
    }

    /// Appends what keeps an idle stream alive; the reader is level with `position`. Nothing, for one that does not stream.
    fn heartbeat(&self, _position: Position, _out: &mut Vec<u8>) {}
}

/// When a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once, with what there is.
    Once,
    /// With the first message, or when the hold is over.
    Held,
    /// Not until something ends it.
    Stream,
}

/// The start of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// `Content-Type`, charset included.
    pub content_type: &'static str,
    /// The first bytes of the body.
    pub preamble: Vec<u8>,
}

/// One JSON object on its way to a browser.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The object as JSON; holds no CR or LF.
    pub json: &'a [u8],
    /// Where to go on from once this is received.
    pub position: Option<Position>,
    /// For the last envelope of a stream: when the browser should come back by itself.
    pub retry: Option<Span>,
}

/// The decoded query of a request.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a>(pub &'a [(String, String)]);

impl<'a> Query<'a> {
    /// The first value of `name`.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Names a row of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransportId(u8);

/// Every transport there is. The folder's listing and these rows agree; `tests/tidy.rs` sees to it.
pub static REGISTRY: [&dyn Transport; 4] = [&poll::Poll, &longpoll::Longpoll, &stream::Stream, &sse::Sse];

impl TransportId {
    /// The transport whose URL ends in `/{name}`.
    pub fn by_name(name: &str) -> Option<Self> {
        REGISTRY.iter().position(|row| row.name() == name).map(|index| Self(index as u8))
    }

    /// All rows.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..REGISTRY.len() as u8).map(Self)
    }

    /// The row's place, for tables by transport.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The transport.
    pub fn transport(self) -> &'static dyn Transport {
        REGISTRY[self.index()]
    }
}

/// How HTTP delimits what a transport writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// HTTP/1.1: each write is a chunk.
    Chunked,
    /// HTTP/1.0: the connection's end is the body's.
    UntilClose,
    /// A batch whose length is known.
    Length,
}

/// A spelling on the wire: all connections of one form share their frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// Whose spelling.
    pub transport: TransportId,
    /// What HTTP adds.
    pub framing: Framing,
}

/// Bytes around a chunk's data, more than enough of them.
const CHUNK_FRAMING: usize = 16;

impl Form {
    /// One envelope, ready for the socket.
    pub fn encode(self, envelope: &Envelope<'_>) -> Frame {
        let mut body = Vec::with_capacity(envelope.json.len() + 64);
        self.transport.transport().encode(envelope, &mut body);
        self.frame(body)
    }

    /// Bytes of the body, framed as HTTP wants them.
    pub fn frame(self, body: Vec<u8>) -> Frame {
        match self.framing {
            Framing::Chunked => {
                let mut chunk = Vec::with_capacity(body.len() + CHUNK_FRAMING);
                chunk_head(body.len(), &mut chunk);
                chunk.extend_from_slice(&body);
                chunk.extend_from_slice(CHUNK_TAIL);
                Frame::from(chunk)
            }
            Framing::UntilClose | Framing::Length => Frame::from(body),
        }
    }

    /// What ends the body.
    pub fn end(self) -> &'static [u8] {
        match self.framing {
            Framing::Chunked => b"0\r\n\r\n",
            Framing::UntilClose | Framing::Length => b"",
        }
    }
}
