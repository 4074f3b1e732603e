//! The files that are compiled into the server: the client library, the start page and its parts.
//!
//! Each has an entity tag, a hash of its bytes: a browser that has the current version does not
//! download it again.

mod demos;

use crate::base::ids::ListenerKind;

/// One file.
#[derive(Debug)]
pub struct Asset {
    path: &'static str,
    /// The listener that serves it.
    listener: ListenerKind,
    audience: AllowedPages,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Its content.
    pub body: &'static [u8],
    tag: u64,
}

/// The pages that may load a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AllowedPages {
    /// The server's own.
    Own,
    /// Those of any origin, listed or not: the file is public and has no effect by itself.
    Any,
}

/// Whether a browser must be sent a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached {
    /// It has the present one: 304.
    Current,
    /// It has none, or an older one.
    Stale,
}

impl Asset {
    const fn new(
        (path, content_type): (&'static str, &'static str),
        audience: AllowedPages,
        body: &'static [u8],
    ) -> Self {
        Self { path, listener: ListenerKind::Public, audience, content_type, body, tag: fnv(body) }
    }

    /// `ETag`.
    pub fn tag(&self) -> String {
        format!("\"{:016x}\"", self.tag)
    }

    /// The cache state by the request's `If-None-Match`. Caches that compress on the way make the
    /// tag a weak one.
    pub fn cached(&self, if_none_match: Option<&str>) -> Cached {
        let tag = self.tag();
        let known = if_none_match.is_some_and(|list| {
            list.split(',').any(|one| one.trim().trim_start_matches("W/") == tag || one.trim() == "*")
        });
        if known { Cached::Current } else { Cached::Stale }
    }

    /// Headers beside `Content-Type` and `ETag`.
    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self.audience {
            AllowedPages::Own => {
                &[("Cache-Control", "no-cache"), ("Content-Security-Policy", CONTENT_SECURITY_POLICY)]
            }
            // Browsers revalidate it after a while, so that a new server's library comes into use.
            AllowedPages::Any => &[
                ("Cache-Control", "public, max-age=300, stale-while-revalidate=86400"),
                ("Access-Control-Allow-Origin", "*"),
                ("Cross-Origin-Resource-Policy", "cross-origin"),
            ],
        }
    }

    /// Whether pages of origins that may not connect may have it.
    pub fn is_for_any_origin(&self) -> bool {
        self.audience == AllowedPages::Any
    }
}

/// Pages load nothing from elsewhere, run no inline script, and are not framed.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($audience:ident $path:literal, $content_type:ident, $file:literal) => {
        Asset::new(
            ($path, $content_type),
            AllowedPages::$audience,
            include_bytes!(concat!("../../client/", $file)),
        )
    };
}

static ASSETS: [Asset; 10] = [
    asset!(Any "/encke.js", SCRIPT, "encke.js"),
    asset!(Any "/encke.classic.js", SCRIPT, "encke.classic.js"),
    asset!(Any "/encke.tcp.js", SCRIPT, "encke.tcp.js"),
    asset!(Any "/encke.tcp.classic.js", SCRIPT, "encke.tcp.classic.js"),
    asset!(Own "/", HTML, "start/index.html"),
    asset!(Own "/start.css", CSS, "start/start.css"),
    asset!(Own "/start.js", SCRIPT, "start/start.js"),
    asset!(Own "/start-places.js", SCRIPT, "start/start-places.js"),
    asset!(Own "/start-link.js", SCRIPT, "start/start-link.js"),
    asset!(Own "/start.svg", SVG, "start/start.svg"),
];

/// The file at a path.
pub fn find(listener: ListenerKind, path: &str) -> Option<&'static Asset> {
    ASSETS.iter().chain(&demos::DEMOS).find(|asset| asset.path == path && asset.listener == listener)
}

/// FNV-1a of 64 bits: good enough to distinguish two versions of a file, and computable at compile
/// time.
const fn fnv(bytes: &[u8]) -> u64 {
    let (mut hash, mut rest) = (0xcbf2_9ce4_8422_2325_u64, bytes);
    while let Some((byte, after)) = rest.split_first() {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01b3);
        rest = after;
    }
    hash
}

#[cfg(test)]
mod tests {
    use crate::assets::*;

    #[test]
    fn a_file_is_not_modified_for_its_own_etag_only() {
        let library = find(ListenerKind::Public, "/encke.js").unwrap();
        let tag = library.tag();
        for list in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".into()] {
            assert_eq!(library.cached(Some(&list)), Cached::Current, "{list}");
        }
        let other = find(ListenerKind::Public, "/encke.classic.js").unwrap().tag();
        for list in [None, Some("\"x\""), Some(""), Some(&*other)] {
            assert_eq!(library.cached(list), Cached::Stale, "{list:?}");
        }
    }
}
