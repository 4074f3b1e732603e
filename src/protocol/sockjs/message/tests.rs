//! Strings from clients, valid and not.

use proptest::prelude::*;

use super::*;

const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=UTF-8");

fn listed(strings: Result<Strings, Malformed>) -> Result<Vec<String>, Malformed> {
    strings.map(|strings| {
        assert_eq!(strings.iter().count(), strings.len());
        strings.iter().map(str::to_owned).collect()
    })
}

fn body(text: &str) -> Result<Vec<String>, Malformed> {
    listed(in_body(text.as_bytes()))
}

fn form(text: &str) -> Result<Vec<String>, Malformed> {
    listed(in_form(FORM, text.as_bytes()))
}

fn message(text: &str) -> Result<Vec<String>, Malformed> {
    listed(in_message(text.as_bytes()))
}

fn all(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn an_array_of_strings_is_read_in_order() {
    assert_eq!(body(r#"["a","b"]"#), Ok(all(&["a", "b"])));
    assert_eq!(body(" [ \"a\"\t,\r\n\"\" ] "), Ok(all(&["a", ""])));
    assert_eq!(body("[]"), Ok(all(&[])));
    assert_eq!(body("[ ]"), Ok(all(&[])));
    assert_eq!(body(r#"["\"\\\/\b\f\n\r\t\u0041é\u00E9"]"#), Ok(all(&["\"\\/\u{8}\u{c}\n\r\tAéé"])));
}

#[test]
fn errors_in_a_body_have_the_texts_of_the_protocol() {
    for (text, words) in [
        ("", "Payload expected."),
        ("[\"x", "Broken JSON encoding."),
        ("x", "Broken JSON encoding."),
        (" ", "Broken JSON encoding."),
        ("[\"a\",]", "Broken JSON encoding."),
        ("[\"a\"]]", "Broken JSON encoding."),
        ("[\"\n\"]", "Broken JSON encoding."),
        (r#"["\x"]"#, "Broken JSON encoding."),
        (r#"["\u12"]"#, "Broken JSON encoding."),
        ("\u{feff}[\"a\"]", "Broken JSON encoding."),
        ("{}", "Payload expected."),
        ("\"a\"", "Payload expected."),
        ("null", "Payload expected."),
        ("[1]", "Payload expected."),
        (r#"["a",null]"#, "Payload expected."),
        (r#"["a",["b"]]"#, "Payload expected."),
    ] {
        assert_eq!(body(text).unwrap_err().body(), words, "{text}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(body(&deep), Err(Malformed::NoStrings), "too deep to be looked at");
}

#[test]
fn half_a_surrogate_pair_loses_no_string_beside_it() {
    assert_eq!(body(r#"["a","\ud83d\ude00","b"]"#), Ok(all(&["a", "\u{1f600}", "b"])));
    for lone in [r"\ud800", r"\ude00"] {
        assert_eq!(body(&format!(r#"["a","x{lone}y","b"]"#)), Ok(all(&["a", "x\u{fffd}y", "b"])), "{lone}");
    }
    assert_eq!(body(r#"["\ud800\u0041"]"#), Ok(all(&["\u{fffd}A"])));
    assert_eq!(body(r#"["\ud800\ud83d\ude00"]"#), Ok(all(&["\u{fffd}\u{1f600}"])));
    assert_eq!(body(r#"["\ud800\n"]"#), Ok(all(&["\u{fffd}\n"])));
    assert_eq!(body(r#"["\ud800\u00"]"#), Err(Malformed::NotJson));
}

#[test]
fn what_is_not_utf8_is_replaced() {
    assert_eq!(listed(in_body(b"[\"a\xff\",\"b\"]")), Ok(all(&["a\u{fffd}", "b"])));
    assert_eq!(listed(in_message(b"[\"a\xff\",\"b\"]")), Ok(all(&["a\u{fffd}", "b"])));
    assert_eq!(listed(in_form(FORM, b"d=%5B%22%ff%22%5D")), Ok(all(&["\u{fffd}"])));
}

#[test]
fn a_form_holds_them_in_its_field() {
    assert_eq!(form("d=%5B%22x%22%5D"), Ok(all(&["x"])));
    assert_eq!(form("i=0&d=[\"a+b%2B\"]&d=[]"), Ok(all(&["a b+"])));
    assert_eq!(form("d=[\"%u%4\"]"), Ok(all(&["%u%4"])));
    assert_eq!(form("d=%5B%22%C3%A9%22%5D"), Ok(all(&["é"])));
    for (text, words) in [
        ("", "Payload expected."),
        ("d", "Payload expected."),
        ("d=", "Payload expected."),
        ("p=p", "Payload expected."),
        ("dd=[\"a\"]", "Payload expected."),
        ("d=%5B%22x", "Broken JSON encoding."),
        ("d=%00", "Broken JSON encoding."),
        ("d=%22x%22", "Payload expected."),
    ] {
        assert_eq!(form(text).unwrap_err().body(), words, "{text}");
    }
}

#[test]
fn plain_text_is_not_decoded_as_a_form_is() {
    for kind in [None, Some(""), Some("text/plain"), Some("Text/Plain;charset=UTF-8")] {
        assert_eq!(listed(in_form(kind, br#"["%61bc"]"#)), Ok(all(&["%61bc"])), "{kind:?}");
    }
    for kind in ["multipart/form-data; boundary=x", "application/octet-stream"] {
        assert_eq!(listed(in_form(Some(kind), br#"["a"]"#)), Err(Malformed::NoStrings), "{kind}");
    }
}

#[test]
fn a_message_holds_an_array_or_one_string_or_nothing() {
    assert_eq!(message(r#"["a","b"]"#), Ok(all(&["a", "b"])));
    assert_eq!(message(r#""a""#), Ok(all(&["a"])));
    assert_eq!(message(""), Ok(all(&[])));
    assert_eq!(message("[]"), Ok(all(&[])));
    assert_eq!(message("[\"a"), Err(Malformed::NotJson));
    assert_eq!(message("{}"), Err(Malformed::NoStrings));
}

proptest! {
    #[test]
    fn strings_read_back_however_they_are_escaped(texts: Vec<String>, seed: u64) {
        let json = serde_json::to_string(&texts).unwrap();
        prop_assert_eq!(body(&json), Ok(texts.clone()));
        // Every character by number, as some clients send them.
        let unit = |unit: u16| if seed >> (unit % 64) & 1 == 0 { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
        let quoted = |text: &String| format!("\"{}\"", text.encode_utf16().map(unit).collect::<String>());
        let escaped = format!("[{}]", texts.iter().map(quoted).collect::<Vec<_>>().join(","));
        prop_assert_eq!(body(&escaped), Ok(texts.clone()));
        prop_assert_eq!(message(&escaped), Ok(texts));
    }

    #[test]
    fn no_bytes_panic_and_a_parser_of_values_agrees(bytes: Vec<u8>) {
        let _ = in_form(FORM, &bytes);
        let _ = in_message(&bytes);
        let parsed = serde_json::from_slice::<Vec<String>>(&bytes).ok();
        let read = listed(in_body(&bytes)).ok();
        prop_assert!(parsed.is_none() || parsed == read);
    }
}
