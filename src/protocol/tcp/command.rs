//! What a page asks of one of its streams: the value of the command `tcp`.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;

use crate::wire::refusal::{Refusal, Refused};

/// One request for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamCommand {
    /// The stream's number in its session, from 1. The page gives rising numbers.
    pub stream: u32,
    /// What to do.
    pub action: StreamAction,
}

/// What to do with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamAction {
    /// Open it.
    Open {
        /// To which server.
        to: Destination,
        /// How many bytes the page has room for; `None`: the node's window.
        window: Option<u64>,
    },
    /// Pass bytes on to the server.
    Data {
        /// The number of the stream's bytes before these.
        at: u64,
        /// The bytes, perhaps none.
        bytes: Vec<u8>,
        /// Whether more follow.
        last: Last,
    },
    /// The page's program has taken all bytes before this offset.
    Ack(u64),
    /// The page needs all bytes from this offset on once more: a gap may have covered some.
    Resume(u64),
    /// End it at once, in both directions.
    Reset,
}

/// Whether bytes are the last ones of their direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// More may follow.
    No,
    /// They are.
    Yes,
}

/// Which server a page wants to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A configured one, by its name.
    Target(Box<str>),
    /// One that the rules for addresses may allow.
    Host {
        /// An address or a name.
        host: Box<str>,
        /// Its port.
        port: u16,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    stream: u32,
    open: Option<Box<str>>,
    host: Option<Box<str>>,
    port: Option<u16>,
    window: Option<u64>,
    at: Option<u64>,
    data: Option<String>,
    #[serde(default)]
    end: bool,
    ack: Option<u64>,
    resume: Option<u64>,
    #[serde(default)]
    reset: bool,
}

/// Reads the value of `tcp`. A binary message has its `payload` instead of `data`.
pub fn read(json: &str, payload: Option<&[u8]>) -> Result<StreamCommand, Refusal> {
    let fields: Fields = serde_json::from_str(json).map_err(|error| Refused::Stream { error })?;
    let Fields { stream, open, host, port, window, at, data, end, ack, resume, reset } = fields;
    if stream == 0 {
        return Err(Refused::StreamNumber.into());
    }
    let last = if end { Last::Yes } else { Last::No };
    let is_plain = window.is_none() && at.is_none() && data.is_none() && !end && payload.is_none();
    let action = match (open, host, port, at, ack, resume, reset) {
        (Some(name), None, None, None, None, None, false) if data.is_none() && !end && payload.is_none() => {
            StreamAction::Open { to: Destination::Target(name), window }
        }
        (None, Some(host), Some(port), None, None, None, false)
            if port != 0 && data.is_none() && !end && payload.is_none() =>
        {
            StreamAction::Open { to: Destination::Host { host, port }, window }
        }
        (None, None, None, Some(at), None, None, false)
            if window.is_none() && (end || data.is_some() || payload.is_some()) =>
        {
            let bytes = match (data, payload) {
                (Some(data), None) => BASE64_STANDARD.decode(data).map_err(|_| Refused::StreamBase64)?,
                (None, Some(payload)) => payload.to_vec(),
                (None, None) => Vec::new(),
                (Some(_), Some(_)) => return Err(Refused::StreamMembers.into()),
            };
            StreamAction::Data { at, bytes, last }
        }
        (None, None, None, None, Some(ack), None, false) if is_plain => StreamAction::Ack(ack),
        (None, None, None, None, None, Some(from), false) if is_plain => StreamAction::Resume(from),
        (None, None, None, None, None, None, true) if is_plain => StreamAction::Reset,
        _ => return Err(Refused::StreamMembers.into()),
    };
    Ok(StreamCommand { stream, action })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_read() {
        let target = |name: &str| Destination::Target(name.into());
        for (json, action) in [
            (r#""open":"irc""#, StreamAction::Open { to: target("irc"), window: None }),
            (r#""open":"irc","window":9"#, StreamAction::Open { to: target("irc"), window: Some(9) }),
            (
                r#""host":"::1","port":22"#,
                StreamAction::Open { to: Destination::Host { host: "::1".into(), port: 22 }, window: None },
            ),
            (r#""at":5,"data":"aGk=""#, StreamAction::Data { at: 5, bytes: b"hi".to_vec(), last: Last::No }),
            (r#""at":5,"end":true"#, StreamAction::Data { at: 5, bytes: Vec::new(), last: Last::Yes }),
            (r#""ack":7"#, StreamAction::Ack(7)),
            (r#""resume":7"#, StreamAction::Resume(7)),
            (r#""reset":true"#, StreamAction::Reset),
        ] {
            let read = read(&format!(r#"{{"stream":3,{json}}}"#), None);
            assert_eq!(read, Ok(StreamCommand { stream: 3, action }), "{json}");
        }
        let record = read(r#"{"stream":1,"at":0}"#, Some(b"\x00\xff")).unwrap();
        assert_eq!(record.action, StreamAction::Data { at: 0, bytes: b"\x00\xff".to_vec(), last: Last::No });
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for json in [
            "{}",
            r#"{"stream":0,"ack":1}"#,
            r#"{"stream":1}"#,
            r#"{"stream":-1,"ack":1}"#,
            r#"{"stream":1,"ack":1,"resume":1}"#,
            r#"{"stream":1,"at":1}"#,
            r#"{"stream":1,"at":1,"data":"!"}"#,
            r#"{"stream":1,"data":"aGk="}"#,
            r#"{"stream":1,"open":"a","host":"b","port":1}"#,
            r#"{"stream":1,"host":"b"}"#,
            r#"{"stream":1,"host":"b","port":0}"#,
            r#"{"stream":1,"reset":false}"#,
            r#"{"stream":1,"ack":1,"what":2}"#,
        ] {
            assert!(read(json, None).is_err(), "{json}");
        }
        assert!(read(r#"{"stream":1,"ack":1}"#, Some(b"x")).is_err());
    }
}
