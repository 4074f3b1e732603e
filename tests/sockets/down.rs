//! The reading side of responses that stay open: an `EventSource` and a line reader, as browsers
//! have them.

use std::io::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::client::{Conn, Head};
use crate::node::Node;

/// How envelopes are delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sse,
    Lines,
}

/// A response that stays open.
pub(crate) struct Down {
    pub(crate) conn: Conn,
    pub(crate) head: Head,
    body: Body,
    decoder: Decoder,
}

#[derive(Clone, Copy)]
enum Body {
    Chunked,
    UntilClose,
    Ended,
}

/// Decodes envelopes from a body that arrives in pieces of any size.
pub(crate) struct Decoder {
    dialect: Dialect,
    bytes: Vec<u8>,
    data: String,
    name: String,
    id: String,
    /// The value of `Last-Event-ID`: the last id of a dispatched event, or of a heartbeat.
    pub(crate) last_id: String,
    /// The last `retry:`, in milliseconds.
    pub(crate) retry: Option<u64>,
}

impl Down {
    /// Opens `/u/…/sse…` or `/u/…/stream…`; the response must be a 200.
    pub(crate) fn open(node: &Node, target: &str) -> Self {
        Self::open_with(node, target, &[])
    }

    pub(crate) fn open_with(node: &Node, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut conn = node.connect();
        conn.request("GET", target, headers, b"");
        Self::read(conn, dialect_of(target))
    }

    /// Reads the head of a response whose request was sent.
    pub(crate) fn read(mut conn: Conn, dialect: Dialect) -> Self {
        let head = conn.head();
        assert_eq!(head.status, 200, "{head:?}");
        let body = if head.is_chunked() { Body::Chunked } else { Body::UntilClose };
        Self { conn, head, body, decoder: Decoder::new(dialect) }
    }

    pub(crate) fn session(&self) -> String {
        self.head.header("encke-session").expect("every stream has a session").to_owned()
    }

    pub(crate) fn last_id(&self) -> String {
        self.decoder.last_id.clone()
    }

    pub(crate) fn retry(&self) -> Option<u64> {
        self.decoder.retry
    }

    /// The next envelope; `None` at the end of the response.
    pub(crate) fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(envelope) = self.decoder.next() {
                return Some(envelope);
            }
            if !self.piece() {
                return None;
            }
        }
    }

    /// Reads a piece of the body; returns whether there was one.
    fn piece(&mut self) -> bool {
        let piece = match self.body {
            Body::Chunked => self.conn.chunk(),
            Body::UntilClose => Some(self.conn.some()).filter(|bytes| !bytes.is_empty()),
            Body::Ended => None,
        };
        match piece {
            Some(bytes) => self.decoder.feed(&bytes),
            None => self.body = Body::Ended,
        }
        !matches!(self.body, Body::Ended)
    }

    /// The next envelope, which must arrive.
    #[track_caller]
    pub(crate) fn expect(&mut self) -> Value {
        self.next().expect("the stream has ended")
    }

    /// The `open` envelope, which must be next.
    #[track_caller]
    pub(crate) fn opened(&mut self) -> Value {
        let envelope = self.expect();
        assert!(envelope["open"].is_object(), "{envelope}");
        envelope["open"].clone()
    }

    /// The data of the next envelope, which must be a message.
    #[track_caller]
    pub(crate) fn data(&mut self) -> Value {
        let envelope = self.expect();
        assert!(envelope["id"].is_string(), "no message: {envelope}");
        envelope["data"].clone()
    }

    /// The code of the next envelope, which must be a `close` and the last one.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> Value {
        let envelope = self.expect();
        assert!(envelope["close"].is_object(), "{envelope}");
        assert_eq!(self.next(), None, "after the close");
        envelope["close"].clone()
    }

    /// Waits for bytes that are not an envelope.
    pub(crate) fn heartbeat(&mut self) {
        assert!(self.piece(), "the stream has ended");
        assert_eq!(self.decoder.next(), None, "a heartbeat is no envelope");
    }

    pub(crate) fn assert_silent(&mut self, time: Duration) {
        assert_eq!(self.decoder.next(), None);
        self.conn.assert_silent(time);
    }
}

/// The dialect of a target's transport.
fn dialect_of(target: &str) -> Dialect {
    if target.contains("/sse") { Dialect::Sse } else { Dialect::Lines }
}

impl Decoder {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let (data, name, id, last_id) = Default::default();
        Self { dialect, bytes: Vec::new(), data, name, id, last_id, retry: None }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.write_all(bytes).expect("memory");
    }

    /// The next complete envelope.
    pub(crate) fn next(&mut self) -> Option<Value> {
        loop {
            let end = self.bytes.iter().position(|&byte| byte == b'\n')?;
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8(line[..end].to_vec()).expect("UTF-8");
            let text = match self.dialect {
                Dialect::Sse => self.event_line(&line),
                Dialect::Lines => Some(line).filter(|line| !line.is_empty()),
            };
            if let Some(text) = text {
                let envelope: Value = serde_json::from_str(&text).expect("an envelope is JSON");
                if let Some(id) = envelope["id"].as_str() {
                    assert!(self.dialect == Dialect::Lines || self.last_id == id, "{envelope}");
                    id.clone_into(&mut self.last_id);
                }
                return Some(envelope);
            }
        }
    }

    /// Handles a line of an event stream (HTML, section 9.2.6); returns the data of an event that
    /// it completes.
    fn event_line(&mut self, line: &str) -> Option<String> {
        if line.is_empty() {
            self.last_id.clone_from(&self.id);
            let (name, mut data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            if data.is_empty() {
                return None;
            }
            assert_eq!(name, "", "only unnamed events have data");
            data.pop();
            return Some(data);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" => value.clone_into(&mut self.id),
            "event" => value.clone_into(&mut self.name),
            "retry" => self.retry = Some(value.parse().expect("a number")),
            "" => {}
            other => panic!("the field {other:?}"),
        }
        None
    }
}
