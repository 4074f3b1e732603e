//! Networks: addresses that share their first bits.

use std::net::{IpAddr, Ipv6Addr};

/// A network. IPv4 addresses are mapped into IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its first address.
    address: u128,
    /// The mask of the bits that its addresses share.
    mask: u128,
}

impl Subnet {
    /// Reads `ADDRESS` or `ADDRESS/BITS`; `or` ends the sentence about what else is allowed.
    pub(in crate::config) fn read(text: &str, or: &str) -> Result<Self, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("{text:?} is not an address (192.0.2.7), a network (192.0.2.0/24){or}"))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits
                .parse::<u32>()
                .ok()
                .filter(|count| *count <= most)
                .ok_or_else(|| format!("{text}: a network of such addresses has 0 to {most} bits"))?,
        };
        let mask = u128::MAX.checked_shl(most - bits).unwrap_or(0) | if most == 32 { !0 << 32 } else { 0 };
        let number = mapped(address);
        if number & !mask != 0 {
            let first = Ipv6Addr::from(number & mask).to_canonical();
            return Err(format!(
                "{text} has bits set beyond the first {bits}; the network is {first}/{bits}"
            ));
        }
        Ok(Self { address: number, mask })
    }

    /// Whether an address is in it.
    pub fn has(&self, address: IpAddr) -> bool {
        mapped(address) & self.mask == self.address
    }
}

/// An address as a number, IPv4 mapped into IPv6 as on dual-stack sockets.
fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
