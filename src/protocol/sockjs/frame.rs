//! Frames, from the server to a client: text, the same on every transport.
//!
//! `o` opens a session, once and first; `h` is a heartbeat; `a[…]` holds strings;
//! `c[code,"reason"]` ends the session. `carrier` has the bytes that a transport adds.

use std::borrow::Cow;

use super::close::SockjsClose;
use super::quote::quote_into;

/// The first frame of a session.
pub const OPEN: &[u8] = b"o";

/// A heartbeat.
pub const HEARTBEAT: &[u8] = b"h";

/// The beginning of a frame with strings; each is [quoted](quote_into), with [`BETWEEN`] between
/// two of them, and [`MESSAGES_END`] after the last.
pub const MESSAGES_BEGIN: &[u8] = b"a[";

/// Between two strings of a frame.
pub const BETWEEN: &[u8] = b",";

/// The end of a frame with strings.
pub const MESSAGES_END: &[u8] = b"]";

/// Appends a frame with strings.
pub fn messages<'a>(texts: impl IntoIterator<Item = &'a str>, out: &mut Vec<u8>) {
    out.extend_from_slice(MESSAGES_BEGIN);
    let mut between: &[u8] = b"";
    for text in texts {
        out.extend_from_slice(std::mem::replace(&mut between, BETWEEN));
        quote_into(text, out);
    }
    out.extend_from_slice(MESSAGES_END);
}

/// Appends a close frame.
pub fn close(close: &SockjsClose, out: &mut Vec<u8>) {
    out.extend_from_slice(b"c[");
    out.extend_from_slice(itoa::Buffer::new().format(close.code).as_bytes());
    out.extend_from_slice(BETWEEN);
    quote_into(&close.reason, out);
    out.extend_from_slice(MESSAGES_END);
}

/// A frame, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SockjsFrame {
    /// `o`.
    Open,
    /// `h`.
    Heartbeat,
    /// `a[…]`, or `m"…"`, which clients accept and servers do not send.
    Messages(Vec<String>),
    /// `c[…]`.
    Close(SockjsClose),
}

impl SockjsFrame {
    /// Decodes a frame; `None` if the text is none.
    pub fn decode(text: &str) -> Option<Self> {
        let kind = text.chars().next()?;
        let rest = &text[kind.len_utf8()..];
        match (kind, rest) {
            ('o', "") => Some(Self::Open),
            ('h', "") => Some(Self::Heartbeat),
            ('a', texts) => serde_json::from_str(texts).ok().map(Self::Messages),
            ('m', text) => serde_json::from_str(text).ok().map(|text| Self::Messages(vec![text])),
            ('c', why) => {
                let (code, reason): (u16, String) = serde_json::from_str(why).ok()?;
                Some(Self::Close(SockjsClose { code, reason: Cow::Owned(reason) }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Whether no reader could end a line within it.
    fn is_one_line(frame: &str) -> bool {
        !frame.contains(['\r', '\n', '\0', '\u{2028}', '\u{2029}'])
    }

    #[test]
    fn strings_of_one_frame_stand_in_order_without_blanks() {
        assert_eq!(text(|out| messages(["m0", "m\"1"], out)), r#"a["m0","m\"1"]"#);
        assert_eq!(text(|out| messages([], out)), "a[]");
    }

    #[test]
    fn a_close_frame_has_no_blank_after_its_comma() {
        assert_eq!(text(|out| close(&SockjsClose::GO_AWAY, out)), r#"c[3000,"Go away!"]"#);
        assert_eq!(
            text(|out| close(&SockjsClose::STILL_OPEN, out)),
            r#"c[2010,"Another connection still open"]"#
        );
        assert_eq!(text(|out| close(&SockjsClose::INTERRUPTED, out)), r#"c[1002,"Connection interrupted"]"#);
    }

    #[test]
    fn frames_are_told_apart_and_what_is_none_is_none() {
        assert_eq!(SockjsFrame::decode("o"), Some(SockjsFrame::Open));
        assert_eq!(SockjsFrame::decode("h"), Some(SockjsFrame::Heartbeat));
        assert_eq!(SockjsFrame::decode(r#"m"x""#), Some(SockjsFrame::Messages(vec!["x".into()])));
        for none in ["", "oo", "a", "a[1]", "a[\"x\"", "m[]", "c[]", "c[1000]", "x", "\u{e9}"] {
            assert_eq!(SockjsFrame::decode(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn frames_read_back_and_hold_no_line_end(texts: Vec<String>, code: u16, reason: String) {
            let frame = text(|out| messages(texts.iter().map(String::as_str), out));
            prop_assert!(is_one_line(&frame), "{}", frame);
            prop_assert_eq!(SockjsFrame::decode(&frame), Some(SockjsFrame::Messages(texts)));
            let why = SockjsClose { code, reason: Cow::Owned(reason) };
            let frame = text(|out| close(&why, out));
            prop_assert!(is_one_line(&frame), "{}", frame);
            prop_assert_eq!(SockjsFrame::decode(&frame), Some(SockjsFrame::Close(why)));
        }
    }
}
