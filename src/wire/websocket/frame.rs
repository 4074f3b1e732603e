//! Frames as the server sends them (RFC 6455 5.2): never masked, never fragmented.

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// A continuation of the current message.
    Continuation,
    /// A message of UTF-8 text, or its beginning.
    Text,
    /// A message of bytes, or its beginning.
    Binary,
    /// The closing handshake.
    Close,
    /// A ping.
    Ping,
    /// The answer to a ping, or an unsolicited heartbeat.
    Pong,
}

/// Whether the payload is compressed: RSV1 (RFC 7692 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compressed {
    /// It is, by [`Deflater::message`](crate::wire::deflate::Deflater::message).
    Yes,
    /// It is as it reads.
    No,
}

impl Opcode {
    /// The opcode's four bits.
    pub fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// The opcode of these four bits; `None` for the reserved ones.
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }
}

/// Appends the head of a frame that is a whole message, or a control frame, with a payload of `len`
/// bytes.
pub fn frame_head(opcode: Opcode, compressed: Compressed, len: usize, out: &mut Vec<u8>) {
    let rsv1 = match compressed {
        Compressed::Yes => RSV1,
        Compressed::No => 0,
    };
    out.push(FIN | rsv1 | opcode.bits());
    if let Ok(short) = u8::try_from(len)
        && short <= SHORT_MAX
    {
        out.push(short);
    } else if let Ok(medium) = u16::try_from(len) {
        out.push(LEN_16);
        out.extend_from_slice(&medium.to_be_bytes());
    } else {
        out.push(LEN_64);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
}

/// The payload of a close frame: the code, and as much of the reason as a control frame holds, cut
/// between characters.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let kept = &reason[..reason.floor_char_boundary(CONTROL_BYTES_MAX - 2)];
    [&code.to_be_bytes(), kept.as_bytes()].concat()
}

/// The last frame of its message.
pub(super) const FIN: u8 = 0x80;

/// The reserved bits of a frame.
pub(super) const RSV: u8 = 0x70;

/// The reserved bit for "compressed".
pub(super) const RSV1: u8 = 0x40;

/// Longest payload of a control frame, in bytes (RFC 6455 5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// The longest payload whose length fits into the second byte.
pub(super) const SHORT_MAX: u8 = 125;

/// In place of a length: two bytes of it follow.
pub(super) const LEN_16: u8 = 126;

/// In place of a length: eight bytes of it follow.
pub(super) const LEN_64: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    fn head(opcode: Opcode, compressed: Compressed, len: usize) -> Vec<u8> {
        let mut out = Vec::new();
        frame_head(opcode, compressed, len, &mut out);
        out
    }

    #[test]
    fn the_examples_of_the_rfc_come_out() {
        // RFC 6455 5.7 and RFC 7692 7.2.3.1, heads only.
        assert_eq!(head(Opcode::Text, Compressed::No, 5), [0x81, 0x05]);
        assert_eq!(head(Opcode::Ping, Compressed::No, 5), [0x89, 0x05]);
        assert_eq!(head(Opcode::Binary, Compressed::No, 256), [0x82, 0x7e, 1, 0]);
        assert_eq!(head(Opcode::Binary, Compressed::No, 65_536), [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(head(Opcode::Text, Compressed::Yes, 7), [0xc1, 0x07]);
    }

    #[test]
    fn every_length_takes_its_shortest_form() {
        assert_eq!(head(Opcode::Pong, Compressed::No, 0), [0x8a, 0]);
        assert_eq!(head(Opcode::Text, Compressed::No, 125), [0x81, 125]);
        assert_eq!(head(Opcode::Text, Compressed::No, 126), [0x81, 126, 0, 126]);
        assert_eq!(head(Opcode::Text, Compressed::No, 65_535), [0x81, 126, 0xff, 0xff]);
    }

    #[test]
    fn opcodes_read_back_and_the_reserved_ones_do_not() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|&bits| Opcode::from_bits(bits).is_some()).collect();
        assert_eq!(known, [0, 1, 2, 8, 9, 10]);
        for bits in known {
            assert_eq!(Opcode::from_bits(bits).map(Opcode::bits), Some(bits));
        }
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        assert_eq!(close_payload(1000, ""), [0x03, 0xe8]);
        assert_eq!(close_payload(1001, "bye"), b"\x03\xe9bye");
        let exact = "x".repeat(123);
        assert_eq!(close_payload(1000, &exact).len(), 125);
        assert_eq!(close_payload(1000, &"x".repeat(124)).len(), 125);
        // 122 bytes, then a character of two: it does not fit.
        let long = "x".repeat(122) + "é and more";
        let payload = close_payload(1000, &long);
        assert_eq!(&payload[2..], "x".repeat(122).as_bytes());
    }
}
