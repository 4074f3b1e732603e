//! Callback polling: the long poll as a script that calls a function of the page, for pages without
//! an alternative.
//!
//! The body begins with `/**/`, so that its first bytes are never a client's, and holds no
//! character that could end a script or that older engines forbid in one. A script element sees no
//! status but 200, so refusals are encoded here too.

use super::shared::callback;
use super::{Commands, Delivery, Dialect, Encoder, Envelope, Opening, Transport, TransportRequest};
use crate::wire::refusal::{Refusal, Refused};
use crate::wire::script;

/// `GET /u/{user}/jsonp?callback=f`.
pub(super) struct Jsonp;

/// The script's media type. With `nosniff`, browsers run no other.
pub const SCRIPT: &str = "text/javascript; charset=utf-8";

/// If a browser is made to save a script instead of running it, the file must not get the name of a
/// program: the URL's last segment may be anything.
pub const SAVED_AS: (&str, &str) = ("Content-Disposition", "attachment; filename=\"f.txt\"");

impl Transport for Jsonp {
    fn name(&self) -> &'static str {
        "jsonp"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Held
    }

    fn commands(&self) -> Commands {
        Commands::InQuery
    }

    fn may_compress(&self) -> bool {
        true
    }

    fn embeds(&self) -> bool {
        true
    }

    fn open(&self, asked: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        let name = callback(asked)?.ok_or(Refused::NoCallback)?;
        let headers = vec![(SAVED_AS.0, SAVED_AS.1.into())];
        Ok(Opening { headers, preamble: preamble(name).into(), ..Opening::of(SCRIPT) })
    }

    fn encode(&self, _: Dialect, envelope: &Envelope<'_>, _: &Encoder, out: &mut Vec<u8>) {
        script::literal(envelope.json, out);
    }

    fn separator(&self) -> &'static [u8] {
        b",\n"
    }

    fn epilogue(&self, _: Dialect) -> &'static [u8] {
        EPILOGUE
    }
}

const EPILOGUE: &[u8] = b"]);\n";

fn preamble(callback: &str) -> Vec<u8> {
    format!("/**/{callback}([").into_bytes()
}

/// A body that calls `callback` with an array of JSON values, given without its brackets: used for
/// refusals, and for answers without a session. The name must be a
/// [callback's](super::is_callback).
pub fn call(callback: &str, items: &[u8]) -> Vec<u8> {
    let mut body = format!("/**/{callback}(").into_bytes();
    // The array as a whole: only as a whole is it JSON that can be parsed at run time.
    script::literal(&[b"[", items, b"]"].concat(), &mut body);
    body.extend_from_slice(b");\n");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_of_which_one_is_parsed_at_run_time_stay_an_array() {
        let script = |items: &str| String::from_utf8(call("f", items.as_bytes())).expect("UTF-8");
        assert_eq!(script("1,2"), "/**/f([1,2]);\n");
        let text = script(r#"{"id":"1"},{"subscription":"/__proto__"}"#);
        let quoted = text.split_once("})(").and_then(|(_, rest)| rest.strip_suffix("));\n")).expect("a call");
        let json: String = serde_json::from_str(quoted).expect("a string");
        let array: Vec<serde_json::Value> = serde_json::from_str(&json).expect("an array");
        assert_eq!(array.len(), 2, "{json}");
    }
}
