//! The transports: how a body is divided into pieces, and what follows the end of a response.
//!
//! A piece is the smallest unit that can be a message: an event, a line. Decoders know no sockets
//! and no server, accept bytes cut anywhere, and copy nothing.

mod frame;
mod jsonp;
mod lines;
mod multipart;
mod sse;
mod unframed;
pub mod ws;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::http::Broken;

/// The transports. A new one gets a row here and a file beside this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Server-sent events.
    Sse,
    /// An endless response, one message per line.
    Stream,
    /// A request that the server holds until there is a message.
    Longpoll,
    /// Two such requests of one session at a time, so that one waits while the other's answer is on
    /// its way.
    Overlap,
    /// A repeated request, answered at once.
    Poll,
    /// `WebSocket`.
    Ws,
    /// The long poll as a script that calls a function.
    Jsonp,
    /// The forever frame: an endless page, a script element for each message.
    Frame,
    /// `multipart/x-mixed-replace`, a part for each message.
    Multipart,
}

/// What follows the end of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterResponse {
    /// An unexpected end: the client reconnects as after a cut.
    Reopen,
    /// The next request, at once.
    PollNow,
    /// The next request, at its time.
    PollLater,
}

impl Transport {
    /// As on the command line.
    pub fn text(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::Stream => "stream",
            Self::Longpoll => "longpoll",
            Self::Overlap => "overlap",
            Self::Poll => "poll",
            Self::Ws => "ws",
            Self::Jsonp => "jsonp",
            Self::Frame => "frame",
            Self::Multipart => "multipart",
        }
    }

    /// What follows the end of a response.
    pub fn after_response(self) -> AfterResponse {
        match self {
            Self::Sse | Self::Stream | Self::Ws | Self::Frame | Self::Multipart => AfterResponse::Reopen,
            Self::Longpoll | Self::Overlap | Self::Jsonp => AfterResponse::PollNow,
            Self::Poll => AfterResponse::PollLater,
        }
    }
}

/// How the bytes of a body are divided into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framing {
    /// One piece for each event.
    Events,
    /// One piece for each line; the body's end ends one too.
    Lines,
    /// One piece for each stamp, wherever it is.
    Unframed,
    /// One piece for each `WebSocket` message.
    Frames,
    /// The whole body is a call, with a line for each message.
    Call,
    /// One piece for each script element.
    Elements,
    /// One piece for each part.
    Parts,
}

/// A possible message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The `id:` of an event; else empty.
    pub id: &'a [u8],
    /// The content; empty for a heartbeat.
    pub data: &'a [u8],
}

/// The next item in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A possible message.
    Piece(Piece<'a>),
    /// A ping, with the payload that the server expects back.
    Ping(&'a [u8]),
    /// The last item, with its reason.
    Close(&'a [u8]),
}

/// Divides one connection's bytes.
pub struct Decoder<'a> {
    /// How they are divided.
    pub framing: Framing,
    /// The state of a `WebSocket` between two reads.
    pub frames: &'a mut ws::Frames,
    /// Shared by all connections.
    pub decode: &'a mut ws::DecodeScratch,
}

impl Decoder<'_> {
    /// Passes each complete item in `bytes` to `each`. Returns how many bytes they took: the rest
    /// is the beginning of the next. `is_end` means that the body ends here.
    ///
    /// # Errors
    /// If the bytes violate the framing.
    pub fn items(
        &mut self,
        bytes: &[u8],
        is_end: bool,
        mut each: impl FnMut(Item<'_>),
    ) -> Result<usize, Broken> {
        if self.framing == Framing::Frames {
            return self.frames.pieces(bytes, self.decode, &mut each);
        }
        let mut each = |piece: Piece<'_>| each(Item::Piece(piece));
        match self.framing {
            Framing::Events => Ok(sse::pieces(bytes, &mut each)),
            Framing::Lines => Ok(lines::pieces(bytes, is_end, &mut each)),
            Framing::Unframed => Ok(unframed::pieces(bytes, &mut each)),
            Framing::Call => jsonp::pieces(bytes, is_end, &mut each),
            Framing::Elements => Ok(frame::pieces(bytes, &mut self.decode.room, &mut each)),
            Framing::Parts => multipart::pieces(bytes, &mut each),
            Framing::Frames => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Finder;

    /// The decoded items if the bytes arrive in parts of `step`.
    fn decoded(framing: Framing, text: &str, step: usize) -> Vec<(String, String)> {
        let (mut all, mut tail) = (Vec::new(), Vec::new());
        let (mut frames, mut decode) = (ws::Frames::default(), ws::DecodeScratch::new(1));
        let own = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let parts = text.as_bytes().chunks(step);
        let last = parts.len() - 1;
        for (at, part) in parts.enumerate() {
            tail.extend_from_slice(part);
            let mut decoder = Decoder { framing, frames: &mut frames, decode: &mut decode };
            let used = decoder.items(&tail, at == last, |item| match item {
                Item::Piece(piece) => all.push((own(piece.id), own(piece.data))),
                Item::Ping(_) | Item::Close(_) => {}
            });
            tail.drain(..used.unwrap());
        }
        all
    }

    fn stamps(pieces: &[(String, String)]) -> Vec<u32> {
        let mut all = Vec::new();
        for (_, data) in pieces {
            Finder::stamps(data.as_bytes(), |stamp| all.push(stamp.serial));
        }
        all
    }

    const EVENTS: &str = ":hi\n\nevent: torn\nid: e-1\nretry: 1000\n\nid: e-2\ndata: \"~e0.1.5~\"\n\nid: e-3\n\n\
                          data: a[\"~e0.2.5~\"]\r\n\r\ndata: ~e0.3.5~\ndata: x\n\n";
    const LINES: &str = "hhh\n[\"~e0.1.5~\",\"~e0.2.5~\"]\n\n~e0.3.5~\r\n~e0.4.5~";
    const LOOSE: &str = "x~e0.1.5~xx\n\"~e0.2.5~xx\"~e0.3.5~";
    const CALL: &str =
        "/**/f([{\"data\":\"~e0.1.5~\"},\n{\"data\":\"~e0.2.5~\"},\n{\"data\":\"~e0.3.5~\"}]);\n";
    const ELEMENTS: &str = "<!doctype html>\n<script>function e(){}</script><script data-m='~e0.1.5~'>e()</script>\n\
                            <!-- -->\n<script data-m='{\"a\":\"&amp;\",\"b\":\"~e0.2.5~\"}'>e()</script>\n</body></html>";
    const PARTS: &str = "\r\n--b\r\nContent-Length: 8\r\n\r\n~e0.1.5~\r\n--b\r\n\r\nContent-Length: 8\r\nA: b\r\n\r\n~e0.2.5~\r\n--b--\r\n";

    #[test]
    fn a_body_falls_into_the_same_messages_wherever_it_is_torn() {
        let cases = [
            (Framing::Events, EVENTS, 3),
            (Framing::Lines, LINES, 4),
            (Framing::Unframed, LOOSE, 3),
            (Framing::Call, CALL, 3),
            (Framing::Elements, ELEMENTS, 2),
            (Framing::Parts, PARTS, 2),
        ];
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
