//! Callback names: they are written into scripts, so only names are accepted.

use crate::transport::TransportRequest;
use crate::transport::shared::limits::CALLBACK_CHARS_MAX;
use crate::wire::refusal::{Refusal, Refused};

/// The function that the query's `callback` names.
pub(in crate::transport) fn callback<'a>(asked: &TransportRequest<'a>) -> Result<Option<&'a str>, Refusal> {
    let Some(name) = asked.value("callback") else { return Ok(None) };
    if is_callback(name) {
        return Ok(Some(name));
    }
    Err(Refused::Callback { name, chars_max: CALLBACK_CHARS_MAX }.into())
}

/// Whether a text is a function's name, perhaps within objects: `Name(.Name)*`, where a name is
/// `[A-Za-z_$][A-Za-z0-9_$]*`.
pub fn is_callback(text: &str) -> bool {
    let is_name = |name: &str| {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$';
        name.bytes().all(word) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
    };
    text.len() <= CALLBACK_CHARS_MAX && text.split('.').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_library_pass() {
        for name in ["f", "_", "$", "jQuery331_17", "angular.callbacks._0", "a.b.c", "org.cometd.script._cb1"]
        {
            assert!(is_callback(name), "{name}");
        }
        assert!(is_callback(&"x".repeat(64)));
    }

    #[test]
    fn nothing_else_passes() {
        let corpus = [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "1a",
            "a.1",
            "a b",
            "a(b",
            "a()",
            "a;b",
            "a=b",
            "a[0]",
            "alert(1)//",
            "a\n",
            "a\r\n",
            "a\u{2028}",
            "a/**/",
            "<script>",
            "a<",
            "a>b",
            "a&b",
            "a'",
            "a\"",
            "a`",
            "a\\u0062",
            "a%28",
            "\u{e9}",
            "a\0",
            "\u{feff}a",
            "a-b",
            "a+b",
            "a,b",
            "a{b}",
            "a?b",
            "a#b",
            "a:b",
            "CWS\u{7}\u{e}",
        ];
        for text in corpus {
            assert!(!is_callback(text), "{text:?}");
        }
        assert!(!is_callback(&"x".repeat(65)));
    }
}
