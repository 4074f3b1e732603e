//! One direction of a stream: from the page to the server. Pure.
//!
//! Bytes are numbered from 0. What comes a second time is dropped, so a repeated request delivers
//! nothing twice; what would leave a hole, or exceeds the credit, is refused and changes nothing.

use crate::base::frame::Frame;
use crate::base::outbox::Outbox;
use crate::protocol::tcp::command::Last;
use crate::tcp::limits::CREDIT_PART;
use crate::wire::refusal::Refused;

/// The bytes of a page on their way to the server.
#[derive(Debug)]
pub(super) struct Uplink {
    /// What the kernel has not taken.
    pub(super) outbox: Outbox,
    /// The next byte that is wanted.
    next: u64,
    /// The first byte that the kernel has not taken.
    taken: u64,
    /// How far the page may send.
    credit: u64,
    window: u64,
    last: Last,
}

impl Uplink {
    pub(super) fn new(window: u64) -> Self {
        Self { outbox: Outbox::default(), next: 0, taken: 0, credit: window, window, last: Last::No }
    }

    /// Takes bytes that begin at `at`. Returns whether any of it, or the end, is new.
    pub(super) fn accept(&mut self, at: u64, bytes: &[u8], last: Last) -> Result<Fresh, Refused<'static>> {
        if at > self.next {
            return Err(Refused::TcpHole { at, next: self.next });
        }
        let end = at.saturating_add(bytes.len() as u64);
        if end > self.credit {
            return Err(Refused::TcpCredit { end, credit: self.credit });
        }
        let fresh = &bytes[bytes.len() - end.saturating_sub(self.next) as usize..];
        if self.last == Last::Yes {
            let is_repeat = end <= self.next && (last == Last::No || end == self.next);
            return if is_repeat { Ok(Fresh::Nothing) } else { Err(Refused::TcpEnded { end: self.next }) };
        }
        if last == Last::Yes && end < self.next {
            return Err(Refused::TcpHole { at: end, next: self.next });
        }
        self.last = last;
        let is_new = !fresh.is_empty();
        self.next += fresh.len() as u64;
        self.outbox.push(Frame::from(fresh));
        Ok(match last {
            Last::Yes => Fresh::End,
            Last::No if is_new => Fresh::Bytes,
            Last::No => Fresh::Nothing,
        })
    }

    /// A page that cannot be told of credit has sent `bytes`: they are taken. It is read from no
    /// further while more than the window waits.
    pub(super) fn lend(&mut self, bytes: usize) {
        self.credit = self.credit.max(self.next + bytes as u64);
    }

    /// Whether more waits than the page may have under way.
    pub(super) fn is_full(&self) -> bool {
        self.outbox.len() as u64 >= self.window
    }

    /// The kernel has taken bytes of the page. Returns the new credit, if the page should hear of
    /// it.
    pub(super) fn took(&mut self, bytes: u64) -> Option<u64> {
        self.taken += bytes;
        let credit = self.taken + self.window;
        if self.last == Last::Yes || credit < self.credit + self.window / CREDIT_PART {
            return None;
        }
        self.credit = credit;
        Some(credit)
    }

    /// The next byte that is wanted.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// How far the page may send.
    pub(super) fn credit(&self) -> u64 {
        self.credit
    }

    /// Whether the page sends no more.
    pub(super) fn has_ended(&self) -> bool {
        self.last == Last::Yes
    }
}

/// What a page's bytes brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    /// Nothing that was not there.
    Nothing,
    /// Bytes.
    Bytes,
    /// The end, perhaps with bytes.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(up: &mut Uplink) -> usize {
        let len = up.outbox.len();
        up.outbox.advance(len);
        len
    }

    #[test]
    fn what_comes_again_is_dropped_and_holes_are_refused() {
        let mut up = Uplink::new(100);
        assert_eq!(up.accept(0, b"abc", Last::No).unwrap(), Fresh::Bytes);
        assert_eq!(up.accept(0, b"abc", Last::No).unwrap(), Fresh::Nothing);
        assert_eq!(up.accept(1, b"bcde", Last::No).unwrap(), Fresh::Bytes);
        assert!(matches!(up.accept(6, b"g", Last::No), Err(Refused::TcpHole { at: 6, next: 5 })));
        assert_eq!((up.next(), written(&mut up)), (5, 5));
    }

    #[test]
    fn credit_is_kept_and_renewed_when_half_of_it_is_used() {
        let mut up = Uplink::new(10);
        assert!(matches!(up.accept(0, &[0; 11], Last::No), Err(Refused::TcpCredit { end: 11, credit: 10 })));
        assert_eq!(up.accept(0, &[0; 10], Last::No).unwrap(), Fresh::Bytes);
        assert_eq!(up.took(4), None);
        assert_eq!(up.took(1), Some(15));
        assert!(up.accept(10, &[0; 6], Last::No).is_err());
        assert_eq!(up.accept(10, &[0; 5], Last::No).unwrap(), Fresh::Bytes);
    }

    #[test]
    fn after_the_end_only_repeats_are_taken() {
        let mut up = Uplink::new(10);
        assert_eq!(up.accept(0, b"ab", Last::Yes).unwrap(), Fresh::End);
        assert_eq!(up.accept(0, b"ab", Last::Yes).unwrap(), Fresh::Nothing);
        assert_eq!(up.accept(2, b"", Last::Yes).unwrap(), Fresh::Nothing);
        assert_eq!(up.accept(0, b"a", Last::No).unwrap(), Fresh::Nothing);
        assert!(matches!(up.accept(2, b"c", Last::No), Err(Refused::TcpEnded { end: 2 })));
        assert!(matches!(up.accept(0, b"a", Last::Yes), Err(Refused::TcpEnded { end: 2 })));
        assert_eq!(up.took(2), None);
    }
}
