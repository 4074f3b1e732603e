//! The foreign pages that may use the public listener: the list of `ENCKE_ORIGINS`, the check of a
//! request against it, and the CORS headers that follow (Fetch standard, "CORS protocol").
//!
//! It does not identify the user; the rest of `auth` does. A request without any sign of a page
//! (curl, a backend) is accepted, since an origin only protects users of browsers.
//!
//! Invariant: an origin is compared as a whole, scheme, host and port. No list entry matches by a
//! mere prefix or suffix of its text.

mod hosts;
mod logged;
mod preflight;
mod provenance;
mod site;

use crate::auth::origins::logged::LoggedRefusals;
use crate::auth::origins::site::Site;
use crate::config::OriginPattern;
use crate::wire::refusal::{Refusal, Refused};

use crate::auth::limits::ORIGIN_SHOWN_BYTES_MAX;
pub use crate::auth::origins::hosts::Hosts;
pub use crate::auth::origins::preflight::Preflight;
pub use crate::auth::origins::provenance::{ByPage, Page, Provenance, Relation, is_browser};

/// The allowed origins besides the server's own, and the hosts by which the server may be called.
#[derive(Debug, Default)]
pub struct Origins {
    list: Box<[OriginPattern]>,
    hosts: Hosts,
    logged: LoggedRefusals,
}

/// The verdict on the page behind a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginVerdict<'a> {
    /// No page is known to be behind it: a program, a browser's own top-level request, or any page,
    /// if all pages are allowed.
    NoOrigin,
    /// A page of this very host.
    SameOrigin,
    /// A page of this origin, which is on the list.
    Allowed(&'a str),
    /// Any other page: 403.
    Refused(Cause<'a>),
}

/// The reason why a page is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// Its origin is not on the list.
    NotListed(&'a str),
    /// Its origin is a foreign one that the request does not name.
    NoReferer,
    /// A browser sent the request, or a cookie came with it, and no header identifies the page
    /// behind it.
    NoSign,
}

impl Origins {
    /// The list as `ENCKE_ORIGINS` gives it, and the accepted hosts.
    pub fn new(list: &[OriginPattern], hosts: Hosts) -> Self {
        Self { list: list.into(), hosts, logged: LoggedRefusals::default() }
    }

    /// The hosts by which the server may be called.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Checks the page behind a request.
    pub fn check<'a>(&self, request: &Provenance<'a>) -> OriginVerdict<'a> {
        match request.page() {
            Page::Own => OriginVerdict::SameOrigin,
            Page::None => OriginVerdict::NoOrigin,
            Page::Of(origin) if self.lists(origin) => OriginVerdict::Allowed(origin),
            Page::Of(origin) => OriginVerdict::Refused(Cause::NotListed(origin)),
            Page::Unknown(_) if self.allows_any() => OriginVerdict::NoOrigin,
            Page::Unknown(cause) => OriginVerdict::Refused(cause),
        }
    }

    /// Whether pages of an origin have the rights of a page of `host`.
    pub fn may_receive(&self, origin: &str, host: &str) -> bool {
        provenance::is_same(origin, Some(host), None) || self.lists(origin)
    }

    /// Logs a refusal, each only once, so that no client can fill the log.
    pub fn tell(&self, refusal: &Refusal) {
        if self.logged.is_first(&refusal.reason) {
            log::warn!("refused: {}", refusal.reason);
        }
    }

    fn allows_any(&self) -> bool {
        self.list.contains(&OriginPattern::Any)
    }

    fn lists(&self, origin: &str) -> bool {
        let site = Site::parse(origin);
        self.list.iter().any(|entry| match (entry, &site) {
            (OriginPattern::Any, _) => true,
            // The origin of sandboxed frames and, in most browsers, of files. Any site can produce
            // it.
            (OriginPattern::Null, _) => origin == "null",
            (OriginPattern::Files, _) => origin == "file://" || origin.starts_with("file:///"),
            (entry, Some(site)) => site.is_allowed_by(entry),
            (OriginPattern::Exact(_) | OriginPattern::Below { .. }, None) => false,
        })
    }
}

impl<'a> OriginVerdict<'a> {
    /// Headers of every answer on the public listener, refusals too: `Vary` always, since a cache
    /// must not hand one page's answer to another.
    pub fn headers(self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let vary = [("Vary", "Origin")];
        let cors = self.allowed_origin().into_iter().flat_map(|origin| {
            [
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Expose-Headers", "Encke-Session, Encke-Position"),
            ]
        });
        vary.into_iter().chain(cors)
    }

    /// Headers of the answer to a preflight (`OPTIONS` with `Access-Control-Request-Method`),
    /// besides [`headers`](Self::headers).
    pub fn preflight_headers(self, asked: &Preflight) -> impl Iterator<Item = (&'static str, &str)> {
        self.allowed_origin().into_iter().flat_map(|_| asked.headers())
    }

    fn allowed_origin(self) -> Option<&'a str> {
        match self {
            Self::Allowed(origin) => Some(origin),
            Self::NoOrigin | Self::SameOrigin | Self::Refused(_) => None,
        }
    }
}

impl From<Cause<'_>> for Refusal {
    /// Each names the variable, and the value that would allow the page.
    fn from(cause: Cause<'_>) -> Self {
        match cause {
            Cause::NotListed(origin) => {
                let value = &listing(origin);
                let origin = if origin.len() > ORIGIN_SHOWN_BYTES_MAX { "this origin" } else { origin };
                Refused::Page { origin, value }.into()
            }
            Cause::NoReferer => Refused::PageUnnamed.into(),
            Cause::NoSign => Refused::PageUnknown.into(),
        }
    }
}

/// The value of `ENCKE_ORIGINS` that lists an origin.
fn listing(origin: &str) -> String {
    match OriginPattern::of(origin) {
        Some(pattern) => pattern.to_string(),
        // Such an origin cannot be listed by itself.
        None => "*".to_owned(),
    }
}

#[cfg(test)]
mod tests;
