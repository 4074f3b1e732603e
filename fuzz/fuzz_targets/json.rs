//! JSON checks: agree with a parser that builds values, pass the value through unchanged, and
//! report an offset within the input.
#![no_main]

use encke::wire::json::{JsonFault, check, escape_into, offset_of};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Below the depth limit of the parser of values.
const DEPTH_MAX: usize = 100;

fuzz_target!(|bytes: &[u8]| {
    let built = serde_json::from_slice::<Value>(bytes);
    match check(bytes, DEPTH_MAX) {
        Ok(text) => {
            assert!(!text.contains(['\r', '\n']));
            // The output is the input, except for line breaks and the white space around it.
            let kept: Vec<u8> = bytes.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
            assert_eq!(kept.trim_ascii(), text.trim().as_bytes());
            let again = serde_json::from_str::<Value>(&text);
            match (built, again) {
                (Ok(built), Ok(again)) => assert_eq!(built, again),
                (Err(error), Err(_)) => {
                    // Valid by the grammar, but not supported by this parser.
                    let words = error.to_string();
                    let known = ["surrogate", "number out of range", "end of hex escape"];
                    assert!(known.iter().any(|known| words.contains(known)), "{words}");
                }
                (built, again) => panic!("{built:?} became {again:?}"),
            }
            assert_eq!(check(text.as_bytes(), DEPTH_MAX).as_deref(), Ok(&*text), "a second pass changes it");
        }
        Err(error) => {
            assert!(error.offset <= bytes.len());
            assert!(!error.to_string().is_empty());
            let too_deep = matches!(error.what, JsonFault::TooDeep { .. });
            assert!(built.is_err() || too_deep, "{error}");
        }
    }
    if let Err(error) = serde_json::from_slice::<Value>(bytes) {
        assert!(offset_of(&error, bytes) <= bytes.len());
    }
    if let Ok(text) = str::from_utf8(bytes) {
        let mut out = Vec::new();
        escape_into(text, &mut out);
        assert_eq!(serde_json::from_slice::<String>(&out).ok().as_deref(), Some(text));
        assert_eq!(check(&out, 0).map(|checked| checked.len()), Ok(out.len()));
    }
});
