//! A peer's address, in fewer bytes than the standard library's.

use std::net::{Ipv6Addr, SocketAddr};

/// An address and a port. IPv4 addresses are mapped into IPv6; flow labels and the scope of
/// link-local addresses are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr {
    ip: [u8; 16],
    port: [u8; 2],
}

impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        let ip = match address {
            SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
            SocketAddr::V6(v6) => *v6.ip(),
        };
        Self { ip: ip.octets(), port: address.port().to_be_bytes() }
    }
}

impl From<PeerAddr> for SocketAddr {
    fn from(PeerAddr { ip, port }: PeerAddr) -> Self {
        Self::new(Ipv6Addr::from(ip).to_canonical(), u16::from_be_bytes(port))
    }
}

const _: () = assert!(std::mem::size_of::<Option<PeerAddr>>() <= 19);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_in_its_canonical_form() {
        for (text, canonical) in [
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("[2001:db8::1]:65535", "[2001:db8::1]:65535"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7:1"),
            ("[fe80::1%3]:9", "[fe80::1]:9"),
        ] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddr::from(PeerAddr::from(address)).to_string(), canonical);
        }
    }
}
