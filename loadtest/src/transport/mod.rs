//! How messages come down: one file for each way that bytes fall into pieces, and what a client does when a response ends.
//!
//! A piece is the least that can be a whole message: an event, a line. Decoders know nothing of sockets or of any server's words,
//! take bytes torn anywhere, and copy nothing.

mod lines;
mod loose;
mod sse;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The transports. Those of later issues, WebSocket and Bayeux's own, get a row here and a file beside this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Server-sent events.
    Sse,
    /// A response without end, one message a line.
    Stream,
    /// A request that is held until there is something.
    Longpoll,
    /// A request now and then, answered at once.
    Poll,
}

/// What follows the end of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It was not meant to end: the client comes back as after a cut.
    Reopen,
    /// The next request, at once.
    AtOnce,
    /// The next request, when its time has come.
    Later,
}

impl Transport {
    /// As on the command line.
    pub fn text(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::Stream => "stream",
            Self::Longpoll => "longpoll",
            Self::Poll => "poll",
        }
    }

    /// What follows the end of a response.
    pub fn again(self) -> Again {
        match self {
            Self::Sse | Self::Stream => Again::Reopen,
            Self::Longpoll => Again::AtOnce,
            Self::Poll => Again::Later,
        }
    }
}

/// How the bytes of a body fall into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framing {
    /// An event each.
    Events,
    /// A line each; the body's end ends one too.
    Lines,
    /// A stamp each, wherever it stands.
    Loose,
}

/// What may be a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The `id:` of an event; else empty.
    pub id: &'a [u8],
    /// What it says; empty, if it only shows that the link lives.
    pub data: &'a [u8],
}

impl Framing {
    /// Gives each whole piece in `bytes` to `each`. Returns how many bytes they took: the rest is the beginning of the next.
    /// `is_end` says that the body ends here.
    pub fn pieces<'a>(self, bytes: &'a [u8], is_end: bool, mut each: impl FnMut(Piece<'a>)) -> usize {
        match self {
            Self::Events => sse::pieces(bytes, &mut each),
            Self::Lines => lines::pieces(bytes, is_end, &mut each),
            Self::Loose => loose::pieces(bytes, &mut each),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Finder;

    /// What comes out when the bytes come in parts of `step`.
    fn decoded(framing: Framing, text: &str, step: usize) -> Vec<(String, String)> {
        let (mut all, mut tail) = (Vec::new(), Vec::new());
        let own = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let parts = text.as_bytes().chunks(step);
        let last = parts.len() - 1;
        for (at, part) in parts.enumerate() {
            tail.extend_from_slice(part);
            let used = framing.pieces(&tail, at == last, |piece| all.push((own(piece.id), own(piece.data))));
            tail.drain(..used);
        }
        all
    }

    fn stamps(pieces: &[(String, String)]) -> Vec<u32> {
        let mut all = Vec::new();
        for (_, data) in pieces {
            Finder::new().stamps(data.as_bytes(), |stamp| all.push(stamp.serial));
        }
        all
    }

    const EVENTS: &str = ":hi\n\nevent: torn\nid: e-1\nretry: 1000\n\nid: e-2\ndata: \"~e0.1.5~\"\n\nid: e-3\n\n\
                          data: a[\"~e0.2.5~\"]\r\n\r\ndata: ~e0.3.5~\ndata: x\n\n";
    const LINES: &str = "hhh\n[\"~e0.1.5~\",\"~e0.2.5~\"]\n\n~e0.3.5~\r\n~e0.4.5~";
    const LOOSE: &str = "x~e0.1.5~xx\n\"~e0.2.5~xx\"~e0.3.5~";

    #[test]
    fn a_body_falls_into_the_same_messages_wherever_it_is_torn() {
        let cases = [(Framing::Events, EVENTS, 3), (Framing::Lines, LINES, 4), (Framing::Loose, LOOSE, 3)];
        for (framing, text, count) in cases {
            for step in 1..=text.len() {
                let pieces = decoded(framing, text, step);
                assert_eq!(stamps(&pieces), (1..=count).collect::<Vec<_>>(), "{framing:?} {step}");
            }
        }
    }

    #[test]
    fn an_event_has_its_id_and_all_of_its_data_and_one_without_data_says_nothing() {
        for step in 1..=EVENTS.len() {
            let pieces = decoded(Framing::Events, EVENTS, step);
            let expected = [
                ("", ""),
                ("e-1", ""),
                ("e-2", "\"~e0.1.5~\""),
                ("e-3", ""),
                ("", "a[\"~e0.2.5~\"]"),
                ("", "~e0.3.5~\ndata: x"),
            ];
            let expected = expected.map(|(id, data)| (id.to_owned(), data.to_owned()));
            assert_eq!(pieces, expected, "{step}");
        }
    }

    #[test]
    fn an_array_over_several_lines_gives_its_elements() {
        let text = "[{\"open\":{}},\n{\"id\":\"e-1\"}]";
        let pieces = decoded(Framing::Lines, text, text.len());
        let data: Vec<&str> = pieces.iter().map(|(_, data)| data.as_str()).collect();
        assert_eq!(data, ["{\"open\":{}}", "{\"id\":\"e-1\"}"]);
    }
}
