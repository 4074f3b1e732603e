//! The sockets of one shard and kind: a table by key, with each socket's readiness.
//!
//! Events are edge-triggered: the kernel reports readiness once, so this table keeps it until a
//! call meets `WouldBlock`. Sockets with work stand in one of two run-queues, each at most once.
//! Events and calls that name a connection of an earlier generation are ignored. The shard decides
//! what the bytes mean and when a connection ends.
//!
//! A new connection is read before it is registered: its first request usually came with it, and
//! may move or end it. Writable events are requested when a send buffer is first full: few ever
//! are.
//!
//! Invariant: an open, unpaused socket that is readable or unregistered is queued or being read.

use std::{
    collections::VecDeque,
    io::{ErrorKind, IoSlice, Result},
};

use mio::{Interest, Registry, Token, event::Event};

use super::outcome::{Health, ReadOutcome, WriteOutcome, WriteRest};
use super::stream::{NetStream, PolledStream};
use crate::base::{outbox::Outbox, slab::SocketKey};
use crate::reactor::limits::SLICES_MAX;

/// All sockets of one shard.
pub(super) struct Sockets<K, S = NetStream> {
    slots: Vec<Option<OpenSocket<K, S>>>,
    readers: VecDeque<K>,
    writers: VecDeque<K>,
    count: usize,
}

struct OpenSocket<K, S> {
    stream: S,
    key: K,
    reading: Reading,
    writing: Writing,
    read_state: ReadState,
    finish: Finish,
    watch: Watch,
    read_queue: QueueState,
    write_queue: QueueState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadState {
    Open,
    /// The shard wants no input now.
    Paused,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum QueueState {
    NotQueued,
    /// In the queue, or taken from it and being served.
    Queued,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The last read took all there was.
    Dry,
    /// There may be bytes.
    Ready,
    /// There may be bytes before the end: read until the end, since no further event comes.
    Closing,
    /// The end was read.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Ready,
    Blocked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    Never,
    /// Half-close once the outbox has drained.
    Asked,
    Done,
}

/// Which events the socket is registered for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// None yet: the connection is new.
    Nothing,
    Input,
    /// Also writable: the send buffer was full once.
    InputAndRoom,
}

/// An idle connection costs this much here, whatever else it costs.
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Option<OpenSocket<crate::base::slab::ConnKey, NetStream>>>() <= 24);

impl<K, S> Default for Sockets<K, S> {
    fn default() -> Self {
        Self { slots: Vec::new(), readers: VecDeque::new(), writers: VecDeque::new(), count: 0 }
    }
}

impl<K: SocketKey, S: PolledStream> Sockets<K, S> {
    /// Inserts a socket that was just accepted. It is read first and registered afterwards.
    pub(super) fn welcome(&mut self, key: K, stream: S) {
        let mut socket = OpenSocket { reading: Reading::Ready, ..OpenSocket::new(key, stream) };
        socket.enqueue_read(&mut self.readers);
        self.place(key, socket);
    }

    /// Inserts a socket that was read elsewhere before. If more bytes come, an event follows.
    pub(super) fn insert(&mut self, registry: &Registry, key: K, stream: S) -> Result<()> {
        let mut socket = OpenSocket::new(key, stream);
        if socket.stream.short_reads_are_dry() {
            socket.watch(registry, Watch::Input)?;
        } else {
            // What TLS holds already brings no event, and it may have to write in order to read.
            socket.watch(registry, Watch::InputAndRoom)?;
            socket.reading = Reading::Ready;
            socket.enqueue_read(&mut self.readers);
        }
        self.place(key, socket);
        Ok(())
    }

    fn place(&mut self, key: K, socket: OpenSocket<K, S>) {
        if slot_of(key) >= self.slots.len() {
            self.slots.resize_with(slot_of(key) + 1, || None);
        }
        let before = self.slots[slot_of(key)].replace(socket);
        debug_assert!(before.is_none(), "the shard issued a slot whose socket was still open");
        self.count += usize::from(before.is_none());
    }

    /// Removes a socket and closes it.
    pub(super) fn close(&mut self, key: K) {
        drop(self.remove(key));
    }

    /// Removes a socket, so that another table can insert it; `None` if it is not here.
    pub(super) fn release(&mut self, registry: &Registry, key: K) -> Option<Result<S>> {
        let mut socket = self.remove(key)?;
        Some(match socket.watch {
            Watch::Nothing => Ok(socket.stream),
            Watch::Input | Watch::InputAndRoom => socket.stream.deregister(registry).map(|()| socket.stream),
        })
    }

    fn remove(&mut self, key: K) -> Option<OpenSocket<K, S>> {
        let slot = self.slots.get_mut(slot_of(key))?;
        let socket = slot.take_if(|socket| socket.key == key)?;
        self.count -= 1;
        Some(socket)
    }

    /// The number of open sockets.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// No socket is in a queue: there is no work without a new event.
    pub(super) fn is_idle(&self) -> bool {
        self.readers.is_empty() && self.writers.is_empty()
    }

    /// Records an event's readiness. Spurious and stale events are harmless.
    pub(super) fn note(&mut self, key: K, event: &Event) -> Health {
        let Some(socket) = of(&mut self.slots, key) else {
            return Health::Ok;
        };
        if socket.is_dead(event) {
            self.close(key);
            return Health::Broken;
        }
        if event.is_writable() || event.is_write_closed() {
            // If it fails, a read will say so.
            let _ = socket.stream.flush();
            socket.unblock(&mut self.writers);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            socket.fill(event.is_read_closed() || event.is_error());
            socket.enqueue_read(&mut self.readers);
        }
        Health::Ok
    }

    /// Another shard's table has reported the end of the peer's bytes: this one does not repeat it.
    pub(super) fn skip_end(&mut self, key: K) {
        if let Some(socket) = of(&mut self.slots, key) {
            socket.reading = Reading::Ended;
        }
    }

    /// Stops reading. Later readiness is remembered.
    pub(super) fn pause(&mut self, key: K) {
        if let Some(socket) = of(&mut self.slots, key) {
            socket.read_state = ReadState::Paused;
        }
    }

    /// Resumes reading.
    pub(super) fn resume(&mut self, key: K) {
        if let Some(socket) = of(&mut self.slots, key) {
            socket.read_state = ReadState::Open;
            socket.enqueue_read(&mut self.readers);
        }
    }

    /// The outbox has bytes: writes them in this turn if the socket takes them, else when it does.
    pub(super) fn want_write(&mut self, key: K) {
        if let Some(socket) = of(&mut self.slots, key) {
            socket.enqueue_write(&mut self.writers);
        }
    }

    /// Half-closes once the outbox has drained.
    pub(super) fn shutdown_write(&mut self, key: K) {
        if let Some(socket) = of(&mut self.slots, key) {
            if socket.finish == Finish::Never {
                socket.finish = Finish::Asked;
            }
            self.want_write(key);
        }
    }

    /// Length of the read queue. A turn serves these; sockets queued later wait for the next.
    pub(super) fn readers(&self) -> usize {
        self.readers.len()
    }

    /// Length of the write queue.
    pub(super) fn writers(&self) -> usize {
        self.writers.len()
    }

    /// The next socket to read from. Must be followed by [`Self::after_read`].
    pub(super) fn next_reader(&mut self) -> Option<K> {
        self.readers.pop_front()
    }

    /// The next socket to write to. Must be followed by [`Self::after_write`].
    pub(super) fn next_writer(&mut self) -> Option<K> {
        self.writers.pop_front()
    }

    /// Reads once.
    pub(super) fn read(&mut self, key: K, into: &mut [u8]) -> ReadOutcome {
        let Some(socket) = of(&mut self.slots, key).filter(|socket| socket.is_to_be_read()) else {
            return ReadOutcome::Nothing;
        };
        match uninterrupted(|| socket.stream.read(into)) {
            Ok(0) => {
                socket.reading = Reading::Ended;
                ReadOutcome::End
            }
            Ok(bytes) => {
                // A short read took all there was (epoll(7), question 9), which saves the call that
                // would meet WouldBlock. Not so when the end is near: it brings no second event.
                let is_short = bytes < into.len() && socket.stream.short_reads_are_dry();
                if is_short && socket.reading == Reading::Ready {
                    socket.reading = Reading::Dry;
                }
                ReadOutcome::Bytes(bytes)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                socket.reading = Reading::Dry;
                ReadOutcome::Nothing
            }
            Err(error) => {
                log::debug!("connection lost while reading: {error}");
                self.close(key);
                ReadOutcome::Broken
            }
        }
    }

    /// This socket's share of the turn is over. A new one is registered now.
    pub(super) fn after_read(&mut self, registry: &Registry, key: K) -> Health {
        let Some(socket) = of(&mut self.slots, key) else {
            return Health::Ok;
        };
        socket.read_queue = QueueState::NotQueued;
        socket.enqueue_read(&mut self.readers);
        if socket.watch == Watch::Nothing {
            return self.watch(registry, key, Watch::Input);
        }
        Health::Ok
    }

    /// Writes once, with one system call, what the kernel accepts of the outbox (not empty).
    pub(super) fn write(&mut self, key: K, outbox: &Outbox) -> WriteOutcome {
        if let Some(only) = outbox.only() {
            return self.write_slices(key, &[IoSlice::new(only)]);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = outbox.slices(&mut slices);
        self.write_slices(key, &slices[..filled])
    }

    fn write_slices(&mut self, key: K, slices: &[IoSlice<'_>]) -> WriteOutcome {
        let Some(socket) = of(&mut self.slots, key).filter(|socket| socket.writing == Writing::Ready) else {
            return WriteOutcome::Later;
        };
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        match uninterrupted(|| socket.stream.write(slices)) {
            Ok(bytes) if bytes > 0 => {
                // The send buffer is full; the kernel has noted that we wait for room.
                if socket.stream.is_full(bytes < offered) {
                    socket.writing = Writing::Blocked;
                }
                WriteOutcome::Wrote(bytes)
            }
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                log::debug!("connection lost while writing: {error}");
                self.close(key);
                WriteOutcome::Broken
            }
            Ok(_) | Err(_) => {
                socket.writing = Writing::Blocked;
                WriteOutcome::Later
            }
        }
    }

    /// This socket's share of the turn is over.
    pub(super) fn after_write(&mut self, registry: &Registry, key: K, rest: WriteRest) -> Health {
        let Some(socket) = of(&mut self.slots, key) else {
            return Health::Ok;
        };
        socket.write_queue = QueueState::NotQueued;
        match rest {
            WriteRest::More => socket.enqueue_write(&mut self.writers),
            WriteRest::Later => {}
            WriteRest::Nothing => socket.half_close_if_asked(),
        }
        if socket.writing == Writing::Blocked && socket.watch != Watch::InputAndRoom {
            return self.watch(registry, key, Watch::InputAndRoom);
        }
        Health::Ok
    }

    /// Registers for events. Readiness from before the call is reported too.
    fn watch(&mut self, registry: &Registry, key: K, watch: Watch) -> Health {
        match of(&mut self.slots, key).map(|socket| socket.watch(registry, watch)) {
            None | Some(Ok(())) => Health::Ok,
            Some(Err(error)) => {
                log::warn!("a connection could not be watched and is closed: {error}");
                self.close(key);
                Health::Broken
            }
        }
    }
}

impl<K: SocketKey, S: PolledStream> OpenSocket<K, S> {
    fn new(key: K, stream: S) -> Self {
        Self {
            stream,
            key,
            reading: Reading::Dry,
            writing: Writing::Ready,
            read_state: ReadState::Open,
            finish: Finish::Never,
            watch: Watch::Nothing,
            read_queue: QueueState::NotQueued,
            write_queue: QueueState::NotQueued,
        }
    }

    fn watch(&mut self, registry: &Registry, watch: Watch) -> Result<()> {
        let token = Token(self.key.token());
        let interest = match watch {
            Watch::Nothing | Watch::Input => Interest::READABLE,
            Watch::InputAndRoom => Interest::READABLE | Interest::WRITABLE,
        };
        match self.watch {
            Watch::Nothing => self.stream.register(registry, token, interest)?,
            Watch::Input | Watch::InputAndRoom => self.stream.reregister(registry, token, interest)?,
        }
        self.watch = watch;
        Ok(())
    }

    /// The connection is dead and no read will report it, because the shard paused input or the
    /// peer's end was read before. A hang-up after our own half-close is a normal end.
    fn is_dead(&self, event: &Event) -> bool {
        let both_closed = event.is_read_closed() && event.is_write_closed();
        let dead = event.is_error() || (both_closed && self.finish != Finish::Done);
        let will_be_read = self.read_state == ReadState::Open && self.reading != Reading::Ended;
        dead && !will_be_read
    }

    fn fill(&mut self, end_in_sight: bool) {
        self.reading = match self.reading {
            Reading::Ended => Reading::Ended,
            Reading::Closing => Reading::Closing,
            Reading::Dry | Reading::Ready if end_in_sight => Reading::Closing,
            Reading::Dry | Reading::Ready => Reading::Ready,
        };
    }

    fn is_to_be_read(&self) -> bool {
        self.read_state == ReadState::Open && matches!(self.reading, Reading::Ready | Reading::Closing)
    }

    fn enqueue_read(&mut self, queue: &mut VecDeque<K>) {
        if self.is_to_be_read() && self.read_queue == QueueState::NotQueued {
            self.read_queue = QueueState::Queued;
            queue.push_back(self.key);
        }
    }

    fn unblock(&mut self, queue: &mut VecDeque<K>) {
        match self.writing {
            Writing::Ready => {}
            Writing::Blocked => {
                self.writing = Writing::Ready;
                self.enqueue_write(queue);
            }
        }
    }

    fn enqueue_write(&mut self, queue: &mut VecDeque<K>) {
        if self.writing == Writing::Ready && self.write_queue == QueueState::NotQueued {
            self.write_queue = QueueState::Queued;
            queue.push_back(self.key);
        }
    }

    fn half_close_if_asked(&mut self) {
        match self.finish {
            Finish::Never | Finish::Done => {}
            Finish::Asked => {
                self.finish = Finish::Done;
                // Fails only if the peer is gone, and then an event follows.
                self.stream.shutdown_write().unwrap_or_else(|error| log::debug!("half-close: {error}"));
            }
        }
    }
}

fn slot_of(key: impl SocketKey) -> usize {
    key.index() as usize
}

/// The socket of `key`, unless the slot has been reused.
fn of<K: SocketKey, S>(slots: &mut [Option<OpenSocket<K, S>>], key: K) -> Option<&mut OpenSocket<K, S>> {
    slots.get_mut(slot_of(key))?.as_mut().filter(|socket| socket.key == key)
}

/// Repeats a call that a signal cut short.
fn uninterrupted<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
#[path = "sockets_tests.rs"]
mod tests;
