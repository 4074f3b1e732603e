//! Which foreign pages may talk to the public listener: the list of `ENCKE_ORIGINS`, the check of a
//! request against it, and the CORS headers that follow (Fetch standard, "CORS protocol").
//!
//! It says nothing of who the user is; that is `auth`. A request without any sign of a page (curl, a
//! backend) is let through, since an origin only protects users of browsers.
//!
//! Invariant: an origin is compared as a whole, scheme, host and port. No list entry matches by a mere
//! prefix or suffix of its text.

mod site;

use self::site::{HostPort, Site};
use crate::config::OriginPattern;
use crate::wire::http::head::Head;
use crate::wire::http::is_token_byte;

/// The allowed origins besides the server's own.
#[derive(Clone, Debug, Default)]
pub struct Origins(Box<[OriginPattern]>);

/// Where a request's page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// No page is known to be behind it: a program, or a browser's own top-level request.
    NoOrigin,
    /// A page of this very host.
    SameOrigin,
    /// A page of this origin, which is on the list.
    Allowed(&'a str),
    /// Any other page: 403.
    Refused,
}

/// What a request says of the page behind it: the headers of these names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Provenance<'a> {
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Host`.
    pub host: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub sec_fetch_site: Option<&'a str>,
    /// `Referer`.
    pub referer: Option<&'a str>,
}

/// What a preflight asks for.
#[derive(Clone, Debug, Default)]
pub struct Preflight {
    /// `Access-Control-Request-Headers`, where it is a proper list. Any header may be sent, since none changes what a request
    /// may do: what is not known is not read.
    headers: Option<Box<str>>,
    /// Whether `Access-Control-Request-Private-Network` asks for that.
    private_network: bool,
}

impl Origins {
    /// The list as `ENCKE_ORIGINS` gives it.
    pub fn new(list: &[OriginPattern]) -> Self {
        Self(list.into())
    }

    /// Checks a request by its `Origin`, which browsers send with every request of another origin
    /// that could read the answer, with every WebSocket and with every POST.
    pub fn check<'a>(
        &self,
        origin: Option<&'a str>,
        host: Option<&str>,
        sec_fetch_site: Option<&str>,
    ) -> Verdict<'a> {
        let Some(origin) = origin else { return Verdict::NoOrigin };
        if is_same(origin, host, sec_fetch_site) {
            Verdict::SameOrigin
        } else if self.lists(origin) {
            Verdict::Allowed(origin)
        } else {
            Verdict::Refused
        }
    }

    /// Checks a request to a transport that a page can embed as a script, an image or a frame, for
    /// which browsers send no `Origin`. Then a foreign `Sec-Fetch-Site` needs a `Referer` on the list;
    /// a browser too old for that header is judged by the `Referer` alone, if there is one.
    pub fn check_embeddable<'a>(&self, request: &Provenance<'a>) -> Verdict<'a> {
        if request.origin.is_some() {
            return self.check(request.origin, request.host, request.sec_fetch_site);
        }
        match (request.sec_fetch_site, request.referer.map(origin_of)) {
            (Some("same-origin"), _) => Verdict::SameOrigin,
            (Some("none"), _) | (None, None) => Verdict::NoOrigin,
            (site, Some(Some(origin))) => self.check(Some(origin), request.host, site),
            (Some(_), None) | (_, Some(None)) => Verdict::Refused,
        }
    }

    /// Whether pages of an origin may have what a page of `host` may.
    pub fn may_receive(&self, origin: &str, host: &str) -> bool {
        is_same(origin, Some(host), None) || self.lists(origin)
    }

    fn lists(&self, origin: &str) -> bool {
        match Site::parse(origin) {
            Some(site) => self.0.iter().any(|entry| site.is_allowed_by(entry)),
            // What sandboxed frames and files send. It may be anybody's.
            None => origin == "null" && self.0.contains(&OriginPattern::Any),
        }
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

    /// Headers of the answer to a preflight (`OPTIONS` with `Access-Control-Request-Method`), besides
    /// [`headers`](Self::headers).
    pub fn preflight_headers(self, asked: &Preflight) -> impl Iterator<Item = (&'static str, &str)> {
        let allowed = self.allowed_origin().is_some();
        let always = allowed.then_some([
            ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
            ("Access-Control-Allow-Headers", asked.headers.as_deref().unwrap_or(KNOWN_HEADERS)),
            ("Access-Control-Max-Age", PREFLIGHT_SECONDS),
        ]);
        let private =
            (allowed && asked.private_network).then_some(("Access-Control-Allow-Private-Network", "true"));
        always.into_iter().flatten().chain(private)
    }

    fn allowed_origin(self) -> Option<&'a str> {
        match self {
            Self::Allowed(origin) => Some(origin),
            Self::NoOrigin | Self::SameOrigin | Self::Refused => None,
        }
    }
}

/// Whether the page is of this very host. The browser's own word counts most, because proxies
/// rewrite `Host`; and it alone can tell the `http` page of a host from the `https` one, since what
/// scheme the browser used we cannot see behind a proxy. Pages cannot set either header.
fn is_same(origin: &str, host: Option<&str>, sec_fetch_site: Option<&str>) -> bool {
    match sec_fetch_site {
        Some("same-origin") => true,
        Some("cross-site") => false,
        Some(_) | None => match (Site::parse(origin), host.and_then(HostPort::parse)) {
            (Some(site), Some(host)) => site.is_at(&host),
            (None, _) | (_, None) => false,
        },
    }
}

/// The origin of a URL: all before its path. `None` if it has no scheme and host.
fn origin_of(url: &str) -> Option<&str> {
    let authority = url.find("://")? + 3;
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |len| authority + len);
    Some(&url[..end])
}

impl Preflight {
    /// Reads a preflight.
    pub fn of(head: &Head<'_>) -> Self {
        let header = |name| head.header(name);
        let names = header("access-control-request-headers").filter(|names| is_list_of_names(names));
        Self {
            headers: names.map(Into::into),
            private_network: header("access-control-request-private-network") == Some("true"),
        }
    }
}

/// Whether a list of headers may be repeated to the page that asked for them.
fn is_list_of_names(names: &str) -> bool {
    let name = |name: &str| {
        let name = name.trim_matches([' ', '\t']);
        !name.is_empty() && name.bytes().all(is_token_byte)
    };
    names.len() <= HEADER_NAMES_BYTES_MAX && names.split(',').all(name)
}

/// What a preflight is told that asks for no header, or for none that can be repeated: those that are read here, and those
/// that Faye sends with every request.
const KNOWN_HEADERS: &str =
    "Authorization, Content-Type, Encke-Session, Last-Event-ID, Cache-Control, Pragma";

/// Bytes of a list of headers that is repeated. Monitoring scripts add some ten names to a request's own.
const HEADER_NAMES_BYTES_MAX: usize = 2048;

/// How long browsers may remember a preflight, in seconds: the most that Chromium honours. A change of
/// the list only ever reaches the real requests sooner, which are checked again.
const PREFLIGHT_SECONDS: &str = "7200";

#[cfg(test)]
mod tests;
