//! URLs that the node calls. Their queries often hold a key, so they are shown without them.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

use crate::config::variable::HIDDEN;

/// URL of a hook or of an issuer's keys: `http[s]://HOST[:PORT][/PATH][?QUERY]`.
#[derive(Clone, PartialEq, Eq)]
pub struct HookUrl(Uri);

impl HookUrl {
    /// Has a scheme, a host and a path.
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    /// Parses a URL.
    ///
    /// # Errors
    /// The problem, as the end of a sentence that begins with the variable's name.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.contains('#') {
            return Err("has a fragment, which is never sent".to_owned());
        }
        let uri: Uri = text.parse().map_err(|_| "is not a URL".to_owned())?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(_) | None => return Err("does not begin with http:// or https://".to_owned()),
        }
        let authority = uri.authority().ok_or("has no host")?;
        if authority.as_str().contains('@') {
            return Err(
                "has a user name or a password, which is not sent: put a key into the query".to_owned()
            );
        }
        // The text after the last colon behind the host (or IPv6 address) must be a port.
        let port = authority.as_str().get(authority.host().len()..).unwrap_or_default();
        if authority.host().is_empty() {
            return Err("has no host".to_owned());
        }
        if !port.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
            return Err("has an invalid port".to_owned());
        }
        Ok(Self(uri))
    }

    /// Parses the URL of an issuer's keys. An attacker on the path who replaces them can forge
    /// tokens, so they must come by TLS or from this machine.
    pub(in crate::config) fn read_keys(text: &str) -> Result<Self, String> {
        let url = Self::read(text)?;
        if url.is_https() || url.is_loopback() {
            return Ok(url);
        }
        Err("is plain http to another machine, where an attacker on the path could replace the keys: use https".to_owned())
    }

    /// Whether it uses TLS.
    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    fn is_loopback(&self) -> bool {
        let host = self.0.host().unwrap_or_default();
        let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_url(&self.0.to_string()))
    }
}

/// A URL as it may be shown: without the name and password before its host, its query and its
/// fragment. The text need not be a URL.
pub(in crate::config) fn shown_url(text: &str) -> String {
    let (head, query) = match text.find(['?', '#']) {
        Some(at) if text.len() > at + 1 => (&text[..at], format!("{}{HIDDEN}", &text[at..=at])),
        _ => (text, String::new()),
    };
    let (scheme, rest) = match head.find("//") {
        Some(at) => head.split_at(at + 2),
        None => ("", head),
    };
    // A password may contain a slash.
    match rest.rsplit_once('@') {
        Some((_, rest)) => format!("{scheme}{HIDDEN}@{rest}{query}"),
        None => format!("{scheme}{rest}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_parts() {
        for (text, shown) in [
            ("http://127.0.0.1:9000/hook?from=encke", "http://127.0.0.1:9000/hook?from=encke"),
            ("http://backend.example", "http://backend.example/"),
            ("http://[::1]:9000/", "http://[::1]:9000/"),
            ("HTTP://backend/", "http://backend/"),
            ("https://backend:8443/hook", "https://backend:8443/hook"),
        ] {
            assert_eq!(HookUrl::read(text).unwrap().uri().to_string(), shown);
        }
    }

    #[test]
    fn keys_and_passwords_are_not_shown() {
        for (text, shown) in [
            ("http://a:9/hook?key=hush", "http://a:9/hook?(hidden)"),
            ("http://a/?hush", "http://a/?(hidden)"),
            ("http://a/#hush", "http://a/#(hidden)"),
            ("http://user:hush@a/hook", "http://(hidden)@a/hook"),
            ("http://hush@a", "http://(hidden)@a"),
            ("http://user:hu/sh@a/hook?x", "http://(hidden)@a/hook?(hidden)"),
            ("http://user:hu@sh@a/", "http://(hidden)@a/"),
            ("user:hush@a/?k=hush#hush", "(hidden)@a/?(hidden)"),
            ("//user:hush@a", "//(hidden)@a"),
            ("http://a/hook", "http://a/hook"),
            ("http://a/?", "http://a/?"),
            ("", ""),
        ] {
            assert_eq!(shown_url(text), shown);
        }
        let url = HookUrl::read("http://a/hook?key=hush").unwrap();
        assert_eq!(format!("{url:?}"), "http://a/hook?(hidden)");
    }

    #[test]
    fn keys_come_by_tls_or_from_this_machine() {
        for text in [
            "https://id.example/jwks",
            "http://127.0.0.1:9/jwks",
            "http://[::1]:9/",
            "http://LocalHost/",
            "http://127.9.9.9/",
        ] {
            assert!(HookUrl::read_keys(text).is_ok(), "{text}");
        }
        for text in
            ["http://id.example/jwks", "http://10.0.0.1/", "http://localhost.example/", "http://0.0.0.0/"]
        {
            assert!(HookUrl::read_keys(text).unwrap_err().contains("use https"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for text in [
            "",
            "backend",
            "backend:9000",
            "/hook",
            "http://",
            "http:///hook",
            "http://:80/",
            "http://a b/",
            "http://a/\n",
            "http://a:/",
            "http://a:0/",
            "http://a:65536/",
            "http://a:b/",
            "http://a/#top",
            "ftp://a/",
            "http://user:hush@a/",
        ] {
            let reason = HookUrl::read(text).expect_err(text);
            assert!(!reason.contains("hush"), "{reason}");
        }
    }
}
