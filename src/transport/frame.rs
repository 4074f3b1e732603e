//! The forever frame: an endless HTML document in a hidden frame, one `<script>` element per event.
//!
//! The prelude defines everything that differs between frames: the parent's function, or the origin
//! to which the frame posts. Each event's script is the same short call, `e()`, and carries the
//! envelope in an attribute. So events are the same bytes for all, and a Content-Security-Policy
//! can name both scripts: the prelude's by a nonce of this response, the events' by their hash.

use super::shared::callback;
use super::shared::document::{CALLBACK, EPILOGUE, HTML, domain, prelude, spaces};
use super::{Delivery, Dialect, Encoder, Envelope, Opening, Transport, TransportRequest};
use crate::base::position::Position;
use crate::wire::refusal::{Refusal, Refused};
use crate::wire::script;

/// `GET /u/{user}/frame`.
pub(super) struct ForeverFrame;

/// The SHA-256 of `e()`, for the policy: the text of every event's script.
const CALL_HASH: &str = "sha256-RgVio8Ylgwb9TO4BOoYK273eqBAJT/A5Y6H7GQVloio=";

/// The function that handles an event: reads it from its element and removes that, so that the
/// document does not grow. The last script is the current one if the engine does not name it.
const RECEIVE: &str = "function e(){var d=document,l=d.getElementsByTagName('script'),s=d.currentScript||l[l.length-1],\
                       m=JSON.parse(s.getAttribute('data-m'));s.parentNode.removeChild(s);r(m)}";

impl Transport for ForeverFrame {
    fn name(&self) -> &'static str {
        "frame"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Stream
    }

    fn embeds(&self) -> bool {
        true
    }

    fn open(&self, asked: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        let receiver = match (callback(asked)?, asked.value("origin")) {
            (Some(_), Some(_)) => return Err(Refused::CallbackAndOrigin.into()),
            (_, Some(origin)) => post_to(asked, origin)?,
            (name, None) => format!("function r(m){{parent.{}(m)}}", name.unwrap_or(CALLBACK)),
        };
        let domain = domain(asked)?;
        let nonce = asked.nonce;
        let policy = format!("default-src 'none'; script-src 'nonce-{nonce}' '{CALL_HASH}'");
        let mut headers = vec![("Content-Security-Policy", policy.into())];
        if domain.is_some() {
            // Otherwise Chromium isolates the documents of one site, whatever their
            // `document.domain`.
            headers.push(("Origin-Agent-Cluster", "?0".into()));
        }
        let domain = domain.unwrap_or_default();
        let script = format!("<script nonce=\"{nonce}\">{domain}{receiver}{RECEIVE}</script>\n");
        Ok(Opening { preamble: prelude(&script).into(), headers, ..Opening::of(HTML) })
    }

    fn encode(&self, _: Dialect, envelope: &Envelope<'_>, _: &Encoder, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<script data-m='");
        script::attribute(envelope.json, out);
        out.extend_from_slice(b"'>e()</script>\n");
    }

    fn epilogue(&self, _: Dialect) -> &'static [u8] {
        EPILOGUE
    }

    /// An empty envelope: a comment would not reach the parent, which could not tell a cut frame
    /// from an idle one.
    fn heartbeat(&self, _: Dialect, _: Position, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<script data-m='{}'>e()</script>\n");
    }

    fn pad(&self, _: Dialect, bytes: usize, out: &mut Vec<u8>) {
        spaces(bytes, out);
    }
}

/// A script that posts events to the parent, if that page is allowed to get them.
fn post_to(asked: &TransportRequest<'_>, origin: &str) -> Result<String, Refusal> {
    // A foreign frame could request that a user's messages are posted to it.
    let is_plain = origin.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/.-_[]".contains(&byte));
    if is_plain && (asked.may_receive)(origin) {
        return Ok(format!("function r(m){{parent.postMessage(m,'{origin}')}}"));
    }
    Err(Refused::PostTo { origin }.into())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};

    use super::super::shared::document::PRELUDE_BYTES_MIN;
    use super::*;

    #[test]
    fn the_policy_names_the_script_of_every_event() {
        assert_eq!(CALL_HASH, format!("sha256-{}", STANDARD.encode(Sha256::digest("e()"))));
    }

    fn asked<'a>(query: &'a [(String, String)], host: &'a str) -> TransportRequest<'a> {
        TransportRequest {
            query,
            accept: "",
            host,
            nonce: "N0nce",
            may_receive: &|origin| origin == "https://a.example",
        }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn opened(query: &[(&str, &str)]) -> Result<String, &'static str> {
        let opened = ForeverFrame.open(&asked(&pairs(query), "push.app.example:8080"));
        opened
            .map(|opening| String::from_utf8(opening.preamble.into_owned()).unwrap())
            .map_err(|refusal| refusal.code.text())
    }

    #[test]
    fn the_prelude_is_long_enough_and_names_the_callback() {
        let prelude = opened(&[]).unwrap();
        assert!(prelude.len() >= PRELUDE_BYTES_MIN);
        assert!(prelude.contains("<script nonce=\"N0nce\">function r(m){parent.encke(m)}"), "{prelude}");
        assert!(opened(&[("callback", "a.b")]).unwrap().contains("parent.a.b(m)"));
        assert!(
            opened(&[("origin", "https://a.example")])
                .unwrap()
                .contains("parent.postMessage(m,'https://a.example')")
        );
        assert!(opened(&[("domain", "app.example")]).unwrap().contains("document.domain='app.example';"));
    }

    #[test]
    fn what_would_write_a_script_of_its_own_is_refused() {
        assert_eq!(opened(&[("callback", "alert(1)//")]), Err("bad-callback"));
        assert_eq!(opened(&[("origin", "https://b.example")]), Err("origin-refused"));
        assert_eq!(opened(&[("origin", "https://a.example'")]), Err("origin-refused"));
        assert_eq!(opened(&[("origin", "https://a.example"), ("callback", "f")]), Err("bad-query"));
        for domain in
            ["", "example.", "xample", "ple", "b.example", "x';alert(1)//", "push.app.example:8080", "."]
        {
            assert_eq!(opened(&[("domain", domain)]), Err("bad-domain"), "{domain}");
        }
    }
}
