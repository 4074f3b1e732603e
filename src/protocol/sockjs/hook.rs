//! The call by which a backend gets a page's strings, and its answer, both JSON.

use std::borrow::Cow;

use serde::Deserialize;

use super::close::SockjsClose;
use super::message::Strings;
use crate::wire::json::{self, escape_into};

/// The call: `{"event":"strings","user":…,"session":…,"strings":[…]}`.
pub fn encode(user: &str, session: &str, strings: &Strings) -> Vec<u8> {
    let mut out = b"{\"event\":\"strings\",\"user\":".to_vec();
    escape_into(user, &mut out);
    out.extend_from_slice(b",\"session\":");
    escape_into(session, &mut out);
    out.extend_from_slice(b",\"strings\":[");
    for (at, text) in strings.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        escape_into(text, &mut out);
    }
    out.extend_from_slice(b"]}");
    out
}

/// What a backend says to the strings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HookReply {
    /// Strings for the session.
    pub strings: Vec<String>,
    /// The end of the session, after them.
    pub close: Option<SockjsClose>,
}

#[derive(Default, Deserialize)]
struct SockjsHookReply {
    #[serde(default)]
    strings: Vec<String>,
    close: Option<Close>,
}

#[derive(Deserialize)]
struct Close {
    code: u16,
    #[serde(default)]
    reason: String,
}

/// The answer: `{"strings":[…],"close":{"code":3000,"reason":"…"}}`, each member optional. What is
/// no JSON object (empty, or `ok`) says nothing.
///
/// # Errors
/// The reason, if the object is not valid JSON, has other types, or a code that no client accepts.
pub fn decode(body: &[u8], depth_max: usize) -> Result<HookReply, String> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Ok(HookReply::default());
    }
    let text = json::check(body, depth_max).map_err(|error| error.to_string())?;
    let SockjsHookReply { strings, close } =
        serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let close = close.map(|Close { code, reason }| {
        // What an application may close with (RFC 6455, section 7.4.2; the WebSocket API).
        if code != 1000 && !(3000..=4999).contains(&code) {
            return Err(format!("the close code is {code}; 1000 and 3000 to 4999 are allowed"));
        }
        if reason.len() > REASON_BYTES_MAX {
            return Err(format!(
                "the close reason has {} bytes; at most {REASON_BYTES_MAX} fit",
                reason.len()
            ));
        }
        Ok(SockjsClose { code, reason: Cow::Owned(reason) })
    });
    Ok(HookReply { strings, close: close.transpose()? })
}

/// Bytes of the reason in a WebSocket's close frame (RFC 6455, section 5.5).
const REASON_BYTES_MAX: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::sockjs::message::in_body;

    #[test]
    fn a_call_names_the_user_and_the_session_of_its_strings() {
        let strings = in_body(br#"["a\"b","\u0000",""]"#).unwrap();
        assert_eq!(
            String::from_utf8(encode("al\"ice", "s1", &strings)).unwrap(),
            r#"{"event":"strings","user":"al\"ice","session":"s1","strings":["a\"b","\u0000",""]}"#
        );
    }

    #[test]
    fn an_answer_may_have_strings_and_an_end() {
        assert_eq!(decode(b"", 8), Ok(HookReply::default()));
        assert_eq!(decode(b"ok", 8), Ok(HookReply::default()));
        let both = decode(br#"{"strings":["a"],"close":{"code":3000,"reason":"Go away!"}}"#, 8).unwrap();
        assert_eq!(both.strings, ["a"]);
        assert_eq!(both.close, Some(SockjsClose::GO_AWAY));
    }

    #[test]
    fn an_answer_that_is_none_says_why() {
        let long = format!(r#"{{"close":{{"code":3000,"reason":"{}"}}}}"#, "x".repeat(124));
        for bad in [r#"{"strings":[1]}"#, r#"{"strings":"a"}"#, r#"{"close":{"code":1005}}"#, "{", &long] {
            assert!(decode(bad.as_bytes(), 8).is_err(), "{bad}");
        }
    }
}
