//! The call of a web hook and its answer, both JSON.
//!
//! Payloads and `ext` are passed on byte for byte. The shard decides when to call and what an
//! answer's status means.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::json::{self, escape_into};

/// The operation of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// To have a session.
    Handshake,
    /// To subscribe to these channels and patterns, all or none.
    Subscribe {
        /// Their normalised names.
        channels: &'a [&'a str],
    },
    /// To publish.
    Publish {
        /// The channel's normalised name.
        channel: &'a str,
        /// The payload as JSON.
        data: &'a str,
    },
    /// A message to a service.
    Service {
        /// The service's channel.
        channel: &'a str,
        /// The payload as JSON.
        data: &'a str,
    },
}

/// A question to the backend.
#[derive(Clone, Copy, Debug)]
pub struct HookQuestion<'a> {
    /// The operation.
    pub event: Event<'a>,
    /// The user; `None` if the server makes one for the client.
    pub user: Option<&'a str>,
    /// The session; `None` at a handshake.
    pub session: Option<&'a str>,
    /// `ext` of the client's message: a JSON object.
    pub ext: Option<&'a str>,
}

impl HookQuestion<'_> {
    /// The call as JSON. `user`, `session` and, for an operation on one channel, `channel` are
    /// always present.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let (name, channel) = match self.event {
            Event::Handshake => ("handshake", None),
            Event::Subscribe { .. } => ("subscribe", None),
            Event::Publish { channel, .. } => ("publish", Some(channel)),
            Event::Service { channel, .. } => ("service", Some(channel)),
        };
        out.extend_from_slice(b"{\"event\":");
        escape_into(name, &mut out);
        for (member, text) in [("user", self.user), ("session", self.session), ("channel", channel)] {
            member_into(member, &mut out);
            match text {
                Some(text) => escape_into(text, &mut out),
                None => out.extend_from_slice(b"null"),
            }
        }
        match self.event {
            Event::Handshake => {}
            Event::Subscribe { channels } => {
                member_into("channels", &mut out);
                for (at, channel) in channels.iter().enumerate() {
                    out.push(if at == 0 { b'[' } else { b',' });
                    escape_into(channel, &mut out);
                }
                out.push(b']');
            }
            Event::Publish { data, .. } | Event::Service { data, .. } => {
                member_into("data", &mut out);
                out.extend_from_slice(data.as_bytes());
            }
        }
        if let Some(ext) = self.ext {
            member_into("ext", &mut out);
            out.extend_from_slice(ext.as_bytes());
        }
        out.push(b'}');
        out
    }
}

fn member_into(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A service's answer with data for the session.
#[derive(Deserialize)]
struct BayeuxHookReply<'a> {
    #[serde(borrow, default, deserialize_with = "json::present")]
    data: Option<&'a RawValue>,
}

/// A service's data for the session: the JSON of `data`. `None` if its answer is not a JSON object
/// (empty, or `ok`), or an object without `data`.
///
/// # Errors
/// The reason, if the object is not valid JSON or nests deeper than `depth_max`.
pub fn reply(body: &[u8], depth_max: usize) -> Result<Option<Box<str>>, String> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Ok(None);
    }
    let text = json::check(body, depth_max).map_err(|error| error.to_string())?;
    let reply: BayeuxHookReply<'_> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(reply.data.map(|data| data.get().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(question: &HookQuestion<'_>) -> String {
        String::from_utf8(question.encode()).unwrap()
    }

    #[test]
    fn a_question_names_the_event_the_user_and_the_session() {
        let handshake =
            HookQuestion { event: Event::Handshake, user: None, session: None, ext: Some(r#"{"a":1.0}"#) };
        assert_eq!(
            encoded(&handshake),
            r#"{"event":"handshake","user":null,"session":null,"channel":null,"ext":{"a":1.0}}"#
        );
        let event = Event::Publish { channel: "/c", data: "[1e2]" };
        let publish = HookQuestion { event, user: Some("al\"ice"), session: Some("s1"), ext: None };
        assert_eq!(
            encoded(&publish),
            r#"{"event":"publish","user":"al\"ice","session":"s1","channel":"/c","data":[1e2]}"#
        );
        let subscribe = HookQuestion { event: Event::Subscribe { channels: &["/a", "/b/*"] }, ..publish };
        assert_eq!(
            encoded(&subscribe),
            r#"{"event":"subscribe","user":"al\"ice","session":"s1","channel":null,"channels":["/a","/b/*"]}"#
        );
    }

    #[test]
    fn a_reply_is_what_data_says_as_it_came() {
        for (body, expected) in [
            (r#" {"data":{"a": 1.0}} "#, Some(r#"{"a": 1.0}"#)),
            (r#"{"data":null,"x":1}"#, Some("null")),
            (r#"{"x":1}"#, None),
            ("", None),
            ("ok", None),
            ("[1]", None),
            ("\u{fffd}<html>", None),
        ] {
            assert_eq!(reply(body.as_bytes(), 8).unwrap().as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn a_reply_that_is_broken_or_nests_too_deep_is_said_to_be_so() {
        for body in [r#"{"data":"#, r#"{"data":[[[[1]]]]}"#, r#"{"data":1}}"#] {
            assert!(reply(body.as_bytes(), 4).is_err(), "{body}");
        }
        assert!(reply(b"{\xff}", 4).is_err());
    }
}
