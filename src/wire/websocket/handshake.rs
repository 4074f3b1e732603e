//! The opening handshake (RFC 6455 4.2): the content of a valid one, and the reasons to refuse
//! others.
//!
//! Not here: a body, which `http::head` refuses; the check of the `Origin`; the choice of the
//! subprotocol; the meaning of the path.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, PAD, STANDARD};
use sha1::{Digest as _, Sha1};

use super::extension::{self, DeflateOffer};
use crate::wire::http::head::Head;
use crate::wire::http::{Method, Version, is_token_byte};
use crate::wire::limits::PROTOCOLS_MAX;
use crate::wire::refusal::{ErrorCode, Refusal};

/// The content of a valid opening handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake<'a> {
    /// The key for [`accept_key`].
    pub key: &'a str,
    /// The offered subprotocols, in the client's order of preference.
    pub protocols: Vec<&'a str>,
    /// The first acceptable offer of permessage-deflate.
    pub deflate: Option<DeflateOffer>,
}

/// Why a handshake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeReject {
    /// A plain request, without `Upgrade: websocket`.
    NotAnUpgrade,
    /// Another method than GET.
    Method,
    /// HTTP/1.0, in which nothing can be upgraded.
    Http10,
    /// `Upgrade` without the `Connection: Upgrade` that belongs to it.
    NotConnection,
    /// A `Sec-WebSocket-Version` other than 13, or none, or two.
    Version,
    /// No `Sec-WebSocket-Key`, or one that is not 16 bytes in base64.
    Key,
    /// A `Sec-WebSocket-Protocol` that is not a list of different names, or a very long one.
    Protocols,
}

impl HandshakeReject {
    /// The error code, which has the status.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::NotAnUpgrade => ErrorCode::WsUpgradeRequired,
            Self::Method => ErrorCode::WsBadMethod,
            Self::Http10 => ErrorCode::WsOnHttp10,
            Self::NotConnection => ErrorCode::WsConnectionHeader,
            Self::Version => ErrorCode::WsBadVersion,
            Self::Key => ErrorCode::WsBadKey,
            Self::Protocols => ErrorCode::WsBadProtocols,
        }
    }

    /// One sentence for the error body: what is wrong, and what is allowed.
    pub fn reason(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NotAnUpgrade => {
                "this path is for WebSocket; the request has no `Upgrade: websocket`, or a proxy removed it"
            }
            Self::Method => "a WebSocket is opened by GET",
            Self::Http10 => "a WebSocket cannot be opened over HTTP/1.0; use HTTP/1.1, through proxies too",
            Self::NotConnection => {
                "`Upgrade` came without `Connection: Upgrade`; a proxy may have replaced that header"
            }
            Self::Version => "this version of WebSocket is not supported; use `Sec-WebSocket-Version: 13`",
            Self::Key => "Sec-WebSocket-Key is missing or malformed; it is 16 random bytes in base64",
            Self::Protocols => {
                "Sec-WebSocket-Protocol is malformed; it is a list of up to 32 different names"
            }
        })
    }

    /// The header that the status calls for.
    pub fn header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::NotAnUpgrade => Some(("Upgrade", "websocket")),
            Self::Version => Some(("Sec-WebSocket-Version", VERSION)),
            Self::Method => Some(("Allow", "GET")),
            Self::Http10 | Self::NotConnection | Self::Key | Self::Protocols => None,
        }
    }
}

impl From<HandshakeReject> for Refusal {
    fn from(reject: HandshakeReject) -> Self {
        Self {
            code: reject.code(),
            reason: reject.reason(),
            header: reject.header(),
            node: None,
            after: None,
        }
    }
}

/// Reads an opening handshake.
pub fn handshake<'a>(head: &Head<'a>) -> Result<Handshake<'a>, HandshakeReject> {
    if head.method != Method::Get {
        return Err(HandshakeReject::Method);
    }
    if !head.lists("upgrade", "websocket") {
        return Err(HandshakeReject::NotAnUpgrade);
    }
    if head.version == Version::Http10 {
        return Err(HandshakeReject::Http10);
    }
    if !head.lists("connection", "upgrade") {
        return Err(HandshakeReject::NotConnection);
    }
    check_version(head)?;
    Ok(Handshake {
        key: key(head).ok_or(HandshakeReject::Key)?,
        protocols: protocols(head)?,
        deflate: extension::accept(head.header_bytes("sec-websocket-extensions")),
    })
}

/// The value of `Sec-WebSocket-Accept`: proof that the server read the key and is no HTTP cache.
pub fn accept_key(key: &str) -> String {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode(hash)
}

fn check_version(head: &Head<'_>) -> Result<(), HandshakeReject> {
    let mut versions = head.header_bytes("sec-websocket-version").map(<[u8]>::trim_ascii);
    match (versions.next(), versions.next()) {
        (Some(version), None) if version == VERSION.as_bytes() => Ok(()),
        (_, None | Some(_)) => Err(HandshakeReject::Version),
    }
}

fn key<'a>(head: &Head<'a>) -> Option<&'a str> {
    let key = head.header("sec-websocket-key")?.trim_matches([' ', '\t']);
    let mut bytes = [0; KEY_BYTES + 2];
    let len = BASE64.decode_slice(key, &mut bytes).ok()?;
    (len == KEY_BYTES).then_some(key)
}

fn protocols<'a>(head: &Head<'a>) -> Result<Vec<&'a str>, HandshakeReject> {
    let mut protocols = Vec::new();
    for value in head.header_bytes("sec-websocket-protocol") {
        let value = str::from_utf8(value).map_err(|_| HandshakeReject::Protocols)?;
        // RFC 9110 5.6.1: a list may have empty elements, which are ignored.
        for name in
            value.split(',').map(|name| name.trim_matches([' ', '\t'])).filter(|name| !name.is_empty())
        {
            let is_new = protocols.len() < PROTOCOLS_MAX && !protocols.contains(&name);
            if !is_new || !name.bytes().all(is_token_byte) {
                return Err(HandshakeReject::Protocols);
            }
            protocols.push(name);
        }
    }
    Ok(protocols)
}

/// Appended to the key before it is hashed (RFC 6455 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The only supported version.
const VERSION: &str = "13";

/// Bytes of a key.
const KEY_BYTES: usize = 16;

/// Some clients draw the characters of the key instead of its bytes, so its spare bits may be
/// anything.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, PAD.with_decode_allow_trailing_bits(true));

#[cfg(test)]
mod tests;
