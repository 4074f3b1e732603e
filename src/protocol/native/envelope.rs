//! The native protocol's envelopes to clients: `open`, messages, `gap`, `close`, `advice`.
//!
//! Each function appends one JSON object without line breaks. Messages are encoded the same for
//! every receiver of a shard.

use std::io::Write;

use crate::base::position::Position;
use crate::base::ticks::Span;
use crate::wire::json::escape_into;

/// A published message: the same for all shards.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Its channel.
    pub channel: Box<str>,
    /// The authenticated publisher; set by the server, never by the sender.
    pub from: Option<Box<str>>,
    /// The payload as JSON, checked, without line breaks.
    pub data: Box<str>,
    /// The encoding of `data`.
    pub encoding: Encoding,
}

/// How to read the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// It is plain JSON.
    Json,
    /// It is a string of base64 (RFC 4648, section 4) that encodes bytes.
    Base64,
    /// The server's own presence report, whose envelope has no `channel` member.
    Presence,
    /// It is bytes of a TCP stream in base64, or empty; `channel` is what the client is told of the
    /// stream, as JSON.
    Stream,
    /// It is what the client gets, without an envelope: an answer that goes down a session.
    Verbatim,
}

/// Why a stream or a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// Another connection resumed the session.
    Replaced,
    /// The client sent `{"close":true}`.
    Closed,
    /// The backend ended the user's sessions.
    Ended,
    /// The token has expired.
    Expired,
    /// The user has more sessions than allowed; this was the least recently used.
    TooManySessions,
    /// The node is shutting down.
    Drain,
    /// The response is long or old: another one must take over. Unlike after the other codes,
    /// messages may follow.
    Recycle,
    /// Another node serves the user.
    Elsewhere,
    /// The node creates no more sessions at the moment.
    Busy,
    /// The user was a guest here, and the node that serves the user may be back.
    Moved,
}

impl CloseCode {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Closed => "closed",
            Self::Ended => "ended",
            Self::Expired => "expired",
            Self::TooManySessions => "too-many-sessions",
            Self::Drain => "drain",
            Self::Recycle => "recycle",
            Self::Elsewhere => "elsewhere",
            Self::Busy => "busy",
            Self::Moved => "moved",
        }
    }

    /// Whether the client should reconnect.
    pub fn reconnect(self) -> bool {
        match self {
            Self::Replaced | Self::Closed | Self::Ended | Self::Expired | Self::TooManySessions => false,
            Self::Drain | Self::Recycle | Self::Elsewhere | Self::Busy | Self::Moved => true,
        }
    }
}

/// The first envelope of a stream.
#[derive(Clone, Copy, Debug)]
pub struct OpenEnvelope<'a> {
    /// The session's id.
    pub session: &'a str,
    /// The stream's first position.
    pub position: Position,
    /// Whether the client resumed without loss.
    pub resumed: bool,
    /// The longest silence of a healthy stream.
    pub heartbeat: Span,
    /// How long the node keeps the session without a connection, and keys of publishes.
    pub grace: Span,
    /// The transport's name.
    pub transport: &'static str,
    /// The requested session, which another client uses.
    pub instead: Option<&'a str>,
}

/// Why a client got another session than the requested one.
const SHARED: &str =
    "another client has this session's id too, and they replaced each other; this one is yours alone";

/// Bytes of `{"open":…}`, or somewhat more.
const OPEN_BYTES: usize = 192;

/// Appends `{"open":…}`.
pub fn open(open: &OpenEnvelope<'_>, out: &mut Vec<u8>) {
    // Each response begins with it, so it avoids the formatter.
    out.reserve(OPEN_BYTES);
    out.extend_from_slice(br#"{"open":{"session":""#);
    out.extend_from_slice(open.session.as_bytes());
    out.extend_from_slice(br#"","position":""#);
    open.position.write_to(out);
    out.extend_from_slice(br#"","resumed":"#);
    out.extend_from_slice(if open.resumed { b"true" } else { b"false" });
    out.extend_from_slice(br#","heartbeat":"#);
    out.extend_from_slice(itoa::Buffer::new().format(open.heartbeat.as_millis()).as_bytes());
    out.extend_from_slice(br#","grace":"#);
    out.extend_from_slice(itoa::Buffer::new().format(open.grace.as_millis()).as_bytes());
    out.extend_from_slice(br#","transport":""#);
    out.extend_from_slice(open.transport.as_bytes());
    if let Some(other) = open.instead {
        out.extend_from_slice(br#"","instead":{"session":""#);
        out.extend_from_slice(other.as_bytes());
        out.extend_from_slice(br#"","code":"shared","reason":""#);
        out.extend_from_slice(SHARED.as_bytes());
        out.extend_from_slice(br#""}}}"#);
        return;
    }
    out.extend_from_slice(br#""}}"#);
}

/// Appends `{"id":…,"channel":…,"from":…,"encoding":…,"data":…}`, or `{"id":…,"presence":…}`.
/// Returns the number of bytes before `encoding` and `data`.
pub fn message(message: &Message, position: Position, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(br#"{"id":""#);
    position.write_to(out);
    if message.encoding == Encoding::Presence {
        let head = out.len() + 1 - start;
        out.extend_from_slice(br#"","presence":"#);
        out.extend_from_slice(message.data.as_bytes());
        out.push(b'}');
        return head;
    }
    if message.encoding == Encoding::Stream {
        out.extend_from_slice(br#"","tcp":"#);
        out.extend_from_slice(message.channel.as_bytes());
        let head = out.len() - start;
        if !message.data.is_empty() {
            out.extend_from_slice(br#","encoding":"base64","data":"#);
            out.extend_from_slice(message.data.as_bytes());
        }
        out.push(b'}');
        return head;
    }
    out.extend_from_slice(br#"","channel":"#);
    escape_into(&message.channel, out);
    if let Some(from) = &message.from {
        out.extend_from_slice(br#","from":"#);
        escape_into(from, out);
    }
    let head = out.len() - start;
    match message.encoding {
        Encoding::Json | Encoding::Presence | Encoding::Stream | Encoding::Verbatim => {}
        Encoding::Base64 => out.extend_from_slice(br#","encoding":"base64""#),
    }
    out.extend_from_slice(br#","data":"#);
    out.extend_from_slice(message.data.as_bytes());
    out.push(b'}');
    head
}

/// Appends `{"gap":…}`: messages after `from`, up to and including `to`, may be missing. `from` is
/// the client's text, which need not be a position.
pub fn gap(from: &str, to: Position, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"gap":{"from":"#);
    escape_into(from, out);
    let _ = write!(out, r#","to":"{to}"}}}}"#);
}

/// Appends `{"close":…}`; `after` is the time to wait before reconnecting, and `node` the address
/// of the node that serves the user, if that is another one.
pub fn close(code: CloseCode, after: Span, node: Option<&str>, out: &mut Vec<u8>) {
    let after = after.as_millis();
    let (code, reconnect) = (code.name(), code.reconnect());
    let _ = write!(out, r#"{{"close":{{"code":"{code}","reconnect":{reconnect},"after":{after}"#);
    if let Some(node) = node {
        out.extend_from_slice(br#","node":"#);
        escape_into(node, out);
    }
    out.extend_from_slice(b"}}");
}

/// Appends `{"advice":{"poll":…}}`: the recommended time until the next poll.
pub fn advice(poll: Span, out: &mut Vec<u8>) {
    let _ = write!(out, r#"{{"advice":{{"poll":{}}}}}"#, poll.as_millis());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::position::Epoch;

    const AT: Position = Position { epoch: Epoch::new(7), n: 42 };

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_carries_its_payload_byte_exact() {
        let data = r#"{"b":1.0, "a":1e2,"b":"\u00e9/\/"}"#;
        let sent =
            Message { channel: "/c/1".into(), from: None, data: data.into(), encoding: Encoding::Json };
        assert_eq!(
            text(|out| _ = message(&sent, AT, out)),
            format!(r#"{{"id":"00000007-42","channel":"/c/1","data":{data}}}"#)
        );
    }

    #[test]
    fn presence_is_an_envelope_of_its_own_and_its_hidden_channel_is_not_shown() {
        let data = r#"{"channel":"/c","count":1,"users":["bob"]}"#;
        let sent =
            Message { channel: "?/c".into(), from: None, data: data.into(), encoding: Encoding::Presence };
        assert_eq!(
            text(|out| _ = message(&sent, AT, out)),
            format!(r#"{{"id":"00000007-42","presence":{data}}}"#)
        );
    }

    #[test]
    fn an_envelope_has_the_publisher_and_the_encoding() {
        let sent = Message {
            channel: "/c".into(),
            from: Some("o\"b".into()),
            data: "\"AA==\"".into(),
            encoding: Encoding::Base64,
        };
        assert_eq!(
            text(|out| _ = message(&sent, AT, out)),
            r#"{"id":"00000007-42","channel":"/c","from":"o\"b","encoding":"base64","data":"AA=="}"#
        );
    }

    #[test]
    fn the_other_envelopes_are_spelled_as_the_protocol_says() {
        let stream = OpenEnvelope {
            session: "s1",
            position: AT,
            resumed: true,
            heartbeat: Span::from_secs(25),
            grace: Span::from_secs(60),
            transport: "sse",
            instead: None,
        };
        assert_eq!(
            text(|out| open(&stream, out)),
            r#"{"open":{"session":"s1","position":"00000007-42","resumed":true,"heartbeat":25000,"grace":60000,"transport":"sse"}}"#
        );
        let apart = text(|out| open(&OpenEnvelope { instead: Some("s0"), ..stream }, out));
        let apart: serde_json::Value = serde_json::from_str(&apart).unwrap();
        assert_eq!(
            (&apart["open"]["instead"]["session"], &apart["open"]["instead"]["code"]),
            (&"s0".into(), &"shared".into())
        );
        assert_eq!(text(|out| gap("x\"-1", AT, out)), r#"{"gap":{"from":"x\"-1","to":"00000007-42"}}"#);
        assert_eq!(
            text(|out| close(CloseCode::Drain, Span::from_millis(250), None, out)),
            r#"{"close":{"code":"drain","reconnect":true,"after":250}}"#
        );
        assert_eq!(text(|out| advice(Span::from_millis(1500), out)), r#"{"advice":{"poll":1500}}"#);
    }
}
