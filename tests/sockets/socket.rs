//! A WebSocket of a client, or of an attacker: every frame is made by hand.

use serde_json::{Value, json};

use crate::client::{Conn, Head};
use crate::node::Node;

/// An open WebSocket.
pub(crate) struct Socket {
    pub(crate) conn: Conn,
    pub(crate) head: Head,
}

/// A received frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The first byte: FIN, reserved bits, opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

impl Socket {
    pub(crate) fn open(node: &Node, target: &str) -> Self {
        Self::open_with(node, target, &[])
    }

    pub(crate) fn open_with(node: &Node, target: &str, headers: &[(&str, &str)]) -> Self {
        Self::upgrade(node.connect(), target, headers)
    }

    /// On a connection that is there.
    pub(crate) fn upgrade(mut conn: Conn, target: &str, headers: &[(&str, &str)]) -> Self {
        let ours = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        conn.request("GET", target, &[&ours, headers].concat(), b"");
        let head = conn.head();
        assert_eq!(head.status, 101, "{head:?}");
        assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Self { conn, head }
    }

    /// Sends a masked frame.
    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) -> &mut Self {
        self.conn.send(frame(first, payload));
        self
    }

    /// Sends commands as one message.
    pub(crate) fn ask(&mut self, commands: &Value) -> &mut Self {
        self.send(TEXT, commands.to_string().as_bytes())
    }

    pub(crate) fn frame(&mut self) -> Frame {
        let head = self.conn.take(2);
        assert!(head[1] < 128, "a server masks nothing");
        let len = match head[1] {
            126 => self.conn.take(2).iter().fold(0, |len, &byte| len << 8 | usize::from(byte)),
            127 => self.conn.take(8).iter().fold(0, |len, &byte| len << 8 | usize::from(byte)),
            len => usize::from(len),
        };
        Frame { first: head[0], payload: self.conn.take(len) }
    }

    /// The next message, which must be text. Pings before it are answered.
    pub(crate) fn json(&mut self) -> Value {
        loop {
            let Frame { first, payload } = self.frame();
            match first {
                TEXT => return serde_json::from_slice(&payload).expect("an envelope"),
                PING => drop(self.send(PONG, &payload)),
                other => panic!("{other:#x}: {payload:?}"),
            }
        }
    }

    /// The `open` envelope.
    pub(crate) fn opened(&mut self) -> Value {
        let mut envelope = self.json();
        assert_eq!(envelope["open"]["transport"], "ws", "{envelope}");
        envelope["open"].take()
    }

    /// Reads up to the close frame, whose code and reason it returns, and checks that the
    /// connection ends.
    pub(crate) fn closed(&mut self) -> (u16, String) {
        let payload = loop {
            let Frame { first, payload } = self.frame();
            if first == CLOSE {
                break payload;
            }
        };
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        self.conn.assert_closed();
        (code, String::from_utf8(payload[2..].to_vec()).expect("a reason is UTF-8"))
    }

    /// Asserts that the socket works: a command is answered.
    pub(crate) fn assert_well(&mut self) {
        self.ask(&json!({"ping": "well"}));
        assert_eq!(self.json(), json!({"ok": {"ping": "well"}}));
    }
}

/// A masked frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = head(first, payload.len() as u64);
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// The beginning of a masked frame, up to the mask.
pub(crate) fn head(first: u8, len: u64) -> Vec<u8> {
    let mut out = vec![first];
    match len {
        0..126 => out.push(0x80 | len as u8),
        126..0x1_0000 => {
            out.push(0xfe);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
    out
}
