//! Parses JSON strings and arrays of them, with their escapes, and no other JSON.
//!
//! A parser of values would refuse a lone surrogate, and everything beside it.

use super::Strings;

/// An array of strings (RFC 8259), with white space around it; `None` if it is anything else.
pub(super) fn array(text: &str) -> Option<Strings> {
    let mut strings = Strings::default();
    let mut rest = opened(text.as_bytes(), b'[')?;
    if let Some(after) = opened(rest, b']') {
        return is_blank(after).then_some(strings);
    }
    // Decoding lengthens no string.
    strings.text.reserve(text.len());
    loop {
        rest = string(opened(rest, b'"')?, &mut strings)?;
        if let Some(after) = opened(rest, b',') {
            rest = after;
        } else {
            return is_blank(opened(rest, b']')?).then_some(strings);
        }
    }
}

/// One string, with white space around it.
pub(super) fn one(text: &str) -> Option<Strings> {
    let mut strings = Strings::default();
    let rest = string(opened(text.as_bytes(), b'"')?, &mut strings)?;
    is_blank(rest).then_some(strings)
}

/// The rest after white space and a byte.
fn opened(input: &[u8], byte: u8) -> Option<&[u8]> {
    unblanked(input).strip_prefix(&[byte])
}

fn is_blank(input: &[u8]) -> bool {
    unblanked(input).is_empty()
}

fn unblanked(mut input: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', tail @ ..] = input {
        input = tail;
    }
    input
}

/// Appends a string whose opening quote is read; returns the rest after its closing one.
fn string<'t>(mut rest: &'t [u8], strings: &mut Strings) -> Option<&'t [u8]> {
    loop {
        let end = rest.iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        // The text was UTF-8, and is cut at characters of one byte.
        strings.text.push_str(str::from_utf8(&rest[..end]).ok()?);
        let after = &rest[end + 1..];
        match rest[end] {
            b'"' => {
                strings.end_one();
                return Some(after);
            }
            b'\\' => {
                let (char, tail) = escape(after)?;
                strings.text.push(char);
                rest = tail;
            }
            // A control character must be escaped.
            _ => return None,
        }
    }
}

/// The character of an escape whose backslash is read, and the rest.
fn escape(rest: &[u8]) -> Option<(char, &[u8])> {
    let (kind, rest) = rest.split_first()?;
    let char = match kind {
        b'"' | b'\\' | b'/' => char::from(*kind),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(rest),
        _ => return None,
    };
    Some((char, rest))
}

/// The character of one or two escapes by number. Half a pair is U+FFFD.
fn unicode(rest: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = unit(rest)?;
    if let Some(char) = char::from_u32(first.into()) {
        return Some((char, rest));
    }
    // The second half may follow, or another character, which is decoded separately.
    let second = rest.strip_prefix(b"\\u").and_then(unit);
    if let Some((second, after)) = second
        && let Some(Ok(char)) = char::decode_utf16([first, second]).next()
    {
        return Some((char, after));
    }
    Some((char::REPLACEMENT_CHARACTER, rest))
}

fn unit(rest: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = rest.split_first_chunk::<4>()?;
    let mut unit = 0;
    for digit in digits {
        unit = unit << 4 | u16::from(hex(*digit)?);
    }
    Some((unit, rest))
}

/// The value of a hexadecimal digit.
pub(super) fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
