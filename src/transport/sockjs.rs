//! SockJS: how each of its transports carries strings down. An envelope is one string.
//!
//! Responses begin with what the protocol's front writes, since a first response has no envelope
//! at all, and since a function's name stands in the page or script around the frames.

use std::borrow::Cow;
use std::str;

use super::{Delivery, Dialect, Encoder, Envelope, Opening, Through, Transport, TransportRequest, ws};
use crate::base::position::Position;
use crate::protocol::sockjs::carrier::Carrier;
use crate::protocol::sockjs::frame;
use crate::protocol::sockjs::quote::quote_into;
use crate::wire::refusal::Refusal;
use crate::wire::websocket::{Compressed, Opcode, frame_head};

/// A transport of SockJS. None has a URL of its own.
pub(super) struct SockjsTransport(SockjsFraming);

/// What carries strings down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SockjsFraming {
    /// A transport of the protocol.
    Framed(Carrier),
    /// The protocol's raw WebSocket: each string is a message.
    Raw,
}

pub(super) static XHR: SockjsTransport = SockjsTransport(SockjsFraming::Framed(Carrier::Xhr));
pub(super) static XHR_STREAMING: SockjsTransport =
    SockjsTransport(SockjsFraming::Framed(Carrier::XhrStreaming));
pub(super) static EVENT_SOURCE: SockjsTransport =
    SockjsTransport(SockjsFraming::Framed(Carrier::EventSource));
pub(super) static HTMLFILE: SockjsTransport = SockjsTransport(SockjsFraming::Framed(Carrier::Htmlfile));
pub(super) static JSONP: SockjsTransport = SockjsTransport(SockjsFraming::Framed(Carrier::Jsonp));
pub(super) static WEBSOCKET: SockjsTransport = SockjsTransport(SockjsFraming::Framed(Carrier::WebSocket));
pub(super) static RAW: SockjsTransport = SockjsTransport(SockjsFraming::Raw);

impl Transport for SockjsTransport {
    fn name(&self) -> &'static str {
        match self.0 {
            SockjsFraming::Framed(Carrier::Xhr) => "sockjs-xhr",
            SockjsFraming::Framed(Carrier::XhrStreaming) => "sockjs-xhr-streaming",
            SockjsFraming::Framed(Carrier::EventSource) => "sockjs-eventsource",
            SockjsFraming::Framed(Carrier::Htmlfile) => "sockjs-htmlfile",
            SockjsFraming::Framed(Carrier::Jsonp) => "sockjs-jsonp",
            SockjsFraming::Framed(Carrier::WebSocket) => "sockjs-websocket",
            SockjsFraming::Raw => "sockjs-raw",
        }
    }

    fn delivery(&self) -> Delivery {
        match self.0 {
            SockjsFraming::Framed(Carrier::Xhr | Carrier::Jsonp) => Delivery::Held,
            SockjsFraming::Framed(Carrier::XhrStreaming | Carrier::EventSource | Carrier::Htmlfile) => {
                Delivery::Stream
            }
            SockjsFraming::Framed(Carrier::WebSocket) | SockjsFraming::Raw => {
                Delivery::Duplex(Through::Upgrade)
            }
        }
    }

    fn has_url(&self) -> bool {
        false
    }

    fn open(&self, _: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        let content_type = match self.0 {
            SockjsFraming::Framed(carrier) => carrier.content_type(),
            SockjsFraming::Raw => None,
        };
        Ok(Opening::of(content_type.unwrap_or_default()))
    }

    fn encode(&self, dialect: Dialect, envelope: &Envelope<'_>, encoder: &Encoder, out: &mut Vec<u8>) {
        // Both the server's JSON and strings of clients are UTF-8 by now.
        let text =
            str::from_utf8(envelope.json).map_or_else(|_| String::from_utf8_lossy(envelope.json), Cow::from);
        match self.0 {
            SockjsFraming::Raw => ws::message(dialect, Opcode::Text, text.as_bytes(), encoder, out),
            SockjsFraming::Framed(carrier @ (Carrier::Xhr | Carrier::Jsonp)) => {
                let mut quoted = Vec::with_capacity(text.len() + 2);
                quote_into(&text, &mut quoted);
                carrier.spelling().spell(&quoted, out);
            }
            SockjsFraming::Framed(carrier) => {
                let mut bytes = Vec::with_capacity(text.len() + 8);
                frame::messages([&*text], &mut bytes);
                framed(carrier, dialect, &bytes, encoder, out);
            }
        }
    }

    fn separator(&self) -> &'static [u8] {
        match self.delivery() {
            Delivery::Held => frame::BETWEEN,
            Delivery::Once | Delivery::Stream | Delivery::Duplex(_) => b"",
        }
    }

    fn epilogue(&self, _: Dialect) -> &'static [u8] {
        match self.0 {
            // Close, 1000: the frame before it gives the reason.
            SockjsFraming::Framed(Carrier::WebSocket) | SockjsFraming::Raw => b"\x88\x02\x03\xe8",
            SockjsFraming::Framed(_) => b"",
        }
    }

    /// A heartbeat frame, but a ping on sockets: browsers answer that by themselves.
    fn heartbeat(&self, _: Dialect, _: Position, out: &mut Vec<u8>) {
        match self.0 {
            SockjsFraming::Framed(Carrier::WebSocket) | SockjsFraming::Raw => {
                frame_head(Opcode::Ping, Compressed::No, 0, out);
            }
            // A poll is answered with it, which its front does.
            SockjsFraming::Framed(Carrier::Xhr | Carrier::Jsonp) => {}
            SockjsFraming::Framed(carrier) => carrier.carry("", frame::HEARTBEAT, out),
        }
    }
}

/// Appends a frame as a transport carries it, without what only a response's beginning has.
fn framed(carrier: Carrier, dialect: Dialect, bytes: &[u8], encoder: &Encoder, out: &mut Vec<u8>) {
    match carrier {
        Carrier::WebSocket => ws::message(dialect, Opcode::Text, bytes, encoder, out),
        Carrier::Xhr | Carrier::XhrStreaming | Carrier::EventSource | Carrier::Htmlfile | Carrier::Jsonp => {
            carrier.carry("", bytes, out);
        }
    }
}
