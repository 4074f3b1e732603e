//! One client: a socket that subscribes and takes what comes, as fast as its pace allows, and what it remembers between sockets.
//!
//! It knows no poll and no time but what it is given. Readiness is edge-triggered, so whoever holds a client back must come back to it by
//! himself. Everything that it counts goes to the ledger.

use std::io::{self, ErrorKind, Read};

use mio::net::TcpStream;

use super::hands::Hands;
use super::link::{Inbound, Link};
use crate::clock::now;
use crate::dialect::{Note, position_number};
use crate::ledger::Standing;
use crate::preset::Ready;
use crate::speech::{Kept, Speech};
use crate::stamp::{Finder, Stamp};
use crate::template::{Place, Values};
use crate::transport::ws::{self, Answer, Frames};
use crate::transport::{Again, Decoder, Framing, Item, Transport};

/// One client.
#[derive(Debug)]
pub struct Client {
    number: u32,
    /// One for each of its channels; there is at least one.
    standings: Box<[Standing]>,
    pub(super) kept: Kept,
    pub(super) link: Option<Link>,
    /// The other connection, where a client has two.
    pub(super) spare: Option<Link>,
    phase: Phase,
    /// How fast it reads.
    pub pace: Pace,
    /// How often it has failed since it was last subscribed.
    pub failures: u32,
    /// What the stream's `close` said, in milliseconds, if it said one.
    pub after: Option<u64>,
    /// When the last answer to a poll said that the next is worth while, in milliseconds.
    pub advised: Option<u64>,
}

/// How fast a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All there is.
    Eager,
    /// Only when told to.
    Held,
    /// All there is, again: what has piled up says nothing of the server's speed, so nothing is timed.
    Freed,
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has no connection.
    Away,
    /// It has asked for one, or is on its way to being subscribed.
    Opening,
    /// It gets what is published.
    Subscribed,
    /// The same, and between two polls.
    Resting,
}

/// What must happen next, by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing but what the socket says.
    Wait,
    /// The next poll when its time has come.
    PollLater,
    /// A second connection is wanted.
    ConnectSecond,
    /// The connection is gone, its response whole or not.
    Ended {
        /// The response was whole.
        clean: bool,
    },
}

/// A client's values in a template.
pub(super) struct Filling<'a>(pub(super) &'a Client, pub(super) &'a Speech);

impl Values for Filling<'_> {
    fn write(&self, place: Place, out: &mut Vec<u8>) -> bool {
        let Self(client, speech) = self;
        if place == Place::Subscriptions {
            speech.names.subscriptions(client.channels(), out);
            return true;
        }
        client.kept.write(place, out) || speech.names.write(place, client.number, client.channel(), out)
    }
}

impl Client {
    /// Without a connection.
    pub fn new(number: u32, channels: &[u32]) -> Self {
        Self {
            number,
            standings: channels.iter().map(|channel| Standing::new(*channel)).collect(),
            kept: Kept::default(),
            link: None,
            spare: None,
            phase: Phase::Away,
            pace: Pace::Eager,
            failures: 0,
            after: None,
            advised: None,
        }
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The channels that it has.
    pub(super) fn channels(&self) -> impl Iterator<Item = u32> {
        self.standings.iter().map(|standing| standing.channel)
    }

    /// The first of them.
    fn channel(&self) -> u32 {
        self.channels().next().unwrap_or(0)
    }

    /// What it got.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// Takes a connection that is being made.
    pub fn connect(&mut self, stream: TcpStream) -> &mut TcpStream {
        (self.phase, self.after) = (Phase::Opening, None);
        &mut self.link.insert(Link::new(stream, 0)).stream
    }

    /// Whether it gets what is published.
    pub(super) fn is_subscribed(&self) -> bool {
        matches!(self.phase, Phase::Subscribed | Phase::Resting)
    }

    /// Drops its connections, if there are any.
    pub fn leave(&mut self) {
        (self.link, self.spare, self.phase) = (None, None, Phase::Away);
    }

    /// The socket takes bytes, or one of two does.
    ///
    /// # Errors
    /// When the connection failed.
    pub fn writable(&mut self, hands: &mut Hands<'_>) -> io::Result<()> {
        self.pump(hands)?;
        if self.spare.is_none() {
            return Ok(());
        }
        self.change_over();
        let done = self.pump(hands);
        self.change_over();
        done
    }

    fn pump(&mut self, hands: &mut Hands<'_>) -> io::Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        if !link.is_connected {
            if let Some(error) = link.stream.take_error()? {
                return Err(error);
            }
            match link.stream.peer_addr() {
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                connected => drop(connected?),
            }
            link.is_connected = true;
            return self.ask(hands);
        }
        link.flush()
    }

    /// Sends the present step's request.
    ///
    /// # Errors
    /// When the connection failed.
    pub fn ask(&mut self, hands: &mut Hands<'_>) -> io::Result<()> {
        let Some(step) = self.link.as_ref().map(|link| link.step) else { return Ok(()) };
        let is_last = step + 1 == hands.speech.requests.len();
        hands.scratch.clear();
        if let Some(request) = hands.speech.requests.get(step) {
            request.write(&Filling(self, hands.speech), hands.scratch);
        }
        if let Some(link) = &mut self.link {
            link.response.restart();
            link.send(hands.scratch)?;
        }
        match self.phase {
            Phase::Opening if is_last && hands.speech.ready == Ready::Asked => self.subscribed(),
            Phase::Resting => self.phase = Phase::Subscribed,
            Phase::Away | Phase::Opening | Phase::Subscribed => {}
        }
        Ok(())
    }

    pub(super) fn subscribed(&mut self) {
        if self.phase == Phase::Opening {
            (self.phase, self.failures) = (Phase::Subscribed, 0);
        }
    }

    /// There may be bytes, and behind them the end.
    ///
    /// # Errors
    /// When the connection broke before the client was subscribed, or the server did not keep to the protocol.
    pub fn readable(&mut self, is_end: bool, hands: &mut Hands<'_>) -> io::Result<Next> {
        if hands.speech.transport == Transport::Overlap && self.pace != Pace::Held {
            return self.catch_up_both(hands);
        }
        if let Some(link) = &mut self.link {
            let is_ending = is_end || link.inbound == Inbound::Ending;
            link.inbound = if is_ending { Inbound::Ending } else { Inbound::Ready };
        }
        self.catch_up(hands)
    }

    /// Reads all there is, if its pace is to do so.
    ///
    /// # Errors
    /// As for [`Client::readable`].
    pub fn catch_up(&mut self, hands: &mut Hands<'_>) -> io::Result<Next> {
        let mut next = Next::Wait;
        while self.pace != Pace::Held
            && next == Next::Wait
            && self.link.as_ref().is_some_and(|link| link.inbound != Inbound::Dry)
        {
            next = self.read(usize::MAX, hands)?;
        }
        Ok(next)
    }

    /// Reads at most `limit` bytes, once, whatever its pace.
    ///
    /// # Errors
    /// As for [`Client::readable`].
    pub fn read(&mut self, limit: usize, hands: &mut Hands<'_>) -> io::Result<Next> {
        let Some(link) = &mut self.link else { return Ok(Next::Wait) };
        let limit = limit.min(hands.buffer.len());
        match link.stream.read(&mut hands.buffer[..limit]) {
            Ok(0) => Ok(Next::Ended { clean: link.ends_with_connection(hands.speech.framing) }),
            Ok(count) => {
                // A short read took all there was, and what comes later brings a new event.
                if count < limit && link.inbound == Inbound::Ready {
                    link.inbound = Inbound::Dry;
                }
                self.take(count, now(), hands)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                link.inbound = Inbound::Dry;
                Ok(Next::Wait)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Next::Wait),
            // A stream that is cut is for the scenario to judge.
            Err(_) if self.phase != Phase::Opening => Ok(Next::Ended { clean: false }),
            Err(error) => Err(error),
        }
    }

    /// Takes what has been read at `now`.
    fn take(&mut self, count: usize, now: u64, hands: &mut Hands<'_>) -> io::Result<Next> {
        let Some(link) = &mut self.link else { return Ok(Next::Wait) };
        let had_head = link.response.status().is_some();
        hands.body.clear();
        hands.body.append(&mut link.tail);
        let taken = link.response.take(&hands.buffer[..count], hands.body).map_err(broken)?;
        if taken < count {
            return Err(invalid("bytes behind the end of a response"));
        }
        let Some(status) = link.response.status() else { return Ok(Next::Wait) };
        let is_last = link.step + 1 == hands.speech.requests.len();
        let upgrades = is_last && hands.speech.framing == Framing::Frames;
        if !is_good(status, upgrades) {
            return Err(io::Error::other(format!("status {status}: {}", beginning(hands.body))));
        }
        if !had_head {
            hands.speech.captures.headers(&link.response, &mut self.kept);
            if upgrades {
                hands.scratch.clear();
                // A key depends on the client alone.
                hands.speech.names.write(Place::Key, self.number, 0, hands.scratch);
                ws::upgraded(&link.response, hands.scratch, hands.speech.compression).map_err(broken)?;
                link.frames = Frames::new(hands.speech.compression);
            }
            if is_last && hands.speech.transport.again() == Again::Reopen {
                link.response.forget_head();
            }
            if is_last && hands.speech.ready == Ready::Head {
                self.subscribed();
            }
            if upgrades {
                self.greet(hands)?;
            }
        }
        let heard = if is_last { self.items(now, hands)? } else { Next::Wait };
        if heard == Next::Wait { self.after_take(is_last, hands) } else { Ok(heard) }
    }

    /// Counts the pieces that are whole, answers what wants an answer, and keeps the beginning of the next.
    pub(super) fn items(&mut self, now: u64, hands: &mut Hands<'_>) -> io::Result<Next> {
        let Some(link) = &mut self.link else { return Ok(Next::Wait) };
        let Hands { body, scratch: position, ledger, bench, speech, heartbeats, .. } = hands;
        let is_timed = self.pace == Pace::Eager;
        let (number, standings) = (self.number, &mut self.standings);
        let (after, advised, kept) = (&mut self.after, &mut self.advised, &mut self.kept);
        let (mut said_something, mut answered, mut refused) = (false, 0, None);
        let (mask, mut answer, mut next) = (bench.mask(), Vec::new(), Next::Wait);
        position.clear();
        let is_end = link.response.is_done();
        let mut decoder = Decoder { framing: speech.framing, frames: &mut link.frames, bench };
        let used = decoder.items(body, is_end, |item| {
            let piece = match item {
                Item::Piece(piece) => piece,
                Item::Ping(payload) => {
                    **heartbeats += 1;
                    return ws::answer(Answer::Pong, payload, mask, &mut answer);
                }
                Item::Bye(payload) => {
                    next = Next::Ended { clean: true };
                    return ws::answer(Answer::Close, payload, mask, &mut answer);
                }
            };
            let at = speech.dialect.position(&piece);
            if !at.is_empty() {
                position.clear();
                position.extend_from_slice(at);
            }
            if piece.data.is_empty() {
                **heartbeats += 1;
                return;
            }
            said_something = true;
            if !speech.greetings.is_empty() && speech.dialect.is_answer(&piece) {
                speech.captures.body(piece.data, kept);
                answered += 1;
            }
            let n = position_number(at);
            let each = |stamp: Stamp| {
                // A message of none of its channels is a stray in the first one's books.
                let at = standings.iter().position(|standing| standing.channel == stamp.channel).unwrap_or(0);
                ledger.message(number, &mut standings[at], stamp, n, now, is_timed);
            };
            if Finder::stamps(piece.data, each) > 0 {
                return;
            }
            match speech.dialect.note(&piece) {
                Note::Life => {}
                Note::Gap { from, to } => ledger.gap(number, from, to, !is_timed),
                Note::Close { after: wait, .. } => *after = Some(wait),
                Note::Advice { poll } => *advised = Some(poll),
                Note::Refused(text) => refused = Some(beginning(text)),
            }
        });
        let used = used.map_err(broken)?;
        speech.captures.position(position, &mut self.kept);
        if used < body.len() {
            link.tail.extend_from_slice(&body[used..]);
        }
        if !answer.is_empty() {
            link.send(&answer)?;
        }
        if let Some(text) = refused {
            return Err(io::Error::other(format!("refused: {text}")));
        }
        if link.tail.len() > PIECE_BYTES_MAX {
            return Err(invalid("an endless piece"));
        }
        if said_something && speech.ready == Ready::Piece {
            self.subscribed();
        }
        (0..answered).try_for_each(|_| self.greet(hands))?;
        Ok(next)
    }

    /// What follows what has been taken.
    fn after_take(&mut self, is_last: bool, hands: &mut Hands<'_>) -> io::Result<Next> {
        let Some(link) = &mut self.link else { return Ok(Next::Wait) };
        if !link.response.is_done() {
            if !is_last {
                link.tail.append(hands.body);
            }
            return Ok(Next::Wait);
        }
        let keeps_alive = link.response.keeps_alive();
        if !is_last {
            link.step += 1;
            hands.speech.captures.body(hands.body, &mut self.kept);
            if !keeps_alive {
                return Err(invalid("the connection ended between two requests"));
            }
            return self.ask(hands).map(|()| Next::Wait);
        }
        match hands.speech.transport.again() {
            Again::Reopen => Ok(Next::Ended { clean: true }),
            Again::AtOnce | Again::Later if !keeps_alive => Ok(Next::Ended { clean: true }),
            Again::AtOnce => self.ask(hands).map(|()| Next::Wait),
            Again::Later => {
                self.phase = Phase::Resting;
                Ok(Next::PollLater)
            }
        }
    }

    /// Whether it is on a connection that the server has not seen the last of: the request of a poll is out.
    pub fn is_waiting(&self) -> bool {
        match self.phase {
            Phase::Subscribed => {
                self.link.is_some()
                    && [&self.link, &self.spare].into_iter().flatten().all(|link| !link.response.has_begun())
            }
            Phase::Away | Phase::Opening | Phase::Resting => false,
        }
    }
}

/// Bytes of the longest piece that is taken for one.
const PIECE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Whether a status is what was asked for; what an upgrade must hold besides is looked at where it is known.
pub(super) fn is_good(status: u16, upgrades: bool) -> bool {
    (200..300).contains(&status) || status == 304 || (upgrades && status == 101)
}

/// Enough of a text to know it by.
pub(super) fn beginning(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(120)]).trim().to_owned()
}

pub(super) fn broken(what: crate::http::Broken) -> io::Error {
    invalid(what.0)
}

pub(super) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
