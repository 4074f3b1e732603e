//! One client: a socket that asks for a stream and takes what comes, as fast as its pace allows.
//!
//! It knows no poll. Readiness is edge-triggered, so whoever holds a connection back must come back to it by himself.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use crate::board::{Board, Standing};
use crate::http::Response;
use crate::sse::{self, Event};

/// How fast a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All there is.
    Eager,
    /// Only when told to.
    Held,
}

/// What a client is to be.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Where the server listens.
    pub server: SocketAddr,
    /// Which of the loopback addresses it comes from.
    pub source: Ipv4Addr,
    /// The request's target.
    pub target: String,
    /// Bytes of its receive buffer; `None` leaves the kernel's.
    pub receive_buffer: Option<usize>,
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The request has not been sent.
    Connecting,
    /// The stream has not said `open`.
    Opening,
    /// It has.
    Streaming,
    /// The server ended it, cleanly or not.
    Ended {
        /// With the response's last chunk.
        clean: bool,
    },
}

/// What the socket is known to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inbound {
    /// Nothing; an event will tell.
    Dry,
    /// Perhaps something.
    Ready,
    /// The end, behind what there may be: no further event will tell.
    Ending,
}

/// One client.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    wish: Wish,
    phase: Phase,
    inbound: Inbound,
    /// How fast it reads.
    pub pace: Pace,
    response: Response,
    /// The beginning of an event.
    tail: Vec<u8>,
    /// The run of the shard that its positions belong to.
    epoch: Box<[u8]>,
    /// What it got.
    pub standing: Standing,
    /// What its `close` said, in milliseconds.
    pub after: Option<u64>,
    heartbeats: u32,
}

/// Linux's number for "the connection is on its way".
const EINPROGRESS: i32 = 115;

impl Conn {
    /// Begins to connect.
    ///
    /// # Errors
    /// When the system has no more sockets.
    pub fn new(wish: Wish) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        if let Some(bytes) = wish.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(&SocketAddr::new(IpAddr::V4(wish.source), 0).into())?;
        match socket.connect(&wish.server.into()) {
            Err(error) if error.raw_os_error() != Some(EINPROGRESS) => return Err(error),
            Ok(()) | Err(_) => {}
        }
        Ok(Self {
            stream: TcpStream::from_std(socket.into()),
            wish,
            phase: Phase::Connecting,
            inbound: Inbound::Dry,
            pace: Pace::Eager,
            response: Response::new(),
            tail: Vec::new(),
            epoch: Box::default(),
            standing: Standing::default(),
            after: None,
            heartbeats: 0,
        })
    }

    /// Comes back after its stream ended, as an `EventSource` does: with the position that it has got to.
    ///
    /// # Errors
    /// As for [`Conn::new`].
    pub fn again(&self) -> io::Result<Self> {
        let epoch = self.epoch.clone();
        Ok(Self {
            epoch,
            standing: self.standing,
            heartbeats: self.heartbeats,
            ..Self::new(self.wish.clone())?
        })
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The socket, for the poll.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// How many heartbeats came.
    pub fn heartbeats(&self) -> u32 {
        self.heartbeats
    }

    /// The socket takes bytes: the request goes out.
    ///
    /// # Errors
    /// When the connection failed.
    pub fn writable(&mut self) -> io::Result<()> {
        if self.phase != Phase::Connecting {
            return Ok(());
        }
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{}\r\n",
            self.wish.target,
            self.wish.server,
            self.last_event_id()
        );
        // An empty send buffer takes a request whole.
        match self.stream.write(request.as_bytes()) {
            Ok(count) if count == request.len() => self.phase = Phase::Opening,
            Ok(_) => return Err(io::Error::other("the request was cut")),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn last_event_id(&self) -> String {
        if self.epoch.is_empty() {
            return String::new();
        }
        format!("Last-Event-ID: {}-{}\r\n", String::from_utf8_lossy(&self.epoch), self.standing.position())
    }

    /// There may be bytes, and behind them the end.
    ///
    /// # Errors
    /// When the connection broke before its stream began, or the server did not keep to the protocol.
    pub fn readable(&mut self, end: bool, hands: &mut Hands<'_>) -> io::Result<()> {
        if end || self.inbound == Inbound::Ending {
            self.inbound = Inbound::Ending;
        } else {
            self.inbound = Inbound::Ready;
        }
        self.catch_up(hands)
    }

    /// Reads all there is, if its pace is to do so.
    ///
    /// # Errors
    /// As for [`Conn::readable`].
    pub fn catch_up(&mut self, hands: &mut Hands<'_>) -> io::Result<()> {
        while self.inbound != Inbound::Dry && self.pace == Pace::Eager {
            self.read(usize::MAX, hands)?;
        }
        Ok(())
    }

    /// Reads at most `limit` bytes, once, whatever its pace.
    ///
    /// # Errors
    /// As for [`Conn::readable`].
    pub fn read(&mut self, limit: usize, hands: &mut Hands<'_>) -> io::Result<usize> {
        if let Phase::Ended { .. } = self.phase {
            self.inbound = Inbound::Dry;
            return Ok(0);
        }
        let limit = limit.min(hands.buffer.len());
        match self.stream.read(&mut hands.buffer[..limit]) {
            Ok(0) => {
                self.inbound = Inbound::Dry;
                self.phase = Phase::Ended { clean: self.response.is_done() };
                // As a browser does; the server waits for it, for a while.
                self.stream.shutdown(Shutdown::Both).or_else(unconnected)?;
                Ok(0)
            }
            Ok(count) => {
                // A short read took all there was, and what comes later brings a new event.
                if count < limit && self.inbound == Inbound::Ready {
                    self.inbound = Inbound::Dry;
                }
                self.take(count, hands)?;
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.inbound = Inbound::Dry;
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => {
                self.inbound = Inbound::Dry;
                let was_open = self.phase == Phase::Streaming;
                self.phase = Phase::Ended { clean: false };
                // A stream that is cut is for the scenario to judge.
                if was_open { Ok(0) } else { Err(error) }
            }
        }
    }

    fn take(&mut self, count: usize, hands: &mut Hands<'_>) -> io::Result<()> {
        let Hands { buffer, body, board, now } = hands;
        body.clear();
        body.append(&mut self.tail);
        let taken = self.response.take(&buffer[..count], body);
        taken.map_err(|broken| io::Error::new(ErrorKind::InvalidData, broken.0))?;
        if let Some(status) = self.response.status().filter(|status| *status != 200) {
            return Err(io::Error::other(format!("status {status}: {}", String::from_utf8_lossy(body))));
        }
        let timed = self.pace == Pace::Eager;
        let mut strange = false;
        let used = sse::events(body, |event| match event {
            Event::Open { epoch, position, .. } => {
                self.phase = Phase::Streaming;
                self.epoch = epoch.into();
                self.standing.open(position);
            }
            Event::Message(stamp) => board.message(&mut self.standing, stamp, *now, timed),
            Event::Gap { from, to } => board.gap(&mut self.standing, from, to),
            Event::Close { after } => self.after = Some(after),
            Event::Heartbeat => self.heartbeats += 1,
            Event::Strange => strange = true,
        });
        if used < body.len() {
            self.tail.extend_from_slice(&body[used..]);
        }
        if strange {
            Err(io::Error::new(ErrorKind::InvalidData, "an event of no known kind"))
        } else {
            Ok(())
        }
    }
}

/// The server was faster.
fn unconnected(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotConnected { Ok(()) } else { Err(error) }
}

/// What all connections share while they read.
pub struct Hands<'a> {
    /// What a read fills.
    pub buffer: &'a mut [u8],
    /// Where the body's bytes are put together.
    pub body: &'a mut Vec<u8>,
    /// Who counts.
    pub board: &'a mut Board,
    /// When the poll returned, in nanoseconds of the run's clock.
    pub now: u64,
}
