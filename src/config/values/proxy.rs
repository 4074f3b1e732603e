//! The peers whose PROXY protocol headers the node trusts: none, all, or those on a list.
//!
//! A header names the client on whose behalf a balancer connects. A trusted peer can claim any
//! address, so the list names the balancers. Peers that are not on it are clients themselves.

use std::net::IpAddr;

use super::list;
use super::network::Subnet;

/// The peers whose connections begin with a PROXY header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// None: connections have no header.
    Off,
    /// All peers.
    Everybody,
    /// Only the listed peers.
    Peers(Vec<Peers>),
}

/// Some peers: one item of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Those of a network.
    Network(Subnet),
    /// The peers of a Unix socket.
    Unix,
}

/// How a peer's connection must begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// With requests: headers are not expected.
    Unread,
    /// With a header, or the node closes it.
    Demanded,
    /// With requests. The node refuses a header from this peer.
    Refused,
}

impl ProxyProtocol {
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        match text {
            "0" | "off" => Ok(Self::Off),
            "1" | "on" => Ok(Self::Everybody),
            text => list(text, Peers::read).map(Self::Peers),
        }
    }

    /// How this peer's connection must begin; `None` is the peer of a Unix socket.
    pub fn header(&self, peer: Option<IpAddr>) -> ProxyHeader {
        match self {
            Self::Off => ProxyHeader::Unread,
            Self::Everybody => ProxyHeader::Demanded,
            Self::Peers(all) if all.iter().any(|peers| peers.cover(peer)) => ProxyHeader::Demanded,
            Self::Peers(_) => ProxyHeader::Refused,
        }
    }
}

impl Peers {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "unix" => Ok(Self::Unix),
            text => Subnet::read(text, ", or unix").map(Self::Network),
        }
    }

    fn cover(&self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Self::Unix, None) => true,
            (Self::Network(network), Some(peer)) => network.has(peer),
            (Self::Unix, Some(_)) | (Self::Network(_), None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(setting: &str, peer: &str) -> ProxyHeader {
        ProxyProtocol::read(setting).unwrap().header(Some(peer.parse().unwrap()))
    }

    #[test]
    fn a_network_covers_the_addresses_that_begin_with_its_bits() {
        for (setting, inside, outside) in [
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..],
                &["11.0.0.0", "9.255.255.255"][..],
            ),
            ("192.0.2.7", &["192.0.2.7", "::ffff:192.0.2.7"], &["192.0.2.6", "192.0.2.8", "2001:db8::1"]),
            ("2001:db8::/32", &["2001:db8::1", "2001:db8:ffff::"], &["2001:db9::", "32.1.13.184"]),
            ("0.0.0.0/0", &["203.0.113.9", "0.0.0.0"], &["2001:db8::1"]),
            ("::/0", &["2001:db8::1", "203.0.113.9"], &[]),
            ("192.0.2.1,192.0.2.128/25", &["192.0.2.1", "192.0.2.200"], &["192.0.2.2"]),
        ] {
            for peer in inside {
                assert_eq!(header(setting, peer), ProxyHeader::Demanded, "{setting} {peer}");
            }
            for peer in outside {
                assert_eq!(header(setting, peer), ProxyHeader::Refused, "{setting} {peer}");
            }
        }
    }

    #[test]
    fn peers_of_a_unix_socket_are_named_by_a_word() {
        assert_eq!(ProxyProtocol::read("unix").unwrap().header(None), ProxyHeader::Demanded);
        assert_eq!(ProxyProtocol::read("10.0.0.0/8").unwrap().header(None), ProxyHeader::Refused);
        assert_eq!(header("unix,127.0.0.1", "127.0.0.1"), ProxyHeader::Demanded);
    }

    #[test]
    fn a_switch_holds_for_everybody() {
        for (setting, expected) in [
            ("0", ProxyHeader::Unread),
            ("off", ProxyHeader::Unread),
            ("1", ProxyHeader::Demanded),
            ("on", ProxyHeader::Demanded),
        ] {
            assert_eq!(header(setting, "192.0.2.7"), expected);
            assert_eq!(ProxyProtocol::read(setting).unwrap().header(None), expected);
        }
    }

    #[test]
    fn what_is_no_network_is_named_with_what_is_meant() {
        for (text, says) in [
            ("10.0.0.5/8", "the network is 10.0.0.0/8"),
            ("2001:db8::1/32", "the network is 2001:db8::/32"),
            ("10.0.0.0/33", "0 to 32 bits"),
            ("::/129", "0 to 128 bits"),
            ("10.0.0.0/", "0 to 32 bits"),
            ("10.0.0", "is not an address"),
            ("2", "is not an address"),
            ("balancer", "is not an address"),
            ("", "empty item"),
            ("10.0.0.1,", "empty item"),
            ("10.0.0.1,10.0.0.1", "twice"),
        ] {
            let error = ProxyProtocol::read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
