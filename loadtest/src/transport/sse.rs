//! Server-sent events: one line per field, an empty line after each event; lines end in LF or CRLF.
//!
//! An event without data is invisible to a page, but is a heartbeat and may change the position.

use memchr::memchr_iter;

use super::Piece;

pub(super) fn pieces<'a>(bytes: &'a [u8], each: &mut impl FnMut(Piece<'a>)) -> usize {
    let mut event = Event::default();
    let (mut line_start, mut used) = (0, 0);
    for newline in memchr_iter(b'\n', bytes) {
        let line = &bytes[line_start..newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            each(Piece { id: event.id, data: event.data.map_or(&[], |(from, to)| &bytes[from..to]) });
            event = Event::default();
            used = newline + 1;
        } else {
            event.line(line, line_start);
        }
        line_start = newline + 1;
    }
    used
}

/// An event as far as it has arrived.
#[derive(Default)]
struct Event<'a> {
    id: &'a [u8],
    /// From the first line of data to the last, including what is between.
    data: Option<(usize, usize)>,
}

impl<'a> Event<'a> {
    fn line(&mut self, line: &'a [u8], start: usize) {
        if let Some(value) = line.strip_prefix(b"data:") {
            let value_start = start + line.len() - value.strip_prefix(b" ").unwrap_or(value).len();
            let from = self.data.map_or(value_start, |(from, _)| from);
            self.data = Some((from, start + line.len()));
        } else if let Some(value) = line.strip_prefix(b"id:") {
            self.id = value.strip_prefix(b" ").unwrap_or(value);
        }
    }
}
