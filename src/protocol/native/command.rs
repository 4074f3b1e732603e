//! The native protocol's commands from clients, and their answers.
//!
//! A body is one object or an array of them; the answer has the same shape, one object for each
//! command, in order. Decoding refuses a command as a whole: a misspelt key is named, not ignored.

use std::io::Write;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::Encoding;
use crate::protocol::tcp;
use crate::protocol::tcp::command::StreamCommand;
use crate::wire::json::{self, escape_into};
use crate::wire::refusal::{Refusal, Refused};

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `{"subscribe":"/chat/*","since":"…","last":20}`, `{"subscribe":"/chat/1","presence":true}`.
    Subscribe {
        /// A channel or pattern, unparsed.
        channel: String,
        /// A position to start after, unparsed.
        since: Option<String>,
        /// How many recent messages of each channel to start with.
        last: u32,
        /// Only the newest message, at most one per this many milliseconds.
        conflate: Option<u64>,
        /// Whether to report presence.
        presence: bool,
    },
    /// `{"unsubscribe":"/chat/*"}`.
    Unsubscribe {
        /// A channel or pattern, unparsed.
        channel: String,
    },
    /// `{"publish":"/chat/1","data":…}`.
    Publish {
        /// A channel, unparsed.
        channel: String,
        /// The payload: checked JSON without line breaks.
        data: Box<str>,
        /// The payload's encoding.
        encoding: Encoding,
        /// The idempotency key: the publish runs once, however often it is sent.
        key: Option<Box<str>>,
    },
    /// `{"ack":"…"}`: everything up to this position has arrived.
    Ack {
        /// A position, unparsed.
        position: String,
    },
    /// `{"ping":1}`.
    Ping {
        /// Sent back unchanged; JSON.
        token: Box<str>,
    },
    /// `{"tcp":{"stream":1,…}}`.
    Tcp(StreamCommand),
    /// `{"close":true}`.
    Close,
}

/// A decoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandBatch {
    /// The commands in order; an invalid one is its refusal.
    pub commands: Vec<Result<Command, Refusal>>,
    /// How to wrap the answers.
    pub shape: BatchShape,
}

/// One object, or an array of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchShape {
    /// One object.
    Single,
    /// An array.
    Array,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandFields<'a> {
    subscribe: Option<String>,
    unsubscribe: Option<String>,
    publish: Option<String>,
    ack: Option<String>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    ping: Option<&'a RawValue>,
    close: Option<bool>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    tcp: Option<&'a RawValue>,
    since: Option<String>,
    last: Option<u32>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    data: Option<&'a RawValue>,
    encoding: Option<Spelled>,
    key: Option<Box<str>>,
    conflate: Option<u64>,
    presence: Option<bool>,
}

/// The encoding of `data`, if it is not JSON.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Spelled {
    Base64,
}

impl CommandFields<'_> {
    /// Refuses members that the command `kind` does not take: ignoring them would mislead the
    /// client.
    fn only(&self, kind: &str, allowed: &[&str]) -> Result<(), Refusal> {
        let given = [
            ("since", self.since.is_some()),
            ("last", self.last.is_some()),
            ("data", self.data.is_some()),
            ("encoding", self.encoding.is_some()),
            ("key", self.key.is_some()),
            ("conflate", self.conflate.is_some()),
            ("presence", self.presence.is_some()),
        ];
        let spare = given.into_iter().find(|(name, is_given)| *is_given && !allowed.contains(name));
        spare.map_or(Ok(()), |(name, _)| {
            let list = if allowed.is_empty() { "nothing else".to_owned() } else { allowed.join(", ") };
            Err(Refused::CommandMember { member: name, command: kind, allowed: &list }.into())
        })
    }
}

/// The commands, for error texts.
const KNOWN: &str = "subscribe, unsubscribe, publish, ack, ping, tcp or close";

/// Decodes a body of at most `batch_max` commands, nested at most `depth_max` deep.
pub fn decode(body: &[u8], batch_max: usize, depth_max: usize) -> Result<CommandBatch, Refusal> {
    let text = json::check(body, depth_max).map_err(|error| Refused::CommandsJson { error })?;
    if !text.starts_with('[') {
        return Ok(CommandBatch { commands: vec![command(&text)], shape: BatchShape::Single });
    }
    let items: Vec<&RawValue> =
        serde_json::from_str(&text).map_err(|error| Refused::CommandsArray { error })?;
    if items.len() > batch_max {
        return Err(Refused::Commands { count: items.len(), max: batch_max }.into());
    }
    Ok(CommandBatch {
        commands: items.iter().map(|item| command(item.get())).collect(),
        shape: BatchShape::Array,
    })
}

fn command(text: &str) -> Result<Command, Refusal> {
    let mut fields: CommandFields<'_> =
        serde_json::from_str(text).map_err(|error| Refused::Command { known: KNOWN, error })?;
    if let Some(stream) = fields.tcp.take() {
        let CommandFields { subscribe, unsubscribe, publish, ack, ping, close, .. } = &fields;
        let others = [subscribe, unsubscribe, publish, ack].into_iter().any(Option::is_some);
        if others || ping.is_some() || close.is_some() {
            return Err(Refused::CommandVerbs { known: KNOWN }.into());
        }
        fields.only("tcp", &[])?;
        return tcp::command::read(stream.get(), None).map(Command::Tcp);
    }
    let CommandFields { subscribe, unsubscribe, publish, ack, ping, close, .. } = &mut fields;
    let verbs = (subscribe.take(), unsubscribe.take(), publish.take(), ack.take(), ping.take(), close.take());
    match verbs {
        (Some(channel), None, None, None, None, None) => {
            fields.only("subscribe", &["since", "last", "conflate", "presence"])?;
            let CommandFields { since, last, conflate, presence, .. } = fields;
            let (last, presence) = (last.unwrap_or(0), presence.unwrap_or(false));
            Ok(Command::Subscribe { channel, since, last, conflate, presence })
        }
        (None, Some(channel), None, None, None, None) => {
            fields.only("unsubscribe", &[])?;
            Ok(Command::Unsubscribe { channel })
        }
        (None, None, Some(channel), None, None, None) => {
            fields.only("publish", &["data", "encoding", "key"])?;
            let (data, encoding) = payload(&fields)?;
            Ok(Command::Publish { channel, data, encoding, key: fields.key })
        }
        (None, None, None, Some(position), None, None) => {
            fields.only("ack", &[])?;
            Ok(Command::Ack { position })
        }
        (None, None, None, None, Some(token), None) => {
            fields.only("ping", &[])?;
            Ok(Command::Ping { token: token.get().into() })
        }
        (None, None, None, None, None, Some(true)) => {
            fields.only("close", &[])?;
            Ok(Command::Close)
        }
        _ => Err(Refused::CommandVerbs { known: KNOWN }.into()),
    }
}

fn payload(fields: &CommandFields<'_>) -> Result<(Box<str>, Encoding), Refusal> {
    let data = fields.data.ok_or(Refused::NoData)?.get();
    match fields.encoding {
        None => Ok((data.into(), Encoding::Json)),
        Some(Spelled::Base64) => {
            // Valid as issued, so it needs no escapes.
            let text = serde_json::from_str::<String>(data).ok();
            let text = text.filter(|text| BASE64_STANDARD.decode(text).is_ok()).ok_or(Refused::Base64)?;
            Ok((format!("\"{text}\"").into(), Encoding::Base64))
        }
    }
}

/// A binary message: `{"publish":"/c"}` or `{"tcp":{…}}`, and the payload.
pub fn of_record(header: &[u8], payload: &[u8]) -> Result<CommandBatch, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Header<'a> {
        publish: Option<String>,
        key: Option<Box<str>>,
        #[serde(borrow, default, deserialize_with = "json::present")]
        tcp: Option<&'a RawValue>,
    }
    let header: Header<'_> =
        serde_json::from_slice(header).map_err(|error| Refused::RecordHeader { error })?;
    let command = match header {
        Header { publish: Some(channel), key, tcp: None } => {
            let data = format!("\"{}\"", BASE64_STANDARD.encode(payload)).into();
            Command::Publish { channel, data, encoding: Encoding::Base64, key }
        }
        Header { publish: None, key: None, tcp: Some(stream) } => {
            Command::Tcp(tcp::command::read(stream.get(), Some(payload))?)
        }
        Header { .. } => return Err(Refused::RecordVerbs.into()),
    };
    Ok(CommandBatch { commands: vec![Ok(command)], shape: BatchShape::Single })
}

/// Appends `{"error":{"code":…,"reason":…}}`, with the `node` that serves the user where another
/// one does.
pub fn error(refusal: &Refusal, out: &mut Vec<u8>) {
    let _ = write!(out, r#"{{"error":{{"code":"{}","reason":"#, refusal.code.text());
    escape_into(&refusal.reason, out);
    if let Some(node) = &refusal.node {
        out.extend_from_slice(br#","node":"#);
        escape_into(node, out);
    }
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
    fn bytes_come_as_base64_and_are_spelled_without_escapes() {
        let command = one(r#"{"publish":"/c","data":"\/\u002b8=","encoding":"base64"}"#);
        let (data, encoding) = ("\"/+8=\"".into(), Encoding::Base64);
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
            (
                r#"{"subscribe":"/c","data":1}"#,
                "\"data\" does not belong to subscribe, which takes since, last, conf",
            ),
            (r#"{"subscribe":"/c","key":"k"}"#, "\"key\" does not belong"),
            (r#"{"unsubscribe":"/c","last":1}"#, "which takes nothing else"),
            (r#"{"publish":"/c","data":1,"conflate":5}"#, "which takes data, encoding, key"),
            (r#"{"ping":1,"presence":true}"#, "\"presence\" does not belong to ping"),
            (r#"{"publish":"/c","data":"AA==","encoding":"hex"}"#, "base64"),
            (r#"{"publish":"/c","data":"AA=","encoding":"base64"}"#, "padded"),
            (r#"{"publish":"/c","data":7,"encoding":"base64"}"#, "is a string"),
        ] {
            let refusal = one(text).unwrap_err();
            assert!(refusal.reason.contains(named), "{text}: {refusal:?}");
        }
    }

    #[test]
    fn a_batch_answers_in_its_own_shape() {
        let batch = decode(br#"[{"ping":1},{"nope":2}]"#, 2, 10).unwrap();
        assert_eq!((batch.shape, batch.commands.len()), (BatchShape::Array, 2));
        assert!(batch.commands[0].is_ok() && batch.commands[1].is_err());
        assert_eq!(decode(br#"[{"ping":1},{"ping":2},{"ping":3}]"#, 2, 10).unwrap_err().status(), 413);
        assert_eq!(decode(b"{", 2, 10).unwrap_err().code.text(), "bad-json");
    }
}
