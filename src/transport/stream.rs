//! XHR and fetch streaming: one JSON envelope per line, empty lines as heartbeats.
//!
//! `text/plain` with `nosniff`, which every engine delivers at once; without it Chromium buffers
//! the first kilobyte. Clients that accept `application/octet-stream` get records with raw
//! payloads, each preceded by its length in 32 bits (big-endian); a length of zero is a heartbeat.

use super::{Delivery, Dialect, Encoder, Envelope, Opening, Transport, TransportRequest, record};
use crate::base::position::Position;
use crate::wire::refusal::Refusal;

/// `GET /u/{user}/stream`.
pub(super) struct Stream;

impl Transport for Stream {
    fn name(&self) -> &'static str {
        "stream"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Stream
    }

    fn may_compress(&self) -> bool {
        true
    }

    fn open(&self, asked: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        if asked.accepts(BINARY_TYPE) {
            return Ok(Opening { dialect: BINARY, ..Opening::of(BINARY_TYPE) });
        }
        Ok(Opening::of("text/plain; charset=utf-8"))
    }

    fn encode(&self, dialect: Dialect, envelope: &Envelope<'_>, _: &Encoder, out: &mut Vec<u8>) {
        if dialect == BINARY {
            let start = out.len();
            out.extend_from_slice(&[0; LENGTH_BYTES]);
            record::encode(envelope, out);
            let len = (out.len() - start - LENGTH_BYTES) as u32;
            return out[start..start + LENGTH_BYTES].copy_from_slice(&len.to_be_bytes());
        }
        out.extend_from_slice(envelope.json);
        out.push(b'\n');
    }

    fn heartbeat(&self, dialect: Dialect, _: Position, out: &mut Vec<u8>) {
        out.extend_from_slice(if dialect == BINARY { &[0; LENGTH_BYTES] } else { b"\n" });
    }

    /// Empty records, or a line of blanks.
    fn pad(&self, dialect: Dialect, bytes: usize, out: &mut Vec<u8>) {
        if dialect == BINARY {
            return out.resize(out.len() + bytes.next_multiple_of(LENGTH_BYTES), 0);
        }
        out.resize(out.len() + bytes, b' ');
        out.push(b'\n');
    }
}

/// Records instead of lines.
const BINARY: Dialect = Dialect(1);

const BINARY_TYPE: &str = "application/octet-stream";

const LENGTH_BYTES: usize = 4;
