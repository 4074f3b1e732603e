//! The resume token: a message's place in its shard's order, written `{epoch}-{n}`.

use super::limits::POSITION_DIGITS_MAX;
use std::fmt;
use std::str::FromStr;

use super::base32;

/// Names one run of one shard: 40 random bits, written as 8 letters and digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

/// A message's place: the `n`-th that its shard received during `epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The run of the shard.
    pub epoch: Epoch,
    /// Rises by one for each message that the shard receives; 0 is before the first.
    pub n: u64,
}

/// Text that is not a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPosition;

/// Digits of an epoch, five bits each.
const EPOCH_LEN: usize = 8;

impl Epoch {
    /// The epoch made of the low 40 bits of `random`.
    pub const fn new(random: u64) -> Self {
        Self(random & 0xff_ffff_ffff)
    }

    fn digits(self) -> [u8; EPOCH_LEN] {
        let [_, _, _, low @ ..] = self.0.to_be_bytes();
        base32::digits(low)
    }
}

impl Position {
    /// Appends what [`fmt::Display`] writes, without the formatter: each message needs it twice.
    pub fn write_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch.digits());
        out.push(b'-');
        out.extend_from_slice(itoa::Buffer::new().format(self.n).as_bytes());
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.epoch.fmt(f)?;
        f.write_str("-")?;
        f.write_str(itoa::Buffer::new().format(self.n))
    }
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (epoch, n) = text.split_once('-').ok_or(NotAPosition)?;
        if n.is_empty() || n.len() > POSITION_DIGITS_MAX || !n.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotAPosition);
        }
        let bytes: [u8; 5] = base32::decode(epoch).ok_or(NotAPosition)?;
        let epoch = bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        Ok(Self { epoch: Epoch(epoch), n: n.parse().map_err(|_| NotAPosition)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_position_reads_back_as_it_was_written(epoch: u64, n: u64) {
            let position = Position { epoch: Epoch::new(epoch), n };
            let mut written = Vec::new();
            position.write_to(&mut written);
            prop_assert_eq!(position.to_string().into_bytes(), written);
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Position>();
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in [
            "",
            "-",
            "k3f9-41",
            "00000000-",
            "00000000",
            "0000000i-1",
            "00000000-+1",
            "00000000-99999999999999999999",
        ] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
        }
    }
}
