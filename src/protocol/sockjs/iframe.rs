//! The page for hidden frames, by which old browsers reach a server of another origin.
//!
//! The client on the outer page and the one that this page loads must have the same version, so the
//! script's address is a setting. All else is defined by the protocol, byte for byte.

use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};

/// `Content-Type`.
pub const HTML: &str = "text/html; charset=UTF-8";

/// The page of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IframePage {
    /// Its bytes.
    pub body: Box<str>,
    /// `ETag`, with its quotes. It depends only on the bytes.
    pub etag: Box<str>,
}

impl IframePage {
    /// The page that loads a script, or a public copy of the client.
    pub fn of(client_url: Option<&str>) -> Self {
        Self::new(client_url.unwrap_or(PUBLIC_CLIENT))
    }

    /// The page that loads the client from an address, which begins with `/` or `http`.
    pub fn new(client_url: &str) -> Self {
        let url = client_url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        let body = format!("{BEGIN}{url}{END}").into_boxed_str();
        let mut etag = String::from("\"");
        for byte in &Sha1::digest(body.as_bytes())[..ETAG_BYTES] {
            let _ = write!(etag, "{byte:02x}");
        }
        etag.push('"');
        Self { body, etag: etag.into() }
    }

    /// Whether the client has this page already, by its `If-None-Match`.
    pub fn is_known(&self, if_none_match: Option<&str>) -> bool {
        if_none_match
            .is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == &*self.etag))
    }
}

/// The newest client of the protocol's version.
const PUBLIC_CLIENT: &str = "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js";

/// Bytes of the hash in an `ETag`: enough to distinguish the pages of all settings.
const ETAG_BYTES: usize = 16;

const BEGIN: &str = r#"<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src=""#;

const END: &str = r#""></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_the_client_and_starts_it() {
        let page = IframePage::new("/sockjs.js");
        assert!(page.body.starts_with("<!DOCTYPE html>\n<html>\n<head>\n  <meta "));
        assert!(
            page.body.contains("\n  <script src=\"/sockjs.js\"></script>\n  <script>\n    document.domain")
        );
        assert!(page.body.ends_with("magic.</p>\n</body>\n</html>"));
        assert_eq!(IframePage::new("/a?b&c\"><").body.matches("src=\"/a?b&amp;c&quot;>&lt;\"").count(), 1);
    }

    #[test]
    fn its_tag_is_quoted_and_tells_pages_apart() {
        let page = IframePage::new("/a.js");
        assert_eq!(page, IframePage::new("/a.js"));
        assert_ne!(page.etag, IframePage::new("/b.js").etag);
        assert!(page.etag.len() == 34 && page.etag.starts_with('"') && page.etag.ends_with('"'));
        assert!(page.is_known(Some(&page.etag)) && page.is_known(Some(&format!("\"x\", W/{}", page.etag))));
        assert!(!page.is_known(None) && !page.is_known(Some("\"x\"")) && !page.is_known(Some("")));
    }
}
