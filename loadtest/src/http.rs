//! The responses of the server under test: a head, then a body by length or in chunks (RFC 9112, sections 4 and 7.1).
//!
//! It trusts the server to speak HTTP/1.1 well and complains where it does not; it is not a parser for the open network.

/// Where in a response the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Head,
    /// In a chunk's size line; the size so far.
    Size(u64),
    /// In a chunk's or a body's data, with so much to come.
    Data {
        left: u64,
        chunked: bool,
    },
    /// In the line break behind a chunk.
    AfterChunk,
    /// In the line behind the last chunk.
    Trailer,
    /// Until the connection ends.
    Rest,
    Done,
}

/// Takes a response's bytes as they come.
#[derive(Debug)]
pub struct Response {
    part: Part,
    head: Vec<u8>,
    /// The status, once the head is there.
    status: Option<u16>,
}

/// The server broke the protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

impl Response {
    /// Before the first byte.
    pub fn new() -> Self {
        Self { part: Part::Head, head: Vec::new(), status: None }
    }

    /// The status, once the head is there.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Whether the response is whole.
    pub fn is_done(&self) -> bool {
        self.part == Part::Done
    }

    /// Takes bytes and appends those of the body to `body`. Returns how many it took: all, unless the response ended.
    ///
    /// # Errors
    /// When the bytes are no response.
    pub fn take(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, Broken> {
        let all = bytes.len();
        while !bytes.is_empty() && self.part != Part::Done {
            let used = match self.part {
                Part::Head => self.head(bytes)?,
                Part::Size(size) => self.size(size, bytes)?,
                Part::Data { left, chunked } => self.data(left, chunked, bytes, body),
                Part::AfterChunk => self.after_chunk(bytes)?,
                Part::Trailer => self.trailer(bytes),
                Part::Rest => {
                    body.extend_from_slice(bytes);
                    bytes.len()
                }
                Part::Done => 0,
            };
            bytes = &bytes[used..];
        }
        Ok(all - bytes.len())
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let from = before.saturating_sub(3);
        let Some(end) = memchr::memmem::find(&self.head[from..], b"\r\n\r\n") else { return Ok(bytes.len()) };
        let end = from + end + 4;
        let text = std::str::from_utf8(&self.head[..end]).map_err(|_| Broken("a head that is not text"))?;
        let status = text.get(9..12).and_then(|status| status.parse().ok());
        self.status = Some(status.ok_or(Broken("a head without a status"))?);
        self.part = framing(text)?;
        self.head = Vec::new();
        Ok(end - before)
    }

    fn size(&mut self, mut size: u64, bytes: &[u8]) -> Result<usize, Broken> {
        for (i, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\r' => {}
                b'\n' => {
                    self.part =
                        if size == 0 { Part::Trailer } else { Part::Data { left: size, chunked: true } };
                    return Ok(i + 1);
                }
                _ => {
                    let digit =
                        char::from(byte).to_digit(16).ok_or(Broken("a chunk size that is no number"))?;
                    size = size.checked_mul(16).ok_or(Broken("a huge chunk"))? + u64::from(digit);
                }
            }
        }
        self.part = Part::Size(size);
        Ok(bytes.len())
    }

    fn data(&mut self, left: u64, chunked: bool, bytes: &[u8], body: &mut Vec<u8>) -> usize {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        body.extend_from_slice(&bytes[..take]);
        self.part = match left - take as u64 {
            0 if chunked => Part::AfterChunk,
            0 => Part::Done,
            left => Part::Data { left, chunked },
        };
        take
    }

    fn after_chunk(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        match bytes.iter().position(|&byte| byte != b'\r') {
            Some(at) if bytes[at] == b'\n' => {
                self.part = Part::Size(0);
                Ok(at + 1)
            }
            Some(_) => Err(Broken("a chunk longer than its size")),
            None => Ok(bytes.len()),
        }
    }

    /// The server sends no trailers, so the next line is the empty one.
    fn trailer(&mut self, bytes: &[u8]) -> usize {
        match memchr::memchr(b'\n', bytes) {
            Some(at) => {
                self.part = Part::Done;
                at + 1
            }
            None => bytes.len(),
        }
    }
}

/// How the body is delimited.
fn framing(head: &str) -> Result<Part, Broken> {
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(Part::Size(0));
        }
        if name.eq_ignore_ascii_case("content-length") {
            return match value.trim().parse().map_err(|_| Broken("a length that is no number"))? {
                0 => Ok(Part::Done),
                left => Ok(Part::Data { left, chunked: false }),
            };
        }
    }
    Ok(Part::Rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n";
    const SIZED: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello";

    #[test]
    fn a_body_is_the_same_however_its_bytes_come() {
        for (bytes, status, expected) in [(CHUNKED, 200, &b"abc0123456789"[..]), (SIZED, 404, &b"hello"[..])]
        {
            for step in 1..=bytes.len() {
                let (mut response, mut body) = (Response::new(), Vec::new());
                for part in bytes.chunks(step) {
                    assert_eq!(response.take(part, &mut body), Ok(part.len()));
                }
                assert_eq!((response.status(), response.is_done()), (Some(status), true), "{step}");
                assert_eq!(body, expected, "{step}");
            }
        }
    }

    #[test]
    fn what_follows_a_response_is_left() {
        let (mut response, mut body) = (Response::new(), Vec::new());
        let two = [SIZED, SIZED].concat();
        assert_eq!(response.take(&two, &mut body), Ok(SIZED.len()));
    }

    #[test]
    fn a_chunk_that_is_longer_than_it_says_is_noticed() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n";
        assert!(Response::new().take(bytes, &mut Vec::new()).is_err());
    }
}
