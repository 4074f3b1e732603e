//! Origins and list entries in pieces: scheme, host, port (RFC 6454, section 4 and 6.2).
//!
//! Everything is lower-case from here on and a default port is the same as none. IDNs are compared in
//! the ASCII form that browsers send.

use std::fmt;

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `*`: any page, also those whose origin browsers call `null`.
    Any,
    /// One origin.
    One(Site),
    /// `https://*.example.com`: every sub-domain of the site's host, at any depth, not the host itself.
    Below(Site),
}

/// An origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    scheme: Box<str>,
    at: SitePort,
}

/// A host and, unless it is the scheme's default or not given, a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SitePort {
    host: Box<str>,
    port: Option<u16>,
}

/// An entry of the list that is no origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginFault {
    entry: Box<str>,
}

impl fmt::Display for OriginFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no origin; allowed are https://host, https://host:port, https://*.host (or another \
             scheme) and * alone, without a path or a slash at the end",
            self.entry
        )
    }
}

impl std::error::Error for OriginFault {}

impl Pattern {
    pub(super) fn parse(entry: &str) -> Result<Self, OriginFault> {
        let entry = entry.trim();
        if entry == "*" {
            return Ok(Self::Any);
        }
        let fault = || OriginFault { entry: entry.into() };
        match entry.split_once("://*.") {
            Some((scheme, rest)) => {
                Site::parse(&format!("{scheme}://{rest}")).filter(Site::is_named).map(Self::Below)
            }
            None => Site::parse(entry).map(Self::One),
        }
        .ok_or_else(fault)
    }

    /// Whether the entry allows `origin`, which is `site` if it is well-formed.
    pub(super) fn allows(&self, origin: &str, site: Option<&Site>) -> bool {
        match self {
            Self::Any => site.is_some() || origin == "null",
            Self::One(own) => site == Some(own),
            Self::Below(own) => site.is_some_and(|site| site.is_below(own)),
        }
    }
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
        let scheme: Box<str> = scheme.to_ascii_lowercase().into();
        let mut at = SitePort::parse(rest)?;
        if at.port == default_port(&scheme) {
            at.port = None;
        }
        Some(Self { scheme, at })
    }

    /// Whether this is the origin of pages at `host`, a `Host` header. Its port is the origin's, or one
    /// of them is left out and the other is the default of the origin's scheme.
    pub(super) fn is_at(&self, host: &SitePort) -> bool {
        let port = host.port.filter(|&port| Some(port) != default_port(&self.scheme));
        self.at.host == host.host && self.at.port == port
    }

    fn is_below(&self, parent: &Self) -> bool {
        let labels = self.at.host.strip_suffix(&*parent.at.host).and_then(|rest| rest.strip_suffix('.'));
        self.scheme == parent.scheme
            && self.at.port == parent.at.port
            && labels.is_some_and(|labels| !labels.is_empty())
    }

    /// Whether the host is a name and no IPv6 address, so that it can have sub-domains.
    fn is_named(&self) -> bool {
        !self.at.host.starts_with('[')
    }
}

impl SitePort {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port_number(port)?)),
            Some(_) | None => (text, None),
        };
        let inner = host.strip_prefix('[').map(|inner| inner.strip_suffix(']'));
        let valid = match inner {
            Some(Some(address)) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            Some(None) => false,
            None => {
                !host.is_empty()
                    && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            }
        };
        valid.then(|| Self { host: host.to_ascii_lowercase().into(), port })
    }
}

/// Digits only: the standard library's parser takes a plus sign too.
fn port_number(text: &str) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Bytes of an origin: a DNS name has at most 253, and this leaves room for scheme and port.
const ORIGIN_BYTES_MAX: usize = 300;
