//! Finds the end of a request head while its bytes arrive, and refuses early what no later byte can
//! repair.
//!
//! `httparse` splits a head and judges its lines. This file checks what it accepts: line ends
//! without a carriage return, and the bounds. `httparse` neither reports the broken rule nor
//! continues where it stopped, so this file scans a head that it refuses, or that is cut, line by
//! line, from where the last call stopped. Violations are found in the order of the bytes, so the
//! verdict does not depend on the cuts.

use std::mem::MaybeUninit;

use httparse::{EMPTY_HEADER, Header, Request, Status};

use super::Reject;
use super::request_line::{self, RequestLine};

use crate::wire::limits::EMPTY_LINES_MAX;

/// Bounds of a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, from its first byte to the empty line's line feed.
    pub bytes_max: usize,
    /// Header lines.
    pub headers_max: usize,
}

/// The progress of scanning an incomplete head. It belongs to a buffer that begins with that head;
/// starting again from `Scanned::default()` is always correct, only slower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The first byte that is not scanned.
    at: u32,
    /// The start of the line that contains `at`.
    line: u32,
    /// Non-empty lines that have ended: the request line, then headers.
    lines: u16,
}

/// The verdict on the bytes so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scan<'a> {
    /// No end yet; call again with more bytes and this.
    Partial(Scanned),
    /// A whole head.
    Complete(HeadLines<'a>),
}

/// A head's lines, split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeadLines<'a> {
    pub(super) request_line: RequestLine<'a>,
    /// Names are tokens, unchanged; values have no spaces and tabs around them, and no control byte
    /// but the tab.
    pub(super) headers: Vec<Header<'a>>,
    /// Where the head ends: one past its last byte.
    pub(super) len: usize,
}

/// Scans the bytes of `buf` beyond `from`, and the others again if they complete a head.
pub(super) fn scan<'a>(buf: &'a [u8], from: Scanned, limits: &HeadLimits) -> Result<Scan<'a>, Reject> {
    let window = &buf[..buf.len().min(limits.bytes_max)];
    // Most heads come whole, and without a fault.
    if from == Scanned::default() {
        let mut room = [const { MaybeUninit::uninit() }; HEADERS_USUAL];
        let room = &mut room[..limits.headers_max.min(HEADERS_USUAL)];
        if let Some(lines) = split(window, room) {
            return lines.map(Scan::Complete);
        }
    }
    match admit(window, from, limits)? {
        Admitted::Whole { headers } => {
            let lines = split(window, &mut vec![MaybeUninit::uninit(); headers]);
            // Every line was admitted by the same parser before: it splits all of them together.
            lines.unwrap_or(Err(Reject::BadRequestLine)).map(Scan::Complete)
        }
        Admitted::Part(scanned) if buf.len() < limits.bytes_max => Ok(Scan::Partial(scanned)),
        Admitted::Part(Scanned { lines: 0, .. }) => {
            Err(Reject::RequestLineTooLong { bytes_max: limits.bytes_max })
        }
        Admitted::Part(_) => Err(Reject::HeadTooLarge { bytes_max: limits.bytes_max }),
    }
}

/// Splits a head that is complete and has valid line ends; `None` if it has any fault, except in
/// the target of its request line.
fn split<'a>(
    window: &'a [u8],
    room: &mut [MaybeUninit<Header<'a>>],
) -> Option<Result<HeadLines<'a>, Reject>> {
    let mut request = Request::new(&mut []);
    let Ok(Status::Complete(len)) = request.parse_with_uninit_headers(window, room) else { return None };
    let (method, target, version) = (request.method?, request.path?, request.version?);
    let headers = &*request.headers;
    // A line begins after a line feed, and that after a carriage return: else it was bare.
    let begins = |text: &str| text.as_ptr().addr() - window.as_ptr().addr();
    let is_after_crlf = |header: &Header<'_>| window[..begins(header.name)].ends_with(b"\r\n");
    if !matches!(&window[..begins(method)], b"" | b"\r\n" | b"\r\n\r\n")
        || !headers.iter().all(is_after_crlf)
        || !window[..len].ends_with(b"\r\n\r\n")
    {
        return None;
    }
    let request_line = request_line::read(method, target, version);
    Some(request_line.map(|request_line| HeadLines { request_line, headers: headers.to_vec(), len }))
}

/// The result for lines without a fault.
enum Admitted {
    /// They lack the empty line that ends a head.
    Part(Scanned),
    /// A head with this many headers.
    Whole { headers: usize },
}

/// Judges the lines that `from` has not seen the end of.
fn admit(window: &[u8], from: Scanned, limits: &HeadLimits) -> Result<Admitted, Reject> {
    let (mut at, mut line, mut lines) = (from.at as usize, from.line as usize, from.lines);
    while let Some(next) = line_end(window, at)? {
        match (&window[line..next], lines) {
            (b"\r\n", 0) if next > EMPTY_LINES_MAX * 2 => return Err(Reject::EmptyLines),
            (b"\r\n", 0) => {}
            (b"\r\n", count) => return Ok(Admitted::Whole { headers: usize::from(count) - 1 }),
            (text, 0) => {
                request_line::check(text)?;
                lines = 1;
            }
            (_, count) if usize::from(count) > limits.headers_max || count == u16::MAX => {
                return Err(Reject::TooManyHeaders { headers_max: limits.headers_max });
            }
            (text, count) => {
                check_header(text)?;
                lines = count + 1;
            }
        }
        (at, line) = (next, next);
    }
    // A carriage return at the very end waits, unseen, for its line feed.
    let seen = window.len() - usize::from(window.last() == Some(&b'\r'));
    Ok(Admitted::Part(Scanned { at: seen as u32, line: line as u32, lines }))
}

/// One past the first CRLF at or after `at`; `None` while it has not come.
fn line_end(window: &[u8], at: usize) -> Result<Option<usize>, Reject> {
    let rest = &window[at..];
    let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
    // Without an early exit, so that the compiler can process many bytes at a time.
    if rest[..end].iter().fold(false, |found, &byte| found | is_control(byte)) {
        // The record type of a TLS handshake, where a method should begin.
        let is_tls = window.first() == Some(&0x16);
        return Err(if is_tls { Reject::TlsOnPlainPort } else { Reject::ControlByte });
    }
    match (rest.get(end), rest.get(end + 1)) {
        (None, _) | (Some(b'\r'), None) => Ok(None),
        (Some(b'\r'), Some(b'\n')) => Ok(Some(at + end + 2)),
        (Some(b'\r'), Some(_)) => Err(Reject::BareCr),
        (Some(_), _) => Err(Reject::BareLf),
    }
}

/// Bytes that are allowed nowhere in a line (RFC 9110 5.5).
fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Judges a header line (RFC 9112 5), given with its CRLF.
fn check_header(line: &[u8]) -> Result<(), Reject> {
    // Partial, since no empty line follows it.
    httparse::parse_headers(line, &mut [EMPTY_HEADER]).map(|_| ()).map_err(|_| fault(line))
}

/// Finds the fault of a header line.
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

/// Room for the headers of most requests: browsers send up to some 25.
const HEADERS_USUAL: usize = 32;
