//! Server-sent events (HTML, section 9.2): each envelope is the data of one unnamed event, with its
//! position as the `id`.
//!
//! By default every event has `data:`, because many readers outside browsers deliver every block
//! that ends in an empty line: other fields go as comments, or with the next envelope.
//! `resume=exact` adds what browsers also use: positions between messages, and the [trap](TRAP) for
//! half an event.
//!
//! Clients that accept `application/x-dom-event-stream` get old Opera's dialect: the event is
//! named, and there is neither `id` nor `retry`; its reader finds the position in the envelope.

use std::io::Write;

use super::{Delivery, Dialect, Encoder, Envelope, Opening, Retry, Transport, TransportRequest};
use crate::base::position::Position;
use crate::wire::refusal::{Refusal, Refused};

/// `GET /u/{user}/sse`.
pub(super) struct Sse;

impl Transport for Sse {
    fn name(&self) -> &'static str {
        "sse"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Stream
    }

    /// An `EventSource` gives up on any status but 200.
    fn shows_status(&self) -> bool {
        false
    }

    fn may_compress(&self) -> bool {
        true
    }

    fn open(&self, asked: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        if asked.accepts(OPERA_TYPE) {
            return Ok(Opening { dialect: OPERA, ..Opening::of(OPERA_TYPE) });
        }
        let dialect = match (asked.value("resume"), asked.value("heartbeat")) {
            (None, None) => PLAIN,
            (Some("exact"), None) => EXACT,
            (None, Some("comment")) => BLOCKS,
            (Some("exact"), Some("comment")) => return Err(Refused::HeartbeatOfExact.into()),
            (Some(text), _) if text != "exact" => return Err(Refused::Resume { text }.into()),
            (_, text) => return Err(Refused::Heartbeat { text }.into()),
        };
        Ok(Opening { dialect, ..Opening::of("text/event-stream; charset=utf-8") })
    }

    fn begin(&self, dialect: Dialect, position: Position, out: &mut Vec<u8>) {
        if dialect == OPERA {
            return;
        }
        // Ends the partial line that `WebKit` may have kept of a broken connection.
        out.extend_from_slice(b":\n");
        if dialect == EXACT {
            out.extend_from_slice(TRAP);
            id(position, out);
        }
        out.extend_from_slice(RETRY);
        if dialect == EXACT {
            // Ends the trap's event; else the line belongs to the first envelope's event.
            out.push(b'\n');
        }
    }

    /// The JSON holds no line break, so the event cannot end early.
    fn encode(&self, dialect: Dialect, envelope: &Envelope<'_>, _: &Encoder, out: &mut Vec<u8>) {
        if dialect == OPERA {
            out.extend_from_slice(b"Event: message\ndata: ");
            out.extend_from_slice(envelope.json);
            return out.extend_from_slice(b"\n\n");
        }
        if let Some(position) = envelope.position {
            id(position, out);
        }
        match envelope.retry {
            Retry::Unspecified => {}
            Retry::After(span) => _ = writeln!(out, "retry: {}", span.as_millis()),
            Retry::Never => {
                out.extend_from_slice(b"id: ");
                out.extend_from_slice(OVER.as_bytes());
                out.extend_from_slice(RETRY_NEVER);
            }
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(envelope.json);
        out.extend_from_slice(b"\n\n");
    }

    /// A comment. With `resume=exact` an event without data, which browsers do not dispatch, but
    /// whose `id` they store: a reader that has been idle for hours still resumes from a recent
    /// position.
    fn heartbeat(&self, dialect: Dialect, position: Position, out: &mut Vec<u8>) {
        match dialect {
            OPERA => out.extend_from_slice(b";\n"),
            EXACT => {
                id(position, out);
                out.push(b'\n');
            }
            BLOCKS => out.extend_from_slice(b":\n\n"),
            _ => out.extend_from_slice(b":\n"),
        }
    }

    fn pad(&self, dialect: Dialect, bytes: usize, out: &mut Vec<u8>) {
        out.push(if dialect == OPERA { b';' } else { b':' });
        out.resize(out.len() + bytes, b' ');
        out.push(b'\n');
    }
}

/// The default.
const PLAIN: Dialect = Dialect(0);

/// With events that have an `id` alone.
const EXACT: Dialect = Dialect(2);

/// Heartbeats are comments as in the default, but end with an empty line, for readers that process
/// nothing before one.
const BLOCKS: Dialect = Dialect(3);

/// The `id` of a stream's last event, if the session has ended for good: a browser that reconnects
/// with it gets a 204, which ends its `EventSource`.
pub const OVER: &str = "over";

/// Opera's dialect, whose comments begin with a semicolon.
const OPERA: Dialect = Dialect(1);

const OPERA_TYPE: &str = "application/x-dom-event-stream";

/// A trap for half an event.
///
/// `WebKit` keeps a partial event when a connection breaks, and continues it in the next one: the
/// first blank line would dispatch it, torn or duplicated. The comment ends the torn line, the name
/// makes the dispatched event one without listeners, and the `id` that follows replaces the torn
/// event's. Without a partial event there is no data and so no event.
const TRAP: &[u8] = b"event: torn\n";

/// A browser's reconnect delay, in milliseconds.
const RETRY: &[u8] = b"retry: 1000\n";

/// The end of an `id` line, and a day: a page that stays open that long reconnects once, and gets
/// 204.
const RETRY_NEVER: &[u8] = b"\nretry: 86400000\n";

fn id(position: Position, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    position.write_to(out);
    out.push(b'\n');
}
