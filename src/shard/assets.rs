//! The files that the server carries in itself: the start page and what belongs to it.

use super::input::Door;

/// One file.
#[derive(Debug)]
pub struct Asset {
    path: &'static str,
    /// Through which door it is served.
    door: Door,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: &'static [u8],
}

/// Pages load nothing from elsewhere, run no inline script, and are not framed.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";

macro_rules! asset {
    ($door:ident $path:literal, $content_type:literal, $file:literal) => {
        Asset {
            path: $path,
            door: Door::$door,
            content_type: $content_type,
            body: include_bytes!(concat!("../../client/start/", $file)),
        }
    };
}

static ASSETS: [Asset; 5] = [
    asset!(Public "/", "text/html; charset=utf-8", "index.html"),
    asset!(Public "/start.css", "text/css; charset=utf-8", "start.css"),
    asset!(Public "/start.js", "text/javascript; charset=utf-8", "start.js"),
    asset!(Public "/start-link.js", "text/javascript; charset=utf-8", "start-link.js"),
    asset!(Public "/start.svg", "image/svg+xml", "start.svg"),
];

/// The file at a path.
pub fn find(door: Door, path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.door == door && asset.path == path)
}
