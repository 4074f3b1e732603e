//! An origin in pieces: scheme, host, port (RFC 6454, sections 4 and 6.2), and the entries of the
//! list that it answers to.
//!
//! Everything is lower-case from here on and a default port is the same as none. Names are compared
//! in the ASCII form that browsers send.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::auth::limits::ORIGIN_BYTES_MAX;
use crate::config::OriginPattern;

/// A parsed origin.
pub(super) struct Site {
    scheme: String,
    at: HostPort,
}

/// A host and, unless none is given, a port.
pub(super) struct HostPort {
    host: String,
    port: Option<u16>,
}

impl Site {
    /// Reads a serialised origin; `None` for `null`, for lists and for anything with a path.
    pub(super) fn parse(origin: &str) -> Option<Self> {
        if origin.len() > ORIGIN_BYTES_MAX {
            return None;
        }
        let (scheme, rest) = origin.split_once("://")?;
        let scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(scheme_byte)
        {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let HostPort { host, port } = HostPort::parse(rest)?;
        let port = port.filter(|&port| Some(port) != default_port(&scheme));
        Some(Self { scheme, at: HostPort { host, port } })
    }

    /// Whether this is the origin of pages at `host`, a `Host` header: their ports are the same,
    /// where a missing one is the default of the origin's scheme.
    pub(super) fn is_at(&self, host: &HostPort) -> bool {
        let port = host.port.filter(|&port| Some(port) != default_port(&self.scheme));
        self.at.host == host.host && self.at.port == port
    }

    /// Whether cookies of one are cookies of the other, whatever the port: the host is the same, or
    /// a domain of it is. Siblings below one domain are of one site, too, if no public suffix lies
    /// between, which is not known here.
    pub(super) fn is_same_site(&self, host: &HostPort) -> bool {
        let is_below = |name: &str, domain: &str| {
            let labels = name.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
            labels.is_some_and(|labels| !labels.is_empty()) && domain.contains('.') && !is_address(domain)
        };
        let (page, server) = (&*self.at.host, &*host.host);
        page == server || is_below(page, server) || is_below(server, page)
    }

    /// Whether the page was loaded without encryption.
    pub(super) fn is_http(&self) -> bool {
        self.scheme == "http"
    }

    /// Whether an entry of the list allows this origin.
    pub(super) fn is_allowed_by(&self, entry: &OriginPattern) -> bool {
        match entry {
            OriginPattern::Any => true,
            OriginPattern::Null | OriginPattern::Files => false,
            OriginPattern::Exact(origin) => self.to_string() == *origin,
            OriginPattern::Below { scheme, domain, port } => {
                self.scheme == *scheme && self.at.port == *port && self.is_below(domain)
            }
        }
    }

    /// Whether the host has labels before `domain`. The dot in between distinguishes
    /// `evilexample.com` from `example.com`.
    fn is_below(&self, domain: &str) -> bool {
        let labels = self.at.host.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
        labels.is_some_and(|labels| !labels.is_empty())
    }
}

/// As a browser would send it (RFC 6454, section 6.2).
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.at.host)?;
        match self.at.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl HostPort {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port_number(port)?)),
            Some(_) | None => (text, None),
        };
        is_host(host).then(|| Self { host: host.to_ascii_lowercase(), port })
    }
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    }
}

/// Digits only: the standard library's parser takes a plus sign too.
fn port_number(text: &str) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}
