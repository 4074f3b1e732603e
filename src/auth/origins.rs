//! Which foreign pages may talk to the public listener: the list of `ENCKE_ORIGINS`, the check of a
//! request against it, and the CORS headers that follow (Fetch standard, "CORS protocol").
//!
//! It says nothing of who the user is; that is `auth`. A request without any sign of a page (curl,
//! a backend) is let through, since an origin only protects users of browsers.
//!
//! Invariant: an origin is compared as a whole, scheme, host and port. No list entry matches by a
//! mere prefix or suffix of its text.

mod hosts;
mod preflight;
mod provenance;
mod site;
mod told;

use crate::auth::origins::site::Site;
use crate::auth::origins::told::Told;
use crate::config::OriginPattern;
use crate::wire::refusal::Refusal;

pub use crate::auth::origins::hosts::Hosts;
pub use crate::auth::origins::preflight::Preflight;
pub use crate::auth::origins::provenance::{ByPage, Page, Provenance, Relation, is_browser};

/// The allowed origins besides the server's own, and the hosts by which the server may be called.
#[derive(Debug, Default)]
pub struct Origins {
    list: Box<[OriginPattern]>,
    hosts: Hosts,
    told: Told,
}

/// Where a request's page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// No page is known to be behind it: a program, a browser's own top-level request, or any page,
    /// where any may come in.
    NoOrigin,
    /// A page of this very host.
    SameOrigin,
    /// A page of this origin, which is on the list.
    Allowed(&'a str),
    /// Any other page: 403.
    Refused(Cause<'a>),
}

/// Why a page is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// Its origin is not on the list.
    NotListed(&'a str),
    /// It is of another origin, and does not say of which.
    NoReferer,
    /// A browser sent the request, or a cookie came with it, and nothing says whose page is behind
    /// it.
    NoSign,
}

impl Origins {
    /// The list as `ENCKE_ORIGINS` gives it, and who else is looked at.
    pub fn new(list: &[OriginPattern], hosts: Hosts) -> Self {
        Self { list: list.into(), hosts, told: Told::default() }
    }

    /// The hosts by which the server may be called.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Checks the page behind a request.
    pub fn check<'a>(&self, request: &Provenance<'a>) -> Verdict<'a> {
        match request.page() {
            Page::Own => Verdict::SameOrigin,
            Page::None => Verdict::NoOrigin,
            Page::Of(origin) if self.lists(origin) => Verdict::Allowed(origin),
            Page::Of(origin) => Verdict::Refused(Cause::NotListed(origin)),
            Page::Unknown(_) if self.allows_any() => Verdict::NoOrigin,
            Page::Unknown(cause) => Verdict::Refused(cause),
        }
    }

    /// Whether pages of an origin may have what a page of `host` may.
    pub fn may_receive(&self, origin: &str, host: &str) -> bool {
        provenance::is_same(origin, Some(host), None) || self.lists(origin)
    }

    /// Says in the log what was refused; once each, so that nobody can fill it.
    pub fn tell(&self, refusal: &Refusal) {
        if self.told.is_first(&refusal.reason) {
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
            // What sandboxed frames and, in most browsers, files send. It may be anybody's.
            (OriginPattern::Null, _) => origin == "null",
            (OriginPattern::Files, _) => origin == "file://" || origin.starts_with("file:///"),
            (entry, Some(site)) => site.is_allowed_by(entry),
            (OriginPattern::Exact(_) | OriginPattern::Below { .. }, None) => false,
        })
    }
}

impl<'a> Verdict<'a> {
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
    /// Each names the variable, and the value with which the page would be let in.
    fn from(cause: Cause<'_>) -> Self {
        let reason = match cause {
            Cause::NotListed(origin) => {
                let value = listing(origin);
                let origin = if origin.len() > SHOWN_MAX { "this origin" } else { origin };
                format!("pages of {origin} may not connect; ENCKE_ORIGINS={value} would let them in")
            }
            Cause::NoReferer => "a page of another origin asks, and does not say of which: it must send its Referer \
                (Referrer-Policy: no-referrer keeps that back) and be listed in ENCKE_ORIGINS; \
                ENCKE_ORIGINS=* would let in every page"
                .to_owned(),
            Cause::NoSign => "a browser asks (or whoever sends a Cookie), without Sec-Fetch-Site, Origin or Referer: the page \
                may be anybody's. Over https browsers say where it is from; over http it must send its Referer \
                (Referrer-Policy: no-referrer keeps that back), or a header that no script element can, as \
                X-Requested-With; ENCKE_ORIGINS=* would let in every page"
                .to_owned(),
        };
        Self::new(403, "origin-refused", reason)
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

/// Bytes of an origin that are repeated in a refusal.
const SHOWN_MAX: usize = 300;

#[cfg(test)]
mod tests;
