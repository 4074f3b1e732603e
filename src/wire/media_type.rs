//! The value of `Content-Type` (RFC 9110 8.3): its type, and whether its text is UTF-8.
//!
//! Parameters other than `charset` are skipped.

use std::borrow::Cow;

/// A media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// `type/subtype` in lower case, without parameters.
    pub essence: Cow<'a, str>,
    /// The `charset` parameter.
    pub charset: Charset,
}

/// The character encodings that the server distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// None was named; UTF-8 is assumed.
    Absent,
    /// UTF-8, or US-ASCII, which is part of it.
    Utf8,
    /// Any other, which is not supported.
    Other,
}

impl<'a> MediaType<'a> {
    /// Parses a `Content-Type`; `None` if it does not begin with `type/subtype`.
    pub fn parse(value: &'a str) -> Option<Self> {
        let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
        let essence = essence.trim_matches([' ', '\t']);
        let (main, sub) = essence.split_once('/')?;
        if !is_token(main) || !is_token(sub) {
            return None;
        }
        let essence = if essence.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(essence.to_ascii_lowercase())
        } else {
            Cow::Borrowed(essence)
        };
        Some(Self { essence, charset: charset(parameters) })
    }

    /// Whether the text can be read as UTF-8.
    pub fn is_utf8(&self) -> bool {
        match self.charset {
            Charset::Absent | Charset::Utf8 => true,
            Charset::Other => false,
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(super::http::is_token_byte)
}

/// The first `charset` among the parameters. A `;` in a quoted value may cut that value in two,
/// which matters to no charset that is known here.
fn charset(parameters: &str) -> Charset {
    let named = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match named {
        None => Charset::Absent,
        Some(name) if ["utf-8", "utf8", "us-ascii"].iter().any(|known| name.eq_ignore_ascii_case(known)) => {
            Charset::Utf8
        }
        Some(_) => Charset::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> (String, Charset) {
        let media_type = MediaType::parse(value).unwrap_or_else(|| panic!("{value}"));
        (media_type.essence.into_owned(), media_type.charset)
    }

    #[test]
    fn essence_is_lower_case_and_bare() {
        assert_eq!(parsed("application/json"), ("application/json".into(), Charset::Absent));
        assert_eq!(parsed("Application/X-NDJSON ;a=b"), ("application/x-ndjson".into(), Charset::Absent));
    }

    #[test]
    fn the_charset_is_found_in_any_spelling() {
        assert_eq!(parsed("text/plain;charset=UTF-8").1, Charset::Utf8);
        assert_eq!(parsed("text/plain; x=y ; Charset=\"utf-8\"").1, Charset::Utf8);
        assert_eq!(parsed("text/plain;charset=iso-8859-1").1, Charset::Other);
        assert_eq!(parsed("text/plain;charset=").1, Charset::Other);
        assert!(!MediaType::parse("text/plain;charset=utf-16").expect("a type").is_utf8());
    }

    #[test]
    fn what_is_no_type_is_none() {
        for bad in ["", "json", "/", "a/", "/b", "a b/c", "a/b/c", "a/b, c/d", ";charset=utf-8"] {
            assert_eq!(MediaType::parse(bad), None, "{bad}");
        }
    }
}
