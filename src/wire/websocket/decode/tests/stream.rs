//! Accepted input: the RFC's examples, text of every plane, streams of frames cut anywhere.

use proptest::prelude::*;

use super::*;

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 6455 5.7.
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(events(&masked, &PLAIN), [text("Hello")]);
    let pong = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(events(&pong, &PLAIN), [WebSocketEvent::Pong(b"Hello".to_vec())]);
    let parts = [frame(0x01, b"Hel"), frame(0x80, b"lo")].concat();
    assert_eq!(events(&parts, &PLAIN), [text("Hello")]);
    assert_eq!(events(&frame(0x82, &[9; 256]), &PLAIN), [WebSocketEvent::Binary(vec![9; 256])]);
    // RFC 7692 7.2.3.1: in one frame, and in two.
    let whole = frame(0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    assert_eq!(events(&whole, &DEFLATE), [text("Hello")]);
    let parts = [frame(0x41, &[0xf2, 0x48, 0xcd]), frame(0x80, &[0xc9, 0xc9, 0x07, 0x00])].concat();
    assert_eq!(events(&parts, &DEFLATE), [text("Hello")]);
    let plain = [whole, frame(0x81, b"plain")].concat();
    assert_eq!(events(&plain, &DEFLATE), [text("Hello"), text("plain")]);
}

#[test]
fn a_long_frame_is_read() {
    let limits = WebSocketLimits { message_bytes_max: 1 << 20, compression: Compression::Off };
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(70_000).collect();
    let wire = frame(0x82, &payload);
    for step in [1, 4093, wire.len()] {
        assert_eq!(fed(wire.chunks(step), &limits), (vec![WebSocketEvent::Binary(payload.clone())], None));
    }
}

#[test]
fn control_frames_may_stand_between_fragments() {
    let wire = [
        frame(0x01, b"frag"),
        frame(0x89, b"1"),
        frame(0x00, b""),
        frame(0x8a, b""),
        frame(0x80, b"ment"),
        frame(0x88, b"\x03\xe8bye"),
    ];
    let expected = [
        WebSocketEvent::Ping(b"1".to_vec()),
        WebSocketEvent::Pong(Vec::new()),
        text("fragment"),
        WebSocketEvent::Close(Some((1000, "bye".to_owned()))),
    ];
    assert_eq!(events(&wire.concat(), &PLAIN), expected);
}

#[test]
fn text_of_every_plane_comes_whole_through_every_cut() {
    let planes: String = (0..17_u32)
        .flat_map(|plane| [plane << 16, (plane << 16) + 0x2028, (plane << 16) + 0xfffd])
        .filter_map(char::from_u32)
        .chain("\0\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}κόσμε".chars())
        .collect();
    assert_eq!(events(&frame(0x81, planes.as_bytes()), &PLAIN), [text(&planes)]);
    // Cut into two frames at each byte, within characters too.
    for cut in 0..=planes.len() {
        let (left, right) = planes.as_bytes().split_at(cut);
        let wire = [frame(0x01, left), frame(0x80, right)].concat();
        assert_eq!(fed(wire.chunks(1), &PLAIN), (vec![text(&planes)], None), "cut at {cut}");
    }
    assert_eq!(events(&deflated(1, planes.as_bytes()), &DEFLATE), [text(&planes)]);
}

/// Byte strings that are not UTF-8, each with the number of bytes after which that is certain.
const NOT_UTF8: [(&[u8], usize); 14] = [
    (b"\x80", 1),
    (b"\xc0\xaf", 1),
    (b"\xc1\xbf", 1),
    (b"\xe0\x80\xaf", 2),
    (b"\xed\xa0\x80", 2),
    (b"\xed\xbf\xbf", 2),
    (b"\xf0\x80\x80\xaf", 2),
    (b"\xf4\x90\x80\x80", 2),
    (b"\xf5\x80\x80\x80", 1),
    (b"\xfe", 1),
    (b"\xff", 1),
    (b"\xc3x", 2),
    (b"\xe2\x82x", 3),
    (b"\xf0\x9f\x98x", 4),
];

#[test]
fn text_that_is_not_utf_8_fails_at_the_byte_that_makes_it_so() {
    for (bad, at) in NOT_UTF8 {
        let payload = ["κόσμε".as_bytes(), bad, b"and much more"].concat();
        let certain = "κόσμε".len() + at;
        let whole = frame(0x81, &payload);
        assert_eq!(violation(&whole, &PLAIN), Violation::BadUtf8, "{bad:x?}");
        let head = whole.len() - payload.len();
        let early = whole[..head + certain].chunks(1);
        assert_eq!(fed(early, &PLAIN), (Vec::new(), Some(Violation::BadUtf8)), "{bad:x?}: within a frame");
        let before = whole[..head + certain - 1].chunks(1);
        assert_eq!(fed(before, &PLAIN), (Vec::new(), None), "{bad:x?}: not certain yet");
        for cut in 0..certain {
            let (left, right) = payload[..certain].split_at(cut);
            let wire = [frame(0x01, left), frame(0x00, right)].concat();
            assert_eq!(violation(&wire, &PLAIN), Violation::BadUtf8, "{bad:x?}: in two frames, cut at {cut}");
        }
    }
}

#[test]
fn text_that_ends_within_a_character_fails() {
    for cut in 1..4 {
        let piece = &"😀".as_bytes()[..cut];
        assert_eq!(violation(&frame(0x81, piece), &PLAIN), Violation::BadUtf8);
        let parts = [frame(0x01, piece), frame(0x80, b"")].concat();
        assert_eq!(violation(&parts, &PLAIN), Violation::BadUtf8);
        let unfinished = frame(0x01, piece);
        assert_eq!(events(&unfinished, &PLAIN), [], "more may come");
    }
}

#[test]
fn room_grows_with_what_came_and_not_with_what_was_announced() {
    // No power of two times the pieces' length: doubling would go over it.
    const BOUND: usize = 700_000;
    let limits = WebSocketLimits { message_bytes_max: BOUND, compression: Compression::Off };
    let wire = frame(0x82, &vec![0; BOUND]);
    let (mut decoder, mut inflater) = (Decoder::default(), Inflater::new());
    let mut taken = 0;
    for piece in wire.chunks(1000).take(BOUND / 1000) {
        assert_eq!(decoder.decode(piece, &limits, &mut inflater), Ok((piece.len(), None)));
        taken += piece.len();
        assert!(decoder.heap_bytes() <= 2 * taken && decoder.heap_bytes() <= BOUND);
    }
}

/// Frames as a client could send them, mostly by the rules.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let flags = prop_oneof![
        8 => proptest::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88, 0xc1, 0x41]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        Just(Vec::new()),
        any::<String>().prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..300),
        ".{0,40}".prop_map(|text| [&1000_u16.to_be_bytes(), text.as_bytes()].concat()),
        any::<String>().prop_map(|text| {
            let mut out = Vec::new();
            Deflater::new().message(text.as_bytes(), &mut out);
            out
        }),
    ];
    (flags, payload).prop_map(|(flags, payload)| frame(flags, &payload))
}

proptest! {
    #[test]
    fn cutting_the_stream_changes_no_event_and_no_verdict(
        frames in proptest::collection::vec(any_frame(), 1..6),
        steps in proptest::collection::vec(1_usize..50, 1..20),
    ) {
        let wire = frames.concat();
        for limits in [&PLAIN, &DEFLATE] {
            let whole = outcome(&wire, limits);
            let mut pieces = Vec::new();
            let mut rest = &*wire;
            for step in steps.iter().cycle() {
                let (piece, after) = rest.split_at((*step).min(rest.len()));
                pieces.push(piece);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(fed(pieces, limits), whole);
        }
    }

    #[test]
    fn a_message_in_any_fragments_reads_as_it_was(
        message in any::<String>(),
        step in 1_usize..20,
        ping in proptest::collection::vec(any::<u8>(), 0..125),
    ) {
        let mut wire = frame(0x01, b"");
        for piece in message.as_bytes().chunks(step) {
            wire.extend(frame(0x00, piece));
            wire.extend(frame(0x89, &ping));
        }
        wire.extend(frame(0x80, b""));
        let limits = WebSocketLimits { message_bytes_max: message.len(), compression: Compression::Off };
        let (mut events, violation) = fed([&*wire], &limits);
        prop_assert_eq!(violation, None);
        prop_assert_eq!(events.pop(), Some(text(&message)));
        prop_assert!(events.iter().all(|event| *event == WebSocketEvent::Ping(ping.clone())));
    }
}

#[test]
fn pieces_of_a_binary_message_come_at_once_and_have_no_bound() {
    let limits = WebSocketLimits { message_bytes_max: 10, compression: Compression::Off };
    let payload: Vec<u8> = (0..=255).collect();
    let wire = [frame(0x82, &payload), frame(0x89, b"hi"), frame(0x02, b"ab"), frame(0x80, b"c")].concat();
    for cut in 1..wire.len() {
        let (mut decoder, mut inflater) = (Decoder::default(), Inflater::default());
        let (mut bytes, mut others) = (Vec::new(), Vec::new());
        for mut part in [&wire[..cut], &wire[cut..]] {
            while !part.is_empty() {
                let (used, event) = decoder.decode_pieces(part, &limits, &mut inflater).unwrap();
                part = &part[used..];
                match event {
                    Some(WebSocketEvent::Binary(piece)) => bytes.extend(piece),
                    other => others.extend(other),
                }
            }
            assert!(decoder.unfinished_bytes() < 16, "cut at {cut}");
        }
        assert_eq!(
            (bytes, others),
            ([&payload[..], b"abc"].concat(), vec![WebSocketEvent::Ping(b"hi".to_vec())])
        );
    }
    // Text is one message, as long as the bound however it comes.
    let (mut decoder, mut inflater) = (Decoder::default(), Inflater::default());
    let mut texts = Vec::new();
    for byte in frame(0x81, b"0123456789") {
        texts.extend(decoder.decode_pieces(&[byte], &limits, &mut inflater).unwrap().1);
    }
    assert_eq!(texts, [text("0123456789")]);
    let mut decoder = Decoder::default();
    let long = frame(0x81, &[b'x'; 11]);
    let decoded = decoder.decode_pieces(&long, &limits, &mut Inflater::default());
    assert_eq!(decoded, Err(Violation::TooBig { bytes_max: 10 }));
}
