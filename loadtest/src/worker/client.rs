//! One client: a socket that subscribes and reads, as fast as its read mode allows, and the state
//! that the client keeps between connections.
//!
//! It knows no poll and no clock of its own. Readiness is edge-triggered, so the caller that pauses
//! a client must resume its reading. All counts go to the ledger.

use std::io::{self, ErrorKind, Read};

use mio::net::TcpStream;

use super::link::{Inbound, Link};
use super::scratch::ReadScratch;
use crate::clock::now;
use crate::dialect::{Notice, position_number};
use crate::ledger::Subscription;
use crate::preset::Ready;
use crate::requests::{Captured, Requests};
use crate::stamp::{Finder, Stamp};
use crate::template::{Placeholder, Values};
use crate::transport::ws::{self, ControlReply, Frames};
use crate::transport::{AfterResponse, Decoder, Framing, Item, Transport};

/// One client.
#[derive(Debug)]
pub struct Client {
    number: u32,
    /// One for each of its channels; there is at least one.
    subscriptions: Box<[Subscription]>,
    pub(super) captured: Captured,
    pub(super) link: Option<Link>,
    /// The other connection, where a client has two.
    pub(super) spare: Option<Link>,
    phase: ClientPhase,
    /// How fast it reads.
    pub read_mode: ReadMode,
    /// How often it has failed since it was last subscribed.
    pub failures: u32,
    /// The delay that the stream's `close` named, in milliseconds.
    pub after: Option<u64>,
    /// The delay before the next poll that the last answer advised, in milliseconds.
    pub advised: Option<u64>,
}

/// How fast a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    /// Everything that has arrived.
    Eager,
    /// Only on request.
    Paused,
    /// Everything again, without timing: the backlog does not show the server's speed.
    Resumed,
}

/// The phase of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPhase {
    /// It has no connection.
    Away,
    /// It is connecting or subscribing.
    Opening,
    /// It is subscribed and receives messages.
    Subscribed,
    /// The same, and between two polls.
    Resting,
}

/// What the caller must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Waits for the next event.
    Wait,
    /// Sends the next poll at its time.
    PollLater,
    /// Opens a second connection.
    ConnectSecond,
    /// The connection has ended.
    Ended {
        /// Whether the response was complete.
        clean: bool,
    },
}

/// A client's values in a template.
pub(super) struct ClientValues<'a>(pub(super) &'a Client, pub(super) &'a Requests);

impl Values for ClientValues<'_> {
    fn write(&self, place: Placeholder, out: &mut Vec<u8>) -> bool {
        let Self(client, requests) = self;
        if place == Placeholder::Subscriptions {
            requests.names.subscriptions(client.channels(), out);
            return true;
        }
        client.captured.write(place, out) || requests.names.write(place, client.number, client.channel(), out)
    }
}

impl Client {
    /// Without a connection.
    pub fn new(number: u32, channels: &[u32]) -> Self {
        Self {
            number,
            subscriptions: channels.iter().map(|channel| Subscription::new(*channel)).collect(),
            captured: Captured::default(),
            link: None,
            spare: None,
            phase: ClientPhase::Away,
            read_mode: ReadMode::Eager,
            failures: 0,
            after: None,
            advised: None,
        }
    }

    /// Its phase.
    pub fn phase(&self) -> ClientPhase {
        self.phase
    }

    /// Its channels.
    pub(super) fn channels(&self) -> impl Iterator<Item = u32> {
        self.subscriptions.iter().map(|subscription| subscription.channel)
    }

    /// Its first channel.
    fn channel(&self) -> u32 {
        self.channels().next().unwrap_or(0)
    }

    /// Its state in each channel.
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// Takes a connection that is being established.
    pub fn connect(&mut self, stream: TcpStream) -> &mut TcpStream {
        (self.phase, self.after) = (ClientPhase::Opening, None);
        &mut self.link.insert(Link::new(stream, 0)).stream
    }

    /// Whether it is subscribed.
    pub(super) fn is_subscribed(&self) -> bool {
        matches!(self.phase, ClientPhase::Subscribed | ClientPhase::Resting)
    }

    /// Drops its connections, if there are any.
    pub fn leave(&mut self) {
        (self.link, self.spare, self.phase) = (None, None, ClientPhase::Away);
    }

    /// One of its sockets has become writable.
    ///
    /// # Errors
    /// If the connection failed.
    pub fn writable(&mut self, scratch: &mut ReadScratch<'_>) -> io::Result<()> {
        self.pump(scratch)?;
        if self.spare.is_none() {
            return Ok(());
        }
        self.change_over();
        let done = self.pump(scratch);
        self.change_over();
        done
    }

    fn pump(&mut self, scratch: &mut ReadScratch<'_>) -> io::Result<()> {
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
            return self.ask(scratch);
        }
        link.flush()
    }

    /// Sends the request of the current step.
    ///
    /// # Errors
    /// If the connection failed.
    pub fn ask(&mut self, scratch: &mut ReadScratch<'_>) -> io::Result<()> {
        let Some(step) = self.link.as_ref().map(|link| link.step) else { return Ok(()) };
        let is_last = step + 1 == scratch.requests.sequence.len();
        scratch.out.clear();
        if let Some(request) = scratch.requests.sequence.get(step) {
            request.write(&ClientValues(self, scratch.requests), scratch.out);
        }
        if let Some(link) = &mut self.link {
            link.response.restart();
            link.send(scratch.out)?;
        }
        match self.phase {
            ClientPhase::Opening if is_last && scratch.requests.ready == Ready::Asked => self.subscribed(),
            ClientPhase::Resting => self.phase = ClientPhase::Subscribed,
            ClientPhase::Away | ClientPhase::Opening | ClientPhase::Subscribed => {}
        }
        Ok(())
    }

    pub(super) fn subscribed(&mut self) {
        if self.phase == ClientPhase::Opening {
            (self.phase, self.failures) = (ClientPhase::Subscribed, 0);
        }
    }

    /// Its socket may have bytes, or the end.
    ///
    /// # Errors
    /// If the connection broke before the client was subscribed, or the server violated the
    /// protocol.
    pub fn readable(&mut self, is_end: bool, scratch: &mut ReadScratch<'_>) -> io::Result<Next> {
        if scratch.requests.transport == Transport::Overlap && self.read_mode != ReadMode::Paused {
            return self.catch_up_both(scratch);
        }
        if let Some(link) = &mut self.link {
            let is_ending = is_end || link.inbound == Inbound::Ending;
            link.inbound = if is_ending { Inbound::Ending } else { Inbound::Ready };
        }
        self.catch_up(scratch)
    }

    /// Reads everything that has arrived, if its read mode allows.
    ///
    /// # Errors
    /// As for [`Client::readable`].
    pub fn catch_up(&mut self, scratch: &mut ReadScratch<'_>) -> io::Result<Next> {
        let mut next = Next::Wait;
        while self.read_mode != ReadMode::Paused
            && next == Next::Wait
            && self.link.as_ref().is_some_and(|link| link.inbound != Inbound::Dry)
        {
            next = self.read(usize::MAX, scratch)?;
        }
        Ok(next)
    }

    /// Reads once, at most `limit` bytes, in any read mode.
    ///
    /// # Errors
    /// As for [`Client::readable`].
    pub fn read(&mut self, limit: usize, scratch: &mut ReadScratch<'_>) -> io::Result<Next> {
        let Some(link) = &mut self.link else { return Ok(Next::Wait) };
        let limit = limit.min(scratch.buffer.len());
        match link.stream.read(&mut scratch.buffer[..limit]) {
            Ok(0) => Ok(Next::Ended { clean: link.ends_with_connection(scratch.requests.framing) }),
            Ok(count) => {
                // A short read took everything, and later bytes cause a new event.
                if count < limit && link.inbound == Inbound::Ready {
                    link.inbound = Inbound::Dry;
                }
                self.take(count, now(), scratch)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                link.inbound = Inbound::Dry;
                Ok(Next::Wait)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Next::Wait),
            // The scenario judges a stream that is cut.
            Err(_) if self.phase != ClientPhase::Opening => Ok(Next::Ended { clean: false }),
            Err(error) => Err(error),
        }
    }

    /// Handles the bytes read at `now`.
    fn take(&mut self, count: usize, now: u64, scratch: &mut ReadScratch<'_>) -> io::Result<Next> {
        let Some(link) = &mut self.link else { return Ok(Next::Wait) };
        let had_head = link.response.status().is_some();
        scratch.body.clear();
        scratch.body.append(&mut link.tail);
        let taken = link.response.take(&scratch.buffer[..count], scratch.body).map_err(broken)?;
        if taken < count {
            return Err(invalid("bytes behind the end of a response"));
        }
        let Some(status) = link.response.status() else { return Ok(Next::Wait) };
        let is_last = link.step + 1 == scratch.requests.sequence.len();
        let upgrades = is_last && scratch.requests.framing == Framing::Frames;
        if !is_good(status, upgrades) {
            return Err(io::Error::other(format!("status {status}: {}", beginning(scratch.body))));
        }
        if !had_head {
            scratch.requests.captures.headers(&link.response, &mut self.captured);
            if upgrades {
                scratch.out.clear();
                // A key depends on the client alone.
                scratch.requests.names.write(Placeholder::Key, self.number, 0, scratch.out);
                ws::upgraded(&link.response, scratch.out, scratch.requests.compression).map_err(broken)?;
                link.frames = Frames::new(scratch.requests.compression);
            }
            if is_last && scratch.requests.transport.after_response() == AfterResponse::Reopen {
                link.response.forget_head();
            }
            if is_last && scratch.requests.ready == Ready::Head {
                self.subscribed();
            }
            if upgrades {
                self.send_handshake(scratch)?;
            }
        }
        let heard = if is_last { self.items(now, scratch)? } else { Next::Wait };
        if heard == Next::Wait { self.after_take(is_last, scratch) } else { Ok(heard) }
    }

    /// Counts the complete pieces, answers pings and closes, and keeps the beginning of the next
    /// piece.
    #[expect(clippy::too_many_lines, reason = "one loop over borrowed buffers")]
    pub(super) fn items(&mut self, now: u64, scratch: &mut ReadScratch<'_>) -> io::Result<Next> {
        let Some(link) = &mut self.link else { return Ok(Next::Wait) };
        let ReadScratch { body, out: position, ledger, decode, requests, heartbeats, .. } = scratch;
        let is_timed = self.read_mode == ReadMode::Eager;
        let (number, subscriptions) = (self.number, &mut self.subscriptions);
        let (after, advised, captured) = (&mut self.after, &mut self.advised, &mut self.captured);
        let (mut said_something, mut answered, mut refused) = (false, 0, None);
        let (mask, mut answer, mut next) = (decode.mask(), Vec::new(), Next::Wait);
        position.clear();
        let is_end = link.response.is_done();
        let mut decoder = Decoder { framing: requests.framing, frames: &mut link.frames, decode };
        let used = decoder.items(body, is_end, |item| {
            let piece = match item {
                Item::Piece(piece) => piece,
                Item::Ping(payload) => {
                    **heartbeats += 1;
                    return ws::answer(ControlReply::Pong, payload, mask, &mut answer);
                }
                Item::Close(payload) => {
                    next = Next::Ended { clean: true };
                    return ws::answer(ControlReply::Close, payload, mask, &mut answer);
                }
            };
            let at = requests.dialect.position(&piece);
            if !at.is_empty() {
                position.clear();
                position.extend_from_slice(at);
            }
            if piece.data.is_empty() {
                **heartbeats += 1;
                return;
            }
            said_something = true;
            if !requests.socket_handshake.is_empty() && requests.dialect.is_answer(&piece) {
                requests.captures.body(piece.data, captured);
                answered += 1;
            }
            let n = position_number(at);
            let each = |stamp: Stamp| {
                // A message of another channel is counted as a stray.
                let at = subscriptions
                    .iter()
                    .position(|subscription| subscription.channel == stamp.channel)
                    .unwrap_or(0);
                ledger.message(number, &mut subscriptions[at], stamp, n, is_timed.then_some(now));
            };
            if Finder::stamps(piece.data, each) > 0 {
                return;
            }
            match requests.dialect.note(&piece) {
                Notice::Alive => {}
                Notice::Gap { from, to } => ledger.gap(number, from, to, !is_timed),
                Notice::Close { after: wait, .. } => *after = Some(wait),
                Notice::Advice { poll } => *advised = Some(poll),
                Notice::Refused(text) => refused = Some(beginning(text)),
            }
        });
        let used = used.map_err(broken)?;
        requests.captures.position(position, &mut self.captured);
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
        if said_something && requests.ready == Ready::Piece {
            self.subscribed();
        }
        (0..answered).try_for_each(|_| self.send_handshake(scratch))?;
        Ok(next)
    }

    /// The next action after received bytes.
    fn after_take(&mut self, is_last: bool, scratch: &mut ReadScratch<'_>) -> io::Result<Next> {
        let Some(link) = &mut self.link else { return Ok(Next::Wait) };
        if !link.response.is_done() {
            if !is_last {
                link.tail.append(scratch.body);
            }
            return Ok(Next::Wait);
        }
        let keeps_alive = link.response.keeps_alive();
        if !is_last {
            link.step += 1;
            scratch.requests.captures.body(scratch.body, &mut self.captured);
            if !keeps_alive {
                return Err(invalid("the connection ended between two requests"));
            }
            return self.ask(scratch).map(|()| Next::Wait);
        }
        match scratch.requests.transport.after_response() {
            AfterResponse::Reopen => Ok(Next::Ended { clean: true }),
            AfterResponse::PollNow | AfterResponse::PollLater if !keeps_alive => {
                Ok(Next::Ended { clean: true })
            }
            AfterResponse::PollNow => self.ask(scratch).map(|()| Next::Wait),
            AfterResponse::PollLater => {
                self.phase = ClientPhase::Resting;
                Ok(Next::PollLater)
            }
        }
    }

    /// Whether its poll is sent and not answered yet.
    pub fn is_waiting(&self) -> bool {
        match self.phase {
            ClientPhase::Subscribed => {
                self.link.is_some()
                    && [&self.link, &self.spare].into_iter().flatten().all(|link| !link.response.has_begun())
            }
            ClientPhase::Away | ClientPhase::Opening | ClientPhase::Resting => false,
        }
    }
}

/// Bytes of the longest accepted piece.
const PIECE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Whether a status means success; the upgrade's headers are checked elsewhere, where its key is
/// known.
pub(super) fn is_good(status: u16, upgrades: bool) -> bool {
    (200..300).contains(&status) || status == 304 || (upgrades && status == 101)
}

/// The beginning of a text, enough to identify it.
pub(super) fn beginning(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(crate::http::QUOTED_BYTES_MAX)]).trim().to_owned()
}

pub(super) fn broken(what: crate::http::Broken) -> io::Error {
    invalid(what.0)
}

pub(super) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
