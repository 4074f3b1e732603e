//! Bits as letters and digits that are easy to read aloud and to type from a log: the digits, and the
//! lower-case letters without `i`, `l`, `o` and `u`.

/// The alphabet.
pub const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The value of a digit.
pub fn value(digit: u8) -> Option<u8> {
    let value = VALUES[digit as usize];
    (value < 32).then_some(value)
}

/// The value of each digit; `NO_DIGIT` for all other bytes.
const VALUES: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0_u8;
    while value < 32 {
        table[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    table
};

const NO_DIGIT: u8 = 0xff;

/// Bytes as digits, five bits each, highest first; the last digit is filled up with zeros.
pub fn encode(bytes: &[u8], out: &mut String) {
    for some in bytes.chunks(8 * GROUP) {
        let mut digits = [0; 8 * GROUP_DIGITS];
        for (group, digits) in some.chunks(GROUP).zip(digits.chunks_mut(GROUP_DIGITS)) {
            let bits = group.iter().fold(0, |bits: u64, &byte| bits << 8 | u64::from(byte));
            let bits = bits << (8 * (GROUP - group.len()));
            for (i, digit) in digits.iter_mut().enumerate() {
                *digit = DIGITS[(bits >> (35 - 5 * i)) as usize & 31];
            }
        }
        let digits = &digits[..(some.len() * 8).div_ceil(5)];
        // Digits are ASCII. Checked once for many, which costs less than to push one after the other.
        out.push_str(std::str::from_utf8(digits).unwrap_or_default());
    }
}

/// Bytes that fill whole digits.
const GROUP: usize = 5;

/// The digits of that many bytes.
const GROUP_DIGITS: usize = 8;

/// The bytes that [`encode`] made into `text`; `None` for any other text.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 8).div_ceil(5) {
        return None;
    }
    let mut bytes = [0; N];
    let mut places = bytes.iter_mut();
    let (mut bits, mut count) = (0_u16, 0);
    for digit in text.bytes() {
        bits = bits << 5 | u16::from(value(digit)?);
        count += 5;
        if count >= 8 {
            count -= 8;
            *places.next()? = (bits >> count) as u8;
        }
    }
    // What fills the last digit up says nothing, so there is one spelling only if it is zero.
    (bits & ((1 << count) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_last_digit_is_filled_up(bytes: [u8; 7]) {
            let mut text = String::new();
            encode(&bytes, &mut text);
            prop_assert_eq!((text.len(), decode(&text)), (12, Some(bytes)));
        }

        #[test]
        fn bytes_read_back_as_they_were_written(bytes: [u8; 24]) {
            let mut text = String::new();
            encode(&bytes, &mut text);
            prop_assert_eq!(decode(&text), Some(bytes));
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
