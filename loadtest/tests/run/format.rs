//! How the faulty server formats what it sends over each transport: independent of the load test's
//! own decoders, and written from the protocols' descriptions.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use sha1::{Digest, Sha1};

use crate::bayeux;

/// A transport, by the path of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Events,
    Frames,
    /// The same, compressed.
    Deflated,
    Elements,
    Parts,
    /// A response for each request.
    Call,
    /// Bayeux, each message with the answer to a request.
    Polled,
    /// Bayeux, in frames of one message each.
    Pushed,
}

impl Format {
    /// By a request's first line.
    pub(crate) fn find(line: &str) -> Option<Self> {
        let path = line.strip_prefix("GET /")?.split(['?', ' ']).next()?;
        Some(match path {
            "events" => Self::Events,
            "ws" => Self::Frames,
            "deflated" => Self::Deflated,
            "frame" => Self::Elements,
            "multipart" => Self::Parts,
            "jsonp" => Self::Call,
            "bayeux" => Self::Pushed,
            _ => return None,
        })
    }

    /// The bytes before the first message. Calls have a head each.
    pub(crate) fn head(self, key: &str) -> String {
        let stream =
            |kind: &str, start: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n{start}");
        match self {
            Self::Events => stream("text/event-stream", ""),
            Self::Elements => stream("text/html", "<!doctype html><script>function e(){}</script>\n"),
            Self::Parts => stream("multipart/x-mixed-replace; boundary=b", "--b\r\n"),
            Self::Frames | Self::Pushed => upgrade(key, ""),
            Self::Deflated => {
                upgrade(key, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n")
            }
            Self::Call | Self::Polled => String::new(),
        }
    }

    /// One message; of a call, the whole response.
    pub(crate) fn message(self, payload: &str) -> Vec<u8> {
        match self {
            Self::Events => format!("data: {payload}\n\n").into_bytes(),
            Self::Elements => format!("<script data-m='{payload}'>e()</script>\n").into_bytes(),
            Self::Parts => {
                format!("Content-Length: {}\r\n\r\n{payload}\r\n--b\r\n", payload.len()).into_bytes()
            }
            // A ping between two fragments, which the client has to answer and must not let disturb
            // them.
            Self::Frames => {
                let (one, two) = payload.as_bytes().split_at(payload.len() / 2);
                [frame(0x01, one), frame(0x89, PING), frame(0x80, two)].concat()
            }
            Self::Deflated => frame(0xc1, &deflated(payload.as_bytes())),
            Self::Call => response(&format!("/**/f([{payload}]);\n")),
            Self::Polled => response(&bayeux::with_connect(payload)),
            Self::Pushed => frame(0x81, bayeux::event(payload).as_bytes()),
        }
    }
}

/// The payload of a ping and its pong.
pub(crate) const PING: &[u8] = b"there?";

/// Whether a client's frame, masked as it must be, is that pong.
pub(crate) fn is_pong(frame: &[u8]) -> bool {
    let [0x8a, length, a, b, c, d, payload @ ..] = frame else { return false };
    let unmasked = payload.iter().zip([a, b, c, d].into_iter().cycle()).map(|(byte, mask)| byte ^ mask);
    usize::from(length ^ 0x80) == PING.len() && unmasked.eq(PING.iter().copied())
}

fn response(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn upgrade(key: &str, lines: &str) -> String {
    let hash = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = STANDARD.encode(hash);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{lines}Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("test messages are short");
    match u8::try_from(length) {
        Ok(short @ ..=125) => [&[first, short], payload].concat(),
        _ => [&[first, 126], &length.to_be_bytes()[..], payload].concat(),
    }
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.flush().expect("it does");
    let all = encoder.get_ref();
    all[..all.len() - 4].to_vec()
}
