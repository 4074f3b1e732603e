//! The head of a client's frame (RFC 6455 5.2), and errors that do not depend on earlier frames.
//!
//! Checked in two steps: the first two bytes at once, because without a mask the rest of the head
//! may never come.

use super::frame::{CONTROL_BYTES_MAX, Compressed, FIN, LEN_16, LEN_64, Opcode, RSV, RSV1, SHORT_MAX};
use super::mask::Mask;
use super::violation::Violation;

/// A valid head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) opcode: Opcode,
    pub(super) fin: Fin,
    /// Only for [`Opcode::Text`] and [`Opcode::Binary`].
    pub(super) compressed: Compressed,
    /// Bytes of payload.
    pub(super) len: u64,
    pub(super) mask: Mask,
}

/// Whether a frame is the last of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fin {
    Last,
    More,
}

/// The bytes of a head that have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PartialHead {
    bytes: [u8; HEAD_BYTES_MAX],
    have: u8,
}

impl PartialHead {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.have == 0
    }

    /// Takes the missing bytes of the head from `input`. Returns how many, and the head once it is
    /// complete.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<(usize, Option<FrameHead>), Violation> {
        let first = self.fill(FIXED_BYTES, input);
        if usize::from(self.have) < FIXED_BYTES {
            return Ok((first, None));
        }
        let [flags, len, ..] = self.bytes;
        check_fixed(flags, len)?;
        let whole = FIXED_BYTES + long_len_bytes(len) + MASK_BYTES;
        let used = first + self.fill(whole, &input[first..]);
        if usize::from(self.have) < whole {
            return Ok((used, None));
        }
        Ok((used, Some(self.read(flags, len)?)))
    }

    /// Takes bytes until there are `until`, as far as the input goes.
    fn fill(&mut self, until: usize, input: &[u8]) -> usize {
        let have = usize::from(self.have);
        let used = until.saturating_sub(have).min(input.len());
        self.bytes[have..have + used].copy_from_slice(&input[..used]);
        self.have += used as u8;
        used
    }

    /// The whole head.
    fn read(&self, flags: u8, len: u8) -> Result<FrameHead, Violation> {
        let long = long_len_bytes(len);
        let (long, rest) = self.bytes[FIXED_BYTES..].split_at(long);
        let key = rest.first_chunk::<MASK_BYTES>().ok_or(Violation::Unmasked)?;
        let opcode = Opcode::from_bits(flags & OPCODE).ok_or(Violation::ReservedOpcode)?;
        Ok(FrameHead {
            opcode,
            fin: if flags & FIN == 0 { Fin::More } else { Fin::Last },
            compressed: if flags & RSV1 == 0 { Compressed::No } else { Compressed::Yes },
            len: full_len(len & !MASKED, long)?,
            mask: Mask::new(*key),
        })
    }
}

/// Errors in the first two bytes.
fn check_fixed(flags: u8, len: u8) -> Result<(), Violation> {
    let opcode = Opcode::from_bits(flags & OPCODE);
    let rsv = match opcode {
        Some(Opcode::Text | Opcode::Binary) => flags & RSV & !RSV1,
        Some(Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong) | None => flags & RSV,
    };
    if rsv != 0 {
        return Err(Violation::ReservedBits);
    }
    let opcode = opcode.ok_or(Violation::ReservedOpcode)?;
    if len & MASKED == 0 {
        return Err(Violation::Unmasked);
    }
    let is_control = match opcode {
        Opcode::Continuation | Opcode::Text | Opcode::Binary => false,
        Opcode::Close | Opcode::Ping | Opcode::Pong => true,
    };
    if is_control && flags & FIN == 0 {
        return Err(Violation::ControlFragmented);
    }
    if is_control && usize::from(len & !MASKED) > CONTROL_BYTES_MAX {
        return Err(Violation::ControlTooLong);
    }
    Ok(())
}

/// Bytes of length that follow the second byte.
fn long_len_bytes(len: u8) -> usize {
    match len & !MASKED {
        LEN_16 => 2,
        LEN_64 => 8,
        _ => 0,
    }
}

/// The length, which must be in its shortest form (5.2), for a second reading of it is a way past
/// others' checks.
fn full_len(short: u8, long: &[u8]) -> Result<u64, Violation> {
    let len = long.iter().fold(0, |len, &byte| len << 8 | u64::from(byte));
    match short {
        LEN_16 if len <= u64::from(SHORT_MAX) => Err(Violation::LengthNotMinimal),
        LEN_64 if len <= LEN_16_MAX => Err(Violation::LengthNotMinimal),
        LEN_64 if len > LEN_MAX => Err(Violation::LengthOverflow),
        LEN_16 | LEN_64 => Ok(len),
        _ => Ok(u64::from(short)),
    }
}

/// Longest head, in bytes: two, eight of length, four of mask.
const HEAD_BYTES_MAX: usize = FIXED_BYTES + 8 + MASK_BYTES;

/// Bytes that every head has.
const FIXED_BYTES: usize = 2;

/// Bytes of a mask.
const MASK_BYTES: usize = 4;

/// The bit of the second byte that announces a mask.
const MASKED: u8 = 0x80;

/// The bits of the first byte that are the opcode.
const OPCODE: u8 = 0x0f;

/// The longest length in two bytes.
const LEN_16_MAX: u64 = 0xffff;

/// The largest length (5.2: the most significant bit must be 0).
const LEN_MAX: u64 = u64::MAX >> 1;
