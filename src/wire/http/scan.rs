//! Finds the end of a request head while its bytes arrive, and refuses early what no later byte can mend.
//!
//! Each byte is looked at once however the head is cut into reads: the caller keeps a [`Scanned`]
//! between calls. Violations are found in the order of the bytes, so the verdict does not depend on
//! the cuts either. Does not split headers; `head` does that, once, when the head is complete.

use super::request_line::{self, RequestLine};
use super::{Reject, is_token_byte};

/// Bounds of a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, from its first byte to the empty line's line feed.
    pub bytes_max: usize,
    /// Header lines.
    pub headers_max: usize,
}

/// How far an unfinished head has been looked at. Belongs to a buffer that begins with that head;
/// starting anew from `Scanned::default()` is always correct, only slower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// First byte not looked at.
    at: u32,
    /// Where the line that `at` stands in begins.
    line: u32,
    /// Non-empty lines that have ended: the request line, then headers.
    lines: u16,
}

/// The verdict on the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan<'a> {
    /// No end yet; call again with more bytes and this.
    Partial(Scanned),
    /// `first` starts the head proper, after empty lines; `len` is one past its last byte. The request line is known
    /// unless an earlier call has admitted it.
    Complete { first: usize, request_line: Option<RequestLine<'a>>, len: usize, headers: usize },
}

/// Looks at the bytes of `buf` that `from` has not seen.
pub(super) fn scan<'a>(buf: &'a [u8], from: Scanned, limits: &HeadLimits) -> Result<Scan<'a>, Reject> {
    let window = &buf[..buf.len().min(limits.bytes_max)];
    let (mut at, mut line, mut lines) = (from.at as usize, from.line as usize, from.lines);
    let mut request_line = None;
    let mut first = if lines == 0 { line } else { leading_empty_lines(window) };
    while let Some(end) = line_end(window, at)? {
        let next = end + 2;
        match (&window[line..end], lines) {
            ([], 0) if next > EMPTY_LINES_MAX * 2 => return Err(Reject::EmptyLines),
            ([], 0) => first = next,
            ([], _) => {
                return Ok(Scan::Complete {
                    first,
                    request_line,
                    len: next,
                    headers: usize::from(lines) - 1,
                });
            }
            (text, 0) => {
                request_line = Some(request_line::parse(text)?);
                lines = 1;
            }
            (_, count) if usize::from(count) > limits.headers_max || count == u16::MAX => {
                return Err(Reject::TooManyHeaders { headers_max: limits.headers_max });
            }
            (text, count) => {
                check_header_line(text)?;
                lines = count + 1;
            }
        }
        (at, line) = (next, next);
    }
    if buf.len() >= limits.bytes_max {
        let bytes_max = limits.bytes_max;
        return Err(if lines == 0 {
            Reject::RequestLineTooLong { bytes_max }
        } else {
            Reject::HeadTooLarge { bytes_max }
        });
    }
    // A carriage return at the very end waits, unseen, for its line feed.
    let seen = window.len() - usize::from(window.last() == Some(&b'\r'));
    Ok(Scan::Partial(Scanned { at: seen as u32, line: line as u32, lines }))
}

/// The carriage return of the first CRLF at or after `at`; `None` while it has not come.
fn line_end(window: &[u8], at: usize) -> Result<Option<usize>, Reject> {
    let rest = &window[at..];
    let end = memchr::memchr2(b'\r', b'\n', rest);
    let text = &rest[..end.unwrap_or(rest.len())];
    // All bytes are looked at, without an exit between: so they are looked at many at a time.
    let found = if text.iter().fold(false, |bad, &byte| bad | is_control(byte)) {
        text.iter().position(|&byte| is_control(byte))
    } else {
        end
    };
    let Some(found) = found else { return Ok(None) };
    let found = at + found;
    match (window[found], window.get(found + 1)) {
        (b'\r', Some(b'\n')) => Ok(Some(found)),
        (b'\r', None) => Ok(None),
        (b'\r', Some(_)) => Err(Reject::BareCr),
        (b'\n', _) => Err(Reject::BareLf),
        // The record type of a TLS handshake, where a method should begin.
        (0x16, _) if found == 0 => Err(Reject::TlsOnPlainPort),
        _ => Err(Reject::ControlByte),
    }
}

/// What may stand nowhere in a line (RFC 9110 5.5).
fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Bytes of empty lines at the start of a head of which the request line has been admitted.
fn leading_empty_lines(window: &[u8]) -> usize {
    window.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2
}

/// Names what is wrong with a header line, given without its CRLF.
fn check_header_line(line: &[u8]) -> Result<(), Reject> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Reject::ObsFold);
    }
    let colon = memchr::memchr(b':', line).ok_or(Reject::MissingColon)?;
    match &line[..colon] {
        [] => Err(Reject::EmptyHeaderName),
        [.., b' ' | b'\t'] => Err(Reject::SpaceBeforeColon),
        name if name.iter().all(|&byte| is_token_byte(byte)) => Ok(()),
        _ => Err(Reject::BadHeaderName),
    }
}

/// Empty lines skipped before a request line. RFC 9112 2.2 asks for at least one: old browsers
/// sent a stray CRLF after the body of a POST.
const EMPTY_LINES_MAX: usize = 2;
