//! Messages from clients: one or an array of them, each with a channel that names the request.
//!
//! Unknown members are ignored, and `null` counts as absent, as specified. An invalid message
//! becomes its [`BayeuxFault`], so that the others of its request run and its answer has its id.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::{BayeuxFault, FaultCause};
use super::stamp::Stamp;
use crate::protocol::bayeux::limits::FORM_FIELDS_MAX;
use crate::protocol::bayeux::refused::BayeuxRefused;
use crate::wire::json;
use crate::wire::percent;
use crate::wire::refusal::{Refusal, Refused};

/// One message from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BayeuxMessage {
    /// The part that an answer repeats.
    pub head: BayeuxHead,
    /// The session that it names.
    pub client: Option<Box<str>>,
    /// Its request.
    pub ask: Ask,
    /// `ext.token`: the client's token.
    pub token: Option<Box<str>>,
    /// `ext`, unchanged: JSON.
    pub ext: Option<Box<str>>,
}

/// The part of a message that an answer repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BayeuxHead {
    /// The channel, unparsed.
    pub channel: Box<str>,
    /// Its id: a JSON string or number, unchanged.
    pub id: Option<Box<str>>,
    /// The time of the answer, if the message has a timestamp.
    pub stamp: Stamp,
}

/// The request of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To create a session.
    Handshake {
        /// The client's connection types that are known here; `None` if it names none at all.
        types: Option<usize>,
        /// Whether it names its version.
        versioned: bool,
        /// Whether to number the answers to its connects.
        ack: bool,
        /// The client's clock.
        timesync: Option<Timesync>,
    },
    /// To get messages.
    Connect(BayeuxConnect),
    /// To end the session.
    Disconnect,
    /// Channels to subscribe to.
    Subscribe(Result<Names, Misnamed>),
    /// Channels to unsubscribe from.
    Unsubscribe(Result<Names, Misnamed>),
    /// A publish; its payload as JSON.
    Publish(Option<Box<str>>),
    /// An invalid request.
    Nonsense(BayeuxFault),
}

/// The parts of a connect that influence its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BayeuxConnect {
    /// The longest hold that it requests, in milliseconds.
    pub timeout: Option<u64>,
    /// Milliseconds after which the client will connect again.
    pub interval: Option<u64>,
    /// The newest batch that the client has received; 0 is none.
    pub ack: Option<u64>,
    /// The client's clock.
    pub timesync: Option<Timesync>,
}

/// The channel of a connect.
pub const CONNECT: &str = "/meta/connect";

/// Channels and patterns of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The names, unparsed.
    pub names: Vec<String>,
    /// `subscription`, unchanged: JSON, which the answer repeats.
    pub json: Box<str>,
}

/// Channels of an invalid subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misnamed {
    /// The fault of a name.
    pub fault: BayeuxFault,
    /// `subscription` as received, if present: the answer repeats even an invalid one, because
    /// clients look there first.
    pub json: Option<Box<str>>,
}

impl Ask {
    /// `subscription`, unchanged, if the message has one.
    pub fn subscription(&self) -> Option<&str> {
        match self {
            Self::Subscribe(Ok(names)) | Self::Unsubscribe(Ok(names)) => Some(&names.json),
            Self::Subscribe(Err(misnamed)) | Self::Unsubscribe(Err(misnamed)) => misnamed.json.as_deref(),
            Self::Handshake { .. }
            | Self::Connect(_)
            | Self::Disconnect
            | Self::Publish(_)
            | Self::Nonsense(_) => None,
        }
    }
}

/// The client's clock by the timesync extension, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Timesync {
    /// When it sent this.
    pub tc: i64,
    /// The lag that it has found so far.
    #[serde(default)]
    pub l: i64,
    /// The offset of its clock behind ours, as measured by the client.
    #[serde(default)]
    pub o: i64,
}

/// Bounds of one request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages in a request.
    pub messages: usize,
    /// How deep they may nest.
    pub depth: usize,
    /// Channels in one subscription.
    pub names: usize,
}

#[derive(Deserialize)]
struct MessageFields<'a> {
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "clientId")]
    client_id: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow, rename = "supportedConnectionTypes")]
    types: Option<&'a RawValue>,
    #[serde(borrow)]
    subscription: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    advice: Option<&'a RawValue>,
    #[serde(borrow)]
    ext: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Ext<'a> {
    #[serde(borrow)]
    ack: Option<&'a RawValue>,
    #[serde(borrow)]
    timesync: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct AdviceFields<'a> {
    #[serde(borrow)]
    timeout: Option<&'a RawValue>,
    #[serde(borrow)]
    interval: Option<&'a RawValue>,
}

/// Decodes a body: one message, or an array of them.
///
/// # Errors
/// Refuses the whole body if it is not JSON, nests too deep, or has too many messages.
pub fn decode(body: &[u8], limits: &Limits, messages: &mut Vec<BayeuxMessage>) -> Result<(), Refusal> {
    // Fast path: one pass. On any error the slow path parses again to report the cause.
    let known = messages.len();
    if decode_well(body, limits, messages).is_none() {
        messages.truncate(known);
        return decode_anything(body, limits, messages);
    }
    Ok(())
}

/// Decodes objects on one line that are not too many.
fn decode_well(body: &[u8], limits: &Limits, messages: &mut Vec<BayeuxMessage>) -> Option<()> {
    let text = json::shallow(body, limits.depth).ok()?;
    if memchr::memchr2(b'\r', b'\n', body).is_some() {
        return None;
    }
    let mut input = serde_json::Deserializer::from_str(text);
    (&mut input).deserialize_any(Objects { limits, messages }).ok()?;
    input.end().ok()
}

/// Takes one object, or an array of them, as messages.
struct Objects<'l, 'm> {
    limits: &'l Limits,
    messages: &'m mut Vec<BayeuxMessage>,
}

impl<'de> Visitor<'de> for Objects<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { limits, messages } = self;
        while seq.next_element_seed(Object { limits, messages })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Self { limits, messages } = self;
        Object { limits, messages }.visit_map(map)
    }
}

/// Takes one object as a message.
struct Object<'l, 'm> {
    limits: &'l Limits,
    messages: &'m mut Vec<BayeuxMessage>,
}

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        if self.messages.len() >= self.limits.messages {
            return Err(A::Error::custom("too many messages"));
        }
        let fields = MessageFields::deserialize(MapAccessDeserializer::new(map))?;
        self.messages.push(message_of(&fields, self.limits));
        Ok(())
    }
}

fn decode_anything(body: &[u8], limits: &Limits, messages: &mut Vec<BayeuxMessage>) -> Result<(), Refusal> {
    let text = json::check(body, limits.depth).map_err(|error| BayeuxRefused::Json { error })?;
    let items: Vec<&RawValue> = if text.starts_with('[') {
        serde_json::from_str(&text).map_err(|error| BayeuxRefused::Array { error })?
    } else {
        let one = serde_json::from_str(&text).map_err(|error| BayeuxRefused::Object { error })?;
        vec![one]
    };
    let count = messages.len() + items.len();
    if count > limits.messages {
        return Err(Refused::Messages { count, max: limits.messages }.into());
    }
    messages.extend(items.into_iter().map(|item| message(item.get(), limits)));
    Ok(())
}

/// Decodes the fields `message` of a form; each holds one message, or an array of them.
///
/// # Errors
/// Refuses the whole body if it is not a form, has no such field, or has one that [`decode`]
/// refuses.
pub fn decode_form(body: &[u8], limits: &Limits, messages: &mut Vec<BayeuxMessage>) -> Result<(), Refusal> {
    for pair in percent::form(body, FORM_FIELDS_MAX) {
        let (name, value) = pair.map_err(|error| Refused::Form { error })?;
        if name == "message" {
            decode(value.as_bytes(), limits, messages)?;
        }
    }
    if messages.is_empty() {
        return Err(BayeuxRefused::Form.into());
    }
    Ok(())
}

fn nonsense(head: BayeuxHead, fault: BayeuxFault) -> BayeuxMessage {
    BayeuxMessage { head, client: None, ask: Ask::Nonsense(fault), token: None, ext: None }
}

fn message(text: &str, limits: &Limits) -> BayeuxMessage {
    if !text.starts_with('{') {
        return nonsense(BayeuxHead::default(), FaultCause::Object.into());
    }
    match serde_json::from_str(text) {
        Ok(fields) => message_of(&fields, limits),
        Err(error) => nonsense(BayeuxHead::default(), FaultCause::Message { error }.into()),
    }
}

fn message_of(fields: &MessageFields<'_>, limits: &Limits) -> BayeuxMessage {
    let id = fields
        .id
        .map(RawValue::get)
        .filter(|id| id.starts_with(['"', '-']) || id.as_bytes()[0].is_ascii_digit());
    let stamp = fields.timestamp.map_or(Stamp::Unasked, |_| Stamp::Asked);
    let channel = fields.channel.and_then(string).unwrap_or_default();
    let head = BayeuxHead { channel, id: id.map(Box::from), stamp };
    if head.channel.is_empty() {
        return nonsense(head, FaultCause::NoChannel.into());
    }
    let ext: Ext<'_> = fields.ext.map(lenient).unwrap_or_default();
    let ask = ask(&head.channel, fields, &ext, limits);
    BayeuxMessage {
        head,
        client: fields.client_id.and_then(string),
        ask,
        token: ext.token.and_then(string),
        ext: fields.ext.filter(|ext| ext.get().starts_with('{')).map(|ext| ext.get().into()),
    }
}

fn ask(channel: &str, fields: &MessageFields<'_>, ext: &Ext<'_>, limits: &Limits) -> Ask {
    let timesync = ext.timesync.and_then(|value| serde_json::from_str(value.get()).ok());
    match channel {
        "/meta/handshake" => Ask::Handshake {
            types: fields.types.map(known_types),
            versioned: fields.version.and_then(string).is_some_and(|version| !version.is_empty()),
            // The older form of the extension is a boolean, the newer one may be an object.
            ack: ext.ack.is_some_and(|ack| ack.get() == "true" || ack.get().starts_with('{')),
            timesync,
        },
        CONNECT => {
            let advice: AdviceFields<'_> = fields.advice.map(lenient).unwrap_or_default();
            Ask::Connect(BayeuxConnect {
                timeout: advice.timeout.and_then(millis),
                interval: advice.interval.and_then(millis),
                ack: ext.ack.and_then(batch),
                timesync,
            })
        }
        "/meta/disconnect" => Ask::Disconnect,
        "/meta/subscribe" => Ask::Subscribe(names(fields, limits)),
        "/meta/unsubscribe" => Ask::Unsubscribe(names(fields, limits)),
        _ => Ask::Publish(fields.data.map(|data| data.get().into())),
    }
}

/// The number of known connection types in a list.
fn known_types(types: &RawValue) -> usize {
    let listed: Vec<String> = serde_json::from_str(types.get()).unwrap_or_default();
    let known = |name: &&String| super::CONNECTION_TYPES.contains(&name.as_str());
    listed.iter().filter(known).count()
}

fn names(fields: &MessageFields<'_>, limits: &Limits) -> Result<Names, Misnamed> {
    let json = fields.subscription.map(RawValue::get);
    let kept = || json.map(Box::from);
    match names_of(json, limits) {
        Ok(names) => Ok(Names { names, json: kept().unwrap_or_default() }),
        Err(fault) => Err(Misnamed { fault, json: kept() }),
    }
}

fn names_of(json: Option<&str>, limits: &Limits) -> Result<Vec<String>, BayeuxFault> {
    let json = json.ok_or(FaultCause::NoSubscription)?;
    let names = if json.starts_with('"') {
        serde_json::from_str(json).map(|name| vec![name])
    } else {
        serde_json::from_str::<Vec<String>>(json)
    };
    let names = names.map_err(|_| FaultCause::SubscriptionType)?;
    if names.is_empty() {
        return Err(FaultCause::NoSubscription.into());
    }
    if names.len() > limits.names {
        return Err(FaultCause::Names { count: names.len(), max: limits.names }.into());
    }
    Ok(names)
}

/// A string's value; `None` for other types.
fn string(value: &RawValue) -> Option<Box<str>> {
    let text = value.get();
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(plain) if memchr::memchr(b'\\', plain.as_bytes()).is_none() => Some(plain.into()),
        _ => serde_json::from_str(text).ok(),
    }
}

/// A number of milliseconds; `None` for other types.
fn millis(value: &RawValue) -> Option<u64> {
    let number: f64 = serde_json::from_str(value.get()).ok()?;
    #[expect(clippy::cast_sign_loss, reason = "it is not below zero, and the cast saturates")]
    (number >= 0.0).then_some(number as u64)
}

/// The number of a batch. They begin with 1: a lower one means that the client has received none;
/// CometD 2's library sends -1 then.
fn batch(value: &RawValue) -> Option<u64> {
    let number: f64 = serde_json::from_str(value.get()).ok()?;
    #[expect(clippy::cast_sign_loss, reason = "the cast saturates, and below zero is none")]
    Some(number as u64)
}

/// An object; unknown members are ignored.
fn lenient<'a, T: Default + Deserialize<'a>>(value: &'a RawValue) -> T {
    serde_json::from_str(value.get()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
