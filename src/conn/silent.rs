//! Connections that have sent nothing yet, by network.
//!
//! A client sends at once on a new connection, except balancers, which open some in advance. So the
//! silent ones of one network are bounded, and at the bound the oldest is closed: other clients
//! behind the same address can still connect.
//!
//! Invariant: a queue holds every silent connection of its network, oldest first, and at most as
//! many others and a few more. Those are skipped, so that leaving costs no search.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::net::IpAddr;

use crate::base::slab::ConnKey;
use crate::conn::limits::SILENT_PASSED_OVER_MAX;

/// One IPv4 address, or the /64 of an IPv6 address, which is what one subscriber gets. In bytes: a
/// number would align each connection to sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network([u8; 16]);

impl Network {
    /// The network of an address; `None` for loopback, which is trusted.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            own if own.is_loopback() => None,
            IpAddr::V4(v4) => Some(Self(v4.to_ipv6_mapped().octets())),
            IpAddr::V6(v6) => Some(Self((v6.to_bits() >> 64 << 64).to_be_bytes())),
        }
    }
}

/// A shard's silent connections.
#[derive(Debug, Default)]
pub(crate) struct Silent {
    networks: BTreeMap<Network, SilentQueue>,
}

#[derive(Debug, Default)]
struct SilentQueue {
    silent: usize,
    queue: VecDeque<ConnKey>,
}

impl Silent {
    /// Adds a connection. Returns the number of its network.
    pub(crate) fn enter(&mut self, network: Network, key: ConnKey) -> usize {
        let line = self.networks.entry(network).or_default();
        line.silent += 1;
        line.queue.push_back(key);
        line.silent
    }

    /// Removes a connection. `is_silent` may still count it.
    pub(crate) fn leave(&mut self, network: Network, own: ConnKey, is_silent: impl Fn(ConnKey) -> bool) {
        let Entry::Occupied(mut entry) = self.networks.entry(network) else { return };
        let line = entry.get_mut();
        line.silent = line.silent.saturating_sub(1);
        if line.silent == 0 {
            entry.remove();
        } else if line.queue.len() > 2 * line.silent + SILENT_PASSED_OVER_MAX {
            line.queue.retain(|key| *key != own && is_silent(*key));
        }
    }

    /// The connection of a network that has been silent for longest.
    pub(crate) fn oldest(
        &mut self,
        network: Network,
        is_silent: impl Fn(ConnKey) -> bool,
    ) -> Option<ConnKey> {
        let line = self.networks.get_mut(&network)?;
        while let Some(key) = line.queue.front() {
            if is_silent(*key) {
                return Some(*key);
            }
            line.queue.pop_front();
        }
        None
    }

    /// The number of silent connections.
    pub(crate) fn len(&self) -> usize {
        self.networks.values().map(|line| line.silent).sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::base::slab::Slab;
    use crate::conn::silent::*;

    fn network(address: &str) -> Option<Network> {
        Network::of(address.parse().unwrap())
    }

    #[test]
    fn a_network_is_an_address_or_a_64() {
        assert_eq!(network("192.0.2.7"), network("::ffff:192.0.2.7"));
        assert_ne!(network("192.0.2.7"), network("192.0.2.8"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(network(own), None);
        }
    }

    /// The twin is a plain list.
    #[test]
    fn the_oldest_is_found_and_the_queue_stays_short() {
        let home = network("192.0.2.7").unwrap();
        let (mut silent, mut slab, mut twin) =
            (Silent::default(), Slab::<ConnKey, ()>::default(), Vec::new());
        for step in 0..5_000_usize {
            let key = slab.insert(());
            twin.push(key);
            assert_eq!(silent.enter(home, key), twin.len());
            // The newest sends first, or one in the middle; sometimes the oldest.
            let leaves = match step % 7 {
                0..=3 => twin.remove(twin.len() - 1),
                4 | 5 => twin.remove(twin.len() / 2),
                _ => continue,
            };
            slab.remove(leaves);
            silent.leave(home, leaves, |key| slab.get(key).is_some());
            assert_eq!(silent.oldest(home, |key| slab.get(key).is_some()), twin.first().copied());
            assert_eq!(silent.len(), twin.len());
            if let Some(line) = silent.networks.get(&home) {
                assert!(line.queue.len() <= 2 * line.silent + SILENT_PASSED_OVER_MAX + 1);
            }
        }
        for key in twin.drain(..) {
            slab.remove(key);
            silent.leave(home, key, |key| slab.get(key).is_some());
        }
        assert!(silent.networks.is_empty(), "a network without silent connections costs nothing");
    }
}
