//! Server-sent events (HTML, section 9.2): each envelope is the data of one unnamed event, with its position as the `id`.
//!
//! To whom accepts it, old Opera's dialect, `application/x-dom-event-stream`: the event is named, and there is neither `id` nor `retry`;
//! its reader finds the position in the envelope.

use std::io::Write;

use super::{Asked, Delivery, Dialect, Envelope, Opening, Press, Transport};
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

    fn may_compress(&self) -> bool {
        true
    }

    fn open(&self, asked: &Asked<'_>) -> Result<Opening, Refusal> {
        if asked.accepts(OPERA_TYPE) {
            return Ok(Opening { dialect: OPERA, ..Opening::of(OPERA_TYPE) });
        }
        Ok(Opening::of("text/event-stream; charset=utf-8"))
    }

    fn begin(&self, dialect: Dialect, position: Position, out: &mut Vec<u8>) {
        if dialect == OPERA {
            return;
        }
        out.extend_from_slice(TRAP);
        id(position, out);
        out.extend_from_slice(RETRY);
    }

    /// The JSON holds no line break, so the event cannot end early.
    fn encode(&self, dialect: Dialect, envelope: &Envelope<'_>, _: &Press, out: &mut Vec<u8>) {
        if dialect == OPERA {
            out.extend_from_slice(b"Event: message\ndata: ");
            out.extend_from_slice(envelope.json);
            return out.extend_from_slice(b"\n\n");
        }
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
    fn heartbeat(&self, dialect: Dialect, position: Position, out: &mut Vec<u8>) {
        if dialect == OPERA {
            return out.extend_from_slice(b";\n");
        }
        id(position, out);
        out.push(b'\n');
    }

    fn pad(&self, dialect: Dialect, bytes: usize, out: &mut Vec<u8>) {
        out.push(if dialect == OPERA { b';' } else { b':' });
        out.resize(out.len() + bytes, b' ');
        out.push(b'\n');
    }
}

/// Opera's dialect, whose comments begin with a semicolon.
const OPERA: Dialect = Dialect(1);

const OPERA_TYPE: &str = "application/x-dom-event-stream";

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
