//! One connection of a strict HTTP/1.1 client: it reads line by line, and panics at whatever the
//! grammar does not allow.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::node::PATIENCE;

trait Socket: Read + Write + Send {
    fn wait_at_most(&self, time: Duration);

    /// The same socket, for a thread that writes.
    fn twin(&self) -> Box<dyn Socket>;
}

impl Socket for TcpStream {
    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).expect("the time is not zero");
    }

    fn twin(&self) -> Box<dyn Socket> {
        Box::new(self.try_clone().expect("a descriptor"))
    }
}

impl Socket for UnixStream {
    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).expect("the time is not zero");
    }

    fn twin(&self) -> Box<dyn Socket> {
        Box::new(self.try_clone().expect("a descriptor"))
    }
}

/// A connection.
pub(crate) struct Conn {
    socket: Box<dyn Socket>,
    /// Received bytes that are not parsed yet.
    buffer: Vec<u8>,
    /// The client's own address, as the node sees it.
    pub(crate) local: Option<SocketAddr>,
}

/// A response's head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) version: String,
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Conn {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&address, PATIENCE).expect("the node listens");
        socket.set_nodelay(true).expect("a socket");
        let local = socket.local_addr().ok();
        Self::over(Box::new(socket), local)
    }

    pub(crate) fn to_unix(path: &str) -> Self {
        Self::over(Box::new(UnixStream::connect(path).expect("the node listens")), None)
    }

    /// The same connection, for a thread that only sends.
    pub(crate) fn twin(&self) -> Self {
        Self { socket: self.socket.twin(), buffer: Vec::new(), local: self.local }
    }

    fn over(socket: Box<dyn Socket>, local: Option<SocketAddr>) -> Self {
        socket.wait_at_most(PATIENCE);
        Self { socket, buffer: Vec::new(), local }
    }

    /// Sends bytes unchanged. The node may have closed meanwhile; its earlier output can still be
    /// read.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        match self.socket.write_all(bytes.as_ref()) {
            Err(error) if !is_broken(error.kind()) => panic!("writing: {error}"),
            Ok(()) | Err(_) => self,
        }
    }

    /// Sends bytes one at a time, each in its own packet.
    pub(crate) fn trickle(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        for byte in bytes.as_ref().chunks(1) {
            self.send(byte);
        }
        self
    }

    /// One request and its response.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.request(method, target, headers, body);
        if method == "HEAD" { self.response_to_head() } else { self.response() }
    }

    pub(crate) fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> &mut Self {
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            bytes += &[name, ": ", value, "\r\n"].concat();
        }
        if !body.is_empty() || method == "POST" {
            bytes += &["Content-Length: ", &body.len().to_string(), "\r\n"].concat();
        }
        self.send([bytes.as_bytes(), b"\r\n", body].concat())
    }

    /// The next whole response that is not an interim one.
    pub(crate) fn response(&mut self) -> Response {
        let head = self.head();
        let body = if (100..200).contains(&head.status) || matches!(head.status, 204 | 304) {
            Vec::new()
        } else if head.is_chunked() {
            self.chunked()
        } else if let Some(length) = head.header("content-length") {
            self.take(length.parse().expect("a number"))
        } else {
            assert!(head.closes(), "a body without an end on a connection that stays: {head:?}");
            self.rest()
        };
        Response { status: head.status, head, body }
    }

    /// A response to `HEAD`: no body, whatever its head says.
    pub(crate) fn response_to_head(&mut self) -> Response {
        let head = self.head();
        Response { status: head.status, head, body: Vec::new() }
    }

    pub(crate) fn head(&mut self) -> Head {
        let line = self.line();
        let mut parts = line.splitn(3, ' ');
        let version = parts.next().unwrap_or_default().to_owned();
        assert!(version == "HTTP/1.1" || version == "HTTP/1.0", "a status line, not {line:?}");
        let status = parts.next().and_then(|digits| digits.parse().ok()).expect("a status");
        assert!(parts.next().is_some_and(|phrase| !phrase.is_empty()), "a reason phrase in {line:?}");
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return Head { version, status, headers };
            }
            let (name, value) = line.split_once(':').expect("a header has a colon");
            assert!(!name.is_empty() && !name.contains([' ', '\t']), "the header {line:?}");
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// One chunk; `None` for the last, whose trailers are read too.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.line();
        let size = usize::from_str_radix(&line, 16).expect("a chunk's size");
        if size == 0 {
            assert_eq!(self.line(), "", "no trailers");
            return None;
        }
        let data = self.take(size);
        assert_eq!(self.line(), "", "a chunk ends where its size says");
        Some(data)
    }

    fn chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk() {
            body.extend(chunk);
        }
        body
    }

    /// A line that ends in CRLF, without it.
    pub(crate) fn line(&mut self) -> String {
        let end = loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                break end;
            }
            assert!(self.more(), "the connection ended in a line: {:?}", lossy(&self.buffer));
        };
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let text = String::from_utf8(line[..end].to_vec()).expect("UTF-8");
        assert!(!text.contains(['\r', '\n']), "a bare line end in {text:?}");
        text
    }

    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.more(), "the connection ended {} bytes early", count - self.buffer.len());
        }
        self.buffer.drain(..count).collect()
    }

    /// The received bytes, or else the next ones; empty at the end of the connection.
    pub(crate) fn some(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            self.more();
        }
        std::mem::take(&mut self.buffer)
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.buffer)
    }

    /// Asserts that the node sends no more bytes and closes.
    pub(crate) fn assert_closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "more than was expected: {:?}", lossy(&rest));
    }

    /// Asserts that nothing arrives within this time.
    pub(crate) fn assert_silent(&mut self, time: Duration) {
        assert!(self.buffer.is_empty(), "something has come: {:?}", lossy(&self.buffer));
        assert!(!self.something_within(time), "something has come: {:?}", lossy(&self.buffer));
    }

    /// Whether anything arrives within this time; the end of the connection counts.
    pub(crate) fn something_within(&mut self, time: Duration) -> bool {
        self.socket.wait_at_most(time);
        let mut bytes = [0; 1024];
        let read = self.socket.read(&mut bytes);
        self.socket.wait_at_most(PATIENCE);
        match read {
            Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(error) => assert!(is_broken(error.kind()), "{error}"),
        }
        true
    }

    /// Reads once; returns whether anything arrived. A reset counts as the end.
    fn more(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        match self.socket.read(&mut bytes) {
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                assert!(self.buffer.len() < ENDLESS, "the node talks without end");
                count > 0
            }
            Err(error) if is_broken(error.kind()) => false,
            Err(error) => panic!("nothing comes ({error}); so far: {:?}", lossy(&self.buffer)),
        }
    }
}

impl Head {
    /// A header that occurs at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let first = found.next();
        assert!(found.next().is_none(), "{name} stands twice: {self:?}");
        first
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }

    /// Whether the connection ends with this response.
    pub(crate) fn closes(&self) -> bool {
        match self.header("connection") {
            Some(connection) => connection.eq_ignore_ascii_case("close"),
            None => self.version == "HTTP/1.0",
        }
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", lossy(&self.body)))
    }

    /// The envelopes of a poll.
    #[track_caller]
    pub(crate) fn envelopes(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", lossy(&self.body));
        self.json().as_array().expect("an array").clone()
    }

    /// The sum of a metric's samples on the page of `/metrics`.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> u64 {
        assert_eq!(self.status, 200, "{}", lossy(&self.body));
        let of_it = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
        };
        let sample = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok());
        self.text().lines().filter(of_it).filter_map(sample).sum()
    }

    /// The code of a refusal, which must be an error object with a reason.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        let error = self.json()["error"].clone();
        assert!(error["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{error}");
        error["code"].as_str().expect("a code").to_owned()
    }
}

/// Far more than any response of these tests.
const ENDLESS: usize = 64 * 1024 * 1024;

fn is_broken(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
