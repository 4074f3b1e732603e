//! Bits as letters and digits that are easy to read aloud and to type: the digits, and the
//! lower-case letters without `i`, `l`, `o` and `u`. Five bits each, highest first; the last digit
//! is padded with zeros, so bytes have only one encoding.

use data_encoding::Encoding;
use data_encoding_macro::new_encoding;

/// The alphabet: digits and lower-case letters without `i`, `l`, `o` and `u`.
const BASE32: Encoding = new_encoding! { symbols: "0123456789abcdefghjkmnpqrstvwxyz", };

/// Appends the digits of `bytes`.
pub fn encode(bytes: &[u8], out: &mut String) {
    BASE32.encode_append(bytes, out);
}

/// The digits of five bytes, without an allocation.
pub fn digits(bytes: [u8; 5]) -> [u8; 8] {
    let mut digits = [0; 8];
    BASE32.encode_mut(&bytes, &mut digits);
    digits
}

/// The bytes that [`encode`] made into `text`; `None` for any other text.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != BASE32.encode_len(N) {
        return None;
    }
    let mut bytes = [0; N];
    BASE32.decode_mut(text.as_bytes(), &mut bytes).ok()?;
    Some(bytes)
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

        #[test]
        fn five_bytes_are_eight_digits(bytes: [u8; 5]) {
            let mut text = String::new();
            encode(&bytes, &mut text);
            prop_assert_eq!(text.as_bytes(), digits(bytes));
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
