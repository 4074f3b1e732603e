//! The upgrade: the header lines of a client's request, and the check of the answer (RFC 6455,
//! section 4.1; RFC 7692).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::Compression;
use crate::http::{Broken, Response};

/// What a server adds to the key before it hashes it.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const DEFLATE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The header lines of a request, with a placeholder for the key.
pub fn headers(compression: Compression) -> Vec<String> {
    let lines = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: {key}",
    ];
    let mut lines = lines.map(str::to_owned).to_vec();
    match compression {
        Compression::None => {}
        Compression::PerMessage => lines.push(format!("Sec-WebSocket-Extensions: {DEFLATE}")),
    }
    lines
}

/// Checks the answer to a request with this key.
pub fn upgraded(response: &Response, key: &[u8], offered: Compression) -> Result<(), Broken> {
    if response.status() != Some(101) {
        return Err(Broken("an answer that does not upgrade"));
    }
    if response.header("sec-websocket-accept") != Some(accept(key).as_bytes()) {
        return Err(Broken("an upgrade by one who did not read the key"));
    }
    let agreed = match response.header("sec-websocket-extensions") {
        None => Compression::None,
        Some(extensions) => extension(extensions)?,
    };
    match (offered, agreed) {
        (Compression::None, Compression::None) | (Compression::PerMessage, Compression::PerMessage) => Ok(()),
        (Compression::None, Compression::PerMessage) => Err(Broken("an extension that was not offered")),
        // The run would measure something else.
        (Compression::PerMessage, Compression::None) => Err(Broken("the server does not compress")),
    }
}

/// The only extension that was offered, on the offered terms.
fn extension(text: &[u8]) -> Result<Compression, Broken> {
    let mut words = text.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    if words.next() != Some(b"permessage-deflate") {
        return Err(Broken("an extension that was not offered"));
    }
    if !words.any(|word| word == b"server_no_context_takeover") {
        return Err(Broken("a compression whose context outlives a message"));
    }
    Ok(Compression::PerMessage)
}

fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(lines: &str, offered: Compression) -> Result<(), Broken> {
        let mut response = Response::new();
        response.take(format!("HTTP/1.1 {lines}\r\n\r\n").as_bytes(), &mut Vec::new())?;
        upgraded(&response, b"dGhlIHNhbXBsZSBub25jZQ==", offered)
    }

    /// The example of RFC 6455, section 1.3.
    const GOOD: &str = "101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    #[test]
    fn an_upgrade_is_known_by_the_hash_of_its_key() {
        assert_eq!(checked(GOOD, Compression::None), Ok(()));
        assert!(checked(&GOOD.replace("s3p", "s3q"), Compression::None).is_err());
        assert!(checked("101 Switching Protocols\r\nUpgrade: websocket", Compression::None).is_err());
        assert!(checked(&GOOD.replace("101", "200"), Compression::None).is_err());
    }

    #[test]
    fn compression_is_taken_as_it_was_offered_and_not_otherwise() {
        let with = |extension: &str| format!("{GOOD}\r\nSec-WebSocket-Extensions: {extension}");
        let good = with("permessage-deflate; client_no_context_takeover;server_no_context_takeover");
        assert_eq!(checked(&good, Compression::PerMessage), Ok(()));
        assert!(checked(&good, Compression::None).is_err());
        assert!(checked(GOOD, Compression::PerMessage).is_err());
        assert!(checked(&with("permessage-deflate"), Compression::PerMessage).is_err());
        assert!(checked(&with("x-webkit-deflate-frame"), Compression::PerMessage).is_err());
    }
}
