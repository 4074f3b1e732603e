//! The TCP servers that pages may reach: targets by name, and rules for addresses.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use super::list;
use super::network::Subnet;
use crate::base::ticks::Span;
use crate::config::limits::{TARGET_NAME_BYTES_MAX, UNIX_PATH_BYTES_MAX};
use crate::config::units;

/// A server that pages may reach by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpTarget {
    /// The name that pages use.
    pub name: Box<str>,
    /// Where it listens.
    pub place: TargetPlace,
    /// What the node tells it about the page's user.
    pub introduction: Introduction,
    /// Silence in both directions after which a stream is reset; `None`: never.
    pub idle: Option<Span>,
    /// Whether and how the connection is encrypted.
    pub tls: Option<TargetTls>,
    /// Streams at once; `None`: as many as the node allows.
    pub max: Option<usize>,
}

/// How a server is reached by TLS. The files are not opened here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetTls {
    /// The name that its certificate must have, and that it is told (SNI); `None`: its host.
    pub name: Option<Box<str>>,
    /// Authorities to trust instead of the system's: a PEM file.
    pub ca: Option<PathBuf>,
    /// The node's own certificate and its key: PEM files.
    pub cert: Option<PathBuf>,
    /// See `cert`.
    pub key: Option<PathBuf>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPlace {
    /// At a host's port. A name is resolved for each connection.
    Tcp {
        /// An address or a name.
        host: Box<str>,
        /// Its port.
        port: u16,
    },
    /// At a Unix socket.
    Unix(PathBuf),
}

/// What a server is told before the page's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introduction {
    /// Nothing: it sees the node's address.
    None,
    /// PROXY protocol, version 1: the client's address.
    ProxyV1,
    /// Version 2: also the user, in a TLV of type 0xE0, and the session's id in 0x05.
    ProxyV2,
    /// `WEBIRC`, the line of IRC servers, with `ENCKE_TCP_WEBIRC_PASSWORD`.
    Webirc,
}

impl TcpTarget {
    /// Reads `NAME=HOST:PORT` or `NAME=unix:PATH`, with options after semicolons.
    fn read(text: &str) -> Result<Self, String> {
        let (name, rest) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is not NAME=HOST:PORT or NAME=unix:PATH"))?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.len() > TARGET_NAME_BYTES_MAX || !name.bytes().all(is_name) {
            return Err(format!(
                "{name:?} is no name: 1 to {TARGET_NAME_BYTES_MAX} letters, digits, dots, - and _"
            ));
        }
        let mut parts = rest.split(';').map(str::trim);
        let place = TargetPlace::read(name, parts.next().unwrap_or_default())?;
        let (introduction, idle, tls, max) = (Introduction::None, None, None, None);
        let mut target = Self { name: name.into(), place, introduction, idle, tls, max };
        parts.try_for_each(|option| target.set(option))?;
        target.check()?;
        Ok(target)
    }

    /// Refuses options that contradict each other.
    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let Some(tls) = &self.tls else { return Ok(()) };
        if matches!(self.introduction, Introduction::ProxyV1 | Introduction::ProxyV2) {
            return Err(format!("{name}: proxy and tls together are not possible"));
        }
        if tls.cert.is_some() != tls.key.is_some() {
            return Err(format!("{name}: cert and key belong together"));
        }
        if tls.name.is_none() && matches!(self.place, TargetPlace::Unix(_)) {
            return Err(format!("{name}: a Unix socket needs the server's name, as in tls=NAME"));
        }
        Ok(())
    }

    fn set(&mut self, option: &str) -> Result<(), String> {
        let introduction = match option.split_once('=').unwrap_or((option, "")) {
            ("proxy", "v1") => Introduction::ProxyV1,
            ("proxy", "v2") => Introduction::ProxyV2,
            ("webirc", "") => Introduction::Webirc,
            ("idle", span) => {
                self.idle = Some(units::span(span).map_err(|why| format!("{}: idle is {why}", self.name))?);
                return Ok(());
            }
            ("max", count) => {
                let count = units::count(count).ok().filter(|count| *count > 0);
                self.max = Some(count.ok_or_else(|| format!("{}: max is a number from 1", self.name))?);
                return Ok(());
            }
            ("tls", host) => {
                let tls = self.tls.get_or_insert_default();
                tls.name = (!host.is_empty()).then(|| host.into());
                return Ok(());
            }
            (which @ ("ca" | "cert" | "key"), path) if path.starts_with('/') => {
                let tls = self.tls.as_mut();
                let tls = tls.ok_or_else(|| format!("{}: {which} comes after tls", self.name))?;
                let place = match which {
                    "ca" => &mut tls.ca,
                    "cert" => &mut tls.cert,
                    _ => &mut tls.key,
                };
                *place = Some(path.into());
                return Ok(());
            }
            _ => {
                let known = "tls, tls=NAME, ca=/PATH, cert=/PATH, key=/PATH, proxy=v1, proxy=v2, webirc, idle=DURATION or max=NUMBER";
                return Err(format!("{}: {option:?} is no option: {known}", self.name));
            }
        };
        if self.introduction != Introduction::None {
            return Err(format!("{}: only one of proxy and webirc is possible", self.name));
        }
        self.introduction = introduction;
        Ok(())
    }

    /// Reads the list of targets.
    pub(in crate::config) fn read_all(text: &str) -> Result<Vec<std::sync::Arc<Self>>, String> {
        let targets = list(text, Self::read)?;
        let mut names: Vec<_> = targets.iter().map(|target| &target.name).collect();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[one, next]| one == next) {
            return Err(format!("names {name} twice"));
        }
        Ok(targets.into_iter().map(std::sync::Arc::new).collect())
    }
}

impl TargetPlace {
    fn read(name: &str, text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') || path.len() > UNIX_PATH_BYTES_MAX {
                let most = UNIX_PATH_BYTES_MAX;
                return Err(format!("{name}: {path:?} is not an absolute path of at most {most} bytes"));
            }
            return Ok(Self::Unix(path.into()));
        }
        let bad = || format!("{name}: {text:?} is not HOST:PORT, [ADDRESS]:PORT or unix:PATH");
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(bad)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().map_err(|_| bad())?.to_string(),
            None => host.to_owned(),
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(bad());
        }
        Ok(Self::Tcp { host: host.into(), port })
    }
}

/// One rule for addresses that pages may name: a network, and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRule {
    network: Subnet,
    ports: (u16, u16),
}

impl AddressRule {
    /// Reads `NETWORK=PORT`, `NETWORK=PORT-PORT` or `NETWORK=*`.
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not NETWORK=PORT, as in 192.0.2.0/24=22 or 192.0.2.7=6000-6010");
        let (network, ports) = text.split_once('=').ok_or_else(bad)?;
        let network = Subnet::read(network, "")?;
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(bad);
        let ports = match ports.split_once('-') {
            None if ports == "*" => (1, u16::MAX),
            None => (port(ports)?, port(ports)?),
            Some((first, last)) => (port(first)?, port(last)?),
        };
        if ports.0 > ports.1 {
            return Err(bad());
        }
        Ok(Self { network, ports })
    }

    fn admits(&self, address: IpAddr, port: u16) -> bool {
        self.network.has(address) && (self.ports.0..=self.ports.1).contains(&port)
    }
}

/// Whether a rule lets pages reach an address. It is asked after the name was resolved. Addresses
/// of a link, where clouds keep their metadata, and those of no single host are never reached.
pub fn admits(rules: &[AddressRule], address: IpAddr, port: u16) -> bool {
    let address = address.to_canonical();
    let is_never = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified() || v6 == METADATA
        }
    };
    !is_never && rules.iter().any(|rule| rule.admits(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_with_their_options() {
        let all = TcpTarget::read_all(
            "irc=127.0.0.1:6667;webirc, sql=unix:/run/pg/s;idle=5m;max=9,x=[::1]:22;proxy=v2",
        );
        let all = all.unwrap();
        assert_eq!(all[0].place, TargetPlace::Tcp { host: "127.0.0.1".into(), port: 6667 });
        assert_eq!(all[0].introduction, Introduction::Webirc);
        assert_eq!(all[1].place, TargetPlace::Unix("/run/pg/s".into()));
        assert_eq!((all[1].idle, all[1].max), (Some(Span::from_secs(300)), Some(9)));
        assert_eq!(all[2].place, TargetPlace::Tcp { host: "::1".into(), port: 22 });
        assert_eq!(all[2].introduction, Introduction::ProxyV2);
        let all = TcpTarget::read_all("a=xmpp.internal:5222;tls,b=h:1;tls=n;ca=/a;cert=/c;key=/k").unwrap();
        assert_eq!(all[0].tls, Some(TargetTls::default()));
        let path = |text: &str| Some(PathBuf::from(text));
        let tls = TargetTls { name: Some("n".into()), ca: path("/a"), cert: path("/c"), key: path("/k") };
        assert_eq!(all[1].tls, Some(tls));
    }

    #[test]
    fn what_is_wrong_with_a_target_is_named() {
        for (text, named) in [
            ("irc", "NAME=HOST:PORT"),
            ("i c=h:1", "\"i c\" is no name"),
            ("irc=h", "is not HOST:PORT"),
            ("irc=h:0", "is not HOST:PORT"),
            ("irc=h:70000", "is not HOST:PORT"),
            ("irc=:1", "is not HOST:PORT"),
            ("irc=[h]:1", "is not HOST:PORT"),
            ("sql=unix:run", "absolute path"),
            ("irc=h:1;tsl", "\"tsl\" is no option"),
            ("irc=h:1;idle=5", "idle is"),
            ("irc=h:1;webirc;proxy=v1", "only one"),
            ("a=h:1,a=h:2", "names a twice"),
            ("a=h:1;max=0", "a number from 1"),
            ("a=h:1;ca=/x", "comes after tls"),
            ("a=h:1;tls;ca=x", "is no option"),
            ("a=h:1;tls;cert=/x", "belong together"),
            ("a=h:1;tls;proxy=v2", "not possible"),
            ("a=unix:/x;tls", "needs the server's name"),
        ] {
            let why = TcpTarget::read_all(text).unwrap_err();
            assert!(why.contains(named), "{text}: {why}");
        }
    }

    #[test]
    fn only_listed_addresses_and_ports_are_reached_and_links_never() {
        let rules =
            list("10.0.0.0/8=22,10.1.0.0/16=6000-6010,127.0.0.1=*,0.0.0.0/0=80,::/0=80", AddressRule::read);
        let rules = rules.unwrap();
        for (address, port, expected) in [
            ("10.2.3.4", 22, true),
            ("10.2.3.4", 23, false),
            ("10.1.3.4", 6005, true),
            ("10.1.3.4", 6011, false),
            ("127.0.0.1", 1, true),
            ("192.0.2.1", 80, true),
            ("192.0.2.1", 81, false),
            ("169.254.169.254", 80, false),
            ("fd00:ec2::254", 80, false),
            ("fe80::1", 80, false),
            ("::ffff:169.254.169.254", 80, false),
            ("0.0.0.0", 80, false),
            ("2001:db8::1", 80, true),
        ] {
            assert_eq!(admits(&rules, address.parse().unwrap(), port), expected, "{address} {port}");
        }
        for bad in ["10.0.0.0/8", "10.0.0.0/8=", "10.0.0.0/8=9-3", "x=1", "10.0.0.0/8=0"] {
            assert!(AddressRule::read(bad).is_err(), "{bad}");
        }
    }
}
