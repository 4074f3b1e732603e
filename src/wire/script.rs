//! JSON within scripts and within HTML.
//!
//! JSON text is a JavaScript expression since ES2019; older engines end a line at U+2028 and U+2029 even in strings, and
//! an HTML parser ends a script at `</script` wherever that stands. Both can only stand in JSON's strings, where escapes say the same.

/// Appends JSON as a JavaScript literal that may stand in a `<script>` element: `<`, U+2028 and U+2029 as escapes.
/// Anything but JSON would be damaged.
pub fn literal(json: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for at in memchr::memchr2_iter(b'<', LINE_FIRST, json) {
        let (escape, len): (&[u8], _) = match json[at..] {
            [b'<', ..] => (b"\\u003c", 1),
            [LINE_FIRST, 0x80, 0xa8, ..] => (b"\\u2028", 3),
            [LINE_FIRST, 0x80, 0xa9, ..] => (b"\\u2029", 3),
            _ => continue,
        };
        out.extend_from_slice(&json[from..at]);
        out.extend_from_slice(escape);
        from = at + len;
    }
    out.extend_from_slice(&json[from..]);
}

/// Appends text as the value of an HTML attribute in single quotes: the parser gives back the same text. It must hold no
/// CR and no NUL, which HTML cannot carry.
pub fn attribute(text: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for at in memchr::memchr3_iter(b'&', b'\'', b'<', text) {
        out.extend_from_slice(&text[from..at]);
        out.extend_from_slice(match text[at] {
            b'&' => b"&amp;",
            b'\'' => b"&#39;",
            _ => b"&lt;",
        });
        from = at + 1;
    }
    out.extend_from_slice(&text[from..]);
}

/// U+2028 and U+2029 are E2 80 A8 and E2 80 A9.
const LINE_FIRST: u8 = 0xe2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn nothing_ends_a_script_or_a_line() {
        let json = "{\"a\":\"</script><!--\u{2028}\u{2029}\u{2026}\u{e2}\"}";
        assert_eq!(
            text(|out| literal(json.as_bytes(), out)),
            "{\"a\":\"\\u003c/script>\\u003c!--\\u2028\\u2029\u{2026}\u{e2}\"}"
        );
    }

    #[test]
    fn an_attribute_is_told_from_its_quotes() {
        let json = r#"{"a":"it's <b> & \u0000 ""#;
        assert_eq!(text(|out| attribute(json.as_bytes(), out)), r#"{"a":"it&#39;s &lt;b> &amp; \u0000 ""#);
    }

    proptest! {
        #[test]
        fn a_literal_is_the_same_value(content: String) {
            let json = Value::String(content).to_string();
            let spelled = text(|out| literal(json.as_bytes(), out));
            let forbidden = spelled.contains(['<', '\u{2028}', '\u{2029}']);
            prop_assert!(!forbidden);
            prop_assert_eq!(serde_json::from_str::<Value>(&spelled).unwrap().to_string(), json);
        }

        #[test]
        fn an_attribute_reads_back(content in "[^\\r\\x00]*") {
            let spelled = text(|out| attribute(content.as_bytes(), out));
            prop_assert!(!spelled.contains(['\'', '<']));
            let back = spelled.replace("&lt;", "<").replace("&#39;", "'").replace("&amp;", "&");
            prop_assert_eq!(back, content);
        }
    }
}
