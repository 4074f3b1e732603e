//! A client's parser of Bayeux messages, by serde, stricter than real clients.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::envelope::{Message, Position};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Fields<'a> {
    channel: String,
    id: Option<String>,
    successful: Option<bool>,
    error: Option<String>,
    advice: Option<Advice>,
    ext: Option<Value>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    version: Option<String>,
    #[serde(rename = "minimumVersion")]
    _minimum: Option<String>,
    supported_connection_types: Option<Vec<String>>,
    client_id: Option<String>,
    subscription: Option<Value>,
}

/// The client's next step.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Advice {
    pub(super) reconnect: String,
    pub(super) interval: Option<u64>,
    pub(super) timeout: Option<u64>,
    pub(super) max_interval: Option<u64>,
    #[serde(rename = "multiple-clients", default)]
    pub(super) multiple_clients: bool,
}

/// The answer to a message.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) channel: String,
    pub(super) id: String,
    /// `Err`: the code of the error.
    pub(super) outcome: Result<(), u16>,
    pub(super) advice: Option<Advice>,
    pub(super) ext: Value,
    pub(super) client: Option<String>,
    pub(super) subscription: Option<Value>,
}

/// One message to the client.
#[derive(Debug)]
pub(super) enum ServerMessage {
    Answer(Answer),
    Event(Message),
}

impl ServerMessage {
    pub(super) fn parse(text: &str, is_exact: bool) -> Result<Self, String> {
        let bad = |why: &str| format!("{why}: {text}");
        let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
        let Some(successful) = fields.successful else { return Self::event(fields, is_exact, text) };
        if fields.data.is_some() {
            return Err(bad("an answer with data"));
        }
        let shakes = successful && fields.channel == "/meta/handshake";
        if shakes != fields.client_id.is_some()
            || shakes && (fields.version.is_none() || fields.supported_connection_types.is_none())
        {
            return Err(bad("what only a successful handshake says, and always"));
        }
        let code = fields.error.as_deref().map(|error| {
            let mut parts = error.splitn(3, ':');
            let code = parts.next().filter(|code| code.len() == 3).and_then(|code| code.parse().ok());
            code.filter(|_| parts.count() == 2)
        });
        let outcome = match (successful, code) {
            (true, None) => Ok(()),
            (false, Some(Some(code))) => Err(code),
            _ => return Err(bad("an error that is none, or a fault without one")),
        };
        Ok(Self::Answer(Answer {
            id: fields.id.ok_or_else(|| bad("an answer without the id that was asked with"))?,
            channel: fields.channel,
            outcome,
            advice: fields.advice,
            ext: fields.ext.unwrap_or_default(),
            client: fields.client_id,
            subscription: fields.subscription,
        }))
    }

    fn event(fields: Fields<'_>, is_exact: bool, text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("{why}: {text}");
        if fields.id.is_some()
            || fields.client_id.is_some()
            || fields.error.is_some()
            || fields.advice.is_some()
        {
            return Err(bad("an event that looks like an answer"));
        }
        let encoding = fields.ext.as_ref().and_then(|ext| ext["encoding"].as_str()).map(str::to_owned);
        Ok(Self::Event(Message {
            id: Position { epoch: String::new(), n: 0 },
            channel: fields.channel,
            encoding,
            data: fields.data.ok_or_else(|| bad("neither an answer nor an event"))?.get().to_owned(),
            is_exact,
        }))
    }
}
