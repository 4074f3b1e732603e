//! The responses of the server under test: a head, then a body by length, in chunks, or up to the
//! end (RFC 9112, sections 4, 6 and 7.1).
//!
//! The parser expects valid HTTP/1.1 and reports violations; it is not made for the open network.
//! Bytes may be cut anywhere. All transports share it and give the body its meaning.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Header, Status};
use memchr::{memchr, memmem};

/// The part of a response to which the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParseState {
    Head,
    /// In a chunk's size line, with the size so far.
    Size(u64),
    /// After the size, up to the line's end.
    Extension(u64),
    /// In a chunk's or a body's data, with this many bytes to come.
    Data {
        left: u64,
        chunked: bool,
    },
    /// In the line break after a chunk.
    AfterChunk,
    /// In the lines after the last chunk; whether the current one has content.
    Trailer {
        filled: bool,
    },
    /// Until the connection ends.
    Rest,
    Done,
}

/// Parses a response as its bytes arrive.
#[derive(Debug)]
pub struct Response {
    state: ParseState,
    head: Vec<u8>,
    /// The status, once the head is complete.
    status: Option<u16>,
    /// Whether the head says that the connection ends after this response.
    closes: bool,
    /// Where the head's names and values are, so that it is parsed once.
    fields: Vec<[Range<usize>; 2]>,
}

/// The server broke the protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

/// The connection continues with another protocol, whose bytes are this response's body.
const UPGRADED: u16 = 101;

/// Bytes of the longest accepted head, far more than the servers send.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a server's answer that an error message quotes: enough to identify it.
pub const QUOTED_BYTES_MAX: usize = 120;

/// Most headers of a response or of a multipart part; the servers send about ten.
const HEADERS_MAX: usize = 64;

impl Response {
    /// Before the first byte.
    pub fn new() -> Self {
        Self { state: ParseState::Head, head: Vec::new(), status: None, closes: false, fields: Vec::new() }
    }

    /// Before the first byte of the next response on the same connection.
    pub fn restart(&mut self) {
        self.head.clear();
        self.fields.clear();
        (self.state, self.status, self.closes) = (ParseState::Head, None, false);
    }

    /// Frees the memory of the head: the response will last.
    pub fn forget_head(&mut self) {
        (self.head, self.fields) = (Vec::new(), Vec::new());
    }

    /// The status, once the head is complete.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Whether a first byte has arrived.
    pub fn has_begun(&self) -> bool {
        self.status.is_some() || !self.head.is_empty()
    }

    /// Whether the response is complete.
    pub fn is_done(&self) -> bool {
        self.state == ParseState::Done
    }

    /// Whether the end of the connection properly ends this response.
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.state, ParseState::Rest | ParseState::Done)
    }

    /// Whether the connection can be used again afterwards.
    pub fn keeps_alive(&self) -> bool {
        self.is_done() && !self.closes
    }

    /// A header's value, as long as the head is kept.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let is_it =
            |field: &&[Range<usize>; 2]| self.head[field[0].clone()].eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().find(is_it).map(|[_, value]| &self.head[value.clone()])
    }

    /// Takes bytes and appends those of the body to `body`. Returns how many it took: all, unless
    /// the response ended.
    ///
    /// # Errors
    /// If the bytes are not a response.
    pub fn take(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, Broken> {
        let all = bytes.len();
        while !bytes.is_empty() && self.state != ParseState::Done {
            let used = match self.state {
                ParseState::Head => self.head(bytes)?,
                ParseState::Size(size) => self.size(size, bytes)?,
                ParseState::Extension(size) => self.extension(size, bytes),
                ParseState::Data { left, chunked } => self.data(left, chunked, bytes, body),
                ParseState::AfterChunk => self.after_chunk(bytes)?,
                ParseState::Trailer { filled } => self.trailer(filled, bytes),
                ParseState::Rest => {
                    body.extend_from_slice(bytes);
                    bytes.len()
                }
                ParseState::Done => 0,
            };
            bytes = &bytes[used..];
        }
        Ok(all - bytes.len())
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let from = before.saturating_sub(3);
        let Some(end) = memmem::find(&self.head[from..], b"\r\n\r\n") else {
            return if self.head.len() > HEAD_BYTES_MAX {
                Err(Broken("a response head above 64 KiB"))
            } else {
                Ok(bytes.len())
            };
        };
        let end = from + end + 4;
        self.head.truncate(end);
        let head = Head::parse(&self.head, &mut self.fields)?;
        if (100..200).contains(&head.status) && head.status != UPGRADED {
            // An interim response: the final one follows.
            self.head.clear();
            self.fields.clear();
            return Ok(end - before);
        }
        (self.status, self.state, self.closes) = (Some(head.status), head.body, head.closes);
        Ok(end - before)
    }

    fn size(&mut self, mut size: u64, bytes: &[u8]) -> Result<usize, Broken> {
        for (at, &byte) in bytes.iter().enumerate() {
            match char::from(byte).to_digit(16) {
                Some(digit) => size = size.checked_mul(16).ok_or(Broken("a huge chunk"))? + u64::from(digit),
                None if matches!(byte, b'\r' | b'\n' | b';' | b' ') => {
                    self.state = ParseState::Extension(size);
                    return Ok(at);
                }
                None => return Err(Broken("a chunk size that is no number")),
            }
        }
        self.state = ParseState::Size(size);
        Ok(bytes.len())
    }

    fn extension(&mut self, size: u64, bytes: &[u8]) -> usize {
        let Some(at) = memchr(b'\n', bytes) else { return bytes.len() };
        self.state = match size {
            0 => ParseState::Trailer { filled: false },
            left => ParseState::Data { left, chunked: true },
        };
        at + 1
    }

    fn data(&mut self, left: u64, chunked: bool, bytes: &[u8], body: &mut Vec<u8>) -> usize {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        body.extend_from_slice(&bytes[..take]);
        self.state = match left - take as u64 {
            0 if chunked => ParseState::AfterChunk,
            0 => ParseState::Done,
            left => ParseState::Data { left, chunked },
        };
        take
    }

    fn after_chunk(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        match bytes.iter().position(|&byte| byte != b'\r') {
            Some(at) if bytes[at] == b'\n' => {
                self.state = ParseState::Size(0);
                Ok(at + 1)
            }
            Some(_) => Err(Broken("a chunk longer than its size")),
            None => Ok(bytes.len()),
        }
    }

    fn trailer(&mut self, mut filled: bool, bytes: &[u8]) -> usize {
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\r' => {}
                b'\n' if !filled => {
                    self.state = ParseState::Done;
                    return at + 1;
                }
                b'\n' => filled = false,
                _ => filled = true,
            }
        }
        self.state = ParseState::Trailer { filled };
        bytes.len()
    }
}

/// The properties of the body that the head gives.
struct Head {
    status: u16,
    /// Where the body begins.
    body: ParseState,
    /// Whether the connection ends after this response.
    closes: bool,
}

impl Head {
    /// Parses a complete head and notes where its fields are.
    fn parse(head: &[u8], fields: &mut Vec<[Range<usize>; 2]>) -> Result<Self, Broken> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let status = match response.parse(head) {
            Ok(Status::Complete(_)) => response.code,
            Ok(Status::Partial) | Err(_) => None,
        };
        let status = status.ok_or(Broken("a head that is not HTTP"))?;
        let place = |part: &[u8]| {
            // An empty value need not lie in the head.
            if part.is_empty() {
                return 0..0;
            }
            let start = part.as_ptr().addr() - head.as_ptr().addr();
            start..start + part.len()
        };
        let all = response.headers.iter();
        fields.extend(all.map(|header| [place(header.name.as_bytes()), place(header.value)]));
        let value = |name| value(response.headers, name);
        let body = if matches!(status, 204 | 304) {
            ParseState::Done
        } else if value("transfer-encoding").is_some() {
            ParseState::Size(0)
        } else if let Some(length) = value("content-length") {
            match crate::stamp::number(length).ok_or(Broken("a content length that is not a number"))? {
                0 => ParseState::Done,
                left => ParseState::Data { left, chunked: false },
            }
        } else {
            ParseState::Rest
        };
        let closes = value("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
        Ok(Self { status, body, closes })
    }
}

/// A header's value among header lines that end with an empty line.
pub fn header_of<'a>(lines: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    match httparse::parse_headers(lines, &mut headers) {
        Ok(Status::Complete((_, headers))) => value(headers, name),
        Ok(Status::Partial) | Err(_) => None,
    }
}

fn value<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\nA: b\r\n\r\n";
    const SIZED: &[u8] = b"HTTP/1.1 404 Not Totals\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello";
    const EMPTY: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\nEtag: 7\r\n\r\n";

    #[test]
    fn a_body_is_the_same_wherever_its_bytes_are_torn() {
        let cases = [(CHUNKED, 200, &b"abc0123456789"[..]), (SIZED, 404, b"hello"), (EMPTY, 304, b"")];
        for (bytes, status, expected) in cases {
            for step in 1..=bytes.len() {
                let (mut response, mut body) = (Response::new(), Vec::new());
                for part in bytes.chunks(step) {
                    assert_eq!(response.take(part, &mut body), Ok(part.len()), "{step}");
                }
                assert_eq!((response.status(), response.is_done()), (Some(status), true), "{step}");
                assert_eq!(body, expected, "{step}");
            }
        }
    }

    #[test]
    fn what_follows_a_response_is_left_and_headers_are_found() {
        let (mut response, mut body) = (Response::new(), Vec::new());
        let two = [SIZED, SIZED].concat();
        assert_eq!(response.take(&two, &mut body), Ok(SIZED.len()));
        assert_eq!(response.header("CONTENT-length"), Some(&b"5"[..]));
        assert_eq!((response.header("etag"), response.keeps_alive()), (None, false));
    }

    #[test]
    fn a_body_without_a_length_lasts_until_the_connection_ends() {
        let (mut response, mut body) = (Response::new(), Vec::new());
        response.take(b"HTTP/1.0 200 OK\r\n\r\nabc", &mut body).unwrap();
        assert!(!response.is_done() && response.ends_with_connection());
    }

    #[test]
    fn behind_an_upgrade_all_bytes_are_the_new_protocols() {
        let (mut response, mut body) = (Response::new(), Vec::new());
        response.take(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x81\x00", &mut body).unwrap();
        assert_eq!((response.status(), response.is_done(), &body[..]), (Some(101), false, &b"\x81\x00"[..]));
    }

    #[test]
    fn what_is_no_response_is_noticed() {
        let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n";
        assert!(Response::new().take(chunk, &mut Vec::new()).is_err());
        assert!(Response::new().take(b"HTTP/1.1 two\r\n\r\n", &mut Vec::new()).is_err());
        let endless = vec![b'x'; HEAD_BYTES_MAX + 1];
        assert!(Response::new().take(&endless, &mut Vec::new()).is_err());
    }
}
