//! Finds the end of a request head while its bytes arrive, splits it, and refuses early what no
//! later byte can mend.
//!
//! However a head is cut into reads, it is gone over at most twice: the caller keeps a [`Scanned`]
//! between calls, and what came in one read needs no second pass. Violations are found in the order
//! of the bytes, so the verdict does not depend on the cuts either.

use super::request_line::{self, RequestLine};
use super::{Reject, is_token_byte};

/// A header line (RFC 9112 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// A token, as it came.
    pub(super) name: &'a [u8],
    /// Without the spaces and tabs around it; never a control but tab.
    pub(super) value: &'a [u8],
}

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scan<'a> {
    /// No end yet; call again with more bytes and this.
    Partial(Scanned),
    /// `len` is one past the last byte.
    Complete { request_line: RequestLine<'a>, headers: Vec<Header<'a>>, len: usize },
}

/// Looks at the bytes of `buf` that `from` has not seen; at the others again if they complete a
/// head.
pub(super) fn scan<'a>(buf: &'a [u8], from: Scanned, limits: &HeadLimits) -> Result<Scan<'a>, Reject> {
    let window = &buf[..buf.len().min(limits.bytes_max)];
    let (mut at, mut line, mut lines) = (from.at as usize, from.line as usize, from.lines);
    let mut request_line = None;
    let mut headers = Vec::with_capacity(HEADERS_USUAL);
    let mut clean = Clean(at);
    while let Some(end) = line_end(window, at, &mut clean)? {
        let next = end + 2;
        match (&window[line..end], lines) {
            ([], 0) if next > EMPTY_LINES_MAX * 2 => return Err(Reject::EmptyLines),
            ([], 0) => {}
            ([], _) => {
                return match request_line {
                    Some(request_line) => Ok(Scan::Complete { request_line, headers, len: next }),
                    // Its first lines were admitted by an earlier call, but not kept.
                    None => scan(buf, Scanned::default(), limits),
                };
            }
            (text, 0) => {
                request_line = Some(request_line::parse(text)?);
                lines = 1;
            }
            (_, count) if usize::from(count) > limits.headers_max || count == u16::MAX => {
                return Err(Reject::TooManyHeaders { headers_max: limits.headers_max });
            }
            (text, count) => {
                headers.push(header(text)?);
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

/// Where the bytes begin of which it is not known that they are free of what may stand nowhere in a
/// head.
#[derive(Clone, Copy)]
struct Clean(usize);

impl Clean {
    /// Whether all before `end` is free of controls; line ends are not looked at. Looks somewhat
    /// further, which says nothing against what comes before.
    fn reaches(&mut self, end: usize, window: &[u8]) -> bool {
        while self.0 < end {
            // The last stride overlaps the one before it.
            let from = self.0.min(window.len().saturating_sub(STRIDE));
            let Some(stride) = window[from..].first_chunk::<STRIDE>() else { return false };
            // Without an exit between, so that they are looked at many at a time.
            let is_bad = |byte: u8| is_control(byte) && !matches!(byte, b'\r' | b'\n');
            if stride.iter().fold(false, |bad, &byte| bad | is_bad(byte)) {
                return false;
            }
            self.0 = from + STRIDE;
        }
        true
    }
}

/// The carriage return of the first CRLF at or after `at`; `None` while it has not come.
fn line_end(window: &[u8], at: usize, clean: &mut Clean) -> Result<Option<usize>, Reject> {
    let rest = &window[at..];
    let end = memchr::memchr2(b'\r', b'\n', rest);
    if let Some(end) = end.map(|end| at + end)
        && window[end..].starts_with(b"\r\n")
        && clean.reaches(end, window)
    {
        return Ok(Some(end));
    }
    // Not a plain line: what comes first in it decides.
    let text = &rest[..end.unwrap_or(rest.len())];
    let Some(found) = text.iter().position(|&byte| is_control(byte)).or(end) else { return Ok(None) };
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

/// Splits a header line, given without its CRLF.
fn header(line: &[u8]) -> Result<Header<'_>, Reject> {
    let colon = line.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(line.len());
    match (&line[..colon], line.get(colon)) {
        (name @ [_, ..], Some(b':')) => Ok(Header { name, value: line[colon + 1..].trim_ascii() }),
        _ => Err(fault(line)),
    }
}

/// Names what is wrong with a header line.
fn fault(line: &[u8]) -> Reject {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Reject::ObsFold;
    }
    match memchr::memchr(b':', line).map(|colon| &line[..colon]) {
        None => Reject::MissingColon,
        Some([]) => Reject::EmptyHeaderName,
        Some([.., b' ' | b'\t']) => Reject::SpaceBeforeColon,
        Some(_) => Reject::BadHeaderName,
    }
}

/// Bytes that are looked at together.
const STRIDE: usize = 64;

/// Room for the headers of most requests.
const HEADERS_USUAL: usize = 16;

/// Empty lines skipped before a request line. RFC 9112 2.2 asks for at least one: old browsers
/// sent a stray CRLF after the body of a POST.
const EMPTY_LINES_MAX: usize = 2;
