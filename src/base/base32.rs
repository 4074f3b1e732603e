//! Bits as letters and digits that are easy to read aloud and to type from a log: the digits, and the
//! lower-case letters without `i`, `l`, `o` and `u`.

/// The alphabet.
pub const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The value of a digit.
pub fn value(digit: u8) -> Option<u8> {
    DIGITS.iter().position(|&known| known == digit).map(|value| value as u8)
}

/// Bytes as digits, five bits each, highest first; the last digit is filled up with zeros.
pub fn encode(bytes: &[u8]) -> String {
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0);
    let digit = |i: usize| (0..5).fold(0, |sum, b| sum << 1 | usize::from(bit(i * 5 + b)));
    (0..(bytes.len() * 8).div_ceil(5)).map(|i| char::from(DIGITS[digit(i)])).collect()
}

/// The bytes that [`encode`] made into `text`; `None` for any other text.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != (N * 8).div_ceil(5) {
        return None;
    }
    for (i, digit) in text.bytes().enumerate() {
        let value = value(digit)?;
        for at in (0..5).filter(|b| value & (16 >> b) != 0).map(|b| i * 5 + b) {
            *bytes.get_mut(at / 8)? |= 0x80 >> (at % 8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_read_back_as_they_were_written(bytes: [u8; 24]) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn only_the_one_spelling_is_read() {
        assert_eq!(decode::<1>("zw"), Some([0xff]));
        for text in ["zz", "ZW", "z", "zw0", "z-"] {
            assert_eq!(decode::<1>(text), None, "{text}");
        }
    }
}
