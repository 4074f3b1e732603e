//! Readers of every dialect, written from its specification and sharing no code with the encoder.
//!
//! A [`Reader`] gets bytes as a network delivers them and returns complete items. It is strict:
//! input that its grammar does not allow panics, and so fails the test.

mod events;
mod html;
mod inflate;
mod parts;
mod sockets;

use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use self::events::Events;
pub(crate) use self::html::Page;
pub(crate) use self::parts::Parts;
pub(crate) use self::sockets::Frames;

/// A decoded item.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    /// An envelope's JSON, byte for byte.
    Json(String),
    /// An envelope as a script carries it: some JSON that means the same.
    Script(Script),
    /// A record: header and payload.
    Bytes { header: String, payload: Vec<u8> },
    /// A raw part.
    Raw { kind: String, payload: Vec<u8> },
    /// A heartbeat.
    Beat,
    /// A ping, which requires an answer.
    Ping(Vec<u8>),
}

/// JSON, of which its value counts.
#[derive(Clone, Debug)]
pub(crate) struct Script(pub(crate) String);

impl PartialEq for Script {
    fn eq(&self, other: &Self) -> bool {
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        value(&self.0) == value(&other.0)
    }
}

/// The grammar of the bytes.
#[derive(Clone, Debug)]
pub(crate) enum Grammar {
    /// An array, complete at the body's end.
    Array,
    /// The call of this function.
    Call(&'static str),
    Lines,
    Records,
    Events(Events),
    Page(Page),
    Parts(Parts),
    Frames(Frames),
    /// Texts that end with a NUL.
    Texts,
}

/// A reader and its items so far.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    grammar: Grammar,
    rest: Vec<u8>,
    /// Without heartbeats, unless they are requested.
    pub(crate) items: Vec<Item>,
    keeps_beats: bool,
}

impl Reader {
    pub(crate) fn new(grammar: Grammar) -> Self {
        Self { grammar, rest: Vec::new(), items: Vec::new(), keeps_beats: false }
    }

    /// A reader that also returns heartbeats.
    #[cfg_attr(test, allow(dead_code, reason = "some readers use it"))]
    pub(crate) fn with_beats(grammar: Grammar) -> Self {
        Self { keeps_beats: true, ..Self::new(grammar) }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let mut from = 0;
        while let Some((used, item)) = self.grammar.next(&self.rest[from..]) {
            assert!(used > 0, "no progress at {:?}", self.grammar);
            from += used;
            let keeps = |item: &Item| self.keeps_beats || !matches!(item, Item::Beat | Item::Ping(_));
            self.items.extend(item.filter(keeps));
        }
        self.rest.drain(..from);
    }

    /// The body is complete.
    pub(crate) fn finish(&mut self) {
        match &self.grammar {
            Grammar::Array => self.items = array(&self.rest),
            Grammar::Call(name) => self.items = call(name, &self.rest),
            Grammar::Page(_) | Grammar::Events(_) => {}
            Grammar::Parts(parts) => assert!(parts.is_over(), "no closing delimiter"),
            Grammar::Frames(frames) => assert!(frames.is_over(), "no close frame"),
            Grammar::Lines | Grammar::Records | Grammar::Texts => {
                assert_eq!(self.rest, b"", "half a message");
            }
        }
    }

    /// The position from which the reader would resume, if the dialect itself has one.
    pub(crate) fn last_id(&self) -> Option<&str> {
        let Grammar::Events(events) = &self.grammar else { return None };
        events.last_id()
    }
}

impl Grammar {
    /// The item at the front, if it is complete, and its length.
    fn next(&mut self, input: &[u8]) -> Option<(usize, Option<Item>)> {
        match self {
            Self::Array | Self::Call(_) => None,
            Self::Lines => {
                let end = input.iter().position(|&byte| byte == b'\n')?;
                Some((end + 1, Some(json(&input[..end]).unwrap_or(Item::Beat))))
            }
            Self::Records => {
                let (len, rest) = input.split_first_chunk()?;
                let len = u32::from_be_bytes(*len) as usize;
                let whole = rest.get(..len)?;
                Some((4 + len, Some(if len > 0 { record(whole) } else { Item::Beat })))
            }
            Self::Texts => {
                let end = input.iter().position(|&byte| byte == 0)?;
                Some((end + 1, Some(json(&input[..end]).unwrap_or(Item::Beat))))
            }
            Self::Events(events) => events.next(input),
            Self::Page(page) => page.next(input),
            Self::Parts(parts) => parts.next(input),
            Self::Frames(frames) => frames.next(input),
        }
    }
}

/// An envelope's text, unless there are only blanks.
fn json(text: &[u8]) -> Option<Item> {
    let text = std::str::from_utf8(text).expect("UTF-8").trim_matches(' ');
    (!text.is_empty()).then(|| Item::Json(text.to_owned()))
}

/// A binary record, as defined in docs/PROTOCOL.md.
fn record(bytes: &[u8]) -> Item {
    let mut len = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    let mut from = 2;
    if len == 0xffff {
        len = u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]) as usize;
        from = 6;
        assert!(len >= 0xffff, "a short header with a long length");
    }
    let header = std::str::from_utf8(&bytes[from..from + len]).expect("UTF-8").to_owned();
    let payload = bytes[from + len..].to_vec();
    let value: Value = serde_json::from_str(&header).expect("a header is JSON");
    if value.get("channel").is_some() && value.get("data").is_none() {
        return Item::Bytes { header, payload };
    }
    assert_eq!(payload, b"", "an envelope has no payload");
    Item::Json(header)
}

fn array(body: &[u8]) -> Vec<Item> {
    let list: Vec<&RawValue> = serde_json::from_slice(body).expect("an array");
    list.into_iter().map(|raw| Item::Json(raw.get().to_owned())).collect()
}

/// The one statement of a script: a call with an array.
fn call(name: &str, body: &[u8]) -> Vec<Item> {
    let text = std::str::from_utf8(body).expect("UTF-8");
    assert!(text.starts_with("/**/"), "its first bytes must not be the client's: {text}");
    let inner = text[4..].strip_prefix(name).and_then(|rest| rest.strip_prefix("([")).expect("a call");
    let inner = inner.strip_suffix("]);\n").expect("the call's end");
    if inner.is_empty() {
        return Vec::new();
    }
    // Line feeds occur only between envelopes.
    inner.split(",\n").map(|text| Item::Script(Script(literal(text)))).collect()
}

/// How an expression begins that is parsed at run time.
const PARSED: &str = "(function(s){return typeof JSON==\"object\"?JSON.parse(s):eval(\"(\"+s+\")\")})(";

/// A JavaScript expression as every engine since ES3 evaluates it: a JSON literal, or one that is
/// parsed at run time.
fn literal(text: &str) -> String {
    let forbidden = |c: char| c < ' ' && c != '\t' || ['\u{2028}', '\u{2029}'].contains(&c);
    assert!(!text.contains(forbidden), "a line break in a literal: {text:?}");
    assert!(!text.contains("</") && !text.contains("<!--"), "a script could end: {text}");
    if let Some(rest) = text.strip_prefix(PARSED) {
        let string = rest.strip_suffix(')').expect("the call's end");
        return serde_json::from_str(string).expect("a string");
    }
    let value: Value = serde_json::from_str(text).expect("JSON");
    assert!(!names_proto(&value), "an engine would take this for the object's prototype: {text}");
    text.to_owned()
}

fn names_proto(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| name == "__proto__" || names_proto(value)),
        Value::Array(list) => list.iter().any(names_proto),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
