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
        Ok(Opening { content_type: "text/event-stream; charset=utf-8", preamble: Vec::new() })
    }

    fn begin(&self, position: Position, out: &mut Vec<u8>) {
        out.extend_from_slice(TRAP);
        id(position, out);
        out.extend_from_slice(RETRY);
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

/// A trap for half an event.
///
/// `WebKit` keeps what it had of an event when a connection broke, and goes on with it in the next one: the first blank
/// line would dispatch it, torn or doubled. The comment ends the torn line, the name turns what is dispatched into an
/// event that nobody listens for, and the `id` that follows takes back the torn event's. Where nothing was left over, there is no
/// data and so no event.
const TRAP: &[u8] = b":\nevent: torn\n";

/// How soon a browser comes back, in milliseconds. The empty line springs the trap.
const RETRY: &[u8] = b"retry: 1000\n\n";

fn id(position: Position, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    position.write_to(out);
    out.push(b'\n');
}
