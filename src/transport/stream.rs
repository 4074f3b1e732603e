//! XHR and fetch streaming: one JSON envelope a line, empty lines to keep alive.
//!
//! `text/plain` with `nosniff`, which every engine hands on at once; without it Chromium holds back the first kilobyte.

use super::{Delivery, Envelope, Opening, Query, Transport};
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

    fn open(&self, _: &Query<'_>) -> Result<Opening, Refusal> {
        Ok(Opening { content_type: "text/plain; charset=utf-8", preamble: Vec::new() })
    }

    fn encode(&self, envelope: &Envelope<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(envelope.json);
        out.push(b'\n');
    }

    fn heartbeat(&self, _: Position, out: &mut Vec<u8>) {
        out.push(b'\n');
    }
}
