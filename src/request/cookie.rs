//! Which attributes a cookie needs, so that the sender of a request keeps it.

use crate::auth::origins::{Provenance, Relation, is_browser};
use crate::wire::http::head::Head;

/// Who sends a request, as far as that matters to cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A browser, judged by the head.
    Browser,
    /// Another program. Some have cookie parsers that fail on newer attributes.
    Program,
}

impl Sender {
    /// The sender of a request. A browser's signs: each POST and WebSocket has `Origin`, each
    /// request over https has `Sec-Fetch-*`, and scripts over http have the browser's name.
    pub fn of(head: &Head<'_>) -> Self {
        let is_page = ["sec-fetch-site", "sec-fetch-mode", "origin"]
            .iter()
            .any(|name| head.header_bytes(name).next().is_some());
        if is_page || is_browser(head) { Self::Browser } else { Self::Program }
    }
}

/// How the site of the page behind a request relates to ours: most pages are on our own site and
/// send no `Origin`.
pub fn page_of(head: &Head<'_>) -> Option<Relation> {
    head.header_bytes("origin").next()?;
    Provenance::of(head).relation(head)
}

/// The attributes of `Set-Cookie` (RFC 6265bis) by which a browser keeps a cookie for a page.
pub fn attributes(page: Option<Relation>, sender: Sender) -> &'static str {
    match (sender, page) {
        // Programs other than browsers ignore which page a cookie is for.
        (Sender::Program, _) => "Path=/; HttpOnly",
        // A site includes all ports.
        (Sender::Browser, None | Some(Relation::SameSite)) => "Path=/; HttpOnly; SameSite=Lax",
        // Browsers keep a cookie for a page of another site only with these attributes.
        (Sender::Browser, Some(Relation::CrossSite | Relation::CrossSiteInClear)) => {
            "Path=/; HttpOnly; SameSite=None; Secure"
        }
    }
}
