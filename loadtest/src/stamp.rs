//! The payload of a message, and how it is found in the server's bytes.
//!
//! A payload is a JSON string such as `"~e7.42.1234567890~xxxx"`: channel, serial, due time. JSON,
//! SSE, Bayeux and `SockJS` escape none of its bytes, so a client searches the raw bytes for the
//! stamp and parses nothing else. Shorter payloads encode the same three in a few letters (see
//! [`PAYLOAD_BYTES_SHORT`]).

use std::io::Write as _;

use clap::ValueEnum;
use memchr::{memchr, memmem};
use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// The content of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The channel's number in the run.
    pub channel: u32,
    /// The message's number in the channel, from 1.
    pub serial: u32,
    /// When it was due, in nanoseconds of the run's clock.
    pub due: u64,
}

/// The filling of a payload up to its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// One letter, repeated.
    Letter,
    /// Words as in a text, different in each message: it compresses about as well as real messages.
    Words,
}

/// Least bytes of a payload, its quotes included: room for the longest realistic stamp.
pub const PAYLOAD_BYTES_MIN: usize = 48;

/// Least bytes of a payload whose stamp is short, quotes included. Such a stamp has room for
/// [`SHORT_CHANNELS`] and [`SHORT_SERIALS`].
pub const PAYLOAD_BYTES_SHORT: usize = SHORT_BYTES + 2;

/// Channels that short stamps can name.
pub const SHORT_CHANNELS: u32 = 1 << (6 * SHORT_PARTS[0]);

/// Serials below this fit into short stamps.
pub const SHORT_SERIALS: u32 = 1 << (6 * SHORT_PARTS[1]);

/// Most bytes of a stamp: two numbers of 32 bits, one of 64, and the separators.
pub const STAMP_BYTES_MAX: usize = 2 + 10 + 1 + 10 + 1 + 20 + 1;

/// The first byte of both marks.
const TILDE: u8 = b'~';

const MARK: &[u8] = b"~e";

/// This never follows a long stamp.
const SHORT_MARK: &[u8] = b"~.";

/// Letters of a short stamp's channel, serial and due time, six bits each.
const SHORT_PARTS: [u32; 3] = [1, 3, 7];

/// Bytes of a short stamp: it ends by its length.
const SHORT_BYTES: usize = 2 + 11;

/// Bits of a due time that a short stamp omits, so that the rest suffices for two years: 16
/// microseconds.
const SHORT_SHIFT: u32 = 14;

/// Six bits each; no protocol escapes any of them.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

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
    /// Appends the text of a payload: this many bytes less its two quotes, which a template adds
    /// where the dialect requires them.
    pub fn write(self, payload_bytes: usize, padding: Padding, out: &mut Vec<u8>) {
        let start = out.len();
        if (PAYLOAD_BYTES_SHORT..PAYLOAD_BYTES_MIN).contains(&payload_bytes) {
            self.write_short(out);
            return out.resize(start + payload_bytes - 2, b'x');
        }
        // Writing into a vector cannot fail.
        let _ = write!(out, "~e{}.{}.{}~", self.channel, self.serial, self.due);
        let end = (start + payload_bytes.saturating_sub(2)).max(out.len());
        match padding {
            Padding::Letter => {}
            Padding::Words => self.words(end, out),
        }
        out.resize(end, b'x');
    }

    /// Appends it as a few letters. The due time loses its last bits, so the latency of such a
    /// message counts as up to 16 microseconds more.
    fn write_short(self, out: &mut Vec<u8>) {
        out.extend_from_slice(SHORT_MARK);
        let values = [u64::from(self.channel), u64::from(self.serial), self.due >> SHORT_SHIFT];
        for (value, letters) in values.into_iter().zip(SHORT_PARTS) {
            let bits = (0..letters).rev().map(|letter| (value >> (6 * letter)) & 63);
            out.extend(bits.map(|bits| LETTERS[bits as usize]));
        }
    }

    /// Reads a short stamp at the start of `bytes`.
    fn read_short(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut letters = bytes.get(SHORT_MARK.len()..SHORT_BYTES)?.iter();
        let mut next = |count: u32| {
            letters.by_ref().take(count as usize).try_fold(0, |value: u64, letter| {
                let bits = LETTERS.iter().position(|known| known == letter)?;
                Some(value << 6 | bits as u64)
            })
        };
        let [channel, serial, due] = SHORT_PARTS.map(&mut next);
        let (channel, serial) = (u32::try_from(channel?).ok()?, u32::try_from(serial?).ok()?);
        Some((Self { channel, serial, due: due? << SHORT_SHIFT }, SHORT_BYTES))
    }

    /// Appends words up to at least this length.
    fn words(self, end: usize, out: &mut Vec<u8>) {
        let mut rng = Rng::new(u64::from(self.channel) << 32 | u64::from(self.serial));
        while out.len() < end {
            let word = WORDS[rng.below(WORDS.len() as u64) as usize];
            out.extend_from_slice(word.as_bytes());
            // Numbers compress worst in real messages.
            let _ = write!(out, ":{} ", rng.below(10_000));
        }
    }

    /// Reads a stamp at the start of `bytes`, and its length.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        if bytes.starts_with(SHORT_MARK) {
            return Self::read_short(bytes);
        }
        if !bytes.starts_with(MARK) {
            return None;
        }
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
pub struct Finder;

impl Finder {
    /// Calls `each` for each stamp; returns how many there were.
    pub fn stamps(bytes: &[u8], mut each: impl FnMut(Stamp)) -> usize {
        let (mut at, mut count) = (0, 0);
        while let Some(found) = memchr(TILDE, &bytes[at..]) {
            at += found;
            match Stamp::read(&bytes[at..]) {
                Some((stamp, len)) => {
                    each(stamp);
                    (at, count) = (at + len, count + 1);
                }
                None => at += 1,
            }
        }
        count
    }

    /// The number of bytes at the end that may be the beginning of a stamp.
    pub fn unfinished(bytes: &[u8]) -> usize {
        let from = bytes.len().saturating_sub(STAMP_BYTES_MAX);
        let end = &bytes[from..];
        let Some(at) = [MARK, SHORT_MARK].iter().filter_map(|mark| memmem::rfind(end, mark)).max() else {
            return usize::from(end.last() == Some(&TILDE));
        };
        let stamp = &end[at..];
        let len = if stamp.starts_with(SHORT_MARK) {
            SHORT_BYTES
        } else {
            memchr(TILDE, &stamp[MARK.len()..]).map_or(usize::MAX, |close| MARK.len() + close + 1)
        };
        match stamp.get(len..) {
            None => stamp.len(),
            // A mark may begin with the last byte.
            Some(behind) => usize::from(behind.last() == Some(&TILDE)),
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
        Finder::stamps(bytes, |stamp| all.push(stamp));
        all
    }

    #[test]
    fn a_payload_with_its_quotes_has_the_length_that_was_asked_for() {
        assert_eq!(text(STAMP, 100).len() + 2, 100);
        let longest = Stamp { channel: u32::MAX, serial: u32::MAX, due: u64::MAX };
        assert_eq!(text(longest, 1).len(), STAMP_BYTES_MAX);
    }

    #[test]
    fn a_short_stamp_says_the_same_in_fifteen_bytes() {
        let last = Stamp { channel: SHORT_CHANNELS - 1, serial: SHORT_SERIALS - 1, due: (1 << 56) - 1 };
        for stamp in [STAMP, last, Stamp { channel: 0, serial: 1, due: 0 }] {
            let short = text(stamp, PAYLOAD_BYTES_SHORT);
            assert_eq!(short.len() + 2, 15);
            let [read] = found(&[b"[\"", &short[..], b"\"]"].concat())[..] else { panic!("one stamp") };
            assert_eq!((read.channel, read.serial), (stamp.channel, stamp.serial));
            assert!(stamp.due - read.due < 16_384, "{} {}", stamp.due, read.due);
        }
        assert_eq!(text(STAMP, 30).len() + 2, 30);
    }

    #[test]
    fn the_beginning_of_a_short_stamp_is_kept_too() {
        let bytes = text(STAMP, PAYLOAD_BYTES_SHORT);
        for cut in 1..bytes.len() {
            assert_eq!(Finder::unfinished(&[b"xx", &bytes[..cut]].concat()), cut);
            assert_eq!(found(&bytes[..cut]), []);
        }
        assert_eq!(Finder::unfinished(&bytes), 0);
        assert_eq!(Finder::unfinished(&[&bytes[..], b"\"~"].concat()), 1);
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
