//! WebSocket (RFC 6455): each envelope is one message, and commands arrive as messages.
//!
//! Encodes whole frames, so that all sockets of one dialect share them. `wire` and the shard read
//! frames and do the handshake. Compression (RFC 7692) keeps no context between messages: a message
//! is compressed once for all.

use super::{
    Delivery, Dialect, Encoder, Envelope, Opening, Recipients, Through, Transport, TransportRequest, record,
};
use crate::base::position::Position;
use crate::transport::shared::limits::DEFLATE_BYTES_MIN;
use crate::wire::refusal::Refusal;
use crate::wire::websocket::{Compressed, Compression, Opcode, close_payload, frame_head};

/// `GET /u/{user}/ws`.
pub(super) struct Ws;

/// Payloads of bytes come as binary messages.
const BINARY: u8 = 0x10;

/// The window bits of compressed data, or zero for no compression.
const WINDOW: u8 = 0x0f;

/// The largest window of deflate, which its compressor here always uses.
const WINDOW_MAX: u8 = 15;

impl Transport for Ws {
    fn name(&self) -> &'static str {
        "ws"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Duplex(Through::Upgrade)
    }

    fn open(&self, asked: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        let binary = if asked.flag("binary")? { BINARY } else { 0 };
        Ok(Opening { dialect: Dialect(binary), ..Opening::of("") })
    }

    fn encode(&self, dialect: Dialect, envelope: &Envelope<'_>, encoder: &Encoder, out: &mut Vec<u8>) {
        let dialect = match envelope.audience {
            Recipients::One => compressing(dialect, None),
            Recipients::All => dialect,
        };
        if dialect.0 & BINARY != 0 && envelope.bytes.is_some() {
            let mut bytes = Vec::new();
            record::encode(envelope, &mut bytes);
            return message(dialect, Opcode::Binary, &bytes, encoder, out);
        }
        message(dialect, Opcode::Text, envelope.json, encoder, out);
    }

    fn epilogue(&self, _: Dialect) -> &'static [u8] {
        // Close, 1000: the envelope before it gives the reason.
        b"\x88\x02\x03\xe8"
    }

    /// A ping. Browsers answer it automatically, which shows that the link is alive.
    fn heartbeat(&self, _: Dialect, _: Position, out: &mut Vec<u8>) {
        frame_head(Opcode::Ping, Compressed::No, 0, out);
    }

    /// Unsolicited pongs, which have no effect.
    fn pad(&self, _: Dialect, bytes: usize, out: &mut Vec<u8>) {
        let end = out.len() + bytes;
        while out.len() < end {
            let len = (end - out.len()).saturating_sub(2).min(125);
            frame_head(Opcode::Pong, Compressed::No, len, out);
            out.resize(out.len() + len, 0);
        }
    }
}

/// The dialect of a socket whose client accepts compressed messages with a window of `window_bits`;
/// without compression for `None`.
pub fn compressing(dialect: Dialect, window_bits: Option<u8>) -> Dialect {
    Dialect(dialect.0 & !WINDOW | window_bits.unwrap_or(0).min(WINDOW_MAX))
}

/// Whether the client of a dialect may send compressed messages: if it accepts them.
pub fn compression(dialect: Dialect) -> Compression {
    if dialect.0 & WINDOW == 0 { Compression::Off } else { Compression::Deflate }
}

/// Appends a message, compressed if negotiated and worthwhile.
pub fn message(dialect: Dialect, opcode: Opcode, payload: &[u8], encoder: &Encoder, out: &mut Vec<u8>) {
    let window = dialect.0 & WINDOW;
    // A message no longer than the window cannot refer beyond it.
    let reaches = window >= WINDOW_MAX || payload.len() <= 1 << window;
    if window != 0 && reaches && payload.len() >= DEFLATE_BYTES_MIN {
        let compressed = encoder.deflate(payload);
        if compressed.len() < payload.len() {
            frame_head(opcode, Compressed::Yes, compressed.len(), out);
            return out.extend_from_slice(&compressed);
        }
    }
    frame_head(opcode, Compressed::No, payload.len(), out);
    out.extend_from_slice(payload);
}

/// Appends a control frame; its payload has at most 125 bytes.
pub fn control(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    frame_head(opcode, Compressed::No, payload.len(), out);
    out.extend_from_slice(payload);
}

/// Appends a close frame.
pub fn close(code: u16, reason: &str, out: &mut Vec<u8>) {
    control(Opcode::Close, &close_payload(code, reason), out);
}
