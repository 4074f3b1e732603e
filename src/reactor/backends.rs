//! The reactor's part for connections to backends: dials, bytes and ends.

use std::net::SocketAddr;

use mio::event::Event;

use super::dial::{Dialed, Start};
use super::outcome::{Health, ReadOutcome, WriteOutcome, WriteRest};
use super::stream::{BackendStream, NetStream};
use super::{Reactor, limits};
use crate::base::slab::StreamKey;
use crate::base::ticks::Tick;
use crate::reactor::limits::{READ_BYTES_PER_SOCKET, WRITE_BYTES_PER_SOCKET};
use crate::shard::Input;
use crate::turn::stream::{Dial, DialFailure, StreamAct, StreamReport};

impl Reactor {
    /// Executes an action for a stream.
    pub(super) fn act_on_stream(&mut self, stream: StreamKey, act: StreamAct) {
        match act {
            StreamAct::Dial(dial) => self.dial(stream, *dial),
            StreamAct::Write => self.backends.want_write(stream),
            StreamAct::Pause => self.backends.pause(stream),
            StreamAct::Resume => self.backends.resume(stream),
            StreamAct::ShutdownWrite => self.backends.shutdown_write(stream),
            StreamAct::Close => {
                self.dials.give_up(stream);
                self.backends.close(stream);
            }
        }
    }

    fn dial(&mut self, stream: StreamKey, dial: Dial) {
        let now = self.links.clock.now();
        if let Start::Resolve(host, port) = self.dials.start(self.poll.registry(), now, stream, dial)
            && let Err(full) = self.links.resolver.ask(self.id, stream, host, port)
        {
            self.dials.resolved(self.poll.registry(), now, stream, Err(full));
        }
    }

    /// Tells the shard of dials that have ended.
    pub(super) fn finish_dials(&mut self, now: Tick) {
        self.dials.expire(self.poll.registry(), now);
        while let Some((stream, dialed)) = self.dials.take_done() {
            match self.take_connection(stream, dialed) {
                Ok(peer) => self.report(now, stream, StreamReport::Connected { peer }),
                Err(failure) => self.report(now, stream, StreamReport::Failed(failure)),
            }
        }
    }

    /// Puts a connection into the table; returns the server's address.
    fn take_connection(&mut self, key: StreamKey, dialed: Dialed) -> Result<Option<SocketAddr>, DialFailure> {
        let stream = dialed?;
        let peer = match &stream {
            BackendStream::Plain(NetStream::Tcp(stream)) => stream.peer_addr().ok(),
            BackendStream::Tls(tls) => tls.stream.peer_addr().ok(),
            BackendStream::Plain(NetStream::Unix(_)) => None,
        };
        let inserted = self.backends.insert(self.poll.registry(), key, stream);
        inserted.map(|()| peer).map_err(|error| DialFailure::Full(error.to_string()))
    }

    fn report(&mut self, now: Tick, stream: StreamKey, report: StreamReport<'_>) {
        self.give(now, Input::Stream { stream, report });
    }

    pub(super) fn note_stream(&mut self, now: Tick, stream: StreamKey, event: &Event) {
        let health = self.backends.note(stream, event);
        self.on_stream_health(now, stream, health);
    }

    fn on_stream_health(&mut self, now: Tick, stream: StreamKey, health: Health) {
        match health {
            Health::Ok => {}
            Health::Broken => self.report(now, stream, StreamReport::Broken),
        }
    }

    /// Reads from backends, each its share.
    pub(super) fn read_backends(&mut self, now: Tick) {
        let mut budget = limits::READ_BYTES_PER_TURN;
        for _ in 0..self.backends.readers() {
            let Some(stream) = self.backends.next_reader() else { break };
            let cost = self.read_backend(now, stream).max(limits::READ_COST_BYTES_MIN);
            budget = budget.saturating_sub(cost);
            if budget == 0 {
                break;
            }
        }
    }

    fn read_backend(&mut self, now: Tick, stream: StreamKey) -> usize {
        let mut total = 0;
        while total < READ_BYTES_PER_SOCKET || total < self.shard.stream_read_bytes_granted(stream) {
            match self.backends.read(stream, &mut self.buffer) {
                ReadOutcome::Bytes(count) => {
                    total += count;
                    let report = StreamReport::Bytes(&self.buffer[..count]);
                    self.shard.handle(now, Input::Stream { stream, report });
                    // Before the next read: the shard may have paused the stream.
                    self.run_effects();
                }
                ReadOutcome::End => self.report(now, stream, StreamReport::End),
                ReadOutcome::Broken => self.report(now, stream, StreamReport::Broken),
                ReadOutcome::Nothing => break,
            }
        }
        let health = self.backends.after_read(self.poll.registry(), stream);
        self.on_stream_health(now, stream, health);
        total
    }

    /// Writes to backends what their sockets take.
    pub(super) fn write_backends(&mut self, now: Tick) {
        for _ in 0..self.backends.writers() {
            let Some(stream) = self.backends.next_writer() else { break };
            let rest = self.write_backend(now, stream);
            let health = self.backends.after_write(self.poll.registry(), stream, rest);
            self.on_stream_health(now, stream, health);
        }
    }

    fn write_backend(&mut self, now: Tick, stream: StreamKey) -> WriteRest {
        let mut total = 0;
        while total < WRITE_BYTES_PER_SOCKET {
            let Some(outbox) = self.shard.stream_outbox(stream).filter(|outbox| !outbox.is_empty()) else {
                return WriteRest::Nothing;
            };
            match self.backends.write(stream, outbox) {
                WriteOutcome::Wrote(bytes) => {
                    total += bytes;
                    self.report(now, stream, StreamReport::Written(bytes));
                }
                WriteOutcome::Broken => {
                    self.report(now, stream, StreamReport::Broken);
                    return WriteRest::Later;
                }
                WriteOutcome::Later => return WriteRest::Later,
            }
        }
        WriteRest::More
    }
}
