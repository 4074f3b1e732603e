//! The backend: publishes over persistent connections, in batches where the server accepts them.
//!
//! A channel belongs to one connection, so its messages are sent in order. Each message carries the
//! time at which it was due, however late it is sent: a server that answers slowly shows as
//! latency, not as a pause of the test. Messages without an answer when a connection ends are sent
//! again on the next.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::http::{QUOTED_BYTES_MAX, Response};
use crate::ledger::Published;
use crate::requests::{Captured, Captures, Names};
use crate::rng::Rng;
use crate::settings::Settings;
use crate::stamp::{Padding, Stamp};
use crate::template::{Placeholder, Request, Template, Values};

/// All publishers.
pub struct Publishers {
    server: SocketAddr,
    registry: Registry,
    conns: Vec<PublishConn>,
    format: PublishFormat,
    published: Published,
    accepted: u64,
    errors: BTreeMap<String, u64>,
    buffer: Vec<u8>,
}

/// The format of published messages.
struct PublishFormat {
    /// A connection's first request, if the server registers publishers.
    handshake: Option<Request>,
    captures: Captures,
    request: Request,
    item: Template,
    around: [String; 3],
    batch_max: usize,
    refused_by: Vec<u8>,
    names: Names,
    /// Least and most bytes of a payload.
    payload_bytes: (usize, usize),
    padding: Padding,
    in_flight: usize,
}

/// One connection.
struct PublishConn {
    stream: Option<TcpStream>,
    /// Messages that are not in a request yet.
    queue: VecDeque<Stamp>,
    /// The messages of unanswered requests.
    unanswered: VecDeque<Vec<Stamp>>,
    /// Whether the server has registered this publisher.
    registration: Registration,
    captured: Captured,
    unsent: Vec<u8>,
    response: Response,
    body: Vec<u8>,
    /// Connections in a row that ended without an answer.
    failures: u32,
}

/// The registration of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registration {
    /// Not requested yet.
    Unknown,
    /// Requested; everything else waits for the answer.
    Asking,
    /// It may publish.
    Known,
}

/// A message's values in a template.
struct MessageValues<'a>(&'a PublishFormat, &'a Captured, Stamp);

/// The values of a connection's first request: those captured before.
struct Own<'a>(&'a Captured);

impl Values for Own<'_> {
    fn write(&self, place: Placeholder, out: &mut Vec<u8>) -> bool {
        self.0.write(place, out)
    }
}

/// Connections in a row that may end without an answer.
const FAILURES_MAX: u32 = 5;

/// Bytes of items in one request, approximately: far below the servers' limits.
const BODY_BYTES: usize = 256 * 1024;

/// How a Bayeux server reports an unknown client.
const UNKNOWN: &[u8] = b"\"error\":\"402:";

impl Values for MessageValues<'_> {
    fn write(&self, place: Placeholder, out: &mut Vec<u8>) -> bool {
        let Self(format, captured, stamp) = self;
        match place {
            Placeholder::Text => stamp.write(format.bytes(*stamp), format.padding, out),
            Placeholder::Payload => {
                out.push(b'"');
                stamp.write(format.bytes(*stamp), format.padding, out);
                out.push(b'"');
            }
            // A user's own channel has the user's number.
            place => {
                return captured.write(place, out)
                    || format.names.write(place, stamp.channel, stamp.channel, out);
            }
        }
        true
    }
}

impl PublishFormat {
    /// Bytes of a message's payload: the same if it has to be sent again.
    fn bytes(&self, stamp: Stamp) -> usize {
        let (least, most) = self.payload_bytes;
        if least == most {
            return least;
        }
        let mut rng = Rng::new(u64::from(stamp.channel) << 32 | u64::from(stamp.serial));
        least + rng.below((most - least) as u64 + 1) as usize
    }
}

impl Publishers {
    /// Connects. Tokens from 0 on are theirs.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn new(settings: &Settings, names: Names, registry: Registry) -> io::Result<Self> {
        let publish = &settings.preset.publish;
        let format = PublishFormat {
            handshake: publish.handshake.as_ref().map(|ask| Request::new(ask, &settings.api.host)),
            captures: Captures::new(&settings.preset.captures),
            request: Request::new(&publish.ask, &settings.api.host),
            item: Template::new(&publish.item),
            around: publish.around.clone(),
            batch_max: publish.batch_max,
            refused_by: publish.refused_by.clone().into_bytes(),
            names,
            payload_bytes: (settings.bytes, settings.bytes_max),
            padding: settings.padding,
            in_flight: settings.in_flight as usize,
        };
        let mut all = Self {
            server: settings.api.address,
            registry,
            conns: (0..settings.publishers).map(|_| PublishConn::new()).collect(),
            format,
            published: Published {
                serials: vec![0; settings.layout.channels() as usize],
                refused: Vec::new(),
            },
            accepted: 0,
            errors: BTreeMap::new(),
            buffer: vec![0; 64 * 1024],
        };
        (0..all.conns.len()).try_for_each(|conn| all.connect(conn))?;
        Ok(all)
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// The messages published so far.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// Messages that the server has accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Errors, and how often each occurred.
    pub fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// Whether every request has been answered.
    pub fn is_idle(&self) -> bool {
        self.conns.iter().all(|conn| conn.queue.is_empty() && conn.unanswered.is_empty())
    }

    /// The number of further requests that a connection may have in flight.
    pub fn room(&self, conn: usize) -> usize {
        let conn = self.conns.get(conn);
        conn.map_or(0, |conn| self.format.in_flight.saturating_sub(conn.unanswered.len() + conn.queue.len()))
    }

    /// Queues a message with its due time; [`Publishers::send`] sends it.
    pub fn publish(&mut self, channel: u32, due: u64) {
        let Some(serial) = self.published.serials.get_mut(channel as usize) else { return };
        *serial += 1;
        let conn = channel as usize % self.conns.len();
        self.conns[conn].queue.push_back(Stamp { channel, serial: *serial, due });
    }

    /// Sends as many requests as may be in flight.
    ///
    /// # Errors
    /// If the server can no longer be reached.
    pub fn send(&mut self) -> io::Result<()> {
        (0..self.conns.len()).try_for_each(|conn| self.pump(conn))
    }

    fn pump(&mut self, index: usize) -> io::Result<()> {
        let conn = &mut self.conns[index];
        conn.introduce(&self.format);
        while conn.registration == Registration::Known
            && conn.unanswered.len() < self.format.in_flight
            && !conn.queue.is_empty()
        {
            conn.request(&self.format);
        }
        match conn.flush() {
            Ok(()) => Ok(()),
            Err(error) => self.broken(index, &error.to_string()),
        }
    }

    /// Handles an event of a connection.
    ///
    /// # Errors
    /// If the server can no longer be reached.
    pub fn serve(&mut self, index: usize) -> io::Result<()> {
        loop {
            let Some(stream) = self.conns.get_mut(index).and_then(|conn| conn.stream.as_mut()) else {
                return Ok(());
            };
            match stream.read(&mut self.buffer) {
                Ok(0) => return self.broken(index, "closed by the server"),
                Ok(count) => {
                    if let Err(reason) = self.take(index, count) {
                        return self.broken(index, &reason);
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.broken(index, &error.to_string()),
            }
        }
        self.pump(index)
    }

    /// Handles received bytes: the answers, in the order of the requests. Fails with the reason if
    /// the connection can no longer be used.
    fn take(&mut self, index: usize, count: usize) -> Result<(), String> {
        let mut at = 0;
        while at < count {
            let conn = &mut self.conns[index];
            at += conn
                .response
                .take(&self.buffer[at..count], &mut conn.body)
                .map_err(|broken| broken.0.to_owned())?;
            if !conn.response.is_done() {
                continue;
            }
            let keeps_alive = conn.response.keeps_alive();
            if conn.registration == Registration::Asking {
                conn.introduced(&self.format)?;
            } else {
                if self.format.handshake.is_some() && memmem::find(&conn.body, UNKNOWN).is_some() {
                    conn.captured = Captured::default();
                    return Err("the server has forgotten the publisher".to_owned());
                }
                let stamps = conn.unanswered.pop_front().ok_or("an answer without a request")?;
                conn.failures = 0;
                self.answered(index, &stamps);
            }
            let conn = &mut self.conns[index];
            conn.response.restart();
            conn.body.clear();
            if !keeps_alive {
                // The server will not read the requests behind this one: that is HTTP's rule, not a
                // fault.
                return Err(String::new());
            }
        }
        Ok(())
    }

    fn answered(&mut self, index: usize, stamps: &[Stamp]) {
        let conn = &self.conns[index];
        let status = conn.response.status().unwrap_or(0);
        let refused_by = &self.format.refused_by;
        let refuses = |text: &[u8]| !refused_by.is_empty() && memmem::find(text, refused_by).is_some();
        let is_good = (200..300).contains(&status);
        if is_good && !refuses(&conn.body) {
            self.accepted += stamps.len() as u64;
            return;
        }
        let lines = || conn.body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        // One line for each message, in order, or one answer for all.
        let each = is_good && lines().count() == stamps.len();
        let refused: Vec<Stamp> = if each {
            stamps.iter().zip(lines()).filter(|(_, line)| refuses(line)).map(|(stamp, _)| *stamp).collect()
        } else {
            stamps.to_vec()
        };
        let text = lines().find(|line| !each || refuses(line)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[..text.len().min(QUOTED_BYTES_MAX)]).into_owned();
        *self.errors.entry(format!("publish: {status} {text}")).or_default() += refused.len() as u64;
        self.accepted += (stamps.len() - refused.len()) as u64;
        self.published.refused.extend(refused.iter().map(|stamp| (stamp.channel, stamp.serial)));
    }

    /// A connection has failed: its unanswered messages are sent on a new one.
    fn broken(&mut self, index: usize, reason: &str) -> io::Result<()> {
        let conn = &mut self.conns[index];
        conn.failures += 1;
        if conn.failures > FAILURES_MAX {
            return Err(io::Error::other(format!("publishing to {}: {reason}", self.server)));
        }
        if !reason.is_empty() && !conn.unanswered.is_empty() {
            *self.errors.entry(format!("publisher: {reason}, sent again")).or_default() += 1;
        }
        conn.rewind();
        self.connect(index)?;
        self.pump(index)
    }

    fn connect(&mut self, index: usize) -> io::Result<()> {
        let connected = std::net::TcpStream::connect(self.server)
            .map_err(|error| io::Error::other(format!("publishing to {}: {error}", self.server)))?;
        connected.set_nodelay(true)?;
        connected.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(connected);
        self.registry.register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        self.conns[index].stream = Some(stream);
        Ok(())
    }
}

impl PublishConn {
    fn new() -> Self {
        Self {
            stream: None,
            queue: VecDeque::new(),
            unanswered: VecDeque::new(),
            registration: Registration::Unknown,
            captured: Captured::default(),
            unsent: Vec::new(),
            response: Response::new(),
            body: Vec::new(),
            failures: 0,
        }
    }

    /// Sends the registration before the first message.
    fn introduce(&mut self, format: &PublishFormat) {
        if self.registration != Registration::Unknown {
            return;
        }
        self.registration = match &format.handshake {
            Some(handshake) if self.captured.is_empty() => {
                handshake.write(&Own(&self.captured), &mut self.unsent);
                Registration::Asking
            }
            Some(_) | None => Registration::Known,
        };
    }

    /// Handles the answer to the registration.
    fn introduced(&mut self, format: &PublishFormat) -> Result<(), String> {
        format.captures.headers(&self.response, &mut self.captured);
        format.captures.body(&self.body, &mut self.captured);
        if self.captured.is_empty() {
            let text =
                String::from_utf8_lossy(&self.body[..self.body.len().min(QUOTED_BYTES_MAX)]).into_owned();
            return Err(format!("not let in: {text}"));
        }
        self.registration = Registration::Known;
        Ok(())
    }

    /// Builds a request from the next messages.
    fn request(&mut self, format: &PublishFormat) {
        let [before, between, after] = &format.around;
        let (mut stamps, mut body) = (Vec::new(), before.clone().into_bytes());
        while stamps.len() < format.batch_max
            && body.len() < BODY_BYTES
            && let Some(stamp) = self.queue.pop_front()
        {
            if !stamps.is_empty() {
                body.extend_from_slice(between.as_bytes());
            }
            format.item.fill(&MessageValues(format, &self.captured, stamp), &mut body);
            stamps.push(stamp);
        }
        body.extend_from_slice(after.as_bytes());
        if let Some(first) = stamps.first() {
            format.request.write_with(
                &MessageValues(format, &self.captured, *first),
                &body,
                &mut self.unsent,
            );
            self.unanswered.push_back(stamps);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let mut sent = 0;
        while sent < self.unsent.len() {
            match stream.write(&self.unsent[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent.drain(..sent);
        Ok(())
    }

    /// Back to the first unanswered message.
    fn rewind(&mut self) {
        for stamp in std::mem::take(&mut self.unanswered).into_iter().flatten().rev().collect::<Vec<_>>() {
            self.queue.push_front(stamp);
        }
        (self.stream, self.registration) = (None, Registration::Unknown);
        self.unsent.clear();
        self.body.clear();
        self.response.restart();
    }
}
