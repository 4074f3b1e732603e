//! Percent-encoding and query strings: decoded text encodes to text that decodes to the same,
//! encoded text consists of safe characters only, and bounds hold.
#![no_main]

use encke::wire::percent::{decode_segment, encode_segment, encode_segment_into, form, query};
use libfuzzer_sys::fuzz_target;

const PAIRS_MAX: usize = 16;

fuzz_target!(|bytes: &[u8]| {
    let pairs: Vec<_> = form(bytes, PAIRS_MAX).collect();
    assert!(pairs.len() <= PAIRS_MAX + 1);
    assert!(pairs.iter().rev().skip(1).all(Result::is_ok), "nothing follows an error");
    if pairs.iter().all(Result::is_ok) {
        let mut encoded = String::new();
        for (key, value) in pairs.iter().flatten() {
            encode_segment_into(key, &mut encoded);
            encoded.push('=');
            encode_segment_into(value, &mut encoded);
            encoded.push('&');
        }
        assert!(query(&encoded, PAIRS_MAX).eq(pairs), "{encoded}");
    }

    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(decoded) = decode_segment(text) {
        assert!(!decoded.contains('\0'));
        assert_eq!(decode_segment(&encode_segment(&decoded)).as_deref(), Ok(&*decoded));
    }
    let encoded = encode_segment(text);
    assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
    match decode_segment(&encoded) {
        Ok(decoded) => assert_eq!(decoded, text),
        Err(error) => assert!(text.contains('\0'), "{error}"),
    }
});
