//! Deflate: a message is restored unchanged, its bound is exact, and garbage is refused or bounded.
#![no_main]

use encke::wire::deflate::{Deflater, InflateError, Inflater};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, u8, &[u8])| {
    const BYTES_MAX: usize = 3000;
    let (bound, repeat, bytes) = input;
    let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
    let message = bytes.repeat(usize::from(repeat).max(1));
    let mut wire = b"before".to_vec();
    deflater.message(&message, &mut wire);
    let wire = wire.strip_prefix(b"before").expect("what stood there stays");
    assert!(wire.len() <= message.len() + message.len() / 8 + 64);
    let mut again = Vec::new();
    deflater.message(&message, &mut again);
    assert_eq!(wire, again, "the message before matters");

    let mut out = b"before".to_vec();
    assert_eq!(inflater.message(wire, &[], message.len(), &mut out), Ok(()));
    assert_eq!(out.strip_prefix(b"before"), Some(&*message));
    let bound = usize::from(bound);
    let expected = if message.len() <= bound { Ok(()) } else { Err(InflateError::TooLarge) };
    assert_eq!(inflater.message(wire, &[], bound, &mut Vec::new()), expected);

    // The input itself as if it were compressed.
    let mut out = Vec::new();
    let result = inflater.message(bytes, &[], BYTES_MAX, &mut out);
    assert!(out.len() <= BYTES_MAX && out.capacity() <= BYTES_MAX + 1);
    assert!(result.is_ok() || out.is_empty());
});
