//! The RFC's own examples, messages of every kind there and back, bombs and rubble.

use proptest::prelude::*;

use super::*;

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Deflater::new().message(bytes, &mut out);
    out
}

fn inflated(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    Inflater::new().message(bytes, &[], bytes_max, &mut out).map(|()| out)
}

#[test]
fn the_examples_of_the_rfc_read_hello() {
    // RFC 7692 7.2.3.1, .3, .4 and .5.
    let compressed: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let stored: &[u8] = &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    let with_final_block: &[u8] = &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two_blocks: &[u8] = &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    for message in [compressed, stored, with_final_block, two_blocks] {
        assert_eq!(inflated(message, 5), Ok(b"Hello".to_vec()), "{message:x?}");
    }
    assert_eq!(deflated(b"Hello"), compressed);
}

#[test]
fn a_message_that_refers_to_the_one_before_is_corrupt_without_it() {
    // RFC 7692 7.2.3.2: "Hello" again, by reference to the first.
    let mut inflater = Inflater::new();
    let mut out = Vec::new();
    assert_eq!(inflater.message(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], &[], 5, &mut out), Ok(()));
    assert_eq!(
        inflater.message(&[0xf2, 0x00, 0x11, 0x00, 0x00], &[], 5, &mut out),
        Err(InflateError::Corrupt),
        "what was agreed on is no context take-over"
    );
    assert_eq!(out, b"Hello", "a failure takes nothing away and adds nothing");
    let leaning = [0xf2, 0x00, 0x11, 0x00, 0x00];
    assert_eq!(inflater.message(&leaning, b"Hello", 5, &mut out), Ok(()), "what it leans on is given");
    assert_eq!(out, b"HelloHello");
    assert_eq!(inflater.message(&leaning, b"Hel", 5, &mut out), Err(InflateError::Corrupt), "too little");
}

#[test]
fn nothing_is_one_zero() {
    // RFC 7692 7.2.3.6.
    assert_eq!(deflated(b""), [0]);
    assert_eq!(inflated(&[0], 0), Ok(Vec::new()));
    assert_eq!(inflated(&[], 0), Ok(Vec::new()), "as some senders have it");
}

#[test]
fn one_deflater_and_one_inflater_serve_many_messages() {
    let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
    let message = br#"{"id":"k3f9-42","channel":"/chat/room1","data":{"text":"hi"}}"#;
    let first = deflated(message);
    for _ in 0..3 {
        let mut wire = b"head".to_vec();
        deflater.message(message, &mut wire);
        assert_eq!(wire.strip_prefix(b"head"), Some(&*first), "the same bytes whatever went before");
        let mut out = Vec::new();
        assert_eq!(
            inflater.message(&first[..first.len() / 2], &[], 100, &mut out),
            Err(InflateError::Corrupt)
        );
        assert_eq!(inflater.message(&first, &[], 100, &mut out), Ok(()));
        assert_eq!(out, message);
    }
}

#[test]
fn the_bound_is_exact() {
    for len in [1, 100, 1000, 70_000] {
        let message = vec![b'a'; len];
        let wire = deflated(&message);
        assert_eq!(inflated(&wire, len), Ok(message));
        assert_eq!(inflated(&wire, len - 1), Err(InflateError::TooLarge));
        assert_eq!(inflated(&wire, 0), Err(InflateError::TooLarge));
    }
}

#[test]
fn a_bomb_stops_at_the_bound() {
    let bomb = deflated(&vec![0; 8 << 20]);
    assert!(bomb.len() < 128 << 10, "{}", bomb.len());
    let mut out = Vec::new();
    assert_eq!(Inflater::new().message(&bomb, &[], 4096, &mut out), Err(InflateError::TooLarge));
    assert!(out.is_empty());
    assert!(out.capacity() <= 4097, "{} bytes were made room for", out.capacity());
}

#[test]
fn a_message_cut_short_is_corrupt() {
    let text: Vec<u8> = (0..400_u32).flat_map(|n| n.to_string().into_bytes()).collect();
    let wire = deflated(&text);
    for cut in 1..wire.len() {
        assert_eq!(inflated(&wire[..cut], 1 << 20), Err(InflateError::Corrupt), "cut at {cut}");
    }
    assert_eq!(inflated(&wire, 1 << 20), Ok(text));
}

#[test]
fn final_blocks_may_follow_each_other() {
    // Empty final blocks (`03 00`), each of which ends a stream, then the end of a message.
    let many = [[3, 0].repeat(10_000), vec![0]].concat();
    assert_eq!(inflated(&many, 0), Ok(Vec::new()));
    let twice = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00].repeat(2);
    assert_eq!(inflated(&[twice, vec![0]].concat(), 10), Ok(b"HelloHello".to_vec()));
}

#[test]
fn what_cannot_be_compressed_grows_little() {
    // A generator's bytes (Knuth's constants) have no order that deflate could see.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(100_000)
    .collect();
    for len in [1, 50, 1000, noise.len()] {
        let wire = deflated(&noise[..len]);
        assert!(wire.len() <= len + len / 8 + 64, "{len} became {}", wire.len());
        assert_eq!(inflated(&wire, len).as_deref(), Ok(&noise[..len]));
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(message in proptest::collection::vec(any::<u8>(), 0..5000), repeat in 1_usize..40) {
        let message = message.repeat(repeat);
        prop_assert_eq!(inflated(&deflated(&message), message.len()), Ok(message));
    }

    #[test]
    fn garbage_is_refused_or_bounded(wire in proptest::collection::vec(any::<u8>(), 0..500)) {
        if let Ok(out) = inflated(&wire, 1000) {
            prop_assert!(out.len() <= 1000);
        }
    }
}
