//! A client's parser of HTTP/1.x responses (RFC 9112), written independently of the server.
//!
//! It is strict: what a lenient client accepts is an error here, since some other client will not.

/// One piece of a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Head { status: u16, headers: Headers },
    Body(Vec<u8>),
    Done,
}

/// The fields of a response, names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    /// The value of a field that may come once.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(key, _)| key == name);
        let first = values.next()?;
        values.next().is_none().then_some(first.1.as_str())
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        let all = self.0.iter().filter(|(key, _)| key == name);
        all.flat_map(|(_, value)| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    /// Whether the connection ends with this response.
    pub(crate) fn closes(&self) -> bool {
        self.has_token("connection", "close")
    }
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Length(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    Trailer,
    UntilClose,
}

/// Reads the responses of one connection.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    state: State,
}

const HEAD_MAX: usize = 16 * 1024;

impl Reader {
    /// For a connection without HTTP.
    pub(crate) fn raw() -> Self {
        Self { buffer: Vec::new(), state: State::UntilClose }
    }

    /// Takes bytes; `wants_body` says whether the response whose head is parsed now may have a body
    /// (not after HEAD).
    pub(crate) fn feed(&mut self, bytes: &[u8], wants_body: bool) -> Result<Vec<Piece>, String> {
        self.buffer.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        // One response at a time: the caller decides again before the next head.
        while !matches!(pieces.last(), Some(Piece::Done)) && self.step(&mut pieces, wants_body)? {}
        Ok(pieces)
    }

    /// Whether bytes are left that belong to no response.
    pub(crate) fn has_rest(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The connection ended: returns the last piece, or the error if it must not end here. After a
    /// half-close the client sees the end of a stream only by FIN, between chunks.
    pub(crate) fn end(&mut self, halved: bool) -> Result<Option<Piece>, String> {
        match std::mem::take(&mut self.state) {
            State::UntilClose => Ok(Some(Piece::Done)),
            State::Head if self.buffer.is_empty() => Ok(None),
            State::ChunkSize if halved && self.buffer.is_empty() => Ok(Some(Piece::Done)),
            state => Err(format!("the connection ended within a response: {state:?}")),
        }
    }

    /// Whether a response has begun and is incomplete.
    pub(crate) fn is_amid(&self) -> bool {
        !matches!(self.state, State::Head) || !self.buffer.is_empty()
    }

    fn step(&mut self, pieces: &mut Vec<Piece>, wants_body: bool) -> Result<bool, String> {
        match self.state {
            State::Head => self.head(pieces, wants_body),
            State::Length(left) => Ok(self.some(pieces, left, State::Length)),
            State::Chunk(left) => Ok(self.some(pieces, left, State::Chunk)),
            State::ChunkSize => self.chunk_size(),
            State::ChunkEnd => {
                let Some(line) = self.line()? else { return Ok(false) };
                self.state = State::ChunkSize;
                if line.is_empty() {
                    Ok(true)
                } else {
                    Err(format!("a chunk is longer than it said: {line:?}"))
                }
            }
            State::Trailer => {
                let Some(line) = self.line()? else { return Ok(false) };
                if !line.is_empty() {
                    return Err(format!("a trailer: {line:?}"));
                }
                self.state = State::Head;
                pieces.push(Piece::Done);
                Ok(true)
            }
            State::UntilClose => {
                let some = !self.buffer.is_empty();
                if some {
                    pieces.push(Piece::Body(std::mem::take(&mut self.buffer)));
                }
                Ok(some)
            }
        }
    }

    fn some(&mut self, pieces: &mut Vec<Piece>, left: usize, next: fn(usize) -> State) -> bool {
        let count = left.min(self.buffer.len());
        if count == 0 {
            return false;
        }
        let rest = self.buffer.split_off(count);
        pieces.push(Piece::Body(std::mem::replace(&mut self.buffer, rest)));
        self.state = next(left - count);
        if left == count {
            self.state = if let State::Chunk(_) = self.state {
                State::ChunkEnd
            } else {
                pieces.push(Piece::Done);
                State::Head
            };
        }
        true
    }

    fn chunk_size(&mut self) -> Result<bool, String> {
        let Some(line) = self.line()? else { return Ok(false) };
        let well_formed = !line.is_empty() && line.len() <= 8 && line.bytes().all(|b| b.is_ascii_hexdigit());
        let size = usize::from_str_radix(&line, 16).ok().filter(|_| well_formed);
        match size {
            None => Err(format!("a chunk size: {line:?}")),
            Some(0) => {
                self.state = State::Trailer;
                Ok(true)
            }
            Some(size) => {
                self.state = State::Chunk(size);
                Ok(true)
            }
        }
    }

    /// A line that ends in CR LF, without it.
    fn line(&mut self) -> Result<Option<String>, String> {
        let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n") else {
            return if self.buffer.len() > 64 { Err("a line without end".to_owned()) } else { Ok(None) };
        };
        let line = self.buffer.drain(..end + 2).take(end).collect();
        String::from_utf8(line).map(Some).map_err(|error| error.to_string())
    }

    fn head(&mut self, pieces: &mut Vec<Piece>, wants_body: bool) -> Result<bool, String> {
        let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") else {
            return if self.buffer.len() > HEAD_MAX {
                Err("a head without end".to_owned())
            } else {
                Ok(false)
            };
        };
        let head = std::str::from_utf8(&self.buffer[..end]).map_err(|error| error.to_string())?;
        let (status, headers) = parse_head(head)?;
        self.buffer.drain(..end + 4);
        if status == 101 {
            if !headers.has_token("connection", "upgrade") || length_of(&headers)?.is_some() {
                return Err(format!("an upgrade: {headers:?}"));
            }
            self.state = State::UntilClose;
            pieces.push(Piece::Head { status, headers });
            return Ok(true);
        }
        if (100..200).contains(&status) {
            return if status == 100 { Ok(true) } else { Err(format!("an interim {status}")) };
        }
        let length = length_of(&headers)?;
        let chunked = headers.has_token("transfer-encoding", "chunked");
        if chunked && length.is_some() {
            return Err("both lengths".to_owned());
        }
        let bodiless = !wants_body || status == 204 || status == 304 || length == Some(0);
        self.state = match length {
            _ if bodiless => State::Head,
            _ if chunked => State::ChunkSize,
            Some(length) => State::Length(length),
            None => State::UntilClose,
        };
        if matches!(self.state, State::UntilClose) && !headers.closes() {
            return Err("a body without length on a connection that says it will stay".to_owned());
        }
        pieces.push(Piece::Head { status, headers });
        if bodiless {
            pieces.push(Piece::Done);
        }
        Ok(true)
    }
}

fn length_of(headers: &Headers) -> Result<Option<usize>, String> {
    if !headers.0.iter().any(|(key, _)| key == "content-length") {
        return Ok(None);
    }
    let text = headers.one("content-length").ok_or("two lengths")?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(Some).ok_or_else(|| format!("length {text:?}"))
}

fn parse_head(head: &str) -> Result<(u16, Headers), String> {
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default();
    let status = start.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("a status line: {start:?}"))?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("a field: {line:?}"))?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if name.is_empty() || !name.bytes().all(token) || value.bytes().any(|b| b < 0x20) {
            return Err(format!("a field: {line:?}"));
        }
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok((status, Headers(headers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], step: usize) -> Vec<Piece> {
        let mut reader = Reader::default();
        let mut pieces: Vec<Piece> = Vec::new();
        for part in bytes.chunks(step) {
            pieces.extend(reader.feed(part, true).unwrap());
        }
        pieces
    }

    #[test]
    fn chunks_come_out_whole_however_they_came() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for step in 1..bytes.len() {
            let body: Vec<u8> = read(bytes, step)
                .into_iter()
                .flat_map(|piece| if let Piece::Body(bytes) = piece { bytes } else { Vec::new() })
                .collect();
            assert_eq!(body, b"abcde", "{step}");
        }
    }

    #[test]
    fn a_response_that_breaks_off_is_no_response() {
        let mut reader = Reader::default();
        reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", true).unwrap();
        assert!(reader.end(false).is_err());
    }
}
