//! The HTTP server: accepts, reads requests, writes to all.
//!
//! Each of several threads has its own listener, among which the kernel distributes connections,
//! and writes to its own sockets; a publish at one is passed to the others. One thread is the floor
//! for one shard, two are for two.
//!
//! A socket is in the poll only until its GET is answered, so that a delivery is only its write.
//! There are no timeouts: it is for the load test, on loopback.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, mpsc};
use std::thread;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use socket2::{Domain, Protocol, Socket, Type};

use crate::audience::{Audience, Tally, chunk};
use crate::cli::Serve;
use crate::request::{self, Request};

/// One thread's state.
struct Server {
    poll: Poll,
    listener: TcpListener,
    words: mpsc::Receiver<Word>,
    others: Vec<Line>,
    /// Connections whose request has not arrived, by their token.
    guests: HashMap<usize, Guest>,
    next_token: usize,
    audience: Audience,
    buffer: Box<[u8]>,
    /// Least bytes of one write.
    chunk: usize,
}

/// Messages between threads.
enum Word {
    Write(Arc<[u8]>),
    Stop,
}

/// The sender to a thread.
#[derive(Clone)]
struct Line {
    words: mpsc::Sender<Word>,
    waker: Arc<Waker>,
}

/// A connection that may still send a request.
struct Guest {
    stream: TcpStream,
    /// The bytes of its next request so far.
    unread: Vec<u8>,
}

/// The state of a connection.
enum Next {
    /// Waiting for its next request.
    Stays,
    /// It receives messages from now on.
    Joins,
    /// It closed, or sent an invalid request.
    Leaves,
}

/// Runs until TERM or INT.
pub(crate) fn run(plan: &Serve) -> io::Result<()> {
    let (lines, mut servers) = start(plan)?;
    println!("listening on {}", servers[0].listener.local_addr()?);
    let others = servers.split_off(1);
    let others: Vec<_> = others.into_iter().map(|server| thread::spawn(|| server.run(None))).collect();
    let first = servers.remove(0);
    let signals = signals(&first.poll)?;
    let mut tally = first.run(Some(signals))?;
    for line in &lines {
        line.say(Word::Stop);
    }
    for thread in others {
        tally += thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
    }
    println!("{tally}");
    Ok(())
}

/// The threads' servers, all at one address, and the senders to them.
fn start(plan: &Serve) -> io::Result<(Vec<Line>, Vec<Server>)> {
    let (mut lines, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..plan.threads {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WORDS)?);
        let (words, receiver) = mpsc::channel();
        lines.push(Line { words, waker });
        ends.push((poll, receiver));
    }
    let (mut address, mut servers) = (plan.listen, Vec::new());
    for (index, (poll, words)) in ends.into_iter().enumerate() {
        let mut listener = listen(address, plan.threads > 1)?;
        address = listener.local_addr()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let others = lines.iter().enumerate().filter(|(other, _)| *other != index);
        servers.push(Server {
            poll,
            listener,
            words,
            others: others.map(|(_, line)| line.clone()).collect(),
            guests: HashMap::new(),
            next_token: FIRST_GUEST,
            audience: Audience::default(),
            buffer: vec![0; 64 * 1024].into(),
            chunk: plan.chunk,
        });
    }
    Ok((lines, servers))
}

impl Line {
    /// A stopped thread gets no more messages, as intended.
    fn say(&self, word: Word) {
        if self.words.send(word).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

impl Server {
    /// Runs until a signal or the order to stop.
    fn run(mut self, mut signals: Option<Signals>) -> io::Result<Tally> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    SIGNAL if signals.as_mut().is_some_and(|signals| signals.pending().next().is_some()) => {
                        return Ok(self.audience.tally());
                    }
                    SIGNAL => {}
                    LISTENER => self.accept()?,
                    WORDS => {
                        while let Ok(word) = self.words.try_recv() {
                            match word {
                                Word::Write(bytes) => self.audience.write(&bytes),
                                Word::Stop => return Ok(self.audience.tally()),
                            }
                        }
                    }
                    Token(token) => self.hear(token)?,
                }
            }
        }
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

    /// Reads a connection until it would block, and handles its requests.
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

    /// Handles the complete requests.
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
            // An answer of a few bytes into an empty buffer.
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
            let bytes: Arc<[u8]> = chunk(payload, self.chunk).into();
            self.others.iter().for_each(|other| other.say(Word::Write(Arc::clone(&bytes))));
            self.audience.write(&bytes);
        }
    }
}

/// A listener with a backlog that ten thousand connections at once do not overrun.
fn listen(address: std::net::SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Catches the signals that end the server; the poll reports them.
fn signals(poll: &Poll) -> io::Result<Signals> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    poll.registry().register(&mut signals, SIGNAL, Interest::READABLE)?;
    Ok(signals)
}

/// Connections that wait to be accepted; the kernel lowers it to its own limit.
pub(crate) const BACKLOG: i32 = 16 * 1024;

const LISTENER: Token = Token(0);
const SIGNAL: Token = Token(1);
const WORDS: Token = Token(2);
const FIRST_GUEST: usize = 3;

/// The answer to a GET.
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The answer to a publish, after all writes of the thread that received it.
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

const UNKNOWN: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_published_at_one_thread_is_written_by_all() {
        const READERS: u64 = 40;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (lines, servers) = start(&Serve { listen, threads: 2, chunk: 0 }).unwrap();
        let address = servers[0].listener.local_addr().unwrap();
        let threads: Vec<_> =
            servers.into_iter().map(|server| thread::spawn(|| server.run(None).unwrap())).collect();
        let connect = |request: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut reader = io::BufReader::new(stream);
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                assert!(reader.read_line(&mut line).unwrap() > 0);
            }
            reader
        };
        let readers: Vec<_> = (0..READERS).map(|_| connect("GET / HTTP/1.1\r\n\r\n")).collect();
        connect("POST /publish HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
        for mut reader in readers {
            let mut chunk = [0; 8];
            reader.read_exact(&mut chunk).unwrap();
            assert_eq!(&chunk, b"3\r\nabc\r\n");
        }
        for line in &lines {
            line.say(Word::Stop);
        }
        let tallies: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(tallies.iter().map(|tally| tally.whole).sum::<u64>(), READERS);
    }
}
