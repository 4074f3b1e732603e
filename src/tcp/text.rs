//! A session of text that is one stream: what comes up goes to the server, and the server's bytes
//! come as text in the session's log. Knows nothing of the protocol that its client speaks.
//!
//! Such a client acknowledges nothing and knows no credit. So bytes of the server count as
//! acknowledged once the session has had them, and what the client sends is answered once the
//! server has room for more.

use std::sync::Arc;

use crate::base::slab::{PendingKey, SessionKey, StreamKey};
use crate::call::pending::StringsOutcome;
use crate::conn::socket::NORMAL;
use crate::core::{Core, TextAsk};
use crate::protocol::native::envelope::{Encoding, Message};
use crate::protocol::tcp::command::{Destination, Last};
use crate::protocol::tcp::event::StreamClose;
use crate::session::Link;
use crate::tcp::TcpFront;
use crate::tcp::limits::CHUNK_BYTES;
use crate::tcp::open::{Carried, StreamOpening};
use crate::tcp::socket::{INTERNAL_ERROR, ONLY};
use crate::tcp::stream::Stage;
use crate::turn::todo::Todo;

/// What a stream of text keeps.
#[derive(Debug, Default)]
pub(super) struct TextState {
    /// The beginning of a character whose other bytes have not come.
    held: Vec<u8>,
    /// The request whose bytes the server has no room for yet.
    waiting: Option<PendingKey>,
}

impl TextState {
    /// Takes bytes; returns the text that is complete, in pieces.
    fn take(&mut self, bytes: &[u8]) -> Vec<Box<str>> {
        self.held.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        let mut from = 0;
        while from < self.held.len() {
            let end = self.held.len().min(from + CHUNK_BYTES);
            let whole = whole_chars(&self.held[from..end]);
            if whole == 0 {
                break;
            }
            pieces.push(String::from_utf8_lossy(&self.held[from..from + whole]).into());
            from += whole;
        }
        self.held.drain(..from);
        pieces
    }

    /// What is left when the server has ended.
    fn rest(&mut self) -> Option<Box<str>> {
        let held = std::mem::take(&mut self.held);
        (!held.is_empty()).then(|| String::from_utf8_lossy(&held).into())
    }
}

impl TcpFront {
    /// Executes the oldest request of a session of text. Returns the pending request that has its
    /// answer by that.
    pub(crate) fn execute_text(&mut self, core: &mut Core) -> Option<PendingKey> {
        match core.text_asks.pop_front()? {
            TextAsk::Answer(pending) => Some(pending),
            TextAsk::Open { session, conn, target, page } => {
                core.sessions.get(session)?;
                let name = core.cx.config.tcp.targets.get(usize::from(target))?.name.clone();
                let to = Destination::Target(name);
                let opening = StreamOpening { session, number: ONLY, conn, page, to: &to, window: None };
                if let Err(refusal) = self.open(core, opening, Carried::AsText) {
                    core.end_text(session, INTERNAL_ERROR, refusal.code.text());
                }
                None
            }
            TextAsk::Send { session, pending, bytes } => {
                if let Some(key) = self.find(session, ONLY)
                    && let Some(stream) = self.streams.get_mut(key)
                {
                    stream.up.lend(bytes.len());
                    let at = stream.up.next();
                    // The server may have ended meanwhile: then nobody takes them.
                    let _ = self.send(core, key, at, &bytes, Last::No);
                    if let Some(stream) = self.streams.get_mut(key)
                        && stream.is_live()
                        && stream.up.is_full()
                        && let Some(text) = &mut stream.text
                    {
                        text.waiting = Some(pending);
                        return None;
                    }
                }
                core.call_over(session, pending, StringsOutcome::Taken);
                Some(pending)
            }
        }
    }

    /// The server has room again, or needs none any more: the request that waits is answered.
    pub(super) fn answer_text(&mut self, core: &mut Core, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let session = stream.session;
        let waiting = stream.text.as_deref_mut().and_then(|text| text.waiting.take());
        if let Some(pending) = waiting {
            core.call_over(session, pending, StringsOutcome::Taken);
            core.text_asks.push_back(TextAsk::Answer(pending));
            core.cx.todos.push_back(Todo::Text);
        }
    }

    /// Bytes of the server go to a session of text; none if the server has ended.
    pub(super) fn text_down(&mut self, core: &mut Core, key: StreamKey, bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let session = stream.session;
        let Some(text) = &mut stream.text else { return };
        let pieces = if bytes.is_empty() { text.rest().into_iter().collect() } else { text.take(bytes) };
        let mut messages = Vec::with_capacity(pieces.len());
        for data in pieces {
            let len = data.len();
            let (channel, encoding) = (Box::default(), Encoding::Verbatim);
            let message = Arc::new(Message { channel, from: None, data, encoding });
            stream.down.sent(len, Arc::clone(&message));
            if let Some(streams) = self.sessions.get_mut(&session) {
                streams.under_way.0 += len as u64;
                streams.under_way.1 += 1;
            }
            messages.push(message);
        }
        core.replay(session, messages);
        self.acknowledge_text(core, session);
        self.pause_some(core, key, session);
    }

    /// What a session of text has had counts as acknowledged.
    pub(super) fn acknowledge_text(&mut self, core: &mut Core, session: SessionKey) {
        let Some(key) = self.find(session, ONLY) else { return };
        let Some(stream) = self.streams.get(key).filter(|stream| stream.text.is_some()) else { return };
        let has_all = match core.sessions.get(session).map(|session| session.link) {
            Some(Link::Level(_)) => true,
            // The answer to its last poll was written, or it would have news.
            Some(Link::Detached) => !core.has_news(session),
            Some(Link::Behind(_) | Link::Parked(_) | Link::Waking(_)) | None => false,
        };
        if has_all {
            let reached = stream.down.reached();
            // It has reached that far.
            let _ = self.acknowledge(core, key, reached);
        }
    }

    /// Ends the session of a stream whose server has ended.
    pub(super) fn end_text(&mut self, core: &mut Core, key: StreamKey) {
        let Some(stream) = self.streams.get(key).filter(|stream| stream.text.is_some()) else { return };
        let session = stream.session;
        match stream.stage {
            Stage::Over(StreamClose::Ok) => core.end_text(session, NORMAL, ENDED),
            Stage::Over(code) => core.end_text(session, INTERNAL_ERROR, code.text()),
            Stage::Open if stream.down.has_ended() => core.end_text(session, NORMAL, ENDED),
            Stage::Open | Stage::Dialing | Stage::Leaving => {}
        }
    }
}

/// The length of the bytes without a character at their end that is not complete. Bytes that no
/// character can begin with count as whole.
fn whole_chars(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(CHAR_BYTES_MAX - 1) {
        let byte = bytes[bytes.len() - back];
        let needed = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            0x00..=0x7f | 0xf8..=0xff => 1,
        };
        return if needed > back { bytes.len() - back } else { bytes.len() };
    }
    bytes.len()
}

/// Bytes of a character in UTF-8.
const CHAR_BYTES_MAX: usize = 4;

/// The reason of an ordinary end.
const ENDED: &str = "the server has ended";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_split_wherever_the_bytes_are() {
        let all = "aä€\u{1F600}\0b".repeat(3);
        for size in 1..all.len() {
            let mut state = TextState::default();
            let mut got = String::new();
            for part in all.as_bytes().chunks(size) {
                got.extend(state.take(part).iter().map(|piece| &**piece));
                assert!(state.held.len() < CHAR_BYTES_MAX);
            }
            assert_eq!((got, state.rest()), (all.clone(), None), "{size}");
        }
    }

    #[test]
    fn a_piece_is_bounded_and_ends_with_a_character() {
        let mut state = TextState::default();
        let pieces = state.take("€".repeat(CHUNK_BYTES).as_bytes());
        assert!(pieces.iter().all(|piece| piece.len() <= CHUNK_BYTES && piece.ends_with('€')));
        assert_eq!(pieces.concat(), "€".repeat(CHUNK_BYTES));
    }

    #[test]
    fn what_is_no_text_is_replaced_and_holds_nothing_up() {
        let mut state = TextState::default();
        assert_eq!(state.take(b"a\xff\x80b").concat(), "a\u{fffd}\u{fffd}b");
        assert_eq!(state.take(b"\x80\x80\x80\x80").concat(), "\u{fffd}".repeat(4));
        assert!(state.take(b"\xe2\x82").is_empty());
        assert_eq!(state.rest().as_deref(), Some("\u{fffd}"));
    }
}
