//! Flash's XMLSocket, usable by any program: a TCP connection whose messages end with a NUL in both
//! directions.
//!
//! JSON text contains no NUL, so nothing needs escaping. It does not use HTTP and has its own
//! listener.

use super::{Delivery, Dialect, Encoder, Envelope, Opening, Through, Transport, TransportRequest};
use crate::base::position::Position;
use crate::wire::refusal::Refusal;

/// A connection to `ENCKE_XMLSOCKET_LISTEN`.
pub(super) struct XmlSocket;

impl Transport for XmlSocket {
    fn name(&self) -> &'static str {
        "xmlsocket"
    }

    fn has_url(&self) -> bool {
        false
    }

    fn delivery(&self) -> Delivery {
        Delivery::Duplex(Through::Listener)
    }

    fn open(&self, _: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        Ok(Opening::of(""))
    }

    fn encode(&self, _: Dialect, envelope: &Envelope<'_>, _: &Encoder, out: &mut Vec<u8>) {
        out.extend_from_slice(envelope.json);
        out.push(0);
    }

    /// An empty message.
    fn heartbeat(&self, _: Dialect, _: Position, out: &mut Vec<u8>) {
        out.push(0);
    }

    /// JSON ignores blanks before a message.
    fn pad(&self, _: Dialect, bytes: usize, out: &mut Vec<u8>) {
        out.resize(out.len() + bytes, b' ');
    }
}
