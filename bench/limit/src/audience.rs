//! The sockets, in the order of their arrival, and the result of each write.
//!
//! There is only `write()` here: no queue, no poll, no kept remainder. That is the point.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::ops::AddAssign;

use mio::net::TcpStream;

/// All receivers.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    sockets: Vec<TcpStream>,
    tally: Tally,
}

/// The results of the writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The socket took all of it.
    pub(crate) whole: u64,
    /// The socket took a part. It is closed, since its stream is broken.
    pub(crate) partial: u64,
    /// The socket had no room.
    pub(crate) blocked: u64,
    /// The other end had closed. The socket is closed.
    pub(crate) gone: u64,
}

impl Audience {
    /// Adds a socket, which must not block.
    pub(crate) fn join(&mut self, socket: TcpStream) {
        self.sockets.push(socket);
    }

    /// Number of sockets.
    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// The results of all writes so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Writes `bytes` once to each.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let tally = &mut self.tally;
        self.sockets.retain_mut(|socket| match socket.write(bytes) {
            Ok(count) if count == bytes.len() => {
                tally.whole += 1;
                true
            }
            Ok(_) => {
                tally.partial += 1;
                false
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                tally.blocked += 1;
                true
            }
            Err(_) => {
                tally.gone += 1;
                false
            }
        });
    }
}

impl Tally {
    /// Whether each write was one delivery, so that the run is valid as a floor.
    pub(crate) fn is_valid(&self) -> bool {
        self.partial == 0 && self.blocked == 0 && self.gone == 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.whole += other.whole;
        self.partial += other.partial;
        self.blocked += other.blocked;
        self.gone += other.gone;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whole, partial, blocked, gone } = self;
        write!(f, "{whole} whole writes, {partial} partial, {blocked} blocked, {gone} to closed sockets")?;
        if self.is_valid() { Ok(()) } else { f.write_str(": not a valid floor") }
    }
}

/// Payload as one chunk of an HTTP body, filled up with spaces to at least `least` bytes with its
/// framing.
pub(crate) fn chunk(payload: &[u8], least: usize) -> Vec<u8> {
    let framing = |len: usize| format!("{len:x}\r\n").len() + 2;
    let mut len = payload.len();
    if len + framing(len) < least {
        // A longer size line leaves less to fill; one digit can be too many, never too few.
        len = least - framing(least);
        len += least - (len + framing(len));
    }
    let mut bytes = format!("{len:x}\r\n").into_bytes();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len() + len - payload.len(), b' ');
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_carries_its_payload_and_is_as_long_as_asked_for() {
        assert_eq!(chunk(b"abc", 0), b"3\r\nabc\r\n");
        assert_eq!(chunk(b"abc", 10), b"5\r\nabc  \r\n");
        for least in (10..600).filter(|least| ![21, 262].contains(least)) {
            assert_eq!(chunk(b"abc", least).len(), least);
        }
        // No chunk is 21 or 262 bytes long: the size line grows by a digit there.
        assert_eq!((chunk(b"abc", 21).len(), chunk(b"abc", 262).len()), (22, 263));
    }

    #[test]
    fn only_whole_writes_make_a_floor() {
        let whole = Tally { whole: 9, ..Tally::default() };
        assert!(whole.is_valid());
        assert!(!Tally { blocked: 1, ..whole }.is_valid() && !Tally { gone: 1, ..whole }.is_valid());
        assert!(Tally { partial: 1, ..whole }.to_string().ends_with("not a valid floor"));
    }
}
