//! A worker: one process, one thread, one poll, and its share of the clients.
//!
//! It executes the messages that arrive on its standard input and reports on its standard output.
//! It reports progress at a fixed interval, so the coordinator can tell a slow server from a dead
//! worker.

mod churn;
mod client;
mod fleet;
mod handshake;
mod link;
mod overlap;
mod scratch;

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;

use mio::unix::pipe::Receiver;
use mio::{Events, Interest, Poll, Token};

use crate::clock::{MILLISECOND, now, until};
use crate::ipc::{FromWorker, LineBuffer, ToWorker, line};
use crate::plan::Plan;
use fleet::Fleet;

/// The token of the pipe with the coordinator's messages; clients have theirs from 0 on.
const ORDERS: Token = Token(usize::MAX);

/// Between two reports of progress.
const PROGRESS_EVERY: u64 = 250 * MILLISECOND;

/// Runs until the coordinator ends the run or exits. Returns whether the run succeeded.
pub fn run() -> bool {
    match work() {
        Ok(()) => true,
        // If the coordinator has exited, nothing reads this.
        Err(error) => {
            let _ = tell(&FromWorker::Failed(error.to_string()));
            false
        }
    }
}

/// Fails if the system refuses a required resource, or the coordinator sends an invalid message.
fn work() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut orders = Receiver::from(io::stdin().as_fd().try_clone_to_owned()?);
    orders.set_nonblocking(true)?;
    poll.registry().register(&mut orders, ORDERS, Interest::READABLE)?;
    let mut worker = Inbox { orders, lines: LineBuffer::default(), pending: Vec::new() };
    let mut events = Events::with_capacity(4096);
    let plan = worker.first(&mut poll, &mut events)?;
    raise_file_limit(plan.share.len())?;
    let mut fleet = Fleet::new(&plan, poll.registry().try_clone()?);
    let mut progress_at = now();
    loop {
        for order in std::mem::take(&mut worker.pending) {
            match order {
                ToWorker::Finish(published) => return tell(&fleet.account(&published)),
                ToWorker::Churn { concurrency, span } => tell(&churn::run(&plan, concurrency, span, tell)?)?,
                order => fleet.execute(order)?,
            }
        }
        let wake = fleet.wake().min(progress_at);
        match poll.poll(&mut events, Some(until(wake))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        for event in &events {
            if event.token() == ORDERS {
                worker.read()?;
            } else {
                fleet.serve(event);
            }
        }
        fleet.turn()?;
        while let Some(news) = fleet.news() {
            // A report follows the progress on which it is based.
            tell(&FromWorker::Progress(fleet.progress()))?;
            tell(&news)?;
        }
        if now() >= progress_at {
            tell(&FromWorker::Progress(fleet.progress()))?;
            progress_at = now() + PROGRESS_EVERY;
        }
    }
}

/// Receives the coordinator's messages.
struct Inbox {
    orders: Receiver,
    lines: LineBuffer,
    pending: Vec<ToWorker>,
}

impl Inbox {
    /// Waits for the plan, which comes first.
    fn first(&mut self, poll: &mut Poll, events: &mut Events) -> io::Result<Plan> {
        loop {
            if !self.pending.is_empty() {
                return match self.pending.remove(0) {
                    ToWorker::Plan(plan) => Ok(*plan),
                    _ => Err(io::Error::other("the first message is not a plan")),
                };
            }
            poll.poll(events, None)?;
            self.read()?;
        }
    }

    /// Reads all waiting messages.
    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.orders.read(&mut buffer) {
                // The coordinator has ended.
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.pending.extend(self.lines.take(&buffer[..count]).map_err(io::Error::other)?);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Sends a message to the coordinator.
fn tell(news: &FromWorker) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(&line(news))?;
    out.flush()
}

/// Raises the limit on open files as far as possible, and fails if that is not enough.
fn raise_file_limit(clients: usize) -> io::Result<()> {
    let limit = rlimit::increase_nofile_limit(u64::MAX)?;
    let needed = clients as u64 + FILES_BESIDE_CLIENTS;
    if limit < needed {
        return Err(io::Error::other(format!(
            "{clients} clients in one process need {needed} open files and the limit is {limit}: \
             use more processes (--procs), or raise it (scripts/tune-host)"
        )));
    }
    Ok(())
}

/// Pipes, the poll, and connections that are being replaced.
const FILES_BESIDE_CLIENTS: u64 = 64;
