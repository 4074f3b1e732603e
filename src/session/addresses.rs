//! How many of something each network address has, so that one program cannot use up all of it:
//! sessions, or TCP streams.
//!
//! It counts and refuses; it ends nothing. Without a setting only addresses of public networks are
//! counted: a private one is mostly a balancer or proxy, which connects for many clients.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::hash::{Keyed, KeyedMap};
use crate::base::slab::{AddressKey, Slab};
use crate::config::Config;
use crate::session::limits::PUBLIC_ADDRESS_SESSIONS_MAX;

/// The number of sessions or streams by the address of their creation.
#[derive(Debug)]
pub(crate) struct Addresses {
    known: KeyedMap<IpAddr, AddressKey>,
    counts: Slab<AddressKey, Count>,
    bound: AddressBound,
}

/// The state of one address.
#[derive(Debug)]
struct Count {
    address: IpAddr,
    /// Never zero.
    count: usize,
}

/// An address has all that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressFull(pub(crate) IpAddr);

/// The bound on what an address has on this shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressBound {
    /// Applies to public networks.
    Public(usize),
    /// Applies to all.
    Every(usize),
}

impl Addresses {
    /// Nothing counted. `keyed` is for the table.
    pub(crate) fn new(keyed: Keyed, bound: AddressBound) -> Self {
        Self { known: KeyedMap::with_hasher(keyed), counts: Slab::default(), bound }
    }

    /// For sessions.
    pub(crate) fn of_sessions(keyed: Keyed, config: &Config, shards: u8) -> Self {
        let share = |total| Config::share(total, usize::from(shards));
        let bound = match config.sessions_per_address {
            None => AddressBound::Public(share(PUBLIC_ADDRESS_SESSIONS_MAX)),
            Some(max) => AddressBound::Every(share(max)),
        };
        Self::new(keyed, bound)
    }

    /// Counts one more for an address. Returns the key for [`Self::leave`], or `None` if the
    /// address is not counted.
    ///
    /// # Errors
    /// At the bound.
    pub(crate) fn enter(&mut self, peer: Option<IpAddr>) -> Result<Option<AddressKey>, AddressFull> {
        let Some(address) = peer.map(network) else { return Ok(None) };
        let max = match self.bound {
            AddressBound::Public(_) if is_private(address) => return Ok(None),
            AddressBound::Public(max) | AddressBound::Every(max) => max,
        };
        if let Some(key) = self.known.get(&address) {
            let count = &mut self.counts[*key];
            if count.count >= max {
                return Err(AddressFull(address));
            }
            count.count += 1;
            return Ok(Some(*key));
        }
        let key = self.counts.insert(Count { address, count: 1 });
        self.known.insert(address, key);
        Ok(Some(key))
    }

    /// Uncounts one that [`Self::enter`] has counted.
    pub(crate) fn leave(&mut self, key: AddressKey) {
        let Some(count) = self.counts.get_mut(key) else { return };
        count.count -= 1;
        if count.count == 0 {
            self.known.remove(&count.address);
            self.counts.remove(key);
        }
    }

    /// How many are counted.
    pub(crate) fn total(&self) -> usize {
        self.counts.iter().map(|(_, count)| count.count).sum()
    }
}

/// What counts as one address: an IPv6 host has a network of 64 bits to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Whether an address is of no public network.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local() || is_shared(address)
        }
        // A loopback address is shortened to the network `::`.
        IpAddr::V6(address) => {
            address.is_unspecified() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// RFC 6598: between a carrier's translator and its subscribers, and in some clouds between
/// balancer and hosts.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use crate::session::addresses::*;

    fn addresses(setting: Option<usize>) -> Addresses {
        let config = Config { sessions_per_address: setting, ..Config::default() };
        Addresses::of_sessions(Keyed::new((1, 2)), &config, 2)
    }

    fn enter(addresses: &mut Addresses, text: &str) -> Result<Option<AddressKey>, AddressFull> {
        addresses.enter(Some(text.parse().unwrap()))
    }

    #[test]
    fn at_the_bound_an_address_is_refused_and_others_are_not() {
        let mut addresses = addresses(Some(4));
        let first = enter(&mut addresses, "127.0.0.1").unwrap().unwrap();
        assert_eq!(enter(&mut addresses, "127.0.0.1").unwrap(), Some(first));
        let full = enter(&mut addresses, "127.0.0.1").unwrap_err();
        assert_eq!(full, AddressFull("127.0.0.1".parse().unwrap()));
        assert!(enter(&mut addresses, "127.0.0.2").is_ok());
        addresses.leave(first);
        assert!(enter(&mut addresses, "127.0.0.1").is_ok());
        assert_eq!(addresses.enter(None).unwrap(), None, "a Unix socket has no address");
        assert_eq!(addresses.total(), 3);
    }

    #[test]
    fn what_is_over_leaves_nothing_behind() {
        let mut addresses = addresses(Some(4));
        let key = enter(&mut addresses, "192.0.2.1").unwrap().unwrap();
        addresses.leave(key);
        assert!(addresses.known.is_empty() && addresses.counts.is_empty());
    }

    #[test]
    fn without_a_setting_private_addresses_are_balancers_and_are_not_counted() {
        let mut addresses = addresses(None);
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(enter(&mut addresses, private).unwrap(), None, "{private}");
        }
        for public in ["192.0.2.1", "100.128.0.1", "172.32.0.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert!(enter(&mut addresses, public).unwrap().is_some(), "{public}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_an_ipv4_address_is_one_in_either_spelling() {
        let mut addresses = addresses(Some(100));
        let mut enter = |text| enter(&mut addresses, text).unwrap();
        assert_eq!(enter("2001:db8:0:1::1"), enter("2001:db8:0:1:ffff::2"));
        assert_ne!(enter("2001:db8:0:1::1"), enter("2001:db8:0:2::1"));
        assert_eq!(enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
    }
}
