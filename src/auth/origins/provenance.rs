//! The page behind a request, as far as the headers tell.

use crate::auth::limits::ORIGIN_BYTES_MAX;
use crate::auth::origins::Cause;
use crate::auth::origins::site::{HostPort, Site};
use crate::wire::http::Method;
use crate::wire::http::head::Head;
use crate::wire::media_type::MediaType;

/// The headers that identify the page behind a request.
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
    /// Whether a page may be behind a request that does not identify it.
    pub by_page: ByPage,
}

/// Whether a page may have made a request that has no sign of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByPage {
    /// A program made it, or a page that may: no other can set such headers, or leave out its
    /// `Origin`.
    #[default]
    No,
    /// A browser made it, by its `User-Agent`, and any page could have it do so.
    Browser,
    /// A cookie came with it, which any page can cause a browser to send; but programs have
    /// cookies, too.
    Cookie,
}

/// The page behind a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page<'a> {
    /// One of this very host.
    Own,
    /// None is known: a program, or a browser's own top-level request.
    None,
    /// One of this origin.
    Of(&'a str),
    /// A page that does not give its origin.
    Unknown(Cause<'a>),
}

/// The relation of a page's site to the server's, for a page of another origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same site, as cookies count: another port, or a domain above or below.
    SameSite,
    /// Another site.
    CrossSite,
    /// Another, and browsers keep no cookie of ours for it, since nothing is encrypted.
    CrossSiteInClear,
}

impl<'a> Provenance<'a> {
    /// Reads the headers of a request.
    pub fn of(head: &Head<'a>) -> Self {
        // Node's `fetch` sends Sec-Fetch-Mode alone; browsers never leave out the site.
        let (origin, sec_fetch_site) = (head.header("origin"), head.header("sec-fetch-site"));
        let referer = match sec_fetch_site {
            // The browser's own statement: there is no page behind it, or one of this origin.
            Some("same-origin" | "none") => None,
            Some(_) | None => head.header("referer"),
        };
        let is_silent = origin.is_none() && referer.is_none() && sec_fetch_site.is_none();
        let by_page = if is_silent { by_page(head) } else { ByPage::No };
        Self { origin, host: Some(head.host), sec_fetch_site, referer, by_page }
    }

    /// The origin that a request names, for logs: that of its `Origin`, or of its `Referer`.
    pub fn named_origin(head: &Head<'a>) -> Option<&'a str> {
        let named = head.header("origin").or_else(|| head.header("referer").and_then(origin_of));
        named.filter(|origin| origin.len() <= ORIGIN_BYTES_MAX)
    }

    /// The page, by the `Origin`, which browsers send with every request of another origin that
    /// could read the answer, with every WebSocket and with every POST. They send none for scripts,
    /// images and frames that a page embeds. Then a foreign `Sec-Fetch-Site` needs a `Referer`; for
    /// a browser too old for that header the `Referer` alone decides. Over plain http browsers send
    /// no `Sec-Fetch-Site` to a host that has a name, and a page can suppress the `Referer`: a
    /// request that a page could have sent, and a program hardly would, may then come from any
    /// page.
    pub fn page(&self) -> Page<'a> {
        let of = |origin| {
            if is_same(origin, self.host, self.sec_fetch_site) { Page::Own } else { Page::Of(origin) }
        };
        if let Some(origin) = self.origin {
            return of(origin);
        }
        match (self.sec_fetch_site, self.referer) {
            (Some("same-origin"), _) => Page::Own,
            (Some("none"), _) => Page::None,
            (_, Some(referer)) => origin_of(referer).map_or(Page::Unknown(Cause::NoReferer), of),
            (None, None) => match self.by_page {
                ByPage::No => Page::None,
                ByPage::Browser | ByPage::Cookie => Page::Unknown(Cause::NoSign),
            },
            (Some(_), None) => Page::Unknown(Cause::NoReferer),
        }
    }

    /// The relation of the page's site to ours; `None` for a page of our own, or if there is no
    /// page.
    pub fn relation(&self, head: &Head<'_>) -> Option<Relation> {
        let site = Site::parse(self.origin?);
        let host = HostPort::parse(head.host);
        match (self.sec_fetch_site, site, host) {
            (Some("same-origin"), ..) => None,
            (Some("same-site"), ..) => Some(Relation::SameSite),
            (_, Some(site), Some(host)) if site.is_at(&host) => None,
            (Some("cross-site"), Some(site), _) => Some(cross_site(&site, head)),
            (_, Some(site), Some(host)) if site.is_same_site(&host) => Some(Relation::SameSite),
            (_, Some(site), _) => Some(cross_site(&site, head)),
            (_, None, _) => Some(Relation::CrossSite),
        }
    }
}

/// Whether the page is of this very host. The browser's own statement counts most, because proxies
/// rewrite `Host`; and only it distinguishes the `http` page of a host from the `https` one, since
/// behind a proxy the server cannot see the browser's scheme. Pages cannot set either header.
pub(super) fn is_same(origin: &str, host: Option<&str>, sec_fetch_site: Option<&str>) -> bool {
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

/// A page loaded over http mostly requests over http; a proxy in front may report otherwise.
fn cross_site(site: &Site, head: &Head<'_>) -> Relation {
    let is_encrypted = head.header("x-forwarded-proto").is_some_and(|proto| proto.starts_with("https"))
        || head.header("forwarded").is_some_and(|list| list.to_ascii_lowercase().contains("proto=https"));
    if site.is_http() && !is_encrypted { Relation::CrossSiteInClear } else { Relation::CrossSite }
}

/// The conclusion for a request without `Origin`, `Referer` and `Sec-Fetch-Site`.
fn by_page(head: &Head<'_>) -> ByPage {
    let has = |name| head.header_bytes(name).next().is_some();
    let by_page = match head.method {
        // A request that an element can cause.
        Method::Get | Method::Head if is_browser(head) => ByPage::Browser,
        Method::Get | Method::Head if has("cookie") => ByPage::Cookie,
        // A request that a form can cause, in a browser of before 2020: others send the Origin with
        // it.
        Method::Post if is_browser(head) && is_form(head) => ByPage::Browser,
        Method::Get
        | Method::Head
        | Method::Post
        | Method::Put
        | Method::Patch
        | Method::Delete
        | Method::Options
        | Method::Other => return ByPage::No,
    };
    // Every WebSocket of a page has an Origin; and these headers no element can send, nor a script
    // of another origin without asking first.
    let bearer = head
        .header("authorization")
        .is_some_and(|value| value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")));
    let is_upgrade = head.lists("upgrade", "websocket");
    if is_upgrade || bearer || has("x-requested-with") || has("encke-session") { ByPage::No } else { by_page }
}

/// Whether a browser sent a request, by its `User-Agent`: every browser has begun it with one of
/// these since 1995.
pub fn is_browser(head: &Head<'_>) -> bool {
    let agent = head.header_bytes("user-agent").next().unwrap_or_default();
    let begins = |name: &[u8]| agent.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    // The first letter distinguishes backends' libraries from browsers at once.
    match agent {
        [b'M' | b'm', ..] => begins(b"mozilla/"),
        [b'O' | b'o', ..] => begins(b"opera/"),
        _ => false,
    }
}

/// Whether a form can send a body of this type.
fn is_form(head: &Head<'_>) -> bool {
    let Some(value) = head.header("content-type") else { return true };
    let of_form = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
    MediaType::parse(value).is_none_or(|media| of_form.contains(&&*media.essence))
}
