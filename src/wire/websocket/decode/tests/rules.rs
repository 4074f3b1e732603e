//! Refused frames, and their close codes.

use super::*;

/// The frames lead to this violation, which closes with this code.
fn check(frames: &[&[u8]], limits: &WebSocketLimits, expected: Violation, close_code: u16) {
    let wire = frames.concat();
    assert_eq!(violation(&wire, limits), expected, "{wire:x?}");
    assert_eq!(expected.close_code(), close_code, "{expected:?}");
}

#[test]
fn frames_without_a_mask_are_refused() {
    // RFC 6455 5.7: a server's frame.
    check(&[b"\x81\x05Hello"], &PLAIN, Violation::Unmasked, 1002);
    check(&[b"\x89\x05Hello"], &PLAIN, Violation::Unmasked, 1002);
    // Two bytes suffice: more may never arrive.
    check(&[b"\x81\x00"], &PLAIN, Violation::Unmasked, 1002);
}

#[test]
fn reserved_bits_are_refused_unless_negotiated_where_they_stand() {
    for opcode in [0, 1, 2, 8, 9, 10] {
        for rsv in [0x10, 0x20, 0x30, 0x50, 0x60, 0x70] {
            for limits in [&PLAIN, &DEFLATE] {
                check(&[&frame(0x80 | rsv | opcode, b"")], limits, Violation::ReservedBits, 1002);
            }
        }
    }
    for opcode in [1, 2] {
        check(&[&frame(0xc0 | opcode, b"")], &PLAIN, Violation::ReservedBits, 1002);
        assert_eq!(events(&frame(0xc0 | opcode, b"\0"), &DEFLATE).len(), 1);
    }
    for opcode in [0, 8, 9, 10] {
        check(&[&frame(0xc0 | opcode, b"")], &DEFLATE, Violation::ReservedBits, 1002);
    }
    // On the second frame of a message, compressed or not.
    check(&[&frame(0x41, b"\0"), &frame(0xc0, b"\0")], &DEFLATE, Violation::ReservedBits, 1002);
    check(&[&frame(0x01, b"a"), &frame(0xc0, b"\0")], &DEFLATE, Violation::ReservedBits, 1002);
}

#[test]
fn reserved_opcodes_are_refused() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        check(&[&frame(0x80 | opcode, b"")], &PLAIN, Violation::ReservedOpcode, 1002);
        check(&[&frame(opcode, b"x")], &DEFLATE, Violation::ReservedOpcode, 1002);
    }
}

#[test]
fn control_frames_are_short_and_whole() {
    for opcode in [8, 9, 10] {
        check(&[&frame(opcode, b"")], &PLAIN, Violation::ControlFragmented, 1002);
        check(&[&frame(0x80 | opcode, &[b'x'; 126])], &PLAIN, Violation::ControlTooLong, 1002);
        check(&[&frame(0x80 | opcode, &[b'x'; 300])[..2]], &PLAIN, Violation::ControlTooLong, 1002);
    }
    assert_eq!(events(&frame(0x89, &[b'x'; 125]), &PLAIN), [WebSocketEvent::Ping(vec![b'x'; 125])]);
    assert_eq!(events(&frame(0x8a, b""), &PLAIN), [WebSocketEvent::Pong(Vec::new())]);
}

#[test]
fn fragments_come_in_order() {
    let (start, more, end) = (frame(0x01, b"a"), frame(0x00, b"b"), frame(0x80, b"c"));
    check(&[&end], &PLAIN, Violation::NothingToContinue, 1002);
    check(&[&more], &PLAIN, Violation::NothingToContinue, 1002);
    check(&[&start, &end, &end], &PLAIN, Violation::NothingToContinue, 1002);
    check(&[&frame(0x81, b"a"), &more], &PLAIN, Violation::NothingToContinue, 1002);
    check(&[&start, &start], &PLAIN, Violation::MessageUnfinished, 1002);
    check(&[&start, &more, &frame(0x82, b"")], &PLAIN, Violation::MessageUnfinished, 1002);
    check(&[&frame(0x02, b""), &frame(0x81, b"")], &PLAIN, Violation::MessageUnfinished, 1002);
}

#[test]
fn a_length_has_one_spelling() {
    let not_minimal: [&[u8]; 4] = [
        b"\x81\xfe\x00\x00____",
        b"\x81\xfe\x00\x7d____",
        b"\x81\xff\0\0\0\0\0\0\0\x00____",
        b"\x81\xff\0\0\0\0\0\0\xff\xff____",
    ];
    for head in not_minimal {
        check(&[head], &PLAIN, Violation::LengthNotMinimal, 1002);
    }
    check(&[b"\x81\xff\x80\0\0\0\0\0\0\0____"], &PLAIN, Violation::LengthOverflow, 1002);
    check(&[b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff____"], &PLAIN, Violation::LengthOverflow, 1002);
}

#[test]
fn a_message_over_the_bound_is_refused_at_its_head() {
    let too_big = Violation::TooBig { bytes_max: 1000 };
    for limits in [&PLAIN, &DEFLATE] {
        let head = frame(0x82, &[0; 1001]);
        check(&[&head[..8]], limits, too_big, 1009);
        check(&[b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff____"], limits, too_big, 1009);
        check(&[&frame(0x02, &[0; 600]), &frame(0x80, &[0; 401])[..8]], limits, too_big, 1009);
        assert_eq!(events(&frame(0x82, &[7; 1000]), limits), [WebSocketEvent::Binary(vec![7; 1000])]);
        let parts = [frame(0x02, &[7; 600]), frame(0x00, &[7; 400]), frame(0x80, b"")].concat();
        assert_eq!(events(&parts, limits), [WebSocketEvent::Binary(vec![7; 1000])]);
    }
    // A message with no bytes may come whatever the bound.
    let none = WebSocketLimits { message_bytes_max: 0, compression: Compression::Off };
    assert_eq!(events(&frame(0x81, b""), &none), [text("")]);
    check(&[&frame(0x81, b"x")], &none, Violation::TooBig { bytes_max: 0 }, 1009);
}

#[test]
fn the_bound_holds_for_what_a_message_inflates_to() {
    let too_big = Violation::TooBig { bytes_max: 1000 };
    check(&[&deflated(1, &[b'a'; 1001])], &DEFLATE, too_big, 1009);
    check(&[&deflated(2, &vec![0; 4 << 20])[..8]], &DEFLATE, too_big, 1009);
    assert_eq!(events(&deflated(2, &[0; 1000]), &DEFLATE), [WebSocketEvent::Binary(vec![0; 1000])]);
}

#[test]
fn what_is_no_deflate_is_refused() {
    check(&[&frame(0xc1, b"Hello")], &DEFLATE, Violation::BadDeflate, 1007);
    check(&[&frame(0xc1, &[0xff; 40])], &DEFLATE, Violation::BadDeflate, 1007);
    check(&[&deflated(1, b"\xff")], &DEFLATE, Violation::BadUtf8, 1007);
    assert_eq!(events(&deflated(2, b"\xff"), &DEFLATE), [WebSocketEvent::Binary(vec![0xff])]);
}

#[test]
fn a_close_is_empty_or_has_a_code_that_may_be_sent() {
    assert_eq!(events(&frame(0x88, b""), &PLAIN), [WebSocketEvent::Close(None)]);
    check(&[&frame(0x88, b"\x03")], &PLAIN, Violation::CloseTruncated, 1002);
    let valid = |code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    for code in (0..=1100).chain([2000, 2999, 3000, 3999, 4000, 4999, 5000, u16::MAX]) {
        let wire = frame(0x88, &code.to_be_bytes());
        if valid(code) {
            assert_eq!(events(&wire, &PLAIN), [WebSocketEvent::Close(Some((code, String::new())))]);
        } else {
            check(&[&wire], &PLAIN, Violation::CloseCode { code }, 1002);
        }
    }
    let longest = [&1000_u16.to_be_bytes(), "é".repeat(61).as_bytes(), b"x"].concat();
    assert_eq!(
        events(&frame(0x88, &longest), &PLAIN),
        [WebSocketEvent::Close(Some((1000, "é".repeat(61) + "x")))]
    );
    check(&[&frame(0x88, b"\x03\xe8\xce\xba\xe1\xbd")], &PLAIN, Violation::BadUtf8, 1007);
}

#[test]
fn every_violation_says_so_in_a_close_frame_that_holds_it() {
    let all = [
        Violation::Unmasked,
        Violation::ReservedBits,
        Violation::ReservedOpcode,
        Violation::ControlTooLong,
        Violation::ControlFragmented,
        Violation::NothingToContinue,
        Violation::MessageUnfinished,
        Violation::LengthNotMinimal,
        Violation::LengthOverflow,
        Violation::TooBig { bytes_max: usize::MAX },
        Violation::BadUtf8,
        Violation::BadDeflate,
        Violation::CloseTruncated,
        Violation::CloseCode { code: u16::MAX },
    ];
    let mut codes: Vec<&str> = all.iter().map(|violation| violation.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all.len(), "one label a cause");
    for violation in all {
        assert!(violation.reason().len() <= 123, "{violation:?} would be cut");
        assert!([1002, 1007, 1009].contains(&violation.close_code()));
    }
}
