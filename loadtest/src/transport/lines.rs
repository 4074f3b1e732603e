//! One message per line: the streams of `fetch` and XHR, and the bodies of polls, whose JSON arrays
//! have one element per line or all in one.
//!
//! The decoder strips the brackets and commas of such an array, so that an element looks the same
//! as in a stream.

use memchr::memchr_iter;

use super::Piece;

pub(super) fn pieces<'a>(bytes: &'a [u8], is_end: bool, each: &mut impl FnMut(Piece<'a>)) -> usize {
    let mut start = 0;
    for newline in memchr_iter(b'\n', bytes) {
        each(piece(&bytes[start..newline]));
        start = newline + 1;
    }
    if is_end && start < bytes.len() {
        each(piece(&bytes[start..]));
        start = bytes.len();
    }
    start
}

fn piece(line: &[u8]) -> Piece<'_> {
    let line = line.trim_ascii();
    let line = line.strip_prefix(b"[{").map_or(line, |rest| &line[line.len() - rest.len() - 1..]);
    let line = line.strip_suffix(b"}]").map_or(line, |rest| &line[..=rest.len()]);
    let line = line.strip_suffix(b"},").map_or(line, |rest| &line[..=rest.len()]);
    Piece { id: &[], data: if line == b"[]" { &[] } else { line } }
}
