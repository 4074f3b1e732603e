//! The other direction: from the server to the page. Pure.
//!
//! The session's private log delivers the messages; what the page has not acknowledged is also kept
//! here, by reference, for a page that was told of a gap.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::protocol::native::envelope::Message;
use crate::wire::refusal::Refused;

/// The bytes of the server on their way to the page.
#[derive(Debug)]
pub(super) struct Downlink {
    /// Messages with bytes that the page has not acknowledged, each with the offset of its end.
    kept: VecDeque<(u64, Arc<Message>)>,
    /// Bytes sent to the session.
    sent: u64,
    acked: u64,
    window: u64,
    end: BackendEnd,
    /// What the page asked for once more: the offset from which it is still to be sent.
    again: Option<Repeat>,
}

/// Bytes that are sent once more.
#[derive(Clone, Copy, Debug)]
struct Repeat {
    /// Where they begin.
    from: u64,
    /// The next one to send.
    next: u64,
    stage: RepeatStage,
}

/// Whether there is more to send once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RepeatStage {
    /// Up to whatever the server has sent by then: what came meanwhile may have met a hole.
    Going,
    /// All is sent, and not acknowledged yet.
    Sent,
}

/// Whether the server has sent its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BackendEnd {
    /// No.
    Open,
    /// Yes.
    Reached,
}

impl Downlink {
    pub(super) fn new(window: u64) -> Self {
        Self { kept: VecDeque::new(), sent: 0, acked: 0, window, end: BackendEnd::Open, again: None }
    }

    /// A message with the next `bytes` goes to the session.
    pub(super) fn sent(&mut self, bytes: usize, message: Arc<Message>) {
        self.sent += bytes as u64;
        self.kept.push_back((self.sent, message));
    }

    /// Bytes that nobody acknowledges went to the connection.
    pub(super) fn passed_on(&mut self, bytes: usize) {
        self.sent += bytes as u64;
        self.acked = self.sent;
    }

    /// The number of bytes sent to the session.
    pub(super) fn reached(&self) -> u64 {
        self.sent
    }

    /// Bytes and messages that the page has not acknowledged.
    pub(super) fn under_way(&self) -> (u64, usize) {
        (self.sent - self.acked, self.kept.len())
    }

    /// Whether the page's window has room for `bytes` more, in at most so many messages.
    pub(super) fn has_room(&self, bytes: u64, messages_max: usize) -> bool {
        let (under_way, messages) = self.under_way();
        under_way == 0 || under_way + bytes <= self.window && messages < messages_max
    }

    /// The page has taken all bytes before `at`.
    pub(super) fn ack(&mut self, at: u64) -> Result<(), Refused<'static>> {
        if at > self.sent {
            return Err(Refused::TcpAck { at, sent: self.sent });
        }
        self.acked = self.acked.max(at);
        let acked = self.acked;
        self.again.take_if(|again| again.stage == RepeatStage::Sent && again.next <= acked);
        while self.kept.front().is_some_and(|(end, _)| *end <= self.acked) {
            self.kept.pop_front();
        }
        Ok(())
    }

    /// The bytes from `at` on are to be sent once more.
    pub(super) fn repeat_from(&mut self, at: u64) -> Result<(), Refused<'static>> {
        if at > self.sent {
            return Err(Refused::TcpAck { at, sent: self.sent });
        }
        if at < self.acked {
            return Err(Refused::TcpGone { at, kept: self.acked });
        }
        self.again = Some(Repeat { from: at, next: at, stage: RepeatStage::Going });
        Ok(())
    }

    /// The next message to be sent once more, and its bytes.
    pub(super) fn repeat_next(&mut self) -> Option<(Arc<Message>, u64)> {
        let again = self.again.as_mut().filter(|again| again.stage == RepeatStage::Going)?;
        let (end, message) = self.kept.iter().find(|(end, _)| *end > again.next)?;
        let bytes = end - again.next;
        again.next = *end;
        if *end == self.sent {
            again.stage = RepeatStage::Sent;
        }
        Some((Arc::clone(message), bytes))
    }

    /// Whether bytes are still to be sent once more.
    pub(super) fn repeats(&self) -> bool {
        self.again.is_some_and(|again| again.stage == RepeatStage::Going && again.next < self.sent)
    }

    /// Whether the page has asked, and there is no byte that it lacks. Says so once.
    pub(super) fn lacked_nothing(&mut self) -> bool {
        self.again.take_if(|again| again.from == self.sent).is_some()
    }

    /// Bytes and messages that were sent once more and are not acknowledged.
    pub(super) fn repeated(&self) -> (u64, usize) {
        let Some(Repeat { from, next, .. }) = self.again else { return (0, 0) };
        let from = from.max(self.acked);
        let messages = self.kept.iter().filter(|(end, _)| (from + 1..=next).contains(end)).count();
        (next.saturating_sub(from), messages)
    }

    /// The server has sent its last byte.
    pub(super) fn finish(&mut self) {
        self.end = BackendEnd::Reached;
    }

    /// Whether the server sends no more.
    pub(super) fn has_ended(&self) -> bool {
        self.end == BackendEnd::Reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::tcp::event::StreamEvent;

    fn send(down: &mut Downlink, bytes: &[u8]) {
        let message = StreamEvent::Data { at: down.reached(), bytes }.message(1);
        down.sent(bytes.len(), Arc::new(message));
    }

    #[test]
    fn what_is_not_acknowledged_can_be_sent_again() {
        let mut down = Downlink::new(10);
        send(&mut down, b"abcd");
        send(&mut down, b"efgh");
        assert!(down.has_room(2, 3) && !down.has_room(3, 3) && !down.has_room(2, 2));
        down.ack(5).unwrap();
        assert_eq!(down.under_way(), (3, 1));
        down.repeat_from(5).unwrap();
        assert!(down.repeats());
        assert_eq!(down.repeat_next().unwrap().1, 3);
        assert_eq!((down.repeats(), down.repeated()), (false, (3, 1)));
        down.repeat_from(8).unwrap();
        assert!(down.repeat_next().is_none() && down.lacked_nothing() && !down.lacked_nothing());
        assert!(matches!(down.repeat_from(3), Err(Refused::TcpGone { at: 3, kept: 5 })));
        assert!(matches!(down.ack(9), Err(Refused::TcpAck { at: 9, sent: 8 })));
        down.ack(2).unwrap();
        assert_eq!(down.under_way(), (3, 1));
    }

    #[test]
    fn what_comes_after_a_repeat_is_not_repeated() {
        let mut down = Downlink::new(100);
        send(&mut down, b"ab");
        send(&mut down, b"cd");
        down.repeat_from(0).unwrap();
        assert!(down.repeat_next().is_some());
        // It may have met a hole.
        send(&mut down, b"ef");
        assert_eq!((down.repeat_next().unwrap().1, down.repeat_next().unwrap().1), (2, 2));
        assert_eq!((down.repeats(), down.repeated()), (false, (6, 3)));
        send(&mut down, b"gh");
        assert!(!down.repeats() && down.repeat_next().is_none());
        down.ack(6).unwrap();
        assert_eq!(down.repeated(), (0, 0));
    }

    #[test]
    fn a_window_smaller_than_a_message_still_lets_one_through() {
        let mut down = Downlink::new(1);
        assert!(down.has_room(100, 1));
        send(&mut down, b"abcd");
        assert!(!down.has_room(1, 9));
    }
}
