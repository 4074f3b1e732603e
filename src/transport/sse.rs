//! Server-sent events (HTML, section 9.2): each envelope is the data of one unnamed event, with its position as the `id`.

use std::io::Write;

use super::{Delivery, Envelope, Opening, Query, Transport};
use crate::base::position::Position;
use crate::wire::refusal::Refusal;

/// `GET /u/{user}/sse`.
pub(super) struct Sse;

impl Transport for Sse {
    fn name(&self) -> &'static str {
        "sse"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Stream
    }

    fn open(&self, _: &Query<'_>) -> Result<Opening, Refusal> {
        Ok(Opening {
            content_type: "text/event-stream; charset=utf-8",
            preamble: b"retry: 1000\n\n".to_vec(),
        })
    }

    /// The JSON holds no line break, so the event cannot end early.
    fn encode(&self, envelope: &Envelope<'_>, out: &mut Vec<u8>) {
        if let Some(position) = envelope.position {
            id(position, out);
        }
        if let Some(retry) = envelope.retry {
            let _ = writeln!(out, "retry: {}", retry.as_millis());
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(envelope.json);
        out.extend_from_slice(b"\n\n");
    }

    /// An event without data is not dispatched, but its `id` is kept: a reader that has been idle for
    /// hours still resumes from a recent position.
    fn heartbeat(&self, position: Position, out: &mut Vec<u8>) {
        id(position, out);
        out.push(b'\n');
    }
}

fn id(position: Position, out: &mut Vec<u8>) {
    let _ = writeln!(out, "id: {position}");
}
