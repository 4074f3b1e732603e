//! `/info`: the capabilities of a service, which a client requests first.
//!
//! Clients measure how long the answer takes, and choose their timeouts accordingly.

use std::io::Write as _;

use crate::wire::json::escape_into;

/// `Content-Type`.
pub const JSON: &str = "application/json; charset=UTF-8";

/// The capabilities of a service.
#[derive(Clone, Copy, Debug)]
pub struct Info<'a> {
    /// Whether it has WebSockets.
    pub websocket: bool,
    /// Whether requests must carry cookies, by which a balancer finds the server.
    pub cookie_needed: bool,
    /// Unpredictable and different each time: old browsers have no such source themselves.
    pub entropy: u32,
    /// The address to use for sessions, if it is another one.
    pub base_url: Option<&'a str>,
}

impl Info<'_> {
    /// Appends it as JSON.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Self { websocket, cookie_needed, entropy, base_url } = self;
        let _ = write!(
            out,
            r#"{{"websocket":{websocket},"origins":["*:*"],"cookie_needed":{cookie_needed},"entropy":{entropy}"#
        );
        if let Some(url) = base_url {
            out.extend_from_slice(br#","base_url":"#);
            escape_into(url, out);
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_object_with_every_member() {
        let info = Info { websocket: true, cookie_needed: false, entropy: u32::MAX, base_url: None };
        let mut out = Vec::new();
        info.encode(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"websocket":true,"origins":["*:*"],"cookie_needed":false,"entropy":4294967295}"#
        );
    }

    #[test]
    fn the_base_url_is_escaped_as_json() {
        let mut out = Vec::new();
        Info { websocket: false, cookie_needed: true, entropy: 0, base_url: Some("https://a/\"") }
            .encode(&mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["base_url"], "https://a/\"");
    }
}
