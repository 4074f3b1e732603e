//! The table against real sockets: the kernel reports readiness, so the tests use the kernel.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    num::NonZeroU32,
    os::unix::net::UnixStream,
    time::Duration,
};

use mio::{Events, Poll};

use super::*;
use crate::base::slab::ConnKey;

/// A table with its poll, and a list of reported events.
struct SocketsRig {
    poll: Poll,
    sockets: Sockets<ConnKey>,
    buffer: Vec<u8>,
}

impl SocketsRig {
    fn new() -> Self {
        Self { poll: Poll::new().unwrap(), sockets: Sockets::default(), buffer: vec![0; 64] }
    }

    fn insert(&mut self, key: ConnKey, stream: NetStream) {
        self.sockets.insert(self.poll.registry(), key, stream).unwrap();
    }

    /// A TCP connection in the table, and its peer.
    fn tcp(&mut self, key: ConnKey) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_nodelay(true).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        accepted.set_nonblocking(true).unwrap();
        self.insert(key, NetStream::Tcp(mio::net::TcpStream::from_std(accepted)));
        peer
    }

    /// A connection that was just accepted, and its peer.
    fn new_one(&mut self, key: ConnKey) -> UnixStream {
        let (ours, peer) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        self.sockets.welcome(key, NetStream::Unix(mio::net::UnixStream::from_std(ours)));
        peer
    }

    /// A Unix connection in the table, and its peer.
    fn unix(&mut self, key: ConnKey) -> UnixStream {
        let (ours, peer) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        self.insert(key, NetStream::Unix(mio::net::UnixStream::from_std(ours)));
        peer
    }

    /// Waits for events and notes them; returns those of dead connections.
    fn note(&mut self) -> Vec<ConnKey> {
        let mut events = Events::with_capacity(16);
        self.poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
        let mut broken = Vec::new();
        for event in &events {
            let key = ConnKey::from_token(event.token().0).unwrap();
            if self.sockets.note(key, event) == Health::Broken {
                broken.push(key);
            }
        }
        broken
    }

    /// Notes events until the socket is in the read queue, and takes it from there.
    fn await_readable(&mut self, key: ConnKey) {
        while self.sockets.readers() == 0 {
            assert!(self.note().is_empty(), "broken");
        }
        assert_eq!(self.sockets.next_reader(), Some(key));
    }

    fn after_read(&mut self, key: ConnKey) {
        assert_eq!(self.sockets.after_read(self.poll.registry(), key), Health::Ok);
    }

    fn after_write(&mut self, key: ConnKey, rest: WriteRest) {
        assert_eq!(self.sockets.after_write(self.poll.registry(), key, rest), Health::Ok);
    }

    fn read(&mut self, key: ConnKey) -> ReadOutcome {
        self.sockets.read(key, &mut self.buffer)
    }

    fn bytes(&self, count: usize) -> &[u8] {
        &self.buffer[..count]
    }
}

fn key(index: u32, generation: u32) -> ConnKey {
    let generation = NonZeroU32::new(generation).unwrap();
    ConnKey::from_token(((generation.get() as usize) << 32) | index as usize).unwrap()
}

fn outbox_of(bytes: &[u8]) -> Outbox {
    let mut outbox = Outbox::default();
    bytes.chunks(100_000).for_each(|chunk| outbox.push(chunk.into()));
    outbox
}

/// Closes with a reset instead of a FIN.
fn reset(peer: impl Into<socket2::Socket>) {
    peer.into().set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_readable_socket_queues_once_however_many_events_tell_of_it() {
    let (mut rig, key) = (SocketsRig::new(), key(3, 1));
    let mut peer = rig.unix(key);
    for part in [b"a", b"b", b"c"] {
        peer.write_all(part).unwrap();
        rig.note();
    }
    assert_eq!(rig.sockets.readers(), 1);
    rig.await_readable(key);
    assert_eq!(rig.read(key), ReadOutcome::Bytes(3));
    assert_eq!(rig.bytes(3), b"abc");
    assert_eq!(rig.read(key), ReadOutcome::Nothing);
    rig.after_read(key);
    assert!(rig.sockets.is_idle());
}

#[test]
fn a_new_one_is_read_without_an_event_and_watched_from_then_on() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let mut peer = rig.new_one(key);
    peer.write_all(b"at once").unwrap();
    assert_eq!(rig.sockets.next_reader(), Some(key));
    assert_eq!((rig.read(key), rig.bytes(7)), (ReadOutcome::Bytes(7), &b"at once"[..]));
    // Arrives before it is registered, and after it was read.
    peer.write_all(b"later").unwrap();
    rig.after_read(key);
    rig.await_readable(key);
    assert_eq!((rig.read(key), rig.bytes(5)), (ReadOutcome::Bytes(5), &b"later"[..]));
}

#[test]
fn a_new_one_that_has_sent_nothing_yet_is_watched() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let mut peer = rig.new_one(key);
    rig.sockets.pause(key);
    assert_eq!((rig.sockets.next_reader(), rig.read(key)), (Some(key), ReadOutcome::Nothing));
    rig.after_read(key);
    rig.sockets.resume(key);
    peer.write_all(b"x").unwrap();
    rig.await_readable(key);
    assert_eq!(rig.read(key), ReadOutcome::Bytes(1));
}

#[test]
fn a_new_one_can_move_before_it_is_watched() {
    let (mut here, mut there, key) = (SocketsRig::new(), SocketsRig::new(), key(1, 1));
    let mut peer = here.new_one(key);
    let stream = here.sockets.release(here.poll.registry(), key).unwrap().unwrap();
    there.insert(key, stream);
    peer.write_all(b"x").unwrap();
    there.await_readable(key);
    assert_eq!(there.read(key), ReadOutcome::Bytes(1));
}

#[test]
fn what_a_share_leaves_over_waits_in_the_queue_without_a_new_event() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let mut peer = rig.tcp(key);
    peer.write_all(&[7; 100]).unwrap();
    rig.await_readable(key);
    assert_eq!(rig.read(key), ReadOutcome::Bytes(64));
    rig.after_read(key);
    assert_eq!(rig.sockets.next_reader(), Some(key));
    assert_eq!(rig.read(key), ReadOutcome::Bytes(36));
}

#[test]
fn the_end_is_reported_once_and_after_the_bytes() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let mut peer = rig.tcp(key);
    peer.write_all(b"last words").unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    rig.await_readable(key);
    let mut outcomes = Vec::new();
    while outcomes.last() != Some(&ReadOutcome::End) {
        match rig.read(key) {
            ReadOutcome::Nothing => {
                rig.after_read(key);
                rig.await_readable(key);
            }
            news @ (ReadOutcome::Bytes(_) | ReadOutcome::End | ReadOutcome::Broken) => outcomes.push(news),
        }
    }
    assert_eq!(outcomes, [ReadOutcome::Bytes(10), ReadOutcome::End]);
    assert_eq!(rig.read(key), ReadOutcome::Nothing);
    rig.after_read(key);
    assert!(rig.sockets.is_idle());
    assert_eq!(rig.sockets.len(), 1, "half-closed is not closed");
}

#[test]
fn a_paused_socket_is_not_read_and_forgets_nothing() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let mut peer = rig.tcp(key);
    rig.sockets.pause(key);
    peer.write_all(b"early").unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    // The end of the peer's bytes does not discard the bytes before it.
    assert!(rig.note().is_empty());
    assert_eq!((rig.sockets.readers(), rig.read(key)), (0, ReadOutcome::Nothing));
    rig.sockets.resume(key);
    rig.await_readable(key);
    assert_eq!(rig.read(key), ReadOutcome::Bytes(5));
    while rig.read(key) != ReadOutcome::End {
        rig.after_read(key);
        rig.await_readable(key);
    }
}

#[test]
fn a_reset_is_noticed_while_paused() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let peer = rig.tcp(key);
    rig.sockets.pause(key);
    reset(peer);
    while rig.note() != [key] {
        assert_eq!(rig.sockets.len(), 1);
    }
    assert_eq!(rig.sockets.len(), 0);
}

#[test]
fn a_vanished_unix_peer_is_noticed_while_paused() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let peer = rig.unix(key);
    rig.sockets.pause(key);
    drop(peer);
    while rig.note() != [key] {}
}

#[test]
fn a_reset_after_the_end_is_noticed_though_nobody_reads() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let peer = rig.tcp(key);
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    rig.await_readable(key);
    assert_eq!(rig.read(key), ReadOutcome::End);
    rig.after_read(key);
    reset(peer);
    while rig.note() != [key] {
        assert_eq!(rig.sockets.len(), 1);
    }
}

#[test]
fn a_reset_is_found_by_reading() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let peer = rig.tcp(key);
    reset(peer);
    rig.await_readable(key);
    assert_eq!(rig.read(key), ReadOutcome::Broken);
    assert_eq!((rig.sockets.len(), rig.read(key)), (0, ReadOutcome::Nothing));
}

#[test]
fn a_half_close_in_answer_to_ours_is_no_error() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let peer = rig.tcp(key);
    rig.sockets.shutdown_write(key);
    assert_eq!(rig.sockets.next_writer(), Some(key));
    rig.after_write(key, WriteRest::Nothing);
    rig.sockets.pause(key);
    drop(peer);
    while of(&mut rig.sockets.slots, key).unwrap().reading != Reading::Closing {
        assert!(rig.note().is_empty());
    }
    rig.sockets.resume(key);
    rig.await_readable(key);
    assert_eq!(rig.read(key), ReadOutcome::End);
}

#[test]
fn an_outbox_is_written_until_the_kernel_is_full_and_again_when_it_has_room() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let mut peer = rig.unix(key);
    let outbox = outbox_of(&vec![1; 800_000]);
    rig.sockets.want_write(key);
    rig.sockets.want_write(key);
    assert_eq!((rig.sockets.writers(), rig.sockets.next_writer()), (1, Some(key)));
    let mut taken = 0;
    while let WriteOutcome::Wrote(bytes) = rig.sockets.write(key, &outbox) {
        taken += bytes;
    }
    assert_eq!(rig.sockets.write(key, &outbox), WriteOutcome::Later);
    rig.after_write(key, WriteRest::Later);
    rig.sockets.want_write(key);
    assert!(rig.sockets.is_idle(), "a blocked socket must not keep the loop awake");
    peer.read_exact(&mut vec![0; taken]).unwrap();
    while rig.sockets.writers() == 0 {
        rig.note();
    }
    assert_eq!(rig.sockets.next_writer(), Some(key));
    assert!(matches!(rig.sockets.write(key, &outbox), WriteOutcome::Wrote(_)));
}

#[test]
fn a_half_close_waits_for_the_outbox() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let mut peer = rig.tcp(key);
    rig.sockets.shutdown_write(key);
    assert_eq!(rig.sockets.write(key, &outbox_of(b"bye")), WriteOutcome::Wrote(3));
    rig.after_write(key, WriteRest::Nothing);
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"bye");
}

#[test]
fn writing_to_a_peer_that_is_gone_breaks_the_connection_and_nothing_else() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    drop(rig.unix(key));
    let outbox = outbox_of(b"hello?");
    assert_eq!(rig.sockets.write(key, &outbox), WriteOutcome::Broken);
    assert_eq!((rig.sockets.len(), rig.sockets.write(key, &outbox)), (0, WriteOutcome::Later));
}

#[test]
fn a_stale_key_reaches_no_socket() {
    let (mut rig, old, new) = (SocketsRig::new(), key(5, 1), key(5, 2));
    let mut first = rig.unix(old);
    first.write_all(b"x").unwrap();
    rig.note();
    rig.sockets.close(old);
    let mut second = rig.unix(new);
    second.write_all(b"y").unwrap();
    assert_eq!(rig.sockets.next_reader(), Some(old), "it still stands in the queue");
    assert_eq!(rig.read(old), ReadOutcome::Nothing);
    rig.after_read(old);
    for stale in [Sockets::pause, Sockets::resume, Sockets::want_write, Sockets::shutdown_write] {
        stale(&mut rig.sockets, old);
    }
    assert!(rig.sockets.release(rig.poll.registry(), old).is_none());
    rig.await_readable(new);
    assert_eq!(rig.read(new), ReadOutcome::Bytes(1));
    assert_eq!(rig.bytes(1), b"y");
}

#[test]
fn a_socket_moves_to_another_table_with_its_unread_bytes() {
    let (mut here, mut there, key) = (SocketsRig::new(), SocketsRig::new(), key(1, 1));
    let mut peer = here.tcp(key);
    peer.write_all(b"unread").unwrap();
    here.await_readable(key);
    let stream = here.sockets.release(here.poll.registry(), key).unwrap().unwrap();
    there.insert(key, stream);
    there.await_readable(key);
    assert_eq!(there.read(key), ReadOutcome::Bytes(6));
    assert_eq!(there.bytes(6), b"unread");
}

#[test]
fn the_end_is_not_reported_again_after_the_socket_moves() {
    let (mut rig, key) = (SocketsRig::new(), key(0, 1));
    let peer = rig.tcp(key);
    rig.sockets.skip_end(key);
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    rig.note();
    assert!(rig.sockets.is_idle());
    reset(peer);
    while rig.note() != [key] {
        assert_eq!(rig.sockets.len(), 1, "its death still is");
    }
}
