//! Binary messages from clients and names of callbacks: an encoded record decodes the same, and no
//! name is more than a name.
#![no_main]

use encke::protocol::native::command::of_record;
use encke::transport::{is_callback, record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((header, payload)) = record::decode(bytes) {
        let prefix = bytes.len() - header.len() - payload.len();
        assert!(prefix == 2 || prefix == 6);
        assert!(bytes[prefix..].starts_with(header) && bytes.ends_with(payload));
        let _ = of_record(header, payload);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && is_callback(text)
    {
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_$.".contains(&byte)));
        assert!(!text.is_empty() && text.len() <= 64 && !text.starts_with('.') && !text.contains(".."));
    }
});
