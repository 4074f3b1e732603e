//! The key of a backend's request to publish: the header `Idempotency-Key` (the IETF's
//! draft-ietf-httpapi-idempotency-key-header), or `key` in the query, for callers that cannot set
//! headers.

use crate::request::publish_key::{KeyScope, PublishKey};
use crate::request::router::query;
use crate::request::router::query::OF_PUBLISH;
use crate::wire::http::head::Head;
use crate::wire::refusal::{Refusal, Refused};

/// The idempotency key of the head, if any. Several mentions must agree.
pub(crate) fn key(head: &Head<'_>) -> Result<Option<PublishKey>, Refusal> {
    let mut named: Option<String> = None;
    let mut take = |text: String| match &named {
        Some(first) if *first != text => Err(Refused::TwoKeys),
        Some(_) => Ok(()),
        None => {
            named = Some(text);
            Ok(())
        }
    };
    for value in head.header_bytes("idempotency-key") {
        take(header(value)?)?;
    }
    if !head.query.is_empty() {
        for (_, text) in query::named(head.query, OF_PUBLISH)?.into_iter().filter(|(name, _)| name == "key") {
            take(text)?;
        }
    }
    named.map(|text| PublishKey::new(KeyScope::Backend, &text)).transpose()
}

/// The draft defines a structured field's string, in quotes (RFC 8941, section 3.3.3). Most
/// programs send it without them.
fn header(value: &[u8]) -> Result<String, Refusal> {
    let text = str::from_utf8(value).map_err(|_| Refused::KeyText)?.trim();
    let Some(quoted) = text.strip_prefix('"') else { return Ok(text.to_owned()) };
    let inner = quoted.strip_suffix('"').ok_or(Refused::KeyQuotes)?;
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                plain.push(chars.next().filter(|next| matches!(next, '"' | '\\')).ok_or(Refused::KeyQuotes)?);
            }
            '"' => return Err(Refused::KeyQuotes.into()),
            char => plain.push(char),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use crate::request::router::idempotency::header;

    #[test]
    fn a_key_may_be_quoted_and_is_the_same_key() {
        for (value, key) in [
            (r"abc", "abc"),
            (r#""abc""#, "abc"),
            (r"  abc ", "abc"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            (r"8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            (r#""""#, ""),
        ] {
            assert_eq!(header(value.as_bytes()).unwrap(), key, "{value}");
        }
    }

    #[test]
    fn half_a_string_is_no_key() {
        for value in [&b"\"abc"[..], b"\"", b"\"a\"b\"", b"\"a\\\"", b"\"a\\b\"", b"\xff"] {
            assert_eq!(header(value).unwrap_err().code.text(), "bad-key");
        }
    }
}
