//! `multipart/x-mixed-replace` (RFC 2046, section 5.1, as browsers implement it): each envelope is
//! a part that replaces the one before.
//!
//! Two placements of delimiters exist. With `after`, the default, the delimiter follows each part
//! at once, because a parser may show a part only when it sees the delimiter. With `before`, it
//! precedes each part.
//!
//! With `type=image/…` parts are raw payloads, of messages that were published as bytes, for an
//! `<img>`, and nothing else is sent: no other envelope, no heartbeat and no padding, which
//! Chromium takes for a broken picture. With `after`, each is followed by the whole head of the
//! next one: only then do Chromium and WebKit show it at once.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Delivery, Dialect, Encoder, Envelope, Opening, Transport, TransportRequest};
use crate::base::position::Position;
use crate::wire::refusal::{Refusal, Refused};

/// `GET /u/{user}/multipart`.
pub(super) struct Multipart;

const CONTENT_TYPE: &str = "multipart/x-mixed-replace; boundary=encke";

/// The bit of a dialect that puts delimiters before parts.
const BEFORE: u8 = 0x80;

/// The other bits: zero for envelopes, else the type of raw parts, from one on.
const IMAGES: [&str; 8] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
    "image/svg+xml",
    "image/x-icon",
];

fn is_before(dialect: Dialect) -> bool {
    dialect.0 & BEFORE != 0
}

fn image(dialect: Dialect) -> Option<&'static str> {
    let place = usize::from(dialect.0 & !BEFORE).checked_sub(1)?;
    IMAGES.get(place).copied()
}

impl Transport for Multipart {
    fn name(&self) -> &'static str {
        "multipart"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Stream
    }

    fn embeds(&self) -> bool {
        true
    }

    fn open(&self, asked: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        let style = match asked.value("style") {
            None | Some("after") => 0,
            Some("before") => BEFORE,
            Some(text) => return Err(Refused::Style { text }.into()),
        };
        let image = match asked.value("type") {
            None => 0,
            Some(text) => {
                let at = IMAGES.iter().position(|known| *known == text);
                1 + at.ok_or_else(|| Refusal::from(Refused::Type { text, allowed: &IMAGES.join(", ") }))?
            }
        };
        Ok(Opening { dialect: Dialect(style | image as u8), ..Opening::of(CONTENT_TYPE) })
    }

    fn begin(&self, dialect: Dialect, _: Position, out: &mut Vec<u8>) {
        if !is_before(dialect) {
            out.extend_from_slice(b"--encke\r\n");
            if let Some(kind) = image(dialect) {
                image_head(kind, out);
            }
        }
    }

    fn encode(&self, dialect: Dialect, envelope: &Envelope<'_>, _: &Encoder, out: &mut Vec<u8>) {
        match (image(dialect), envelope.bytes) {
            (None, _) => part(dialect, "application/json; charset=utf-8", envelope, envelope.json, out),
            (Some(kind), Some(bytes)) => {
                let payload = STANDARD.decode(bytes.base64).unwrap_or_default();
                // Engines search for the delimiter: bytes that contain it could begin another part.
                if memchr::memmem::find(&payload, b"--encke").is_some() {
                    return;
                }
                if is_before(dialect) {
                    return part(dialect, kind, envelope, &payload, out);
                }
                out.extend_from_slice(&payload);
                out.extend_from_slice(b"\r\n--encke\r\n");
                image_head(kind, out);
            }
            // An `<img>` can show nothing else.
            (Some(_), None) => {}
        }
    }

    fn epilogue(&self, dialect: Dialect) -> &'static [u8] {
        // After a part the delimiter is already sent, with the line that would begin the next
        // part's headers.
        if is_before(dialect) || image(dialect).is_some() {
            b"\r\n--encke--\r\n"
        } else {
            b"\r\n\r\n--encke--\r\n"
        }
    }

    /// What the stream permits here: a line after the last part's body, beyond its length; or, if
    /// the delimiter is already sent, a header of the next part.
    fn heartbeat(&self, dialect: Dialect, _: Position, out: &mut Vec<u8>) {
        if image(dialect).is_some() {
            return;
        }
        out.extend_from_slice(if is_before(dialect) { b"\r\n" } else { b"Encke-Heartbeat: 1\r\n" });
    }

    /// Text before the first delimiter, or headers of the first part.
    fn pad(&self, dialect: Dialect, bytes: usize, out: &mut Vec<u8>) {
        if image(dialect).is_some() {
            return;
        }
        if !is_before(dialect) {
            out.extend_from_slice(b"Encke-Pad: ");
        }
        out.resize(out.len() + bytes, b' ');
        out.extend_from_slice(b"\r\n");
    }
}

/// The whole head of an image of unknown length.
fn image_head(kind: &str, out: &mut Vec<u8>) {
    let _ = write!(out, "Content-Type: {kind}\r\n\r\n");
}

fn part(dialect: Dialect, kind: &str, envelope: &Envelope<'_>, body: &[u8], out: &mut Vec<u8>) {
    if is_before(dialect) {
        out.extend_from_slice(b"\r\n--encke\r\n");
    }
    let _ = write!(out, "Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    if let Some(position) = envelope.position {
        out.extend_from_slice(b"Encke-Position: ");
        position.write_to(out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    if !is_before(dialect) {
        out.extend_from_slice(b"\r\n--encke\r\n");
    }
}
