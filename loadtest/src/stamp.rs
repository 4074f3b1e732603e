//! The payload of a message, and how it is found again in whatever a server wraps around it.
//!
//! A payload is a JSON string such as `"~e7.42.1234567890~xxxx"`: channel, serial, the time at which it was due. No byte of it is one
//! that JSON, SSE, Bayeux or `SockJS` would escape, so a client looks for the stamp in the raw bytes and parses nothing else.

use std::io::Write as _;

use clap::ValueEnum;
use memchr::{memchr, memmem};
use serde::{Deserialize, Serialize};

use crate::chance::Chance;

/// What the publisher wrote into a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The channel's number in the run.
    pub channel: u32,
    /// Counts the messages of the channel, from 1.
    pub serial: u32,
    /// When it was to be sent, in nanoseconds of the run's clock.
    pub due: u64,
}

/// What makes a payload as long as it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// One letter again and again.
    Letter,
    /// Words as in a text, others in each message: it compresses about as well as what people and programs say.
    Words,
}

/// Least bytes of a payload, its quotes included: room for the longest stamp that is likely.
pub const PAYLOAD_BYTES_MIN: usize = 48;

/// Most bytes from a stamp's first to its last: two numbers of 32 bits, one of 64, and what stands between them.
pub const STAMP_BYTES_MAX: usize = 2 + 10 + 1 + 10 + 1 + 20 + 1;

const MARK: &[u8] = b"~e";

/// Letters only: what no protocol escapes.
const WORDS: [&str; 32] = [
    "account",
    "amount",
    "author",
    "balance",
    "body",
    "channel",
    "color",
    "created",
    "currency",
    "customer",
    "delivered",
    "device",
    "event",
    "figure",
    "height",
    "identifier",
    "language",
    "latitude",
    "longitude",
    "message",
    "name",
    "order",
    "position",
    "price",
    "quantity",
    "reason",
    "room",
    "status",
    "text",
    "updated",
    "user",
    "width",
];

impl Stamp {
    /// Appends the text of a payload: so many bytes less its two quotes, which a template adds where the dialect wants them.
    pub fn write(self, payload_bytes: usize, padding: Padding, out: &mut Vec<u8>) {
        let start = out.len();
        // Writing into a vector cannot fail.
        let _ = write!(out, "~e{}.{}.{}~", self.channel, self.serial, self.due);
        let end = (start + payload_bytes.saturating_sub(2)).max(out.len());
        match padding {
            Padding::Letter => {}
            Padding::Words => self.words(end, out),
        }
        out.resize(end, b'x');
    }

    /// Appends words at least up to a length.
    fn words(self, end: usize, out: &mut Vec<u8>) {
        let mut chance = Chance::new(u64::from(self.channel) << 32 | u64::from(self.serial));
        while out.len() < end {
            let word = WORDS[chance.below(WORDS.len() as u64) as usize];
            out.extend_from_slice(word.as_bytes());
            // Numbers are what compresses worst in the messages of programs.
            let _ = write!(out, ":{} ", chance.below(10_000));
        }
    }

    /// Reads a stamp at the start of `bytes`; also says how long it is.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let end =
            memchr(b'~', bytes.get(MARK.len()..)?.get(..STAMP_BYTES_MAX.min(bytes.len() - MARK.len()))?)?;
        let mut numbers = bytes[MARK.len()..MARK.len() + end].split(|&byte| byte == b'.').map(number);
        let channel = u32::try_from(numbers.next()??).ok()?;
        let serial = u32::try_from(numbers.next()??).ok()?;
        let due = numbers.next()??;
        numbers.next().is_none().then_some((Self { channel, serial, due }, MARK.len() + end + 1))
    }
}

/// Finds all stamps in some bytes.
#[derive(Debug)]
pub struct Finder(memmem::Finder<'static>);

impl Finder {
    /// Prepares the search once for a run.
    pub fn new() -> Self {
        Self(memmem::Finder::new(MARK))
    }

    /// Gives each stamp to `each`. Returns how many there were.
    pub fn stamps(&self, bytes: &[u8], mut each: impl FnMut(Stamp)) -> usize {
        let (mut at, mut count) = (0, 0);
        while let Some(found) = self.0.find(&bytes[at..]) {
            at += found;
            match Stamp::read(&bytes[at..]) {
                Some((stamp, len)) => {
                    each(stamp);
                    (at, count) = (at + len, count + 1);
                }
                None => at += MARK.len(),
            }
        }
        count
    }

    /// How many bytes at the end might be the beginning of a stamp.
    pub fn unfinished(bytes: &[u8]) -> usize {
        let from = bytes.len().saturating_sub(STAMP_BYTES_MAX);
        let end = &bytes[from..];
        let Some(at) = memmem::rfind(end, MARK) else { return usize::from(end.last() == Some(&b'~')) };
        let behind = &end[at + MARK.len()..];
        match memchr(b'~', behind) {
            None => end.len() - at,
            // A mark may begin with the last byte, unless that is this stamp's own end.
            Some(close) => usize::from(close + 1 < behind.len() && behind.last() == Some(&b'~')),
        }
    }
}

/// Decimal digits and nothing else.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { channel: 7, serial: 42, due: 1_234_567_890 };

    fn text(stamp: Stamp, bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        stamp.write(bytes, Padding::Letter, &mut out);
        out
    }

    #[test]
    fn words_make_up_the_length_too_and_hide_no_stamp() {
        let words = |serial| {
            let mut out = Vec::new();
            Stamp { serial, ..STAMP }.write(600, Padding::Words, &mut out);
            out
        };
        assert_eq!((words(1).len() + 2, words(1) == words(1), words(1) == words(2)), (600, true, false));
        assert_eq!(found(&words(42)), [STAMP]);
        assert!(
            words(1)
                .iter()
                .all(|byte| byte.is_ascii_graphic() && !b"\"&'<>\\".contains(byte) || *byte == b' ')
        );
    }

    fn found(bytes: &[u8]) -> Vec<Stamp> {
        let mut all = Vec::new();
        Finder::new().stamps(bytes, |stamp| all.push(stamp));
        all
    }

    #[test]
    fn a_payload_with_its_quotes_has_the_length_that_was_asked_for() {
        assert_eq!(text(STAMP, 100).len() + 2, 100);
        let longest = Stamp { channel: u32::MAX, serial: u32::MAX, due: u64::MAX };
        assert_eq!(text(longest, 1).len(), STAMP_BYTES_MAX);
    }

    #[test]
    fn stamps_are_found_in_json_in_escaped_json_and_several_at_once() {
        let plain = String::from_utf8(text(STAMP, 60)).unwrap();
        let escaped = format!("a[\"\\\"{plain}\\\"\",\"\\\"{plain}\\\"\"]");
        assert_eq!(found(escaped.as_bytes()), [STAMP, STAMP]);
        assert_eq!(found(format!("{{\"data\":\"{plain}\"}}").as_bytes()), [STAMP]);
    }

    #[test]
    fn what_only_looks_like_a_stamp_is_none() {
        for text in ["~e", "~e1.2~", "~e1.2.3", "~ex.2.3~", "~e1.2.3.~e", "~e1.99999999999.3~", "~~e~"] {
            assert_eq!(found(text.as_bytes()), [], "{text}");
        }
        assert_eq!(found(b"~e1.2~e7.42.1234567890~"), [STAMP]);
    }

    #[test]
    fn the_beginning_of_a_stamp_is_kept_wherever_it_is_torn() {
        let bytes = text(STAMP, 0);
        for cut in 1..bytes.len() {
            let part = [b"xx", &bytes[..cut]].concat();
            assert_eq!(Finder::unfinished(&part), cut, "{cut}");
        }
        assert_eq!(Finder::unfinished(&bytes), 0);
        assert_eq!(Finder::unfinished(&text(STAMP, 100)), 0);
        assert_eq!(Finder::unfinished(&[&bytes[..], b"x~"].concat()), 1);
    }
}
