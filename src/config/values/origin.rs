//! The origins of `ENCKE_ORIGINS`, from which foreign pages may connect.
//!
//! The comparison with a request's `Origin` is elsewhere. Values that no browser sends are refused,
//! because they could never match.

use std::fmt;
use std::net::Ipv6Addr;

/// One item of `ENCKE_ORIGINS`. Texts are in lower case and without the scheme's default port, so
/// that they equal the browser's header ([RFC 6454 section
/// 6.2](https://www.rfc-editor.org/rfc/rfc6454#section-6.2)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`: every page, with any origin or none.
    Any,
    /// `null`: sent by sandboxed frames, and by files in most browsers.
    Null,
    /// `file://`: sent by files in web views.
    Files,
    /// `https://host[:port]`: this one origin.
    Exact(String),
    /// `https://*.domain[:port]`: every host below `domain`, at any depth, but not `domain` itself.
    Below {
        /// The scheme, without its colon.
        scheme: String,
        /// The domain, without a leading dot.
        domain: String,
        /// The port, unless it is the scheme's own.
        port: Option<u16>,
    },
}

impl OriginPattern {
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        match text {
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Null),
            "file://" => return Ok(Self::Files),
            _ => {}
        }
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = lower.split_once("://").ok_or_else(|| {
            format!("{text} lacks its scheme, as in https://{}", text.trim_start_matches('/'))
        })?;
        if !is_scheme(scheme) {
            return Err(format!("{text} has an invalid scheme"));
        }
        if rest.contains(['/', '?', '#']) {
            return Err(format!("{text} has a path; an origin ends with its host or port"));
        }
        let (host, port) =
            host_and_port(rest).ok_or_else(|| format!("{text} has an invalid host or port"))?;
        let port = port.filter(|port| default_port(scheme) != Some(*port));
        let Some(domain) = host.strip_prefix("*.") else {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            return if is_host(host) {
                Ok(Self::Exact(format!("{scheme}://{host}{port}")))
            } else {
                Err(format!("{text} has an invalid host; a * may replace only whole labels at the front"))
            };
        };
        // `https://*.com` would allow nearly every page, which cannot be intended.
        if !is_host(domain) || domain.starts_with('[') || !domain.contains('.') {
            return Err(format!("{text} needs a domain of two labels or more after its *."));
        }
        Ok(Self::Below { scheme: scheme.to_owned(), domain: domain.to_owned(), port })
    }
}

impl OriginPattern {
    /// The entry for exactly this origin, as a browser sends it; `None` if it cannot be listed.
    pub fn of(origin: &str) -> Option<Self> {
        if origin.starts_with("file://") {
            return Some(Self::Files);
        }
        match Self::read(origin) {
            Ok(pattern @ (Self::Exact(_) | Self::Null)) => Some(pattern),
            Ok(Self::Any | Self::Files | Self::Below { .. }) | Err(_) => None,
        }
    }

    /// The host, in the notation of policies without schemes and ports: `*` and `*.domain` match
    /// many. `None` if the origin has no host.
    pub fn host_pattern(&self) -> Option<String> {
        match self {
            Self::Any => Some("*".to_owned()),
            Self::Null | Self::Files => None,
            Self::Below { domain, .. } => Some(format!("*.{domain}")),
            Self::Exact(origin) => {
                let rest = origin.split_once("://").map_or(origin.as_str(), |(_, rest)| rest);
                Some(host_and_port(rest).map_or(rest, |(host, _)| host).to_owned())
            }
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Null => f.write_str("null"),
            Self::Files => f.write_str("file://"),
            Self::Exact(origin) => f.write_str(origin),
            Self::Below { scheme, domain, port: None } => write!(f, "{scheme}://*.{domain}"),
            Self::Below { scheme, domain, port: Some(port) } => write!(f, "{scheme}://*.{domain}:{port}"),
        }
    }
}

/// RFC 3986 section 3.1. Not only `https`: mobile app shells have their own schemes.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

pub(super) fn host_and_port(rest: &str) -> Option<(&str, Option<u16>)> {
    let host_end =
        if rest.starts_with('[') { rest.find(']')? + 1 } else { rest.find(':').unwrap_or(rest.len()) };
    let (host, port) = rest.split_at(host_end);
    match port.strip_prefix(':') {
        Some(digits) => {
            let port = digits.parse().ok().filter(|port| *port > 0 && !digits.starts_with('+'))?;
            Some((host, Some(port)))
        }
        None if port.is_empty() => Some((host, None)),
        None => None,
    }
}

pub(super) fn is_host(host: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.len() <= 253 && host.split('.').all(label)
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        OriginPattern::read(text).map(|pattern| pattern.to_string())
    }

    #[test]
    fn an_origin_is_kept_as_a_browser_sends_it() {
        for (given, kept) in [
            ("https://Example.COM", "https://example.com"),
            ("https://example.com:443", "https://example.com"),
            ("http://example.com:80", "http://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://*.Example.com:443", "https://*.example.com"),
            ("https://*.example.com:8443", "https://*.example.com:8443"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("*", "*"),
            ("null", "null"),
            ("file://", "file://"),
            ("app://-", "app://-"),
        ] {
            assert_eq!(read(given), Ok(kept.to_owned()));
        }
    }

    #[test]
    fn what_could_never_match_or_match_too_much_is_refused() {
        for text in [
            "example.com",
            "https://",
            "https://example.com/",
            "https://example.com/app",
            "https://example.com:0",
            "https://example.com:+1",
            "https://example.com:70000",
            "https://example.com:",
            "https://user@example.com",
            "https://*.com",
            "https://*",
            "https://*example.com",
            "https://a.*.example.com",
            "https://*.*.example.com",
            "https://exa mple.com",
            "https://[::1",
            "https://[::1]x",
            "https://bücher.example",
            "file:///",
            "file://host/",
            "Null",
            "1http://example.com",
        ] {
            assert!(read(text).is_err(), "{text}: {:?}", read(text));
        }
    }
}
