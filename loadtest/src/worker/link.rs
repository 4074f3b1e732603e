//! A client's connection: its socket, how far its response has come, and what is still to be
//! written.

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
    /// Whether the connection has been made.
    pub is_connected: bool,
    /// Index of the current request.
    pub step: usize,
    /// What the socket is known to hold.
    pub inbound: Inbound,
    /// The answer to that request.
    pub response: Response,
    /// Handshake messages sent.
    pub handshake_sent: usize,
    /// How far its messages have come, where they come in frames.
    pub frames: Frames,
    /// The beginning of a piece, or of a body that must be whole.
    pub tail: Vec<u8>,
    unsent: Vec<u8>,
}

/// What a socket is known to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// Nothing: an event will report the next bytes.
    Dry,
    /// Perhaps something.
    Ready,
    /// Perhaps bytes, then the end: no further event will come.
    Ending,
}

/// Linux's number for "the connection is on its way".
const EINPROGRESS: i32 = 115;

/// Loopback addresses that clients come from, 127.0.0.2 and on: each has as many ports as one
/// machine has.
const SOURCES: u32 = 250;

/// Begins to connect. To a loopback address it comes from one of many, chosen by `number`: one
/// address would not have enough ports.
///
/// # Errors
/// When the system has no more sockets or ports.
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
    /// A connection that is being made, and the step with which it begins.
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

    /// Sends a request: at once, as far as the socket takes it.
    ///
    /// # Errors
    /// When the connection failed.
    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        if self.unsent.is_empty() {
            let count = write(&mut self.stream, request)?;
            self.unsent.extend_from_slice(&request[count..]);
        } else {
            self.unsent.extend_from_slice(request);
        }
        Ok(())
    }

    /// Sends what the socket did not take before.
    ///
    /// # Errors
    /// When the connection failed.
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

/// Writes; 0, if the socket takes nothing now.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        written => written,
    }
}
