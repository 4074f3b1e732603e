//! JSON payloads: checked once, then passed on byte for byte.
//!
//! No value is parsed and written again, so numbers, key order and escapes stay as the publisher
//! sent them. Only line breaks are removed, because every line-framed transport would have to
//! escape them; in valid JSON they occur only between tokens. Lone surrogates (`"\ud800"`) and
//! numbers beyond 64 bits are valid by RFC 8259, so they pass.

use std::borrow::Cow;
use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Why a payload is not acceptable JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset of the first byte that is wrong; the input's length if it ended too early.
    pub offset: usize,
    /// The fault.
    pub what: JsonFault,
}

/// The kinds of JSON errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// Not UTF-8.
    NotUtf8,
    /// Arrays and objects nested deeper than allowed.
    TooDeep {
        /// The bound, in levels.
        depth_max: usize,
    },
    /// Not JSON, with the parser's text.
    Syntax(String),
}

/// Checks that `bytes` are one JSON value (RFC 8259) with white space around it, nested at most
/// `depth_max` deep, where `[]` is one deep and a number none.
///
/// Returns the value's bytes unchanged, but without the white space around it and without CR and LF
/// within. Both only separate tokens that a bracket, comma or colon separates as well.
pub fn check(bytes: &[u8], depth_max: usize) -> Result<Cow<'_, str>, JsonError> {
    let text = shallow(bytes, depth_max)?;
    // Skipping does not recurse in serde_json, however deep the value.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| JsonError {
        offset: offset_of(&error, bytes),
        what: JsonFault::Syntax(words_of(&error)),
    })?;
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    if memchr::memchr2(b'\r', b'\n', text.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    Ok(Cow::Owned(text.replace(['\r', '\n'], "")))
}

/// The bytes as UTF-8 text, nested at most `depth_max` deep if they are JSON: for a caller that
/// parses them next.
pub fn shallow(bytes: &[u8], depth_max: usize) -> Result<&str, JsonError> {
    let text = str::from_utf8(bytes)
        .map_err(|error| JsonError { offset: error.valid_up_to(), what: JsonFault::NotUtf8 })?;
    check_depth(bytes, depth_max)?;
    Ok(text)
}

/// Writes `text` as a JSON string, quotes included.
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok(), "a Vec takes all that is written to it");
}

/// `text` as a JSON string, quotes included.
pub fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text);
    debug_assert!(json.is_ok(), "a String takes all that is written to it");
    json.unwrap_or_default()
}

/// For members of which `null` is a value like any other: `"exp":null` must not pass for a token
/// without `exp`.
///
/// # Errors
/// The parser's.
pub fn present<'de: 'a, 'a, D: Deserializer<'de>>(input: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(input).map(Some)
}

/// The byte offset that a parser's line and column mean: of the byte it stumbled over, or the
/// input's length if that ended too early. Zero for errors without a place.
pub fn offset_of(error: &serde_json::Error, input: &[u8]) -> usize {
    if error.is_eof() {
        return input.len();
    }
    let line_start = match error.line() {
        0 => return 0,
        1 => 0,
        // Line n begins after the (n-1)th line feed.
        line => memchr::memchr_iter(b'\n', input).nth(line - 2).map_or(input.len(), |feed| feed + 1),
    };
    // The column counts the bytes consumed since then, the bad one included ...
    let end = (line_start + error.column()).min(input.len());
    let offset = end.saturating_sub(1);
    // ... save that a control character in a string may be found before it is consumed.
    let is_control = input.get(offset).is_some_and(u8::is_ascii_control);
    if !is_control && error.to_string().starts_with("control character") { end } else { offset }
}

/// Bounds the nesting without recursion, and before a parser is let near the input.
fn check_depth(bytes: &[u8], depth_max: usize) -> Result<(), JsonError> {
    // Most payloads have fewer brackets than allowed levels; counting them is cheap.
    if bytes.iter().filter(|&&byte| byte == b'[' || byte == b'{').count() <= depth_max {
        return Ok(());
    }
    let mut depth = 0_usize;
    let mut within = Within::Tokens;
    for (offset, &byte) in bytes.iter().enumerate() {
        within = match (within, byte) {
            (Within::Tokens, b'"') | (Within::Escape, _) => Within::String,
            (Within::Tokens, b'[' | b'{') => {
                depth += 1;
                if depth > depth_max {
                    return Err(JsonError { offset, what: JsonFault::TooDeep { depth_max } });
                }
                Within::Tokens
            }
            (Within::Tokens, b']' | b'}') => {
                // More closed than opened is a syntax error, which the parser will name.
                depth = depth.saturating_sub(1);
                Within::Tokens
            }
            (Within::String, b'\\') => Within::Escape,
            (Within::String, b'"') => Within::Tokens,
            (within, _) => within,
        };
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Within {
    Tokens,
    String,
    Escape,
}

/// The parser's text without its line and column, which the offset replaces.
fn words_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            JsonFault::NotUtf8 => write!(f, "not UTF-8 at byte {}; JSON must be UTF-8", self.offset),
            JsonFault::TooDeep { depth_max } => {
                write!(f, "nested too deep at byte {}; {depth_max} levels are allowed", self.offset)
            }
            JsonFault::Syntax(words) => write!(f, "not JSON at byte {}: {words}", self.offset),
        }
    }
}

impl std::error::Error for JsonError {}

#[cfg(test)]
mod tests;
