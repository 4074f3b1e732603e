//! The host names by which the server may be called.
//!
//! A foreign name server can point its own names to the visitor's machine (DNS rebinding): a page
//! of such a name then has the same origin as a server that listens there, and the list of origins
//! does not stop it. So a server that only its address protects accepts an address, `localhost` and
//! names without a dot, which no foreign name server can point here, and names that its operator
//! lists. Only the request's `Host` counts, which the browser sets; any page could set
//! `X-Forwarded-Host`.

use std::net::Ipv4Addr;

use crate::config::{Config, HostPattern, Listen, OriginPattern};
use crate::wire::refusal::{Refusal, Refused};

/// The accepted hosts.
#[derive(Debug, Default)]
pub struct Hosts {
    /// Whether it holds on the public listener.
    public: HostCheck,
    list: Box<[HostPattern]>,
}

/// Whether hosts are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HostCheck {
    /// A key protects the listener, or it is meant to be reached from elsewhere by whatever name.
    #[default]
    Any,
    /// They are checked.
    Known,
}

impl Hosts {
    /// The names in `ENCKE_HOSTS`, and those in `ENCKE_ORIGINS`, whose pages may connect anyway. It
    /// applies if hosts are listed, and on loopback without a token key, unless any page may
    /// connect there.
    pub fn new(config: &Config) -> Self {
        let is_any = config.hosts.contains(&HostPattern::Any);
        let any_page = config.origins.contains(&OriginPattern::Any);
        let on_loopback = config.token_key.is_none() && config.listen.iter().all(Listen::is_loopback);
        let known = !is_any && ((on_loopback && !any_page) || !config.hosts.is_empty());
        let public = if known { HostCheck::Known } else { HostCheck::Any };
        let of_origins = config.origins.iter().filter_map(HostPattern::of);
        Self { public, list: config.hosts.iter().cloned().chain(of_origins).collect() }
    }

    /// Whether the public listener may be called by this host.
    pub fn check_public(&self, host: &str) -> Result<(), Refusal> {
        match self.public {
            HostCheck::Any => Ok(()),
            HostCheck::Known if self.knows(host) => Ok(()),
            HostCheck::Known => Err(Refused::Host { name: name_of(host) }.into()),
        }
    }

    /// Whether a host is local, or listed by name.
    pub fn knows(&self, host: &str) -> bool {
        // Without a dot it is `localhost`, an address of IPv6 or a single label, whatever its port.
        if memchr::memchr(b'.', host.as_bytes()).is_none() {
            return true;
        }
        let name = name_of(host);
        is_local(name) || (!self.list.is_empty() && self.lists(name))
    }

    fn lists(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.list.iter().any(|pattern| match pattern {
            HostPattern::Any => false,
            HostPattern::Exact(host) => *host == name,
            HostPattern::Below(domain) => {
                let labels = name.strip_suffix(&**domain).and_then(|rest| rest.strip_suffix('.'));
                labels.is_some_and(|labels| !labels.is_empty())
            }
        })
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

/// Whether no foreign name server can point this name here.
fn is_local(name: &str) -> bool {
    let Some(dot) = memchr::memchr(b'.', name.as_bytes()) else { return true };
    if name.starts_with('[') {
        return true;
    }
    if dot + 1 == name.len() {
        // With a dot at its end a single label is a top-level domain.
        return name[..dot].eq_ignore_ascii_case("localhost");
    }
    let bare = name.strip_suffix('.').unwrap_or(name);
    let is_below_localhost =
        bare.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"));
    is_below_localhost || bare.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use crate::auth::origins::hosts::*;

    fn verdict(vars: &[(&str, &str)], host: &str) -> Result<(), String> {
        let config = crate::config::read(vars.iter().copied()).expect("values that are allowed").config;
        Hosts::new(&config).check_public(host).map_err(|refusal| refusal.reason.into_owned())
    }

    const LOCAL: [&str; 16] = [
        "",
        "localhost",
        "LocalHost:8080",
        "localhost.",
        "localhost.:80",
        "a.localhost",
        "a.LOCALHOST.:1",
        "encke",
        "encke_backend:8080",
        "127.0.0.1",
        "127.0.0.1:8080",
        "127.0.0.1.",
        "192.0.2.7:80",
        "[::1]",
        "[::1]:8080",
        "[::ffff:127.0.0.1]:8080",
    ];

    const FOREIGN: [&str; 12] = [
        "evil.example",
        "EVIL.example:8080",
        "evil.example.",
        "evil.example.:8080",
        "evil.",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evillocalhost.example",
        "a.notlocalhost",
        "127.0.0.256",
        "127.0.0.1.1",
        "a..localhost.example",
    ];

    #[test]
    fn on_loopback_without_a_key_a_foreign_host_name_is_refused() {
        for host in LOCAL {
            assert_eq!(verdict(&[], host), Ok(()), "{host}");
        }
        for host in FOREIGN {
            let reason = verdict(&[], host).expect_err(host);
            let name = host.split(':').next().unwrap();
            assert!(reason.contains(&format!("ENCKE_HOSTS={name}")), "{reason}");
            assert!(verdict(&[("ENCKE_AUTH", "none")], host).is_err(), "open, but not to every page: {host}");
        }
    }

    #[test]
    fn with_a_key_or_off_loopback_any_host_may_be_called() {
        let key = "0123456789abcdef0123456789abcdef";
        for host in FOREIGN {
            assert_eq!(verdict(&[("ENCKE_TOKEN_KEY", key)], host), Ok(()), "{host}");
            let open = [("ENCKE_LISTEN", "0.0.0.0:80"), ("ENCKE_AUTH", "none")];
            assert_eq!(verdict(&open, host), Ok(()), "{host}");
            assert_eq!(verdict(&[("ENCKE_HOSTS", "*")], host), Ok(()), "{host}");
        }
    }

    #[test]
    fn listed_names_are_let_in_and_others_are_not_wherever_there_is_a_list() {
        let key = ("ENCKE_TOKEN_KEY", "0123456789abcdef0123456789abcdef");
        let list = ("ENCKE_HOSTS", "Push.Example.com,*.app.example");
        for vars in [&[list][..], &[list, key]] {
            for host in ["push.example.com", "PUSH.example.com:443", "push.example.com.", "a.b.app.example"] {
                assert_eq!(verdict(vars, host), Ok(()), "{host}");
            }
            for host in
                ["app.example", "evilapp.example", "xpush.example.com", "push.example.com.evil.example"]
            {
                assert!(verdict(vars, host).is_err(), "{host}");
            }
            assert_eq!(verdict(vars, "127.0.0.1:8080"), Ok(()));
        }
    }
}
