//! Frames of a server, split at every byte, and violations of the rules.

use std::io::Write;

use flate2::Compression as Level;
use flate2::write::DeflateEncoder;

use super::*;

/// A server's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut all = vec![first];
    match payload.len() {
        length @ ..126 => all.push(length as u8),
        length @ ..0x1_0000 => {
            all.push(126);
            all.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            all.push(127);
            all.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    all.extend_from_slice(payload);
    all
}

/// A message as a server compresses it: up to a flush, whose end is omitted.
fn deflated(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Level::default());
    encoder.write_all(text).unwrap();
    encoder.flush().unwrap();
    let mut bytes = encoder.get_ref().clone();
    assert!(bytes.ends_with(&[0x00, 0x00, 0xff, 0xff]));
    bytes.truncate(bytes.len() - 4);
    bytes
}

/// The decoded messages if the bytes arrive in parts of `step`.
fn decoded(compression: Compression, bytes: &[u8], step: usize) -> Result<Vec<String>, Broken> {
    let (mut frames, mut decode) = (Frames::new(compression), DecodeScratch::new(1));
    let (mut all, mut tail) = (Vec::new(), Vec::new());
    let own = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for part in bytes.chunks(step) {
        tail.extend_from_slice(part);
        let used = frames.pieces(&tail, &mut decode, &mut |item| match item {
            Item::Piece(piece) => all.push(own(piece.data)),
            Item::Ping(payload) => all.push(format!("ping {}", own(payload))),
            Item::Close(payload) => all.push(format!("bye {}", own(payload))),
        })?;
        tail.drain(..used);
    }
    assert!(tail.is_empty(), "{tail:?}");
    Ok(all)
}

#[test]
fn messages_are_the_same_wherever_their_bytes_are_torn() {
    let long = "x".repeat(70_000);
    let text = "y".repeat(300);
    let all = [
        frame(0x81, b"one"),
        frame(0x82, text.as_bytes()),
        frame(0x01, b"to"),
        frame(0x89, b"there?"),
        frame(0x00, b""),
        frame(0x80, b"rn"),
        frame(0x8a, b"unasked"),
        frame(0xc1, &deflated(text.as_bytes())),
        frame(0x41, &deflated(b"torn, too")[..3]),
        frame(0x80, &deflated(b"torn, too")[3..]),
        frame(0x81, b""),
        frame(0x88, b"\x03\xe9go"),
    ]
    .concat();
    let expected = ["one", &text, "ping there?", "torn", "", &text, "torn, too", "", "bye \x03\u{fffd}go"];
    for step in 1..=all.len() {
        assert_eq!(decoded(Compression::PerMessage, &all, step).unwrap(), expected, "{step}");
    }
    let huge = frame(0x81, long.as_bytes());
    assert_eq!(decoded(Compression::None, &huge, 1000).unwrap(), [long.as_str()]);
}

#[test]
fn messages_are_inflated_each_by_itself() {
    let same = frame(0xc1, &deflated(b"~e0.1.5~ again and again and again"));
    let twice = [same.clone(), same].concat();
    let found = decoded(Compression::PerMessage, &twice, twice.len()).unwrap();
    assert_eq!(found, ["~e0.1.5~ again and again and again"; 2]);
}

#[test]
fn what_breaks_the_framing_is_noticed() {
    let cases: [(&str, Vec<u8>); 11] = [
        ("masked", vec![0x81, 0x81, 0, 0, 0, 0, b'x']),
        ("reserved bit", frame(0xa1, b"x")),
        ("reserved opcode", frame(0x83, b"x")),
        ("control frame in parts", frame(0x09, b"x")),
        ("long control frame", frame(0x89, &[b'x'; 126])),
        ("compressed though not agreed on", frame(0xc1, &deflated(b"x"))),
        ("compressed ping", frame(0xc9, b"")),
        ("rest of nothing", frame(0x80, b"x")),
        ("message within a message", [frame(0x01, b"x"), frame(0x81, b"y")].concat()),
        ("endless frame", vec![0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("no length at all", vec![0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ];
    for (what, bytes) in cases {
        assert!(decoded(Compression::None, &bytes, bytes.len()).is_err(), "{what}");
    }
    assert!(decoded(Compression::PerMessage, &frame(0xc1, &[0xff; 20]), 22).is_err());
}

#[test]
fn a_message_that_inflates_without_end_is_refused() {
    let bomb = deflated(&vec![0; 1 << 20]);
    let mut decode = DecodeScratch::new(1);
    assert_eq!(decode.inflate(&bomb, 2 << 20).unwrap().len(), 1 << 20);
    assert!(decode.inflate(&bomb, 1 << 18).is_err());
}

#[test]
fn an_answer_is_masked_and_no_longer_than_a_control_frame_may_be() {
    let mut out = Vec::new();
    answer(ControlReply::Pong, b"hello", [1, 2, 3, 4], &mut out);
    let unmasked: Vec<u8> = out[6..].iter().zip([1, 2, 3, 4].iter().cycle()).map(|(a, b)| a ^ b).collect();
    assert_eq!((&out[..6], &unmasked[..]), (&[0x8a, 0x85, 1, 2, 3, 4][..], &b"hello"[..]));
    out.clear();
    answer(ControlReply::Close, &[0; 200], [0; 4], &mut out);
    assert_eq!((out[0], out[1], out.len()), (0x88, 0xfd, 6 + 125));
}

#[test]
fn a_clients_text_is_masked_and_has_its_length_in_the_form_that_fits() {
    for (length, head) in [
        (125, &[0x81, 0xfd][..]),
        (126, &[0x81, 0xfe, 0, 126]),
        (70_000, &[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0x11, 0x70]),
    ] {
        let (mut out, payload) = (Vec::new(), vec![b'a'; length]);
        text(&payload, [1, 2, 3, 4], &mut out);
        let (start, rest) = out.split_at(head.len());
        assert_eq!((start, &rest[..4], rest.len()), (head, &[1, 2, 3, 4][..], 4 + length));
        assert!(
            rest[4..]
                .iter()
                .zip([b'a' ^ 1, b'a' ^ 2, b'a' ^ 3, b'a' ^ 4].iter().cycle())
                .all(|(is, be)| is == be)
        );
    }
}
