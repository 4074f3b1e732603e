//! Connections that send a request, take the first byte of the answer and close: how many a second,
//! and how long each waits.
//!
//! A fixed number of slots, each of which starts over as soon as it is done. The clients' numbers
//! repeat, so a server that keeps sessions sees its users return, as after the reload of a page.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{PROGRESS_EVERY, link};
use crate::clock::{nanos, now, until};
use crate::ipc::{FromWorker, Progress};
use crate::latencies::Latencies;
use crate::plan::Plan;
use crate::requests::{Names, Requests};
use crate::template::{Placeholder, Values};

/// An open connection.
struct Slot {
    stream: TcpStream,
    /// When it began.
    since: u64,
    /// The client's number.
    number: u32,
    is_asked: bool,
}

struct Churn<'a> {
    plan: &'a Plan,
    requests: Requests,
    poll: Poll,
    slots: Vec<Option<Slot>>,
    /// Connections begun so far.
    begun: u32,
    latencies: Latencies,
    connections: u64,
    errors: BTreeMap<String, u64>,
    request: Vec<u8>,
}

/// The time that connections in progress have when the run is over.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs for a time; reports progress through `tell`.
///
/// # Errors
/// When the system refuses the poll or sockets.
pub fn run(
    plan: &Plan,
    concurrency: u32,
    span: Duration,
    tell: impl Fn(&FromWorker) -> io::Result<()>,
) -> io::Result<FromWorker> {
    let mut churn = Churn {
        plan,
        requests: Requests::new(plan),
        poll: Poll::new()?,
        slots: Vec::new(),
        begun: 0,
        latencies: Latencies::new(),
        connections: 0,
        errors: BTreeMap::new(),
        request: Vec::new(),
    };
    let end = now() + nanos(span);
    let give_up = end + nanos(PATIENCE);
    churn.slots.resize_with(concurrency.max(1) as usize, || None);
    for slot in 0..churn.slots.len() {
        churn.begin(slot)?;
    }
    let mut events = Events::with_capacity(1024);
    let mut progress_at = now();
    while churn.slots.iter().any(Option::is_some) && now() < give_up {
        match churn.poll.poll(&mut events, Some(until(give_up.min(progress_at + PROGRESS_EVERY)))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let may_begin = now() < end;
        for event in &events {
            churn.serve(event.token().0, may_begin)?;
        }
        if now() >= progress_at + PROGRESS_EVERY {
            progress_at = now();
            tell(&FromWorker::Progress(churn.progress()))?;
        }
    }
    tell(&FromWorker::Progress(churn.progress()))?;
    Ok(FromWorker::ChurnDone {
        connections: churn.connections,
        latencies: churn.latencies.counts(),
        errors: churn.errors,
    })
}

impl Churn<'_> {
    fn begin(&mut self, slot: usize) -> io::Result<()> {
        let share = &self.plan.share;
        let number = share.start + self.begun % (share.len() as u32).max(1);
        let stream = link::connect(self.plan.server, self.begun, None);
        let mut stream = stream.map_err(|error| {
            io::Error::other(format!(
                "no socket after {} connections: {error}; see scripts/tune-host",
                self.begun
            ))
        })?;
        self.begun = self.begun.wrapping_add(1);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(slot), interest)?;
        self.slots[slot] = Some(Slot { stream, since: now(), number, is_asked: false });
        self.ask(slot).or_else(|error| {
            self.count(&error);
            self.slots[slot] = None;
            Ok(())
        })
    }

    /// Sends the request once the socket accepts it; an empty send buffer takes all of it.
    fn ask(&mut self, slot: usize) -> io::Result<()> {
        let Some(Slot { stream, number, is_asked: is_asked @ false, .. }) = &mut self.slots[slot] else {
            return Ok(());
        };
        let channel = self.plan.layout.channel(*number);
        let values = First { names: &self.requests.names, number: *number, channel };
        self.request.clear();
        if let Some(request) = self.requests.sequence.first() {
            request.write(&values, &mut self.request);
        }
        match stream.write(&self.request) {
            Ok(_) => *is_asked = true,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn serve(&mut self, slot: usize, may_begin: bool) -> io::Result<()> {
        let done = self.ask(slot).and_then(|()| self.first_byte(slot));
        match done {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => self.count(&error),
        }
        self.slots[slot] = None;
        if may_begin { self.begin(slot) } else { Ok(()) }
    }

    /// Whether the first byte has arrived. Reads it and what follows.
    fn first_byte(&mut self, slot: usize) -> io::Result<bool> {
        let Some(Slot { stream, since, .. }) = &mut self.slots[slot] else { return Ok(false) };
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(0) => Err(io::Error::other("closed without an answer")),
            Ok(count) if !is_good(&buffer[..count]) => Err(io::Error::other(status(&buffer[..count]))),
            Ok(_) => {
                self.latencies.record(now().saturating_sub(*since));
                self.connections += 1;
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn count(&mut self, error: &io::Error) {
        *self.errors.entry(error.to_string()).or_default() += 1;
    }

    fn progress(&self) -> Progress {
        let clients = self.slots.iter().flatten().count() as u64;
        Progress { clients, delivered: self.connections, ..Progress::default() }
    }
}

/// `HTTP/1.1 2…`, or the upgrade.
fn is_good(head: &[u8]) -> bool {
    head.get(9).is_none_or(|digit| *digit == b'2') || head.get(9..12) == Some(b"101")
}

fn status(head: &[u8]) -> String {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}

/// A client's first request: it has no earlier values.
struct First<'a> {
    names: &'a Names,
    number: u32,
    channel: u32,
}

impl Values for First<'_> {
    fn write(&self, place: Placeholder, out: &mut Vec<u8>) -> bool {
        self.names.write(place, self.number, self.channel, out)
    }
}
