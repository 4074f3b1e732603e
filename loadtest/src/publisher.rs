//! The backend: publishes through the private API over one connection that it keeps, a batch of lines at a time.
//!
//! One batch is on its way at a time. A batch that is due while another is unanswered waits, and its messages are stamped when they are
//! written, so a server that is slow to answer shows as a low rate, not as a long latency: what a rate was is told by the report.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;

use crate::http::Response;
use crate::sse::payload;

/// The publisher's connection.
#[derive(Debug)]
pub struct Publisher {
    stream: TcpStream,
    host: SocketAddr,
    channel: String,
    message_bytes: usize,
    serial: u64,
    /// What has not been written of the request.
    unsent: Vec<u8>,
    /// The answer that is awaited.
    response: Option<Response>,
    body: Vec<u8>,
    accepted: u64,
}

impl Publisher {
    /// Connects. Messages go to `channel`, with payloads of so many bytes.
    ///
    /// # Errors
    /// When the private listener cannot be reached.
    pub fn new(host: SocketAddr, channel: &str, message_bytes: usize) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            host,
            channel: channel.to_owned(),
            message_bytes,
            serial: 0,
            unsent: Vec::new(),
            response: None,
            body: Vec::new(),
            accepted: 0,
        })
    }

    /// The socket, for the poll.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// The serial of the last message.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Messages that the server has said it took.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Whether the last batch was answered.
    pub fn is_idle(&self) -> bool {
        self.response.is_none()
    }

    /// Sends a batch; the one before must have been answered.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn publish(&mut self, count: usize, now: u64) -> io::Result<()> {
        let mut lines = String::with_capacity(count * (self.message_bytes + self.channel.len() + 32));
        for _ in 0..count {
            self.serial += 1;
            let data = payload(self.serial, now, self.message_bytes);
            let _ = writeln!(lines, r#"{{"channel":"{}","data":{data}}}"#, self.channel);
        }
        self.unsent = format!(
            "POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{lines}",
            self.host,
            lines.len()
        )
        .into_bytes();
        self.response = Some(Response::new());
        self.body.clear();
        self.write()
    }

    /// The socket takes bytes.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn write(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// There may be an answer.
    ///
    /// # Errors
    /// When the connection broke or the server refused a message.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the publisher was cut off")),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let Some(response) = &mut self.response else {
                return Err(io::Error::other("an answer without a request"));
            };
            let taken = response.take(&buffer[..count], &mut self.body);
            taken.map_err(|broken| io::Error::new(ErrorKind::InvalidData, broken.0))?;
            if response.is_done() {
                let status = response.status();
                self.answered(status)?;
            }
        }
    }

    fn answered(&mut self, status: Option<u16>) -> io::Result<()> {
        self.response = None;
        let lines = self.body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let refused = lines.clone().find(|line| !line.starts_with(b"{\"id\":"));
        if let Some(refused) = refused.or((status != Some(200)).then_some(&self.body)) {
            let text = String::from_utf8_lossy(refused);
            return Err(io::Error::other(format!("a publish was refused with {status:?}: {text}")));
        }
        self.accepted += lines.count() as u64;
        Ok(())
    }
}
