//! The parts of a `multipart/x-mixed-replace` body: each has a head with the length of its content,
//! and delimiters around it.
//!
//! Neither the style nor the text of the delimiters matters here: outside a part, a line that
//! begins with two hyphens is a delimiter, and lengths say where parts end. Parts without a length
//! are not supported.

use memchr::{memchr, memmem};

use super::Piece;
use crate::http::{Broken, header_of};
use crate::stamp::number;

/// Encke's heartbeat, after the delimiter of the next part.
const HEARTBEAT: &[u8] = b"Encke-Heartbeat:";

pub(super) fn pieces<'a>(bytes: &'a [u8], each: &mut impl FnMut(Piece<'a>)) -> Result<usize, Broken> {
    let mut used = 0;
    while let Some(step) = step(&bytes[used..])? {
        used += match step {
            BodyItem::Line { len } => len,
            BodyItem::Heartbeat { len } => {
                each(Piece { id: &[], data: &[] });
                len
            }
            BodyItem::Part { data, len } => {
                each(Piece { id: &[], data });
                len
            }
        };
    }
    Ok(used)
}

/// The next item of a body, and its length.
enum BodyItem<'a> {
    /// A delimiter, or the empty line before one.
    Line { len: usize },
    /// A header that is sent in advance as a heartbeat.
    Heartbeat { len: usize },
    /// A part, including its head.
    Part { data: &'a [u8], len: usize },
}

/// `None` if it is incomplete.
fn step(bytes: &[u8]) -> Result<Option<BodyItem<'_>>, Broken> {
    let Some(newline) = memchr(b'\n', bytes) else { return Ok(None) };
    let line = bytes[..newline].trim_ascii();
    if line.is_empty() || line.starts_with(b"--") {
        return Ok(Some(BodyItem::Line { len: newline + 1 }));
    }
    if line.starts_with(HEARTBEAT) {
        return Ok(Some(BodyItem::Heartbeat { len: newline + 1 }));
    }
    let Some(head_len) = memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let length = header_of(&bytes[..head_len], "content-length").and_then(number);
    let length = length.and_then(|length| usize::try_from(length).ok());
    let length = length.ok_or(Broken("a part without a length"))?;
    let data = bytes[head_len..].get(..length);
    Ok(data.map(|data| BodyItem::Part { data, len: head_len + length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(body: &str) -> Result<Vec<&str>, Broken> {
        let mut all = Vec::new();
        pieces(body.as_bytes(), &mut |piece| all.push(std::str::from_utf8(piece.data).unwrap()))?;
        Ok(all)
    }

    #[test]
    fn both_styles_give_the_same_parts_whatever_they_hold() {
        let part = |data: &str| format!("Content-Type: a/b\r\ncontent-length: {}\r\n\r\n{data}", data.len());
        let (one, two) = ("x\r\n--b\r\n\r\ny", "");
        let after = format!("--b\r\n{}\r\n--b\r\n\r\n{}\r\n--b--\r\n", part(one), part(two));
        let before = format!("\r\n--b\r\n{}\r\n--b\r\n{}", part(one), part(two));
        assert_eq!((data(&after), data(&before)), (Ok(vec![one, two]), Ok(vec![one, two])));
        let waiting = format!("--b\r\nEncke-Heartbeat: 1\r\n{}\r\n--b\r\n", part(one));
        assert_eq!(data(&waiting), Ok(vec!["", one]));
    }

    #[test]
    fn a_part_without_a_length_is_refused() {
        assert!(data("--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b\r\n").is_err());
        assert!(data("--b\r\nContent-Length: -1\r\n\r\nx\r\n--b\r\n").is_err());
    }
}
