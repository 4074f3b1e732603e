//! Listen addresses. Host names are refused: the address behind a name may change, and a listener's
//! must not.

use crate::config::limits::UNIX_PATH_BYTES_MAX;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The address of a TCP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// One address. An IPv6 address accepts only IPv6, even `[::]`. Port 0 lets the kernel choose.
    At(SocketAddr),
    /// All addresses of both families (`*:8080`): `[::]` in dual-stack mode, or `0.0.0.0` on a
    /// machine without IPv6.
    Any {
        /// The port; 0 lets the kernel choose.
        port: u16,
    },
}

/// The address of the private listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiListen {
    /// A TCP address.
    Tcp(Listen),
    /// A Unix socket (`unix:PATH`).
    Unix(PathBuf),
}

impl Listen {
    /// Reads `ip:port`, `[v6]:port` or `*:port`.
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        if let Some(port) = text.strip_prefix("*:") {
            let port = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
            return Ok(Self::Any { port });
        }
        text.parse().map(Self::At).map_err(|_| refusal(text))
    }

    /// Whether only programs on this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::At(address) => address.ip().to_canonical().is_loopback(),
            Self::Any { .. } => false,
        }
    }

    /// Its port; 0 lets the kernel choose.
    pub fn port(&self) -> u16 {
        match self {
            Self::At(address) => address.port(),
            Self::Any { port } => *port,
        }
    }

    /// Whether a connection could arrive at either. The kernel would let both bind, since the
    /// shards share their ports, and would then distribute connections between them.
    pub(in crate::config) fn overlaps(&self, other: &Self) -> bool {
        let ips = |listen: &Self| match listen {
            Self::At(address) => Some(address.ip()),
            Self::Any { .. } => None,
        };
        let covers = |a: IpAddr, b: IpAddr| a == b || (a.is_unspecified() && a.is_ipv4() == b.is_ipv4());
        self.port() == other.port()
            && self.port() != 0
            && match (ips(self), ips(other)) {
                (Some(a), Some(b)) => covers(a, b) || covers(b, a),
                (None, Some(_) | None) | (Some(_), None) => true,
            }
    }
}

impl ApiListen {
    /// Parses the same as [`Listen::read`], or `unix:PATH`.
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix("unix:") else {
            return Listen::read(text).map(Self::Tcp);
        };
        if path.is_empty() || path.ends_with('/') {
            return Err("unix: needs the path of a socket, as in unix:/run/encke/api.sock".to_owned());
        }
        if path.len() > UNIX_PATH_BYTES_MAX {
            return Err(format!(
                "a Unix socket's path is at most {UNIX_PATH_BYTES_MAX} bytes long; this one has {}",
                path.len()
            ));
        }
        Ok(Self::Unix(PathBuf::from(path)))
    }

    /// Whether only programs on this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(listen) => listen.is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Any { port } => write!(f, "*:{port}"),
        }
    }
}

impl fmt::Display for ApiListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listen) => listen.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The error for a bad address, with the corrected form for common mistakes.
fn refusal(text: &str) -> String {
    if text.parse::<IpAddr>().is_ok() {
        let port = if text.contains(':') { format!("[{text}]:8080") } else { format!("{text}:8080") };
        return format!("{text} lacks its port, as in {port}");
    }
    if let Some(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>().ok().filter(|port| *port > 0) {
        return format!("{text} lacks its address: {}:{port}, or *:{port} for all", Ipv4Addr::LOCALHOST);
    }
    format!("{text} is not a numeric address and a port; host names are not resolved")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_spelled_back() {
        for text in ["127.0.0.1:8080", "0.0.0.0:0", "[::1]:8080", "[::]:443", "*:8080", "*:0"] {
            assert_eq!(Listen::read(text).map(|listen| listen.to_string()), Ok(text.to_owned()));
            assert_eq!(ApiListen::read(text).map(|listen| listen.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(ApiListen::read("unix:/run/a.sock"), Ok(ApiListen::Unix("/run/a.sock".into())));
    }

    #[test]
    fn a_refusal_names_the_form_that_would_do() {
        for (text, advice) in [
            ("127.0.0.1", "127.0.0.1:8080"),
            ("::1", "[::1]:8080"),
            ("8080", "*:8080"),
            (":9000", "127.0.0.1:9000"),
            ("localhost:8080", "host names are not resolved"),
            ("127.0.0.1:65536", "not a numeric address"),
            ("::1:8080", "[::1:8080]:8080"),
            ("*:http", "not a port"),
            ("unix:/run/a.sock", "not a numeric address"),
        ] {
            let reason = Listen::read(text).unwrap_err();
            assert!(reason.contains(advice), "{text}: {reason}");
        }
    }

    #[test]
    fn a_socket_path_that_the_kernel_would_cut_is_refused() {
        assert!(ApiListen::read("unix:").is_err());
        assert!(ApiListen::read("unix:/run/").is_err());
        assert!(ApiListen::read(&format!("unix:/{}", "a".repeat(106))).is_ok());
        assert!(ApiListen::read(&format!("unix:/{}", "a".repeat(107))).is_err());
    }

    #[test]
    fn only_loopback_is_loopback() {
        let loopback = |text| Listen::read(text).unwrap().is_loopback();
        for text in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(loopback(text), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "*:1", "10.0.0.1:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"] {
            assert!(!loopback(text), "{text}");
        }
    }

    #[test]
    fn addresses_overlap_when_one_connection_could_reach_both() {
        let overlap = |a, b| Listen::read(a).unwrap().overlaps(&Listen::read(b).unwrap());
        for (a, b) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("*:1", "[::1]:1"),
            ("*:1", "*:1"),
            ("[::]:1", "[::1]:1"),
        ] {
            assert!(overlap(a, b) && overlap(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("127.0.0.1:1", "127.0.0.1:2"),
            ("127.0.0.1:1", "127.0.0.2:1"),
            ("0.0.0.0:1", "[::]:1"),
            ("*:0", "*:0"),
        ] {
            assert!(!overlap(a, b) && !overlap(b, a), "{a} {b}");
        }
    }
}
