//! Percent-encoding (RFC 3986 2.1), query strings and `application/x-www-form-urlencoded` bodies.
//!
//! Strict: a `%` that does not begin an escape is refused rather than kept, so that no two readers
//! see different names. NUL and text that is not UTF-8 are refused as well. The server reads no
//! `multipart/form-data`.

use std::borrow::Cow;
use std::fmt;

/// Why encoded text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PercentError {
    /// A `%` without two hexadecimal digits after it.
    BadEscape,
    /// The decoded bytes are not UTF-8.
    NotUtf8,
    /// The decoded text holds a NUL.
    Nul,
    /// More `key=value` pairs than allowed.
    TooManyPairs {
        /// The bound, in pairs.
        pairs_max: usize,
    },
}

impl fmt::Display for PercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadEscape => {
                f.write_str("a `%` has no two hexadecimal digits after it; write %25 for the sign itself")
            }
            Self::NotUtf8 => f.write_str("percent-encoded text is not UTF-8"),
            Self::Nul => f.write_str("percent-encoded text has a NUL, which is not allowed"),
            Self::TooManyPairs { pairs_max } => write!(f, "too many parameters; {pairs_max} are allowed"),
        }
    }
}

impl std::error::Error for PercentError {}

/// Decodes one segment of a path; a `+` stays a `+`. Borrows if there is nothing to decode.
pub fn decode_segment(raw: &str) -> Result<Cow<'_, str>, PercentError> {
    decode(raw.as_bytes(), Plus::Literal)
}

/// Appends `text` so that it is one segment of a path or of a channel name: `A-Za-z0-9-._~` stay,
/// all else becomes `%XX` in upper case. One text has one such form.
pub fn encode_segment_into(text: &str, out: &mut String) {
    let stays = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.bytes().all(stays) {
        return out.push_str(text);
    }
    for byte in text.bytes() {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// As [`encode_segment_into`], to a new string.
pub fn encode_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    encode_segment_into(text, &mut out);
    out
}

/// The pairs of a query string (given without its `?`), in order.
pub fn query(raw: &str, pairs_max: usize) -> QueryPairs<'_> {
    form(raw.as_bytes(), pairs_max)
}

/// The pairs of an `application/x-www-form-urlencoded` body, in order.
pub fn form(body: &[u8], pairs_max: usize) -> QueryPairs<'_> {
    QueryPairs { rest: body, left: pairs_max, limit: pairs_max }
}

/// Iterates over `key=value` pairs separated by `&`, decoded, `+` being a space. A pair without `=`
/// has an empty value; empty pairs are skipped. Ends after the first error.
#[derive(Clone, Debug)]
pub struct QueryPairs<'a> {
    rest: &'a [u8],
    left: usize,
    /// The bound, for naming it.
    limit: usize,
}

impl<'a> Iterator for QueryPairs<'a> {
    type Item = Result<(Cow<'a, str>, Cow<'a, str>), PercentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.next_raw()?;
        let item = self.decode_pair(pair);
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

impl<'a> QueryPairs<'a> {
    /// The next pair that is not empty.
    fn next_raw(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = memchr::memchr(b'&', self.rest).unwrap_or(self.rest.len());
            let pair = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if !pair.is_empty() {
                return Some(pair);
            }
        }
        None
    }

    fn decode_pair(&mut self, pair: &'a [u8]) -> Result<(Cow<'a, str>, Cow<'a, str>), PercentError> {
        self.left = self.left.checked_sub(1).ok_or(PercentError::TooManyPairs { pairs_max: self.limit })?;
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let value = pair.get(equals + 1..).unwrap_or_default();
        Ok((decode(&pair[..equals], Plus::Space)?, decode(value, Plus::Space)?))
    }
}

/// The meaning of a `+`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Literal,
    Space,
}

fn decode(raw: &[u8], plus: Plus) -> Result<Cow<'_, str>, PercentError> {
    let is_plain = |&byte: &u8| byte != b'%' && (byte != b'+' || plus == Plus::Literal);
    let bytes = if raw.iter().all(is_plain) { Cow::Borrowed(raw) } else { Cow::Owned(unescaped(raw, plus)?) };
    if memchr::memchr(0, &bytes).is_some() {
        return Err(PercentError::Nul);
    }
    match bytes {
        Cow::Borrowed(bytes) => str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| PercentError::NotUtf8),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| PercentError::NotUtf8),
    }
}

fn unescaped(raw: &[u8], plus: Plus) -> Result<Vec<u8>, PercentError> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        out.push(match byte {
            b'%' => {
                let [high, low, tail @ ..] = tail else { return Err(PercentError::BadEscape) };
                rest = tail;
                hex_digit(*high)? << 4 | hex_digit(*low)?
            }
            b'+' if plus == Plus::Space => b' ',
            other => *other,
        });
    }
    Ok(out)
}

fn hex_digit(byte: u8) -> Result<u8, PercentError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(PercentError::BadEscape),
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(raw: &str) -> Result<Vec<(String, String)>, PercentError> {
        query(raw, 4).map(|pair| pair.map(|(key, value)| (key.into_owned(), value.into_owned()))).collect()
    }

    #[test]
    fn segments_decode_once() {
        assert_eq!(decode_segment("al%69ce"), Ok("alice".into()));
        assert_eq!(decode_segment("a%2Fb+c%252f"), Ok("a/b+c%2f".into()));
        assert_eq!(decode_segment("%C3%A9%f0%9f%98%80"), Ok("é😀".into()));
        assert!(matches!(decode_segment("plain"), Ok(Cow::Borrowed("plain"))));
        assert_eq!(decode_segment(""), Ok("".into()));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for bad in ["%", "a%", "%4", "%4g", "%g4", "%%41", "%u0041", "% 41", "%+1"] {
            assert_eq!(decode_segment(bad), Err(PercentError::BadEscape), "{bad}");
        }
        for bad in ["%ff", "%c0%80", "%ed%a0%80", "%C3", "%f5%80%80%80"] {
            assert_eq!(decode_segment(bad), Err(PercentError::NotUtf8), "{bad}");
        }
        assert_eq!(decode_segment("a%00"), Err(PercentError::Nul));
    }

    #[test]
    fn queries_read_as_forms_do() {
        let expected = [("channels", "/a,/b c"), ("last", ""), ("", "x"), ("k", "=")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        assert_eq!(pairs("channels=/a,/b+c&&last&=x&k==&"), Ok(expected));
        assert_eq!(pairs(""), Ok(vec![]));
        assert_eq!(pairs("a%26b=%3d%2B"), Ok(vec![("a&b".into(), "=+".into())]));
    }

    #[test]
    fn pairs_are_bounded_and_end_at_the_first_error() {
        assert_eq!(pairs("a&b&c&d&e"), Err(PercentError::TooManyPairs { pairs_max: 4 }));
        let items: Vec<_> = query("a=%&b=1", 4).collect();
        assert_eq!(items, [Err(PercentError::BadEscape)]);
    }

    #[test]
    fn forms_are_bytes() {
        let items: Vec<_> = form(b"m=\xff", 4).collect();
        assert_eq!(items, [Err(PercentError::NotUtf8)]);
        assert_eq!(form("m=é".as_bytes(), 1).next(), Some(Ok(("m".into(), "é".into()))));
    }

    proptest! {
        #[test]
        fn an_encoded_segment_is_safe_and_reads_back(text in "[^\0]*") {
            let encoded = encode_segment(&text);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            prop_assert_eq!(decode_segment(&encoded), Ok(text.clone().into()));
            let as_value = format!("k={encoded}");
            prop_assert_eq!(query(&as_value, 1).next(), Some(Ok(("k".into(), text.into()))));
        }
    }
}
