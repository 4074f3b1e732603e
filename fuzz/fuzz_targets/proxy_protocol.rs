//! PROXY headers: partial until complete, bytes after the header change nothing, and an address
//! that is encoded as version 1 parses the same.
#![no_main]

use encke::wire::proxy_protocol::{Decoded, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = decode(bytes);
    // Fed byte by byte, the first verdict that is not "partial" is the verdict.
    let fed =
        (0..=bytes.len()).map(|cut| decode(&bytes[..cut])).find(|verdict| *verdict != Ok(Decoded::Partial));
    assert_eq!(fed.unwrap_or(Ok(Decoded::Partial)), whole);
    let Ok(Decoded::Complete { source, len }) = whole else { return };
    assert!(len <= bytes.len() && len <= 4096);
    assert_eq!(decode(&bytes[..len]), whole);
    let Some(source) = source else { return };
    let family = if source.is_ipv4() { 4 } else { 6 };
    let ip = source.ip();
    let line = format!("PROXY TCP{family} {ip} {ip} {} 1\r\n", source.port());
    assert_eq!(decode(line.as_bytes()), Ok(Decoded::Complete { source: Some(source), len: line.len() }));
});
