//! The host names of `ENCKE_HOSTS`, which the server accepts.
//!
//! The comparison with a request's `Host` is elsewhere.

use std::fmt;

use super::origin::{OriginPattern, is_host};

/// One item of `ENCKE_HOSTS`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: any name.
    Any,
    /// This one name.
    Exact(String),
    /// `*.domain`: every name below it, at any depth, but not the domain itself.
    Below(String),
}

impl HostPattern {
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_prefix("*.").unwrap_or(&lower);
        if text.contains("://") {
            return Err(format!("{text} has a scheme; give only the host name, as in push.example.com"));
        }
        if text.contains(':') {
            return Err(format!("{text} has a port; a listed host is accepted on every port"));
        }
        if !is_host(name) {
            return Err(format!("{text} is not a host name; a * may replace only whole labels at the front"));
        }
        if name.len() == lower.len() {
            return Ok(Self::Exact(lower));
        }
        // `*.com` would match most of the world.
        if !name.contains('.') {
            return Err(format!("{text} needs a domain of two labels or more after its *."));
        }
        Ok(Self::Below(name.to_owned()))
    }
}

impl HostPattern {
    /// The hosts of an origin's pages, if it names any.
    pub fn of(origin: &OriginPattern) -> Option<Self> {
        match origin {
            OriginPattern::Any | OriginPattern::Null | OriginPattern::Files => None,
            OriginPattern::Exact(_) => origin.host_pattern().map(Self::Exact),
            OriginPattern::Below { domain, .. } => Some(Self::Below(domain.clone())),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(host) => f.write_str(host),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_kept_in_lower_case() {
        for (given, kept) in [
            ("Push.Example.COM", "push.example.com"),
            ("*.Example.com", "*.example.com"),
            ("encke", "encke"),
            ("192.0.2.1", "192.0.2.1"),
            ("*", "*"),
        ] {
            assert_eq!(HostPattern::read(given).map(|host| host.to_string()), Ok(kept.to_owned()));
        }
    }

    #[test]
    fn what_is_no_name_or_names_too_many_is_refused() {
        for text in [
            "https://a.example",
            "a.example:80",
            "[::1]",
            "*.com",
            "*a.example",
            "a.*.example",
            "a/b",
            "",
            "*.",
            "a..b",
            "b\u{fc}cher.example",
        ] {
            assert!(HostPattern::read(text).is_err(), "{text}");
        }
    }
}
