//! A client's connection: its socket, the progress of its response, and bytes that are not written
//! yet.

use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use crate::http::Response;
use crate::transport::Framing;
use crate::transport::ws::Frames;

/// A client's connection.
#[derive(Debug)]
pub struct Link {
    /// Its socket.
    pub stream: TcpStream,
    /// Whether the connection is established.
    pub is_connected: bool,
    /// Index of the current request.
    pub step: usize,
    /// The known state of the socket's input.
    pub inbound: Inbound,
    /// The answer to that request.
    pub response: Response,
    /// Handshake messages sent.
    pub handshake_sent: usize,
    /// The state of its frames, if messages arrive in frames.
    pub frames: Frames,
    /// The beginning of a piece, or of a body that must be complete.
    pub tail: Vec<u8>,
    unsent: Vec<u8>,
}

/// The known state of a socket's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// Nothing: an event will report the next bytes.
    Dry,
    /// Perhaps something.
    Ready,
    /// Perhaps bytes, then the end: no further event will come.
    Ending,
}

/// Linux's error number for a connection in progress.
const EINPROGRESS: i32 = 115;

/// Loopback addresses from which clients connect, from 127.0.0.2: each has its own range of ports.
const SOURCES: u32 = 250;

/// Begins to connect. To a loopback address it connects from one of many, chosen by `number`: one
/// address would not have enough ports.
///
/// # Errors
/// If the system has no more sockets or ports.
pub fn connect(server: SocketAddr, number: u32, receive_buffer: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let IpAddr::V4(ip) = server.ip()
        && ip.is_loopback()
    {
        let source = Ipv4Addr::new(127, 0, 0, (number % SOURCES) as u8 + 2);
        socket.bind(&SocketAddr::new(source.into(), 0).into())?;
    }
    match socket.connect(&server.into()) {
        Err(error) if error.raw_os_error() != Some(EINPROGRESS) => Err(error),
        Ok(()) | Err(_) => Ok(TcpStream::from_std(socket.into())),
    }
}

impl Link {
    /// A connection that is being established, and its first step.
    pub fn new(stream: TcpStream, step: usize) -> Self {
        Self {
            stream,
            is_connected: false,
            step,
            inbound: Inbound::Dry,
            response: Response::new(),
            handshake_sent: 0,
            frames: Frames::default(),
            tail: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Whether the response may properly end with the connection. A `WebSocket` sends a close frame
    /// first.
    pub fn ends_with_connection(&self, framing: Framing) -> bool {
        framing != Framing::Frames && self.response.ends_with_connection()
    }

    /// Sends a request: at once, as far as the socket accepts it.
    ///
    /// # Errors
    /// If the connection failed.
    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        if self.unsent.is_empty() {
            let count = write(&mut self.stream, request)?;
            self.unsent.extend_from_slice(&request[count..]);
        } else {
            self.unsent.extend_from_slice(request);
        }
        Ok(())
    }

    /// Sends the bytes that the socket did not accept before.
    ///
    /// # Errors
    /// If the connection failed.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let count = write(&mut self.stream, &self.unsent)?;
            if count == 0 {
                break;
            }
            self.unsent.drain(..count);
        }
        Ok(())
    }
}

/// Writes; returns 0 if the socket accepts nothing now.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        written => written,
    }
}
