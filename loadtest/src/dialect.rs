//! Items of a server that are not messages: a stream begins or ends, messages are missing, a
//! request was refused.
//!
//! Only pieces without a stamp are examined here, so speed matters little. Fields are searched for
//! instead of parsing JSON, since each server's format is fixed.

use memchr::{memchr, memchr2, memmem};
use serde::{Deserialize, Serialize};

use crate::stamp::number;
use crate::transport::Piece;

/// The server whose notices are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// None: no notice is understood, and none is an error.
    Plain,
    /// Envelopes: `open`, `gap`, `close`.
    Encke,
    /// Answers with `successful`.
    Bayeux,
    /// Frames `o`, `h`, `c[…]`.
    Sockjs,
}

/// The content of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// Only that the link lives, or that the stream has begun.
    Alive,
    /// Messages after `from` up to `to` may be missing; `None` if that is a position of another
    /// epoch.
    Gap {
        /// The number of the client's position.
        from: Option<u64>,
        /// The number of the position from which the stream continues.
        to: u64,
    },
    /// The stream ends.
    Close {
        /// Milliseconds after which the client may return.
        after: u64,
        /// Whether the client may return at all.
        reconnect: bool,
    },
    /// The advised delay before the next poll.
    Advice {
        /// Milliseconds.
        poll: u64,
    },
    /// A request was refused, with these words.
    Refused(&'a [u8]),
}

impl Dialect {
    /// The notice in a piece without a stamp.
    pub fn note<'a>(self, piece: &Piece<'a>) -> Notice<'a> {
        match self {
            Self::Encke => encke(piece.data),
            Self::Bayeux if memmem::find(piece.data, b"\"successful\":false").is_some() => {
                Notice::Refused(piece.data)
            }
            Self::Sockjs if piece.data.starts_with(b"c[") => Notice::Close { after: 0, reconnect: true },
            Self::Plain | Self::Bayeux | Self::Sockjs => Notice::Alive,
        }
    }

    /// Whether a piece answers a message that a client sent over its socket. It may also hold
    /// messages.
    pub fn is_answer(self, piece: &Piece<'_>) -> bool {
        match self {
            Self::Bayeux => memmem::find(piece.data, b"\"channel\":\"/meta/").is_some(),
            Self::Plain | Self::Encke | Self::Sockjs => false,
        }
    }

    /// The position that a piece moves the client to; empty, if it has none.
    pub fn position<'a>(self, piece: &Piece<'a>) -> &'a [u8] {
        if !piece.id.is_empty() {
            return piece.id;
        }
        let before: &[u8] = match self {
            Self::Encke if piece.data.starts_with(b"{\"id\":") => b"{\"id\":\"",
            Self::Encke if piece.data.starts_with(b"{\"gap\":") => b"\"to\":\"",
            Self::Encke if piece.data.starts_with(b"{\"open\":") => b"\"position\":\"",
            Self::Plain | Self::Encke | Self::Bayeux | Self::Sockjs => return &[],
        };
        string(piece.data, before).unwrap_or_default()
    }
}

/// The number of a position, `{epoch}-{n}`; 0 for other text.
pub fn position_number(position: &[u8]) -> u64 {
    memchr::memrchr(b'-', position).and_then(|dash| number(&position[dash + 1..])).unwrap_or(0)
}

/// The string in quotes that follows `before`.
pub fn string<'a>(data: &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
    let value = &data[memmem::find(data, before)? + before.len()..];
    Some(&value[..memchr(b'"', value)?])
}

fn encke(data: &[u8]) -> Notice<'_> {
    if data.starts_with(b"{\"gap\":") {
        let ends = string(data, b"\"from\":\"").zip(string(data, b"\"to\":\""));
        return ends.map_or(Notice::Refused(data), |(from, to)| Notice::Gap {
            from: (epoch(from) == epoch(to)).then(|| position_number(from)),
            to: position_number(to),
        });
    }
    if data.starts_with(b"{\"close\":") {
        let after = memmem::find(data, b"\"after\":").map(|at| &data[at + 8..]);
        let digits = after.and_then(|text| number(&text[..memchr2(b',', b'}', text)?]));
        let reconnect = memmem::find(data, b"\"reconnect\":true").is_some();
        return Notice::Close { after: digits.unwrap_or(0), reconnect };
    }
    if data.starts_with(b"{\"advice\":") {
        let poll = memmem::find(data, b"\"poll\":").map(|at| &data[at + 7..]);
        let digits = poll.and_then(|text| number(&text[..memchr2(b',', b'}', text)?]));
        return digits.map_or(Notice::Alive, |poll| Notice::Advice { poll });
    }
    if data.starts_with(b"{\"error\":") { Notice::Refused(data) } else { Notice::Alive }
}

fn epoch(position: &[u8]) -> &[u8] {
    memchr::memrchr(b'-', position).map_or(position, |dash| &position[..dash])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(dialect: Dialect, data: &str) -> Notice<'_> {
        dialect.note(&Piece { id: b"", data: data.as_bytes() })
    }

    #[test]
    fn enckes_envelopes_are_understood() {
        let gap = r#"{"gap":{"from":"e-6","to":"e-9"}}"#;
        assert_eq!(note(Dialect::Encke, gap), Notice::Gap { from: Some(6), to: 9 });
        let other = r#"{"gap":{"from":"d-6","to":"e-9"}}"#;
        assert_eq!(note(Dialect::Encke, other), Notice::Gap { from: None, to: 9 });
        let close = r#"{"close":{"code":"drain","reconnect":true,"after":123}}"#;
        assert_eq!(note(Dialect::Encke, close), Notice::Close { after: 123, reconnect: true });
        assert!(matches!(note(Dialect::Encke, r#"{"error":{"code":"full"}}"#), Notice::Refused(_)));
        assert_eq!(note(Dialect::Encke, r#"{"advice":{"poll":1500}}"#), Notice::Advice { poll: 1500 });
        assert_eq!(note(Dialect::Encke, r#"{"advice":{}}"#), Notice::Alive);
        assert_eq!(note(Dialect::Encke, r#"{"open":{}}"#), Notice::Alive);
    }

    #[test]
    fn a_position_is_the_events_id_or_stands_in_the_envelope() {
        let at = |id: &'static str, data: &'static str| {
            Dialect::Encke.position(&Piece { id: id.as_bytes(), data: data.as_bytes() })
        };
        assert_eq!(at("e-7", ""), b"e-7");
        assert_eq!(at("", r#"{"id":"e-8","channel":"/c"}"#), b"e-8");
        assert_eq!(at("", r#"{"gap":{"from":"e-6","to":"e-9"}}"#), b"e-9");
        assert_eq!(at("", r#"{"open":{"session":"s","position":"e-5"}}"#), b"e-5");
        assert_eq!(at("", r#"{"ok":{"ping":1}}"#), b"");
        assert_eq!((position_number(b"a-b-12"), position_number(b"17:0")), (12, 0));
    }

    #[test]
    fn others_refusals_and_closes_are_understood() {
        assert!(matches!(note(Dialect::Bayeux, r#"[{"successful":false}]"#), Notice::Refused(_)));
        assert_eq!(
            note(Dialect::Sockjs, r#"c[3000,"Go away!"]"#),
            Notice::Close { after: 0, reconnect: true }
        );
        assert_eq!(note(Dialect::Sockjs, "o"), Notice::Alive);
    }
}
