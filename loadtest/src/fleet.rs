//! All clients and the publisher on one poll.
//!
//! Scenarios drive it turn by turn; each turn sleeps until something happens or a given moment comes, so nothing here polls in vain. A
//! client that fails is counted with its reason and stays in the table.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::board::{Board, Standing};
use crate::clock::Clock;
use crate::conn::{Conn, Hands, Pace, Phase, Wish};
use crate::publisher::Publisher;

/// All clients, the publisher and the account of both.
pub struct Fleet {
    poll: Poll,
    events: Events,
    clock: Clock,
    conns: Vec<Conn>,
    waiting: VecDeque<Wish>,
    /// Clients that have not got their `open`.
    opening: usize,
    ended: usize,
    publisher: Option<Publisher>,
    /// What arrived.
    pub board: Board,
    failures: BTreeMap<String, u64>,
    buffer: Box<[u8]>,
    body: Vec<u8>,
}

/// One event, copied out of the poll's list.
struct Happened {
    token: Token,
    readable: bool,
    end: bool,
    writable: bool,
}

/// Clients that connect at once: well below the server's backlog, so that no SYN is dropped.
const OPENING_MAX: usize = 512;

const PUBLISHER: Token = Token(usize::MAX);

/// Bytes taken with one read: more than a socket holds at the pace of these tests.
const READ_BUFFER: usize = 256 * 1024;

/// Clients that share one source address: far below the ports that one has.
const CLIENTS_PER_SOURCE: usize = 1000;

impl Fleet {
    /// Nobody yet.
    ///
    /// # Errors
    /// When the system has no poll to give.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(4096),
            clock: Clock::new(),
            conns: Vec::new(),
            waiting: VecDeque::new(),
            opening: 0,
            ended: 0,
            publisher: None,
            board: Board::new(),
            failures: BTreeMap::new(),
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            body: Vec::new(),
        })
    }

    /// Adds clients that will connect in the coming turns: one for each target.
    pub fn enlist(
        &mut self,
        server: SocketAddr,
        receive_buffer: Option<usize>,
        targets: impl Iterator<Item = String>,
    ) {
        for target in targets {
            let number = self.conns.len() + self.waiting.len();
            let source = Ipv4Addr::new(127, 0, 0, (number / CLIENTS_PER_SOURCE % 250) as u8 + 2);
            self.waiting.push_back(Wish { server, source, target, receive_buffer });
        }
    }

    /// Adds the publisher.
    ///
    /// # Errors
    /// When it cannot be put into the poll.
    pub fn hire(&mut self, mut publisher: Publisher) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(publisher.stream(), PUBLISHER, interest)?;
        self.publisher = Some(publisher);
        Ok(())
    }

    /// Lets all clients connect, until each has its `open` or has failed.
    ///
    /// # Errors
    /// When the system has no more sockets, or `patience` is over.
    pub fn open_all(&mut self, patience: Duration) -> io::Result<()> {
        let by = Instant::now() + patience;
        while !self.waiting.is_empty() || self.opening > 0 {
            if Instant::now() >= by {
                let left = self.waiting.len() + self.opening;
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{left} clients got no open")));
            }
            self.turn(by)?;
        }
        Ok(())
    }

    /// Sleeps until something happens, at most until `until`, and takes it in.
    ///
    /// # Errors
    /// When the poll or the publisher fails. A failing client is only counted.
    pub fn turn(&mut self, until: Instant) -> io::Result<()> {
        while self.opening < OPENING_MAX
            && let Some(wish) = self.waiting.pop_front()
        {
            self.connect(wish)?;
        }
        let timeout = until.saturating_duration_since(Instant::now());
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            done => done?,
        }
        let happened: Vec<_> = self
            .events
            .iter()
            .map(|event| Happened {
                token: event.token(),
                readable: event.is_readable(),
                end: event.is_read_closed() || event.is_error(),
                writable: event.is_writable(),
            })
            .collect();
        for event in happened {
            if event.token == PUBLISHER {
                self.serve_publisher(&event)?;
            } else {
                self.serve(&event);
            }
        }
        Ok(())
    }

    fn connect(&mut self, wish: Wish) -> io::Result<()> {
        let mut conn = Conn::new(wish)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(conn.stream(), Token(self.conns.len()), interest)?;
        self.conns.push(conn);
        self.opening += 1;
        Ok(())
    }

    fn serve_publisher(&mut self, event: &Happened) -> io::Result<()> {
        let Some(publisher) = &mut self.publisher else { return Ok(()) };
        if event.writable {
            publisher.write()?;
        }
        if event.readable || event.end {
            publisher.read(&mut self.buffer)?;
        }
        Ok(())
    }

    fn serve(&mut self, event: &Happened) {
        self.with(event.token.0, |conn, hands| {
            if event.writable {
                conn.writable()?;
            }
            if event.readable || event.end {
                conn.readable(event.end, hands)?;
            }
            Ok(())
        });
    }

    /// Lets one client do something, and books what that changed.
    fn with(&mut self, index: usize, act: impl FnOnce(&mut Conn, &mut Hands<'_>) -> io::Result<()>) {
        let Some(conn) = self.conns.get_mut(index) else { return };
        let before = conn.phase();
        let now = self.clock.now();
        let mut hands = Hands { buffer: &mut self.buffer, body: &mut self.body, board: &mut self.board, now };
        if let Err(error) = act(conn, &mut hands) {
            *self.failures.entry(error.to_string()).or_default() += 1;
        }
        let was_opening = matches!(before, Phase::Connecting | Phase::Opening);
        let is_opening = matches!(conn.phase(), Phase::Connecting | Phase::Opening);
        self.opening -= usize::from(was_opening && !is_opening);
        let has_ended = |phase| matches!(phase, Phase::Ended { .. });
        self.ended += usize::from(has_ended(conn.phase()) && !has_ended(before));
    }

    /// Changes how fast some clients read. One that becomes eager reads what has piled up.
    pub fn pace(&mut self, which: std::ops::Range<usize>, pace: Pace) {
        for index in which {
            self.with(index, |conn, hands| {
                conn.pace = pace;
                match pace {
                    Pace::Eager => conn.catch_up(hands),
                    Pace::Held => Ok(()),
                }
            });
        }
    }

    /// Lets some clients read a little, once.
    pub fn sip(&mut self, which: std::ops::Range<usize>, bytes: usize) {
        for index in which {
            self.with(index, |conn, hands| conn.read(bytes, hands).map(drop));
        }
    }

    /// Publishes a batch, once the one before has been answered.
    ///
    /// # Errors
    /// When the publisher fails.
    pub fn publish(&mut self, count: usize) -> io::Result<()> {
        while self.publisher.as_ref().is_some_and(|publisher| !publisher.is_idle()) {
            self.turn(Instant::now() + Duration::from_secs(1))?;
        }
        let now = self.clock.now();
        self.publisher.as_mut().map_or(Ok(()), |publisher| publisher.publish(count, now))
    }

    /// Turns until `done` or until `patience` is over. Says which.
    ///
    /// # Errors
    /// As for [`Fleet::turn`].
    pub fn turn_until(
        &mut self,
        patience: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> io::Result<bool> {
        let by = Instant::now() + patience;
        while !done(self) {
            let now = Instant::now();
            if now >= by {
                return Ok(false);
            }
            self.turn(by.min(now + LOOK))?;
        }
        Ok(true)
    }

    /// Whether these clients have the last message.
    pub fn are_level(&self, which: std::ops::Range<usize>) -> bool {
        let Some(publisher) = &self.publisher else { return true };
        let last = publisher.serial();
        let conns = self.conns[which].iter();
        publisher.is_idle() && conns.into_iter().all(|conn| conn.standing.serial() == last)
    }

    /// How many of these clients have the last message.
    pub fn level(&self, which: std::ops::Range<usize>) -> usize {
        let last = self.publisher.as_ref().map_or(0, Publisher::serial);
        self.conns[which].iter().filter(|conn| conn.standing.serial() == last).count()
    }

    /// Counts as lost what clients still miss: the run is over.
    pub fn settle(&mut self) {
        let last = self.publisher.as_ref().map_or(0, Publisher::serial);
        let standings: Vec<Standing> = self.conns.iter().map(|conn| conn.standing).collect();
        for standing in &standings {
            self.board.settle(standing, last);
        }
    }

    /// All clients, in the order in which they were enlisted.
    pub fn conns(&self) -> &[Conn] {
        &self.conns
    }

    /// Lets all whose stream has ended come back. Says how many.
    ///
    /// # Errors
    /// When the system has no more sockets.
    pub fn come_back(&mut self) -> io::Result<usize> {
        let mut count = 0;
        for index in 0..self.conns.len() {
            if let Phase::Ended { .. } = self.conns[index].phase() {
                let mut again = self.conns[index].again()?;
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(again.stream(), Token(index), interest)?;
                self.conns[index] = again;
                count += 1;
            }
        }
        self.ended -= count;
        self.opening += count;
        Ok(count)
    }

    /// How many streams the server has ended.
    pub fn ended(&self) -> usize {
        self.ended
    }

    /// Messages that the server has said it took.
    pub fn accepted(&self) -> u64 {
        self.publisher.as_ref().map_or(0, Publisher::accepted)
    }

    /// What went wrong, and how often.
    pub fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }
}

/// How long a turn may sleep before its condition is looked at again.
const LOOK: Duration = Duration::from_millis(100);
