//! Polling: the pending messages, at once, as one JSON array.

use super::{Delivery, Dialect, Encoder, Envelope, Opening, Transport, TransportRequest};
use crate::wire::refusal::Refusal;

/// `GET /u/{user}/poll`.
pub(super) struct LongPoll;

impl Transport for LongPoll {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Once
    }

    fn may_compress(&self) -> bool {
        true
    }

    fn open(&self, _: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        Ok(Opening { preamble: b"["[..].into(), ..Opening::of("application/json; charset=utf-8") })
    }

    fn encode(&self, _: Dialect, envelope: &Envelope<'_>, _: &Encoder, out: &mut Vec<u8>) {
        out.extend_from_slice(envelope.json);
    }

    fn separator(&self) -> &'static [u8] {
        b",\n"
    }

    fn epilogue(&self, _: Dialect) -> &'static [u8] {
        b"]\n"
    }
}
