//! The forever frame: an endless page in which each message is a script element, `<script
//! data-m='…'>e()</script>`, on its own line.
//!
//! The message is the attribute's value, in which `&`, `'` and `<` are entities. A line is an
//! element, an empty object as a heartbeat, or part of the page's beginning, which is ignored.

use memchr::{memchr, memchr_iter, memmem};

use super::Piece;

const OPEN: &[u8] = b"<script data-m='";
const CLOSE: &[u8] = b"'>e()</script>";
/// The envelope of a heartbeat.
const SILENCE: &[u8] = b"{}";

/// Decodes entities as HTML does; `room` is for values that differ from their bytes.
const ENTITIES: [(&[u8], u8); 3] = [(b"&amp;", b'&'), (b"&#39;", b'\''), (b"&lt;", b'<')];

pub(super) fn pieces(bytes: &[u8], room: &mut Vec<u8>, each: &mut impl FnMut(Piece<'_>)) -> usize {
    let mut start = 0;
    for newline in memchr_iter(b'\n', bytes) {
        if let Some(data) = payload_of(bytes[start..newline].trim_ascii(), room) {
            each(Piece { id: &[], data });
        }
        start = newline + 1;
    }
    start
}

fn payload_of<'a>(line: &'a [u8], room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let value = line[memmem::find(line, OPEN)? + OPEN.len()..].strip_suffix(CLOSE)?;
    if value == SILENCE {
        return Some(&[]);
    }
    Some(unescaped(value, room))
}

fn unescaped<'a>(mut value: &'a [u8], room: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(mut at) = memchr(b'&', value) else { return value };
    room.clear();
    loop {
        room.extend_from_slice(&value[..at]);
        value = &value[at..];
        let known = ENTITIES.iter().find(|(entity, _)| value.starts_with(entity));
        let (len, byte) = known.map_or((1, b'&'), |(entity, byte)| (entity.len(), *byte));
        room.push(byte);
        value = &value[len..];
        match memchr(b'&', value) {
            Some(next) => at = next,
            None => break,
        }
    }
    room.extend_from_slice(value);
    room
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(page: &str) -> Vec<String> {
        let (mut all, mut room) = (Vec::new(), Vec::new());
        pieces(page.as_bytes(), &mut room, &mut |piece| {
            all.push(String::from_utf8(piece.data.to_vec()).unwrap());
        });
        all
    }

    #[test]
    fn a_value_is_read_as_html_reads_it() {
        let page = "<script data-m='{\"a\":\"&lt;/script> &amp;amp; &#39;&#39;\"}'>e()</script>\n";
        assert_eq!(data(page), ["{\"a\":\"</script> &amp; ''\"}"]);
        assert_eq!(data("<script data-m='x&y&amp;'>e()</script>\n"), ["x&y&"]);
    }

    #[test]
    fn only_whole_elements_say_something() {
        let page = "<!doctype html><script nonce=x>function e(){}</script>\n    \n<!-- -->\n<script data-m='{}'>e()</script>\n\
                    <script data-m='1'>f()</script>\n<script data-m='2'>e()</script>\n<script data-m='3'>e()</scr";
        assert_eq!(data(page), ["", "2"]);
    }
}
