//! The HTTP server: accepts, reads requests, writes to all.
//!
//! A socket is in the poll only until its GET is answered, so that of a delivery nothing is left but its write. It has no
//! time limits: it is for the load test, on loopback.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use socket2::{Domain, Protocol, Socket, Type};

use crate::audience::{Audience, chunk};
use crate::cli::Serve;
use crate::request::{self, Request};

/// The server's state.
struct Server {
    poll: Poll,
    listener: TcpListener,
    /// Connections whose request is still to come, by their token.
    guests: HashMap<usize, Guest>,
    next_token: usize,
    audience: Audience,
    buffer: Box<[u8]>,
    /// Bytes of one write at least.
    chunk: usize,
}

/// A connection that may still ask for something.
struct Guest {
    stream: TcpStream,
    /// What has come of its next request.
    unread: Vec<u8>,
}

/// Whose turn it is on a connection.
enum Next {
    /// Its next request is still to come.
    Stays,
    /// It listens from now on.
    Joins,
    /// It has gone, or made no sense.
    Leaves,
}

/// Runs until TERM or INT.
pub(crate) fn run(plan: &Serve) -> io::Result<()> {
    let mut server = Server::new(plan)?;
    println!("listening on {}", server.listener.local_addr()?);
    let mut signals = signals(&server.poll)?;
    let mut events = Events::with_capacity(1024);
    loop {
        match server.poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                SIGNAL if signals.read(&mut [0]).is_ok() => {
                    println!("{}", server.audience.tally());
                    return Ok(());
                }
                SIGNAL => {}
                LISTENER => server.accept()?,
                Token(token) => server.hear(token)?,
            }
        }
    }
}

impl Server {
    fn new(plan: &Serve) -> io::Result<Self> {
        let mut listener = listen(plan.listen)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            guests: HashMap::new(),
            next_token: FIRST_GUEST,
            audience: Audience::default(),
            buffer: vec![0; 64 * 1024].into(),
            chunk: plan.chunk,
        })
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((mut stream, _)) => {
                    stream.set_nodelay(true)?;
                    let token = self.next_token;
                    self.next_token += 1;
                    self.poll.registry().register(&mut stream, Token(token), Interest::READABLE)?;
                    self.guests.insert(token, Guest { stream, unread: Vec::new() });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a connection dry and does what it asks for.
    fn hear(&mut self, token: usize) -> io::Result<()> {
        let Some(mut guest) = self.guests.remove(&token) else { return Ok(()) };
        let next = loop {
            match guest.stream.read(&mut self.buffer) {
                Ok(0) => break Next::Leaves,
                Ok(count) => {
                    guest.unread.extend_from_slice(&self.buffer[..count]);
                    match self.obey(&mut guest) {
                        Next::Stays => {}
                        next => break next,
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Next::Stays,
                Err(_) => break Next::Leaves,
            }
        };
        match next {
            Next::Stays => drop(self.guests.insert(token, guest)),
            Next::Leaves => {}
            Next::Joins => {
                self.poll.registry().deregister(&mut guest.stream)?;
                self.audience.join(guest.stream);
            }
        }
        Ok(())
    }

    /// Carries out the requests that are whole.
    fn obey(&mut self, guest: &mut Guest) -> Next {
        let mut used = 0;
        let next = loop {
            let Ok(found) = request::first(&guest.unread[used..]) else { break Next::Leaves };
            let Some((request, len)) = found else { break Next::Stays };
            let (answer, next) = match request {
                Request::Listen => (HEAD, Next::Joins),
                Request::Publish(body) => {
                    self.publish(body);
                    (TAKEN, Next::Stays)
                }
                Request::PublishLines(body) => {
                    body.split(|&byte| byte == b'\n')
                        .filter(|line| !line.is_empty())
                        .for_each(|line| self.publish(line));
                    (TAKEN, Next::Stays)
                }
                Request::Unknown => (UNKNOWN, Next::Stays),
            };
            used += len;
            // An answer of some bytes into a buffer that the other end empties.
            if guest.stream.write(answer).ok() != Some(answer.len()) {
                break Next::Leaves;
            }
            if matches!(next, Next::Joins) {
                break next;
            }
        };
        guest.unread.drain(..used);
        next
    }

    fn publish(&mut self, payload: &[u8]) {
        // An empty chunk would end the streams.
        if !payload.is_empty() {
            self.audience.write(&chunk(payload, self.chunk));
        }
    }
}

/// A listener with a backlog that ten thousand connections at once do not overrun.
fn listen(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// A pipe in the poll that gets a byte for each signal.
fn signals(poll: &Poll) -> io::Result<UnixStream> {
    let (mut read, write) = UnixStream::pair()?;
    poll.registry().register(&mut read, SIGNAL, Interest::READABLE)?;
    let write = std::os::fd::OwnedFd::from(write);
    signal_hook::low_level::pipe::register(SIGTERM, write.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGINT, write)?;
    Ok(read)
}

/// Connections that wait to be accepted; the kernel lowers it to its own limit.
pub(crate) const BACKLOG: i32 = 16 * 1024;

const LISTENER: Token = Token(0);
const SIGNAL: Token = Token(1);
const FIRST_GUEST: usize = 2;

/// The answer to a GET.
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The answer to a publish, after all writes.
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

const UNKNOWN: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
