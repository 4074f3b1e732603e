//! The listening sockets of one shard: accepting, and what to do when file descriptors run out.
//!
//! A shard has its own socket for each TCP address (`SO_REUSEPORT`: the kernel distributes new
//! connections among the shards) and a clone of each Unix one. `bind` binds them; the shard decides
//! on admission.
//!
//! With no descriptor left, a connection cannot even be refused: it stays in the backlog, and the
//! listener stays readable for ever. So one descriptor is kept in reserve. It is released to accept
//! one connection and close it at once, and then accepting pauses: the client gets an answer, and
//! the loop does not spin. A turn that has accepted a connection reads first: clients that left
//! meanwhile free their descriptors then.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    os::unix::net::UnixDatagram,
};

use mio::{Interest, Registry, Token, event::Source};

use super::stream::NetStream;
use crate::reactor::limits::{ACCEPT_LOG_EVERY, ACCEPT_PAUSE};
use crate::{base::ticks::Tick, shard::ListenerKind};

/// One listening socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP over IPv4 or IPv6.
    Tcp(mio::net::TcpListener),
    /// A Unix socket.
    Unix(mio::net::UnixListener),
}

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: NetStream,
    pub(super) kind: ListenerKind,
    /// `None` on a Unix socket.
    pub(super) peer: Option<SocketAddr>,
}

/// A file descriptor to release when there is no other.
pub(super) struct Reserve {
    _socket: UnixDatagram,
}

/// All listening sockets of one shard.
pub(super) struct Listeners {
    entries: Vec<OpenListener>,
    reserve: Option<Reserve>,
    /// Until then, accept nothing.
    paused_until: Option<Tick>,
    next_log_line: Tick,
    refused: u64,
}

struct OpenListener {
    kind: ListenerKind,
    token: Token,
    listener: Listener,
    backlog: Backlog,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Backlog {
    /// The last accept found no connection.
    Empty,
    /// A connection may be waiting.
    Waiting,
}

impl Reserve {
    /// Takes a descriptor. A shard's first one must be taken before any shard accepts, or there may
    /// be none.
    pub(super) fn new() -> io::Result<Self> {
        // A socket, and not a file: there need be none, in a chroot for one.
        UnixDatagram::unbound().map(|socket| Self { _socket: socket })
    }
}

impl Listeners {
    /// Registers the sockets, with tokens from `first_token` on, which must be below all connection
    /// tokens.
    pub(super) fn new(
        registry: &Registry,
        first_token: usize,
        listeners: Vec<(ListenerKind, Listener)>,
        reserve: Reserve,
    ) -> io::Result<Self> {
        let mut entries = Vec::with_capacity(listeners.len());
        for (offset, (kind, mut listener)) in listeners.into_iter().enumerate() {
            let token = Token(first_token + offset);
            listener.source().register(registry, token, Interest::READABLE)?;
            entries.push(OpenListener { kind, token, listener, backlog: Backlog::Empty });
        }
        Ok(Self {
            entries,
            reserve: Some(reserve),
            paused_until: None,
            next_log_line: Tick::ZERO,
            refused: 0,
        })
    }

    /// Records that a connection is waiting at the socket with this token.
    pub(super) fn note(&mut self, token: Token) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.token == token) {
            entry.backlog = Backlog::Waiting;
        }
    }

    /// The number of sockets; [`Self::accept`] takes an index below this.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// When to accept next: `now` if possible at once, `None` if no connection is known to wait.
    pub(super) fn next_accept(&self, now: Tick) -> Option<Tick> {
        let anybody = self.entries.iter().any(|entry| entry.backlog == Backlog::Waiting);
        anybody.then(|| self.paused_until.unwrap_or(now).max(now))
    }

    /// Accepts one connection at one socket, if one is waiting and accepting is not paused. This
    /// turn has accepted `taken` before it.
    pub(super) fn accept(&mut self, now: Tick, index: usize, taken: usize) -> Option<Arrival> {
        if self.paused_until.is_some_and(|until| now < until) {
            return None;
        }
        self.paused_until = None;
        loop {
            let entry = self.entries.get_mut(index).filter(|entry| entry.backlog == Backlog::Waiting)?;
            match entry.listener.accept() {
                Ok((stream, peer)) => return Some(Arrival { stream, kind: entry.kind, peer }),
                Err(error) if error.kind() == ErrorKind::WouldBlock => entry.backlog = Backlog::Empty,
                // The peer gave up while it waited, or a signal came; the next may be fine.
                Err(error) if is_passing(&error) => {}
                // Clients that left while they waited hold descriptors until the turn has read
                // them.
                Err(error) if taken > 0 && is_out_of_files(&error) => return None,
                Err(error) => {
                    self.cannot_accept(now, index, &error);
                    return None;
                }
            }
        }
    }

    /// Closes the public sockets after accepting the waiting connections, up to `limit` each: those
    /// still in the backlog get a reset.
    pub(super) fn close_public(&mut self, now: Tick, limit: usize) -> Vec<Arrival> {
        let mut last = Vec::new();
        for index in 0..self.entries.len() {
            if self.entries[index].kind != ListenerKind::Private {
                last.extend((0..limit).map_while(|_| self.accept(now, index, 0)));
            }
        }
        self.entries.retain(|entry| entry.kind == ListenerKind::Private);
        last
    }

    /// Connections dropped since the start because no file descriptor was left.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    fn cannot_accept(&mut self, now: Tick, index: usize, error: &io::Error) {
        self.paused_until = Some(now + ACCEPT_PAUSE);
        if is_out_of_files(error) {
            self.shed_one(index);
        }
        if now >= self.next_log_line {
            self.next_log_line = now + ACCEPT_LOG_EVERY;
            log::error!(
                "cannot accept connections: {error}; {} dropped so far, retrying every {} ms",
                self.refused,
                ACCEPT_PAUSE.as_millis()
            );
        }
    }

    /// Releases the reserve briefly, to accept one waiting connection and close it.
    fn shed_one(&mut self, index: usize) {
        self.reserve = None;
        if self.entries[index].listener.accept().is_ok() {
            self.refused += 1;
        }
        // If another thread takes the descriptor first, the next call tries again.
        self.reserve = Reserve::new().ok();
    }
}

impl Listener {
    fn accept(&self) -> io::Result<(NetStream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().map(|(stream, peer)| (NetStream::Tcp(stream), Some(peer)))
            }
            Self::Unix(listener) => listener.accept().map(|(stream, _)| (NetStream::Unix(stream), None)),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(listener) => listener,
            Self::Unix(listener) => listener,
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// The process (EMFILE) or the machine (ENFILE) has no file descriptor left. Unlike most, these two
/// have no [`ErrorKind`]; their numbers are the same on every Unix.
fn is_out_of_files(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::{TcpListener, TcpStream},
        time::Duration,
    };

    use mio::{Events, Poll};

    use super::*;

    const NOW: Tick = Tick::from_millis(1000);

    fn public_listener() -> (Poll, Listeners, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let poll = Poll::new().unwrap();
        let listener = Listener::Tcp(mio::net::TcpListener::from_std(listener));
        let reserve = Reserve::new().unwrap();
        let listeners =
            Listeners::new(poll.registry(), 1, vec![(ListenerKind::Public, listener)], reserve).unwrap();
        (poll, listeners, address)
    }

    fn await_somebody(poll: &mut Poll, listeners: &mut Listeners) {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
        assert!(!events.is_empty(), "nobody came");
        events.iter().for_each(|event| listeners.note(event.token()));
    }

    #[test]
    fn all_waiting_connections_are_accepted_after_one_event() {
        let (mut poll, mut listeners, address) = public_listener();
        assert!(listeners.next_accept(NOW).is_none());
        let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        await_somebody(&mut poll, &mut listeners);
        assert_eq!(listeners.next_accept(NOW), Some(NOW));
        let peers: Vec<_> = (0..3).map(|_| listeners.accept(NOW, 0, 0).unwrap().peer.unwrap()).collect();
        assert_eq!(peers, clients.iter().map(|c| c.local_addr().unwrap()).collect::<Vec<_>>());
        assert!(listeners.accept(NOW, 0, 0).is_none());
        assert!(listeners.next_accept(NOW).is_none());
    }

    #[test]
    fn out_of_files_one_is_dropped_and_the_rest_wait_without_a_spin() {
        let (mut poll, mut listeners, address) = public_listener();
        let mut first = TcpStream::connect(address).unwrap();
        let _second = TcpStream::connect(address).unwrap();
        await_somebody(&mut poll, &mut listeners);
        listeners.cannot_accept(NOW, 0, &io::Error::from_raw_os_error(24));
        first.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(first.read(&mut [0; 1]).unwrap(), 0, "the first of them was closed at once");
        assert_eq!(listeners.refused(), 1);
        assert!(listeners.reserve.is_some(), "the reserve is back");
        let later = listeners.next_accept(NOW).unwrap();
        assert!(later > NOW && listeners.accept(NOW, 0, 0).is_none());
        assert!(listeners.accept(later, 0, 0).is_some(), "the second was only made to wait");
    }

    #[test]
    fn an_error_of_another_kind_pauses_but_drops_nobody() {
        let (mut poll, mut listeners, address) = public_listener();
        let _client = TcpStream::connect(address).unwrap();
        await_somebody(&mut poll, &mut listeners);
        listeners.cannot_accept(NOW, 0, &io::Error::from(ErrorKind::OutOfMemory));
        assert_eq!(listeners.refused(), 0);
        assert!(listeners.accept(NOW, 0, 0).is_none());
        assert!(listeners.accept(NOW + ACCEPT_PAUSE, 0, 0).is_some());
    }

    #[test]
    fn closing_accepts_the_connections_that_wait_and_none_after() {
        let (mut poll, mut listeners, address) = public_listener();
        let _client = TcpStream::connect(address).unwrap();
        await_somebody(&mut poll, &mut listeners);
        assert_eq!(listeners.close_public(NOW, 10).len(), 1);
        assert_eq!(listeners.len(), 0);
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
