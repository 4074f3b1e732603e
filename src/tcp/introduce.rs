//! What a server is told about the page's user before the page's first byte: a PROXY protocol
//! header (`proxy-protocol.txt` of haproxy, sections 2.1 and 2.2), or the line `WEBIRC`
//! (ircv3.net/specs/extensions/webirc).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ppp::v2;

use crate::config::{Introduction, Secret};

/// The type of the TLV with the user: one for private use.
const TLV_USER: u8 = 0xE0;

/// The type of the TLV with a unique id, here the session's.
const TLV_UNIQUE_ID: u8 = 0x05;

/// What is told.
pub(super) struct Client<'a> {
    /// The client's address; `None` if it came by a Unix socket.
    pub(super) peer: Option<SocketAddr>,
    /// The server's address; `None` for a Unix socket.
    pub(super) server: Option<SocketAddr>,
    pub(super) user: &'a str,
    pub(super) session: &'a str,
}

/// The bytes that come first; none for [`Introduction::None`].
pub(super) fn introduce(how: Introduction, client: &Client<'_>, password: Option<&Secret>) -> Vec<u8> {
    match how {
        Introduction::None => Vec::new(),
        Introduction::ProxyV1 => match addresses(client) {
            Some((from, to)) => {
                let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
                let (from_ip, to_ip) = (from.ip(), to.ip());
                format!("PROXY {family} {from_ip} {to_ip} {} {}\r\n", from.port(), to.port()).into_bytes()
            }
            None => b"PROXY UNKNOWN\r\n".to_vec(),
        },
        Introduction::ProxyV2 => proxy_v2(client),
        Introduction::Webirc => {
            let ip = client.peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
            let password = password.map_or("", Secret::expose);
            // A parameter must not begin with a colon, as an IPv6 address may.
            let text = ip.to_string();
            let text = if text.starts_with(':') { format!("0{text}") } else { text };
            format!("WEBIRC {password} encke {text} {text}\r\n").into_bytes()
        }
    }
}

fn proxy_v2(client: &Client<'_>) -> Vec<u8> {
    let proxied = v2::Version::Two | v2::Command::Proxy;
    let builder = match addresses(client) {
        Some((SocketAddr::V4(from), SocketAddr::V4(to))) => {
            let ips = v2::IPv4::new(*from.ip(), *to.ip(), from.port(), to.port());
            v2::Builder::with_addresses(proxied, v2::Protocol::Stream, ips)
        }
        Some((SocketAddr::V6(from), SocketAddr::V6(to))) => {
            let ips = v2::IPv6::new(*from.ip(), *to.ip(), from.port(), to.port());
            v2::Builder::with_addresses(proxied, v2::Protocol::Stream, ips)
        }
        Some(_) | None => {
            v2::Builder::new(proxied, v2::AddressFamily::Unspecified | v2::Protocol::Unspecified)
        }
    };
    let built = builder
        .write_tlv(TLV_UNIQUE_ID, client.session.as_bytes())
        .and_then(|builder| builder.write_tlv(TLV_USER, client.user.as_bytes()))
        .and_then(v2::Builder::build);
    // A user's id and a session's are far shorter than the header's bound.
    built.unwrap_or_default()
}

/// Both addresses, in one family.
fn addresses(client: &Client<'_>) -> Option<(SocketAddr, SocketAddr)> {
    let canonical = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
    let from = canonical(client.peer?);
    let to = client.server.map_or_else(
        || {
            let any: IpAddr =
                if from.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            SocketAddr::new(any, 0)
        },
        canonical,
    );
    if from.is_ipv4() == to.is_ipv4() {
        return Some((from, to));
    }
    let mapped = |at: SocketAddr| match at.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), at.port()),
        IpAddr::V6(_) => at,
    };
    Some((mapped(from), mapped(to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client<'a>(peer: &str, server: &str) -> Client<'a> {
        Client { peer: peer.parse().ok(), server: server.parse().ok(), user: "alice", session: "s1" }
    }

    #[test]
    fn version_1_is_a_line() {
        for (peer, server, line) in [
            ("203.0.113.7:51234", "192.0.2.10:6667", "PROXY TCP4 203.0.113.7 192.0.2.10 51234 6667\r\n"),
            ("[2001:db8::1]:5", "[::1]:6", "PROXY TCP6 2001:db8::1 ::1 5 6\r\n"),
            ("203.0.113.7:5", "[::1]:6", "PROXY TCP6 ::ffff:203.0.113.7 ::1 5 6\r\n"),
            ("", "192.0.2.10:6667", "PROXY UNKNOWN\r\n"),
        ] {
            let told = introduce(Introduction::ProxyV1, &client(peer, server), None);
            assert_eq!(String::from_utf8(told).unwrap(), line);
        }
    }

    #[test]
    fn version_2_names_the_user() {
        let told = introduce(Introduction::ProxyV2, &client("203.0.113.7:51234", "192.0.2.10:6667"), None);
        let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x19\xcb\0\x71\x07\xc0\0\x02\x0a\xc8\x22\x1a\x0b";
        assert_eq!(told[..28], start[..]);
        assert_eq!(told[28..], b"\x05\0\x02s1\xe0\0\x05alice"[..]);
        let other = introduce(Introduction::ProxyV2, &client("", ""), None);
        assert_eq!(other[12..14], [0x21, 0x00]);
    }

    #[test]
    fn an_irc_server_is_told_the_address() {
        let password = Secret::new("pw");
        let told = |peer| introduce(Introduction::Webirc, &client(peer, ""), Some(&password));
        assert_eq!(told("203.0.113.7:1"), b"WEBIRC pw encke 203.0.113.7 203.0.113.7\r\n");
        assert_eq!(told("[::1]:1"), b"WEBIRC pw encke 0::1 0::1\r\n");
    }
}
