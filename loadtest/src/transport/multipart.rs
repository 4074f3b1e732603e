//! The parts of a `multipart/x-mixed-replace` body: a head each, with the length of what it says,
//! and delimiters around them.
//!
//! Which of the two historical styles the delimiters have does not matter here, nor does what they
//! are called: a line that begins with two hyphens is one wherever no part goes on, and lengths say
//! where that is. Parts without a length are not understood.

use memchr::{memchr, memmem};

use super::Piece;
use crate::http::{Broken, header_of};
use crate::stamp::number;

/// Encke's, where the delimiter of the next part is out already.
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

/// What stands next in a body, and how long it is.
enum BodyItem<'a> {
    /// A delimiter, or the empty line before one.
    Line { len: usize },
    /// A header that is sent ahead, only to show that the link lives.
    Heartbeat { len: usize },
    /// A part, from its head on.
    Part { data: &'a [u8], len: usize },
}

/// `None`, if it is not whole.
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
