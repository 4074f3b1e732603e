//! Envelopes with raw payloads, without base64: for streams and sockets that can carry bytes.
//!
//! A record is a header's length (16 bits, big-endian), the header as JSON, and the payload. A
//! message of bytes has the envelope without its `data` and `encoding` as header; any other
//! envelope is a header alone. A header of 65,535 bytes or more has that number for its length and
//! the real one in the next 32 bits.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::transport::{Bytes, Envelope};

/// In place of a length that follows in 32 bits.
const LONG: u16 = u16::MAX;

/// Appends an envelope as a record.
pub fn encode(envelope: &Envelope<'_>, out: &mut Vec<u8>) {
    match envelope.bytes {
        None => header(envelope.json, b"", out),
        Some(Bytes { head, base64 }) => {
            header(head, b"}", out);
            // Our own base64: if it were damaged, the payload would be shorter, never invented.
            let decoded = STANDARD.decode_vec(base64, out);
            debug_assert_eq!(decoded, Ok(()), "a payload that is no base64");
        }
    }
}

fn header(json: &[u8], end: &[u8], out: &mut Vec<u8>) {
    let len = json.len() + end.len();
    match u16::try_from(len) {
        Ok(short) if short != LONG => out.extend_from_slice(&short.to_be_bytes()),
        Ok(_) | Err(_) => {
            out.extend_from_slice(&LONG.to_be_bytes());
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(json);
    out.extend_from_slice(end);
}

/// Splits a record into header and payload. `None` if it is shorter than its header's length.
pub fn decode(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let (short, rest) = record.split_first_chunk()?;
    let (len, rest) = match u16::from_be_bytes(*short) {
        LONG => {
            let (long, rest) = rest.split_first_chunk()?;
            (u32::from_be_bytes(*long) as usize, rest)
        }
        short => (usize::from(short), rest),
    };
    rest.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(json: &[u8], bytes: Option<Bytes<'_>>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&Envelope { bytes, ..Envelope::plain(json) }, &mut out);
        out
    }

    #[test]
    fn bytes_go_as_they_are_behind_the_rest() {
        let bytes = Bytes { head: br#"{"id":"e-1","channel":"/c""#, base64: "AP8K" };
        let record =
            encoded(br#"{"id":"e-1","channel":"/c","encoding":"base64","data":"AP8K"}"#, Some(bytes));
        assert_eq!(record, b"\x00\x1b{\"id\":\"e-1\",\"channel\":\"/c\"}\x00\xff\n");
        assert_eq!(decode(&record), Some((&br#"{"id":"e-1","channel":"/c"}"#[..], &b"\x00\xff\n"[..])));
    }

    #[test]
    fn headers_of_every_length_read_back() {
        for len in [0, 1, 65_534, 65_535, 65_536, 100_000] {
            let json = vec![b'x'; len];
            assert_eq!(decode(&encoded(&json, None)), Some((&json[..], &b""[..])), "{len}");
        }
    }

    #[test]
    fn what_is_too_short_is_no_record() {
        let record = encoded(&vec![b'x'; 70_000], None);
        for len in [0, 1, 2, 5, 6, 69_999] {
            assert_eq!(decode(&record[..len]), None, "{len}");
        }
    }
}
