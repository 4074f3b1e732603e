//! A client's parser of the native envelopes, by serde and not by the server's code.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A position, parsed only for comparison.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) n: u64,
}

impl Position {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (epoch, n) = text.rsplit_once('-').ok_or_else(|| format!("position {text:?}"))?;
        let n = n.parse().map_err(|_| format!("position {text:?}"))?;
        Ok(Self { epoch: epoch.to_owned(), n })
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.epoch, self.n)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    open: Option<Open>,
    gap: Option<Gap>,
    close: Option<Close>,
    ok: Option<serde_json::Value>,
    error: Option<Fault>,
    advice: Option<serde_json::Value>,
    presence: Option<Presence>,
    id: Option<String>,
    channel: Option<String>,
    #[serde(rename = "from")]
    _from: Option<String>,
    encoding: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Open {
    pub(crate) session: String,
    pub(crate) position: String,
    pub(crate) resumed: bool,
    pub(crate) heartbeat: u64,
    pub(crate) grace: u64,
    pub(crate) transport: String,
    /// The session that was named, if this one was created for the later of two clients.
    pub(crate) instead: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gap {
    pub(crate) from: String,
    pub(crate) to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Close {
    pub(crate) code: String,
    pub(crate) reconnect: bool,
    pub(crate) after: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) code: String,
    pub(crate) reason: String,
}

/// The members of a channel, or its joins and leaves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Presence {
    pub(crate) channel: String,
    pub(crate) count: usize,
    pub(crate) users: Option<Vec<String>>,
    pub(crate) came: Option<Vec<String>>,
    pub(crate) left: Option<Vec<String>>,
    pub(crate) more: Option<usize>,
}

/// A received message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: Position,
    pub(crate) channel: String,
    pub(crate) encoding: Option<String>,
    /// The payload, byte for byte.
    pub(crate) data: String,
    /// Whether the payload arrived byte for byte; a script carries its value.
    pub(crate) is_exact: bool,
}

/// One object of a stream.
#[derive(Debug)]
pub(crate) enum Envelope {
    Open(Open),
    Gap(Gap),
    Close(Close),
    Message(Message),
    Presence(Position, Presence),
    Ok(serde_json::Value),
    Error(Fault),
    Advice,
    /// An idle frame's heartbeat.
    Nothing,
}

impl Envelope {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("{why}: {text}");
        if text.contains(['\r', '\n']) {
            return Err(bad("a line break in an envelope"));
        }
        let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
        if let Fields { presence: Some(presence), id: Some(id), channel: None, data: None, .. } = fields {
            return Ok(Self::Presence(Position::parse(&id)?, presence));
        }
        let Fields { open, gap, close, ok, error, advice, id, channel, encoding, data, .. } = fields;
        match (open, gap, close, ok, error, advice, id) {
            (Some(open), None, None, None, None, None, None) => Ok(Self::Open(open)),
            (None, Some(gap), None, None, None, None, None) => Ok(Self::Gap(gap)),
            (None, None, Some(close), None, None, None, None) => Ok(Self::Close(close)),
            (None, None, None, Some(ok), None, None, None) => Ok(Self::Ok(ok)),
            (None, None, None, None, Some(error), None, None) => Ok(Self::Error(error)),
            (None, None, None, None, None, Some(_), None) => Ok(Self::Advice),
            (None, None, None, None, None, None, Some(id)) => Ok(Self::Message(Message {
                id: Position::parse(&id)?,
                channel: channel.ok_or_else(|| bad("a message without channel"))?,
                encoding,
                data: data.ok_or_else(|| bad("a message without data"))?.get().to_owned(),
                is_exact: true,
            })),
            (None, None, None, None, None, None, None) if text == "{}" => Ok(Self::Nothing),
            _ => Err(bad("an envelope of no kind")),
        }
    }

    /// The envelopes of a batch, unparsed.
    pub(crate) fn array(body: &[u8]) -> Result<Vec<String>, String> {
        let list: Vec<&RawValue> = serde_json::from_slice(body)
            .map_err(|error| format!("{error}: {:?}", String::from_utf8_lossy(body)))?;
        Ok(list.into_iter().map(|raw| raw.get().to_owned()).collect())
    }
}
