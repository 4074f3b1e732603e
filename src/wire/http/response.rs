//! Writes response heads, chunk framing and error bodies.
//!
//! It sends no `Date`: this layer has no clock, and RFC 9110 6.6.1 lets a server without one omit
//! it. Invariant: no value can end a line early, so none, whatever its source, can forge a header
//! or a response.

use std::borrow::Cow;
use std::io::Write as _;

use super::head::KeepAlive;
use super::{Reject, Version};
use crate::wire::json;

/// The interim answer to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Follows the data of each chunk.
pub const CHUNK_TAIL: &[u8] = b"\r\n";

/// Ends a chunked body: the last chunk, no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A header's name and its value, which is constant as a rule: a held poll keeps the headers of its
/// answer.
pub type Header = (&'static str, Cow<'static, str>);

/// How a response marks the end of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// `Content-Length`. For a HEAD request this is the length that a GET would have had.
    Length(usize),
    /// Chunks; for HTTP/1.1 only. See [`ResponseFraming::stream`].
    Chunked,
    /// The body ends when the connection closes.
    UntilClose,
    /// There can be no body: 1xx, 204, 304.
    Bodiless,
}

impl ResponseFraming {
    /// How to frame a body of unknown length for a client of this version.
    pub fn stream(version: Version) -> Self {
        match version {
            Version::Http10 => Self::UntilClose,
            Version::Http11 => Self::Chunked,
        }
    }
}

/// A response head being written. Nothing is complete before [`ResponseHead::finish`].
#[derive(Debug)]
#[must_use = "a head without `finish` has no end"]
pub struct ResponseHead<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> ResponseHead<'o> {
    /// Begins with the status line. The version is always 1.1, which RFC 9110 6.2 requires even for
    /// clients of 1.0.
    pub fn start(out: &'o mut Vec<u8>, status: u16) -> Self {
        debug_assert!((100..1000).contains(&status), "a status has three digits");
        match status {
            200 => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
            _ => write_all(out, format_args!("HTTP/1.1 {status:03} {}\r\n", reason_phrase(status))),
        }
        Self { out }
    }

    /// Adds a header. Control bytes in the value become spaces; a name must be a token, and no peer
    /// chooses it.
    pub fn header(self, name: &'static str, value: &str) -> Self {
        debug_assert!(
            name.bytes().all(super::is_token_byte) && !name.is_empty(),
            "{name:?} is not a header name"
        );
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        let start = self.out.len();
        self.out.extend_from_slice(value.as_bytes());
        // Without a branch, so that the compiler can process many bytes at a time.
        for byte in &mut self.out[start..] {
            *byte = if byte.is_ascii_control() { b' ' } else { *byte };
        }
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds a header if there is a value for it.
    pub fn header_if(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Ends the head: framing, persistence, the empty line. Returns whether the connection stays
    /// open; it closes also if only closing can end the body.
    pub fn finish(self, version: Version, keep_alive: KeepAlive, framing: ResponseFraming) -> KeepAlive {
        let framing = match (framing, version) {
            (ResponseFraming::Chunked, Version::Http10) => ResponseFraming::UntilClose,
            (framing, _) => framing,
        };
        match framing {
            ResponseFraming::Length(len) => {
                self.out.extend_from_slice(b"Content-Length: ");
                self.out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
            ResponseFraming::Chunked => self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            ResponseFraming::UntilClose | ResponseFraming::Bodiless => {}
        }
        let keep_alive = if framing == ResponseFraming::UntilClose { KeepAlive::Close } else { keep_alive };
        self.out.extend_from_slice(match (keep_alive, version) {
            (KeepAlive::Close, _) => b"Connection: close\r\n\r\n",
            (KeepAlive::Keep, Version::Http10) => b"Connection: keep-alive\r\n\r\n",
            (KeepAlive::Keep, Version::Http11) => b"\r\n",
        });
        keep_alive
    }

    /// Ends the head of a 101: the connection switches to `protocol`.
    pub fn switch(self, protocol: &str) {
        let head = self.header("Upgrade", protocol);
        head.out.extend_from_slice(b"Connection: Upgrade\r\n\r\n");
    }
}

/// Writes the size line of a chunk. `len` must not be zero: that would end the body.
pub fn chunk_head(len: usize, out: &mut Vec<u8>) {
    assert!(len > 0, "an empty chunk would end the body");
    let mut digits = [0; HEX_DIGITS_MAX];
    let mut start = digits.len();
    let mut rest = len;
    while rest > 0 {
        start -= 1;
        digits[start] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    out.extend_from_slice(&digits[start..]);
    out.extend_from_slice(b"\r\n");
}

/// Hexadecimal digits of the longest chunk's size.
const HEX_DIGITS_MAX: usize = usize::BITS as usize / 4;

/// The JSON body of an error: `{"error":{"code":…,"reason":…}}` and a line feed.
pub fn error_body(code: &str, reason: &str) -> Vec<u8> {
    let mut body = b"{\"error\":{\"code\":".to_vec();
    json::escape_into(code, &mut body);
    body.extend_from_slice(b",\"reason\":");
    json::escape_into(reason, &mut body);
    body.extend_from_slice(b"}}\n");
    body
}

/// Writes a whole response to a request that was refused on the wire. The connection must close
/// after it.
pub fn refuse(reject: Reject, out: &mut Vec<u8>) {
    let body = error_body(reject.code().text(), &reject.reason());
    let head = ResponseHead::start(out, reject.code().status())
        .header("Content-Type", "application/json")
        .header("Cache-Control", "no-store");
    head.finish(Version::Http11, KeepAlive::Close, ResponseFraming::Length(body.len()));
    out.extend_from_slice(&body);
}

/// The phrase after a status; empty, which RFC 9112 4 allows, if there is none.
fn reason_phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

/// Writing to memory cannot fail.
fn write_all(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "a Vec takes all that is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(build: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        build(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_counted_response_stays_open() {
        let text = head(|out| {
            let kept = ResponseHead::start(out, 200).header("Content-Type", "text/plain").finish(
                Version::Http11,
                KeepAlive::Keep,
                ResponseFraming::Length(5),
            );
            assert_eq!(kept, KeepAlive::Keep);
        });
        assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n");
    }

    #[test]
    fn http10_gets_no_chunks_and_a_close() {
        let text = head(|out| {
            let kept = ResponseHead::start(out, 200).finish(
                Version::Http10,
                KeepAlive::Keep,
                ResponseFraming::Chunked,
            );
            assert_eq!(kept, KeepAlive::Close);
        });
        assert_eq!(text, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        assert_eq!(ResponseFraming::stream(Version::Http10), ResponseFraming::UntilClose);
    }

    #[test]
    fn an_http10_response_says_keep_alive() {
        let text = head(|out| {
            ResponseHead::start(out, 304).finish(Version::Http10, KeepAlive::Keep, ResponseFraming::Bodiless);
        });
        assert_eq!(text, "HTTP/1.1 304 Not Modified\r\nConnection: keep-alive\r\n\r\n");
    }

    #[test]
    fn a_value_cannot_forge_a_header() {
        let text = head(|out| {
            ResponseHead::start(out, 200).header("A", "x\r\nSet-Cookie: y\n\0").finish(
                Version::Http11,
                KeepAlive::Close,
                ResponseFraming::Chunked,
            );
        });
        assert!(text.contains("A: x  Set-Cookie: y  \r\n"), "{text:?}");
        assert_eq!(text.matches("\r\n").count(), 5, "{text:?}");
    }

    #[test]
    fn a_switch_has_no_body_and_no_length() {
        let text = head(|out| ResponseHead::start(out, 101).switch("websocket"));
        assert_eq!(
            text,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        );
    }

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        assert_eq!(head(|out| chunk_head(26, out)), "1a\r\n");
    }

    #[test]
    #[should_panic(expected = "end the body")]
    fn an_empty_chunk_is_a_mistake_of_the_caller() {
        chunk_head(0, &mut Vec::new());
    }

    #[test]
    fn a_refusal_is_one_whole_response() {
        let text = head(|out| refuse(Reject::HeadTooLarge { bytes_max: 99 }, out));
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        assert!(head.ends_with("Connection: close"), "{head}");
        assert_eq!(
            body,
            "{\"error\":{\"code\":\"head-too-large\",\"reason\":\"the request head is too long; it may have 99 bytes\"}}\n"
        );
    }

    #[test]
    fn error_bodies_are_escaped() {
        let body = error_body("x", "a\"b\nc");
        let value: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(value["error"]["reason"], "a\"b\nc");
        assert_eq!(memchr::memchr_iter(b'\n', &body).count(), 1, "one line");
    }
}
