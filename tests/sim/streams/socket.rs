//! A WebSocket that carries a page's streams: commands up, as texts or as records of bytes, and
//! envelopes and answers down.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use encke::shard::Input;
use serde_json::{Value, json};

use super::{Carrier, Streams};
use crate::client::subscriber::socket::masked;

/// The headers of the request for one.
pub(super) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

impl Carrier {
    pub(super) fn is_socket(&self) -> bool {
        self.transport.starts_with("ws")
    }
}

impl Streams {
    /// Sends a command up the WebSocket, which may be cut at any byte of it. Its answer comes down.
    pub(super) fn send_up(&mut self, mut command: Value, bytes: Option<&[u8]>) {
        let message = match bytes {
            Some(bytes) if self.rng.chance(50) => frame(BINARY, &record(&json!({ "tcp": command }), bytes)),
            _ => {
                if let Some(bytes) = bytes {
                    command["data"] = BASE64_STANDARD.encode(bytes).into();
                }
                frame(TEXT, json!({ "tcp": command }).to_string().as_bytes())
            }
        };
        let at = self.rng.below(message.len() as u64) as usize;
        let is_cut = self.rng.chance(6);
        self.trace.push(format!("up{}: {:.90}", if is_cut { ", cut" } else { "" }, command.to_string()));
        let Some(open) = self.carrier.as_mut() else { return };
        let conn = open.conn;
        if !is_cut {
            let (ack, number) = (command["ack"].as_u64(), command["stream"].as_u64());
            open.asked.push_back(command);
            // The node may execute it at once, whatever the page hears of it.
            let page = self.pages.iter_mut().find(|page| Some(u64::from(page.number)) == number);
            let page = page.expect("a stream");
            page.ack_sent = page.ack_sent.max(ack.unwrap_or(0) as usize);
        }
        self.give(Input::Bytes { conn, bytes: &message[..at] });
        if is_cut {
            self.carrier = None;
            return self.give(Input::Broken { conn });
        }
        if self.carrier.is_some() {
            self.give(Input::Bytes { conn, bytes: &message[at..] });
        }
    }

    /// Handles the whole messages in `bytes`; returns what follows them, and whether the node has
    /// closed the WebSocket.
    pub(super) fn frames(&mut self, open: &mut Carrier, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut rest = bytes;
        if rest.starts_with(b"HTTP") {
            let Some(end) = rest.windows(4).position(|at| at == b"\r\n\r\n") else {
                return (rest.to_vec(), false);
            };
            if !rest.starts_with(b"HTTP/1.1 101 ") {
                return (Vec::new(), true);
            }
            rest = &rest[end + 4..];
        }
        while let Some((first, payload, used)) = unframed(rest) {
            match first {
                TEXT => {
                    let envelope: Value = serde_json::from_slice(payload).expect("JSON");
                    if envelope["ok"].is_null() && envelope["error"].is_null() {
                        self.envelope(&envelope, None, open.transport);
                    } else {
                        let command = open.asked.pop_front().expect("an answer to nothing");
                        self.answered(&command, &envelope);
                        self.carried.insert("up");
                    }
                }
                BINARY => {
                    assert!(open.transport.contains("binary"), "bytes, which were not asked for");
                    let (header, payload) = unrecorded(payload);
                    self.envelope(&header, Some(payload), open.transport);
                }
                PING => self.give(Input::Bytes { conn: open.conn, bytes: &frame(PONG, payload) }),
                CLOSE => return (Vec::new(), true),
                first => panic!("a frame begins with {first}"),
            }
            rest = &rest[used..];
        }
        (rest.to_vec(), false)
    }
}

/// A frame of a client. The mask is any.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    masked([0x5a, 0xa5, 0x0f, 0xf0], first, payload)
}

/// The first whole frame of a server: its first byte, its payload, and the bytes that it takes.
fn unframed(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (first, short) = (*bytes.first()?, *bytes.get(1)?);
    let (head, len) = match short {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    let used = head + len as usize;
    Some((first, bytes.get(head..used)?, used))
}

/// A record: its header and its payload.
fn record(header: &Value, payload: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    [&(header.len() as u16).to_be_bytes()[..], header.as_bytes(), payload].concat()
}

fn unrecorded(record: &[u8]) -> (Value, &[u8]) {
    let len = usize::from(u16::from_be_bytes([record[0], record[1]]));
    (serde_json::from_slice(&record[2..2 + len]).expect("a header"), &record[2 + len..])
}
