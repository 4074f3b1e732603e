//! JSON within scripts and within HTML.
//!
//! JSON text is a JavaScript expression since ES2019; older engines end a line at U+2028 and U+2029
//! even in strings, and an HTML parser ends a script at `</script` anywhere. Both occur only in
//! JSON's strings, where escapes mean the same. One member's name means something else in a script,
//! in any escaped form: `__proto__`. An object that has it is parsed at run time.

use memchr::memmem;

use super::json::escape_into;

/// Appends JSON as a JavaScript expression that is safe in a `<script>` element: `<`, U+2028 and
/// U+2029 as escapes. Other text than JSON would be damaged.
pub fn literal(json: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(json) {
        Ok(text) if may_name_proto(json) => parsed(text, out),
        Ok(_) | Err(_) => escaped(json, out),
    }
}

/// Whether some member may be named `__proto__`. In a literal that sets the object's prototype, and
/// twice it is a syntax error, with which all that is in the script would be lost. Escapes hide no
/// name from an engine; each of that name's letters lies between U+0050 and U+007F.
fn may_name_proto(json: &[u8]) -> bool {
    let hides = |at: usize| matches!(json.get(at + 4), Some(b'5'..=b'7'));
    memmem::find(json, b"__proto__").is_some() || memmem::find_iter(json, b"\\u00").any(hides)
}

/// Appends an expression that reads JSON at run time. Engines that have no `JSON` give the name no
/// meaning.
fn parsed(json: &str, out: &mut Vec<u8>) {
    let (mut safe, mut string) = (Vec::with_capacity(json.len()), Vec::with_capacity(json.len() + 64));
    escaped(json.as_bytes(), &mut safe);
    out.extend_from_slice(
        b"(function(s){return typeof JSON==\"object\"?JSON.parse(s):eval(\"(\"+s+\")\")})(",
    );
    escape_into(&String::from_utf8_lossy(&safe), &mut string);
    out.extend_from_slice(&string);
    out.push(b')');
}

fn escaped(json: &[u8], out: &mut Vec<u8>) {
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

/// Appends text as the value of an HTML attribute in single quotes: the parser gives back the same
/// text. It must hold no CR and no NUL, which HTML cannot carry.
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
    fn a_prototype_is_no_member_that_a_literal_could_have() {
        let json = "{\"__proto__\":\"<\u{2028}\"}";
        assert_eq!(
            text(|out| literal(json.as_bytes(), out)),
            "(function(s){return typeof JSON==\"object\"?JSON.parse(s):eval(\"(\"+s+\")\")})\
             (\"{\\\"__proto__\\\":\\\"\\\\u003c\\\\u2028\\\"}\")"
        );
        for hidden in [r#"{"\u005f_proto__":1}"#, r#"{"__pro\u0074o__":1}"#, r#"{"__proto\u005F_":1}"#] {
            assert!(text(|out| literal(hidden.as_bytes(), out)).contains("JSON.parse"), "{hidden}");
        }
        assert_eq!(text(|out| literal(br#"{"a":"\u00e9\u000a"}"#, out)), r#"{"a":"\u00e9\u000a"}"#);
    }

    #[test]
    fn quotes_within_an_attribute_are_escaped() {
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
