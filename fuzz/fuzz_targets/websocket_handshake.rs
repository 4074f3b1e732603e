//! Opening handshakes: whatever the headers contain, the verdict has a valid answer.
#![no_main]

use encke::wire::http::head::{Parsed, parse};
use encke::wire::http::{HeadLimits, Scanned};
use encke::wire::refusal::Refusal;
use encke::wire::websocket::{accept_key, handshake};
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 4096, headers_max: 32 };

/// Free text in the place of the three headers that have a grammar of their own.
fn request(key: &[u8], protocols: &[u8], extensions: &[u8]) -> Vec<u8> {
    [
        b"GET /u/a/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13",
        b"\r\nSec-WebSocket-Key: ".as_slice(),
        key,
        b"\r\nSec-WebSocket-Protocol: ",
        protocols,
        b"\r\nSec-WebSocket-Extensions: ",
        extensions,
        b"\r\n\r\n",
    ]
    .concat()
}

fn check(request: &[u8]) {
    let Ok(Parsed::Complete { head, .. }) = parse(request, Scanned::default(), &LIMITS) else { return };
    match handshake(&head) {
        Ok(handshake) => {
            assert_eq!(accept_key(handshake.key).len(), 28);
            assert!(handshake.protocols.len() <= 32);
            for name in handshake.protocols {
                assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
            }
            if let Some(offer) = handshake.deflate {
                assert!((8..=15).contains(&offer.server_max_window_bits));
                assert!(offer.takes(256));
                // The answer contains nothing that was not offered.
                let response = offer.response();
                let mut parameters = response.split("; ");
                assert_eq!(parameters.next(), Some("permessage-deflate"));
                let offered: Vec<u8> =
                    head.header_bytes("sec-websocket-extensions").collect::<Vec<_>>().join(&b',');
                let offered = String::from_utf8_lossy(&offered).to_ascii_lowercase();
                for name in parameters.filter_map(|parameter| parameter.split('=').next()) {
                    assert!(offered.contains(name), "{name} of {response}");
                }
            }
        }
        Err(reject) => {
            let refusal = Refusal::from(reject);
            assert!([400, 405, 426].contains(&refusal.status()));
            assert_eq!(refusal.header.is_some(), refusal.status() != 400);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    let mut parts = bytes.splitn(3, |&byte| byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (key, protocols, extensions) = (part(), part(), part());
    check(&request(key, protocols, extensions));
    check(&request(b"dGhlIHNhbXBsZSBub25jZQ==", protocols, extensions));
});
