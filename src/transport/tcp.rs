//! A WebSocket for the bytes of one TCP stream: each message is a part of them, whatever its
//! length.

use super::{Delivery, Dialect, Encoder, Envelope, Opening, Through, Transport, TransportRequest};
use crate::base::position::Position;
use crate::wire::refusal::Refusal;
use crate::wire::websocket::{Compressed, Opcode, frame_head};

/// `GET /u/{user}/tcp/{target}`. It has no URL of its own among the transports.
pub(super) struct TcpSocket {
    pub(super) coding: ByteCoding,
}

/// How bytes come in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteCoding {
    /// As binary messages.
    Binary,
    /// As text messages in base64, each by itself (the subprotocol `base64`).
    Base64,
}

impl Transport for TcpSocket {
    fn name(&self) -> &'static str {
        match self.coding {
            ByteCoding::Binary => "tcp",
            ByteCoding::Base64 => "tcp-base64",
        }
    }

    fn delivery(&self) -> Delivery {
        Delivery::Duplex(Through::Upgrade)
    }

    fn has_url(&self) -> bool {
        false
    }

    fn open(&self, _: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        Ok(Opening::of(""))
    }

    /// Nothing: the bytes do not come through the session's log and what
    /// else happens to the stream shows in the WebSocket's end.
    fn encode(&self, _: Dialect, _: &Envelope<'_>, _: &Encoder, _: &mut Vec<u8>) {}

    fn epilogue(&self, _: Dialect) -> &'static [u8] {
        // Close, 1000.
        b"\x88\x02\x03\xe8"
    }

    /// A ping.
    fn heartbeat(&self, _: Dialect, _: Position, out: &mut Vec<u8>) {
        frame_head(Opcode::Ping, Compressed::No, 0, out);
    }
}
