//! The objects that come up: what a client may ask of its session, and how it is answered.
//!
//! A body is one object or an array of them; the answer has the same shape, one object for each command, in order. Decoding refuses a
//! command as a whole: a misspelt key is named, not ignored.

use std::io::Write;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::envelope::Encoding;
use crate::wire::json::{self, escape_into};
use crate::wire::refusal::Refusal;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `{"subscribe":"/chat/*","since":"…","last":20}`, `{"subscribe":"/chat/1","presence":true}`.
    Subscribe {
        /// A channel or pattern, as it came.
        channel: String,
        /// A position to start after, as it came.
        since: Option<String>,
        /// How many recent messages of each channel to start with.
        last: u32,
        /// The newest message only, at most one in so many milliseconds.
        conflate: Option<u64>,
        /// Whether to tell who is there.
        presence: bool,
    },
    /// `{"unsubscribe":"/chat/*"}`.
    Unsubscribe {
        /// A channel or pattern, as it came.
        channel: String,
    },
    /// `{"publish":"/chat/1","data":…}`.
    Publish {
        /// A channel, as it came.
        channel: String,
        /// The payload: checked JSON without line breaks.
        data: Box<str>,
        /// What the payload stands for.
        encoding: Encoding,
        /// What tells it from the client's other publishes: it is carried out once, however often it comes.
        key: Option<Box<str>>,
    },
    /// `{"ack":"…"}`: everything up to this position has arrived.
    Ack {
        /// A position, as it came.
        position: String,
    },
    /// `{"ping":1}`.
    Ping {
        /// Sent back as it came; JSON.
        token: Box<str>,
    },
    /// `{"close":true}`.
    Close,
}

/// A decoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What to do, in order; a command that made no sense is its refusal.
    pub commands: Vec<Result<Command, Refusal>>,
    /// How the answers are to be wrapped.
    pub shape: Shape,
}

/// One object, or an array of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One object.
    Single,
    /// An array.
    Array,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    subscribe: Option<String>,
    unsubscribe: Option<String>,
    publish: Option<String>,
    ack: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    ping: Option<&'a RawValue>,
    close: Option<bool>,
    since: Option<String>,
    last: Option<u32>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    key: Option<Box<str>>,
    conflate: Option<u64>,
    presence: Option<bool>,
}

/// A value that is there, even if it is `null`.
fn present<'de, D: Deserializer<'de>>(input: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(input).map(Some)
}

/// What may be asked: for error texts.
const KNOWN: &str = "subscribe, unsubscribe, publish, ack, ping or close";

/// Decodes a body of at most `batch_max` commands, nested at most `depth_max` deep.
pub fn decode(body: &[u8], batch_max: usize, depth_max: usize) -> Result<Batch, Refusal> {
    let text = json::check(body, depth_max)
        .map_err(|error| Refusal::new(400, "bad-json", format!("the commands: {error}")))?;
    if !text.starts_with('[') {
        return Ok(Batch { commands: vec![command(&text)], shape: Shape::Single });
    }
    let items: Vec<&RawValue> = serde_json::from_str(&text)
        .map_err(|error| Refusal::new(400, "bad-json", format!("the commands are not an array: {error}")))?;
    if items.len() > batch_max {
        let reason = format!("{} commands in one request; at most {batch_max} are allowed", items.len());
        return Err(Refusal::new(413, "too-many-commands", reason));
    }
    Ok(Batch { commands: items.iter().map(|item| command(item.get())).collect(), shape: Shape::Array })
}

fn command(text: &str) -> Result<Command, Refusal> {
    let bad = |reason: String| Refusal::new(400, "bad-command", reason);
    let fields: Fields<'_> =
        serde_json::from_str(text).map_err(|error| bad(format!("not a command ({KNOWN}): {error}")))?;
    let Fields {
        subscribe,
        unsubscribe,
        publish,
        ack,
        ping,
        close,
        since,
        last,
        data,
        key,
        conflate,
        presence,
    } = fields;
    match (subscribe, unsubscribe, publish, ack, ping, close) {
        (Some(channel), None, None, None, None, None) if data.is_none() => {
            let (last, presence) = (last.unwrap_or(0), presence.unwrap_or(false));
            Ok(Command::Subscribe { channel, since, last, conflate, presence })
        }
        (None, Some(channel), None, None, None, None) => Ok(Command::Unsubscribe { channel }),
        (None, None, Some(channel), None, None, None) => match data {
            Some(data) => {
                Ok(Command::Publish { channel, data: data.get().into(), encoding: Encoding::Json, key })
            }
            None => Err(bad("a publish needs its payload in \"data\", which may be null".to_owned())),
        },
        (None, None, None, Some(position), None, None) => Ok(Command::Ack { position }),
        (None, None, None, None, Some(token), None) => Ok(Command::Ping { token: token.get().into() }),
        (None, None, None, None, None, Some(true)) => Ok(Command::Close),
        _ => Err(bad(format!("a command is exactly one of {KNOWN}, with the fields that belong to it"))),
    }
}

/// `{"publish":"/c"}` with a payload of bytes that came beside it, as the base64 that `data` is.
pub fn publish_bytes(header: &[u8], data: Box<str>) -> Result<Batch, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Header {
        publish: String,
        key: Option<Box<str>>,
    }
    let header: Header = serde_json::from_slice(header).map_err(|error| {
        let reason = format!("the header of a binary message is {{\"publish\":CHANNEL}}: {error}");
        Refusal::new(400, "bad-command", reason)
    })?;
    let command =
        Command::Publish { channel: header.publish, data, encoding: Encoding::Base64, key: header.key };
    Ok(Batch { commands: vec![Ok(command)], shape: Shape::Single })
}

/// Appends `{"error":{"code":…,"reason":…}}`.
pub fn error(refusal: &Refusal, out: &mut Vec<u8>) {
    let _ = write!(out, r#"{{"error":{{"code":"{}","reason":"#, refusal.code);
    escape_into(&refusal.reason, out);
    out.extend_from_slice(b"}}");
}

/// `{"ok":{…}}` with the given members, each a key and its value as JSON.
pub fn ok(members: &[(&str, &str)]) -> Vec<u8> {
    let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!(r#"{{"ok":{{{}}}}}"#, members.join(",")).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Command, Refusal> {
        decode(text.as_bytes(), 10, 10).unwrap().commands.remove(0)
    }

    #[test]
    fn every_command_is_read() {
        let subscribe = Command::Subscribe {
            channel: "/c/*".into(),
            since: Some("p-1".into()),
            last: 20,
            conflate: None,
            presence: false,
        };
        assert_eq!(one(r#"{"subscribe":"/c/*","since":"p-1","last":20}"#), Ok(subscribe));
        assert_eq!(one(r#"{"unsubscribe":"/c"}"#), Ok(Command::Unsubscribe { channel: "/c".into() }));
        assert_eq!(one(r#"{"ack":"p-1"}"#), Ok(Command::Ack { position: "p-1".into() }));
        assert_eq!(one(r#"{"ping":1}"#), Ok(Command::Ping { token: "1".into() }));
        assert_eq!(one(r#"{"close":true}"#), Ok(Command::Close));
    }

    #[test]
    fn a_payload_stays_as_it_came_save_line_breaks() {
        let command = one("{\"publish\":\"/c\",\n\"data\":{\"b\" : 1.0,\n\"a\":\"\\n\"}}");
        let data = r#"{"b" : 1.0,"a":"\n"}"#.into();
        let encoding = Encoding::Json;
        assert_eq!(command, Ok(Command::Publish { channel: "/c".into(), data, encoding, key: None }));
    }

    #[test]
    fn a_null_payload_is_a_payload() {
        let command = one(r#"{"publish":"/c","data":null}"#);
        let (data, encoding) = ("null".into(), Encoding::Json);
        assert_eq!(command, Ok(Command::Publish { channel: "/c".into(), data, encoding, key: None }));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, named) in [
            (r#"{"publsh":"/c"}"#, "publsh"),
            (r#"{"publish":"/c"}"#, "data"),
            (r#"{"subscribe":"/c","unsubscribe":"/d"}"#, "exactly one"),
            (r#"{"close":false}"#, "exactly one"),
            ("{}", "exactly one"),
            ("7", "not a command"),
            (r#"{"subscribe":7}"#, "not a command"),
        ] {
            let refusal = one(text).unwrap_err();
            assert!(refusal.reason.contains(named), "{text}: {refusal:?}");
        }
    }

    #[test]
    fn a_batch_answers_in_its_own_shape() {
        let batch = decode(br#"[{"ping":1},{"nope":2}]"#, 2, 10).unwrap();
        assert_eq!((batch.shape, batch.commands.len()), (Shape::Array, 2));
        assert!(batch.commands[0].is_ok() && batch.commands[1].is_err());
        assert_eq!(decode(br#"[{"ping":1},{"ping":2},{"ping":3}]"#, 2, 10).unwrap_err().status, 413);
        assert_eq!(decode(b"{", 2, 10).unwrap_err().code, "bad-json");
    }
}
