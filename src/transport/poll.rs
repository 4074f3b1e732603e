//! Polling: what is there now, at once, as one JSON array.

use super::{Delivery, Envelope, Opening, Query, Transport};
use crate::wire::refusal::Refusal;

/// `GET /u/{user}/poll`.
pub(super) struct Poll;

impl Transport for Poll {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Once
    }

    fn open(&self, _: &Query<'_>) -> Result<Opening, Refusal> {
        Ok(Opening { content_type: "application/json; charset=utf-8", preamble: b"[".to_vec() })
    }

    fn encode(&self, envelope: &Envelope<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(envelope.json);
    }

    fn separator(&self) -> &'static [u8] {
        b",\n"
    }

    fn epilogue(&self) -> &'static [u8] {
        b"]\n"
    }
}
