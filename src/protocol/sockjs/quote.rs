//! Strings in frames: JSON strings, with more escapes than JSON requires.
//!
//! Layers before the client may change some characters, or end a line at them. The protocol defines
//! which characters are escaped, and how: `\u` with four lower-case digits.

/// Appends a text as a string of a frame, with its quotes: JSON's own escapes; and as `\uXXXX`
/// U+200C-200F, U+2028-202F, U+2060-206F, U+FFF0-FFFF, and two for each character beyond U+FFFF.
/// All others are unchanged.
pub fn quote_into(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut from = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let len = match MAY_BE_ESCAPED[usize::from(byte)] {
            Suspect::No => 1,
            Suspect::Ascii => {
                out.extend_from_slice(&bytes[from..at]);
                escape_ascii(byte, out);
                from = at + 1;
                1
            }
            Suspect::Wide => {
                // Such a byte begins a character.
                let Some(char) = text[at..].chars().next() else { break };
                if is_escaped(char) {
                    out.extend_from_slice(&bytes[from..at]);
                    let mut units = [0; 2];
                    char.encode_utf16(&mut units).iter().for_each(|unit| escape_unit(*unit, out));
                    from = at + char.len_utf8();
                }
                char.len_utf8()
            }
        };
        at += len;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

fn is_escaped(char: char) -> bool {
    matches!(char, '\u{200c}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}' | '\u{fff0}'..)
}

fn escape_ascii(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => return escape_unit(byte.into(), out),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn escape_unit(unit: u16, out: &mut Vec<u8>) {
    let digit = |shift: u16| HEX[usize::from(unit >> shift & 15)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// What a byte may be the beginning of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Suspect {
    /// No escaped character.
    No,
    /// An escaped character of one byte.
    Ascii,
    /// A longer character that may be escaped.
    Wide,
}

/// One look-up decides for nearly all bytes: most texts need no escape.
const MAY_BE_ESCAPED: [Suspect; 256] = {
    let mut table = [Suspect::No; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            0..0x20 | b'"' | b'\\' => Suspect::Ascii,
            // U+2000-2FFF, U+F000-FFFF, and all of four bytes.
            0xe2 | 0xef | 0xf0..=0xf4 => Suspect::Wide,
            _ => Suspect::No,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        quote_into(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The first and the last of each range below the second plane.
    const SET: [(u32, u32); 4] = [(0x200c, 0x200f), (0x2028, 0x202f), (0x2060, 0x206f), (0xfff0, 0xffff)];

    #[test]
    fn the_set_of_the_protocol_is_escaped_in_lower_case_and_its_neighbours_are_not() {
        for code in 0xff..0x1_0000 {
            let Some(char) = char::from_u32(code) else { continue };
            let wanted = if SET.iter().any(|(first, last)| (*first..=*last).contains(&code)) {
                format!("\"\\u{code:04x}\"")
            } else {
                format!("\"{char}\"")
            };
            assert_eq!(quoted(&char.to_string()), wanted, "U+{code:04X}");
        }
    }

    #[test]
    fn json_is_escaped_as_json_is_and_the_rest_of_ascii_is_not() {
        assert_eq!(
            quoted("a\"\\\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}\u{9f}/<"),
            "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}\u{9f}/<\""
        );
    }

    #[test]
    fn a_character_beyond_the_first_plane_leaves_as_two_escapes() {
        assert_eq!(quoted("x\u{1f600}y"), r#""x\ud83d\ude00y""#);
        assert_eq!(quoted("\u{10ffff}"), r#""\udbff\udfff""#);
    }

    proptest! {
        #[test]
        fn a_quoted_text_reads_back(text: String) {
            prop_assert_eq!(serde_json::from_str::<String>(&quoted(&text)).unwrap(), text);
        }
    }
}
