//! Accepted and refused payloads, the offset of the fault, and that only line breaks change.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const DEPTH: usize = 8;

fn ok(input: &str) -> String {
    check(input.as_bytes(), DEPTH).unwrap_or_else(|error| panic!("{input:?}: {error}")).into_owned()
}

fn refused(input: &[u8]) -> (usize, String) {
    let error = check(input, DEPTH).expect_err("refused");
    (error.offset, error.to_string())
}

#[test]
fn a_payload_comes_out_as_it_went_in() {
    for same in [
        "1",
        "-0.0e+10",
        "1e999",
        "123456789012345678901234567890",
        "\"\"",
        r#""\ud800\/\u00e9é""#,
        "[ 1,\t2 ]",
        r#"{"b":1,"a":2,"b":3}"#,
        "null",
        "\"\u{2028}\"",
    ] {
        assert_eq!(ok(same), same);
        assert!(matches!(check(same.as_bytes(), DEPTH), Ok(Cow::Borrowed(_))), "{same} was copied");
    }
}

#[test]
fn only_line_breaks_between_tokens_are_taken_out() {
    assert_eq!(ok("[1,\n2]"), "[1,2]");
    assert_eq!(ok("{\r\n  \"a\" :\r1\n}\r\n"), "{  \"a\" :1}");
    assert_eq!(ok(" \t\r\n true\n"), "true");
    assert_eq!(ok(r#"["\n\r"]"#), r#"["\n\r"]"#);
}

#[test]
fn tokens_that_only_a_line_break_separates_are_refused_not_joined() {
    for bad in ["1\n2", "[1\n2]", "\"a\"\n\"b\"", "tr\nue", "1\n.5", "-\n1", "\"a\nb\"", "\"a\rb\""] {
        check(bad.as_bytes(), DEPTH).expect_err(bad);
    }
}

#[test]
fn the_offset_names_the_byte() {
    for (input, offset) in [
        (&b""[..], 0),
        (b"   ", 3),
        (b"[1,]", 3),
        (b"{\"a\":1,}", 7),
        (b"{a:1}", 1),
        (b"[1,\n\n  x]", 7),
        (b"1 2", 2),
        (b"\"a\nb\"", 2),
        (b"[1,2", 4),
        (b"01", 1),
        (b"[\xff]", 1),
        (b"\"\x00\"", 1),
        (b"\xef\xbb\xbf1", 0),
        (b"NaN", 0),
        (b"'a'", 0),
        (b"]", 0),
    ] {
        let (at, words) = refused(input);
        assert_eq!(at, offset, "{:?}: {words}", String::from_utf8_lossy(input));
    }
}

#[test]
fn depth_is_bounded_before_the_parser_sees_it() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(ok(&nested(DEPTH)), nested(DEPTH));
    let (offset, words) = refused(nested(DEPTH + 1).as_bytes());
    assert_eq!(offset, DEPTH);
    assert!(words.contains("8 levels"), "{words}");
    assert_eq!(refused(&b"[".repeat(1 << 20)).0, DEPTH);
    check(nested(100_000).as_bytes(), 200_000).expect("no recursion");
}

#[test]
fn brackets_in_strings_have_no_depth() {
    assert_eq!(ok(r#""[[[[[[[[[[[[\"[[[[\\""#), r#""[[[[[[[[[[[[\"[[[[\\""#);
}

#[test]
fn offsets_of_typed_errors_point_into_their_line() {
    let input = b"{\n \"a\": \"x\"\n}";
    let error =
        serde_json::from_slice::<std::collections::BTreeMap<String, u32>>(input).expect_err("no number");
    assert_eq!(offset_of(&error, input), 10);
}

proptest! {
    #[test]
    fn escaped_text_reads_back(text: String) {
        let mut out = Vec::new();
        escape_into(&text, &mut out);
        prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("a string"), text);
        prop_assert!(memchr::memchr2(b'\r', b'\n', &out).is_none());
    }

    #[test]
    fn acceptance_agrees_with_a_parser_that_builds_values(input in r#"[\[\]{}:,"a1e.\-\n \\u]{0,12}"#) {
        let built = serde_json::from_str::<Value>(&input);
        match check(input.as_bytes(), 64) {
            Ok(text) => {
                prop_assert!(memchr::memchr2(b'\r', b'\n', text.as_bytes()).is_none());
                if let Ok(built) = built {
                    prop_assert_eq!(serde_json::from_str::<Value>(&text).expect("still JSON"), built);
                }
            }
            Err(error) => {
                prop_assert!(built.is_err(), "{} but {:?}", error, built);
                prop_assert!(error.offset <= input.len());
            }
        }
    }
}
