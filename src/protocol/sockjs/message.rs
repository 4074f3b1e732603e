//! Strings from clients: an array of them in the body of a request, or in a WebSocket's message.
//!
//! Decoding accepts all of an array or none of it. A lone surrogate is valid in JSON and in a
//! browser's strings, so it becomes U+FFFD, as do bytes that are not UTF-8: neither loses the
//! strings beside it.

mod scan;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::wire::json;
use crate::wire::json::JsonFault;

/// Strings in order. Stored in one text, because many short ones are common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    text: String,
    /// The end of each. A body is shorter than 4 GiB.
    ends: Vec<u32>,
}

impl Strings {
    /// One by itself.
    pub fn one(text: &str) -> Self {
        Self { text: text.to_owned(), ends: vec![text.len() as u32] }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The strings.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut from = 0;
        self.ends
            .iter()
            .map(move |end| &self.text[std::mem::replace(&mut from, *end as usize)..*end as usize])
    }

    /// The last one is complete.
    fn end_one(&mut self) {
        self.ends.push(self.text.len() as u32);
    }
}

/// Why an input is no list of strings. A request gets 500 and its session continues; a WebSocket
/// ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Nothing, or JSON other than an array of strings.
    NoStrings,
    /// Not JSON.
    NotJson,
}

impl Malformed {
    /// The body of the refusal, as defined by the protocol.
    pub fn body(self) -> &'static str {
        match self {
            Self::NoStrings => "Payload expected.",
            Self::NotJson => "Broken JSON encoding.",
        }
    }

    /// Its name in metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoStrings => "sockjs-no-payload",
            Self::NotJson => "sockjs-bad-json",
        }
    }
}

/// The strings in the body of an `xhr_send`, of any declared type. An empty array is allowed, and
/// has no effect.
///
/// # Errors
/// Refuses anything but an array of strings.
pub fn in_body(body: &[u8]) -> Result<Strings, Malformed> {
    let text = String::from_utf8_lossy(body);
    if text.is_empty() {
        return Err(Malformed::NoStrings);
    }
    scan::array(&text).ok_or_else(|| fault(&text))
}

/// The strings in the body of a `jsonp_send`: those of the field `d` in a form; if the body is
/// declared as plain text or not at all, those of the whole body.
///
/// # Errors
/// Refuses anything but an array of strings, and every other type.
pub fn in_form(content_type: Option<&str>, body: &[u8]) -> Result<Strings, Malformed> {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return in_body(&field(body, b"d").ok_or(Malformed::NoStrings)?);
    }
    if essence.is_empty() || essence.eq_ignore_ascii_case("text/plain") {
        return in_body(body);
    }
    Err(Malformed::NoStrings)
}

/// The strings in a message of a WebSocket: an array of them, or one by itself. An empty message
/// holds none.
///
/// # Errors
/// Refuses everything else.
pub fn in_message(text: &[u8]) -> Result<Strings, Malformed> {
    let text = String::from_utf8_lossy(text);
    if text.is_empty() {
        return Ok(Strings::default());
    }
    scan::array(&text).or_else(|| scan::one(&text)).ok_or_else(|| fault(&text))
}

/// Why a text is no array of strings.
fn fault(text: &str) -> Malformed {
    match json::check(text.as_bytes(), DEPTH_MAX) {
        Ok(_) => Malformed::NoStrings,
        Err(error) => match error.what {
            // In any case it is no array of strings.
            JsonFault::TooDeep { .. } => Malformed::NoStrings,
            JsonFault::Syntax(_) | JsonFault::NotUtf8 => Malformed::NotJson,
        },
    }
}

/// Levels up to which other JSON is checked, to choose the error.
const DEPTH_MAX: usize = 64;

/// The first field of a form by a name, decoded as leniently as browsers' forms have always been: a
/// `%` without two digits stays a `%`.
fn field<'b>(body: &'b [u8], name: &[u8]) -> Option<Cow<'b, [u8]>> {
    body.split(|byte| *byte == b'&').find_map(|pair| {
        let equals = memchr::memchr(b'=', pair)?;
        (*decoded(&pair[..equals]) == *name).then(|| decoded(&pair[equals + 1..]))
    })
}

fn decoded(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        out.push(match (byte, tail) {
            (b'%', [high, low, after @ ..]) => match (scan::hex(*high), scan::hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (b'+', _) => b' ',
            (other, _) => *other,
        });
    }
    Cow::Owned(out)
}
