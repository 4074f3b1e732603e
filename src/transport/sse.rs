//! Server-sent events (HTML, section 9.2): each envelope is the data of one unnamed event, with its
//! position as the `id`.
//!
//! By default no event is without `data:`, since many readers that are no browsers hand on every
//! block that ends in an empty line: what is not an envelope's goes as comments, or with the next
//! envelope. `resume=exact` brings what browsers make use of beyond that: positions between
//! messages, and the [trap](TRAP) for half an event.
//!
//! To whom accepts it, old Opera's dialect, `application/x-dom-event-stream`: the event is named,
//! and there is neither `id` nor `retry`; its reader finds the position in the envelope.

use std::io::Write;

use super::{Asked, Delivery, Dialect, Envelope, Opening, Press, Retry, Transport};
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
        let refused = |reason: String| Err(Refusal::new(400, "bad-query", reason));
        let dialect = match (asked.value("resume"), asked.value("heartbeat")) {
            (None, None) => PLAIN,
            (Some("exact"), None) => EXACT,
            (None, Some("comment")) => BLOCKS,
            (Some("exact"), Some("comment")) => {
                return refused("resume=exact has its own heartbeats; leave out heartbeat".into());
            }
            (Some(other), _) if other != "exact" => {
                return refused(format!("resume is {other:?}; exact is allowed, or nothing"));
            }
            (_, other) => return refused(format!("heartbeat is {other:?}; comment is allowed, or nothing")),
        };
        Ok(Opening { dialect, ..Opening::of("text/event-stream; charset=utf-8") })
    }

    fn begin(&self, dialect: Dialect, position: Position, out: &mut Vec<u8>) {
        if dialect == OPERA {
            return;
        }
        // It ends the line that `WebKit` may have left of a broken connection.
        out.extend_from_slice(b":\n");
        if dialect == EXACT {
            out.extend_from_slice(TRAP);
            id(position, out);
        }
        out.extend_from_slice(RETRY);
        if dialect == EXACT {
            // The trap is sprung; else the line belongs to the first envelope's event.
            out.push(b'\n');
        }
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
        match envelope.retry {
            Retry::Unsaid => {}
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
    /// whose `id` they keep: a reader that has been idle for hours still resumes from a recent
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

/// Heartbeats are comments as in the default, but end with an empty line, for readers that look at
/// nothing before one.
const BLOCKS: Dialect = Dialect(3);

/// The `id` of a stream's last event, when the session is over for good: a browser that comes back
/// with it is told by a 204 to stay away.
pub const OVER: &str = "over";

/// Opera's dialect, whose comments begin with a semicolon.
const OPERA: Dialect = Dialect(1);

const OPERA_TYPE: &str = "application/x-dom-event-stream";

/// A trap for half an event.
///
/// `WebKit` keeps what it had of an event when a connection broke, and goes on with it in the next
/// one: the first blank line would dispatch it, torn or doubled. The comment ends the torn line,
/// the name turns what is dispatched into an event that nobody listens for, and the `id` that
/// follows takes back the torn event's. Where nothing was left over, there is no data and so no
/// event.
const TRAP: &[u8] = b"event: torn\n";

/// How soon a browser comes back, in milliseconds.
const RETRY: &[u8] = b"retry: 1000\n";

/// The end of an `id`'s line, and a day: a page that a browser keeps for so long asks once more,
/// and is told 204.
const RETRY_NEVER: &[u8] = b"\nretry: 86400000\n";

fn id(position: Position, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    position.write_to(out);
    out.push(b'\n');
}
