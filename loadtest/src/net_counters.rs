//! The byte and packet counters of a network interface, as the kernel keeps them: whole packets
//! with their headers, acknowledgements included.
//!
//! The interface is in this process's network namespace. The counters do not distinguish
//! connections, so a measurement needs a link without other traffic.

use std::io;

use procfs::net::{DeviceStatus, dev_status};

/// An interface's counters, seen from this end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetCounters {
    /// Bytes received.
    pub down_bytes: u64,
    /// Packets received.
    pub down_packets: u64,
    /// Bytes sent.
    pub up_bytes: u64,
    /// Packets sent.
    pub up_packets: u64,
}

impl NetCounters {
    /// Reads the counters, which start at zero when the interface is created.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn read(interface: &str) -> io::Result<Self> {
        let all = dev_status().map_err(io::Error::other)?;
        let found = all.get(interface).map(Self::from);
        found.ok_or_else(|| io::Error::other(format!("there is no interface {interface}")))
    }

    /// The difference to an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            down_bytes: self.down_bytes.saturating_sub(earlier.down_bytes),
            down_packets: self.down_packets.saturating_sub(earlier.down_packets),
            up_bytes: self.up_bytes.saturating_sub(earlier.up_bytes),
            up_packets: self.up_packets.saturating_sub(earlier.up_packets),
        }
    }
}

impl From<&DeviceStatus> for NetCounters {
    fn from(device: &DeviceStatus) -> Self {
        Self {
            down_bytes: device.recv_bytes,
            down_packets: device.recv_packets,
            up_bytes: device.sent_bytes,
            up_packets: device.sent_packets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_taken_in_both_directions() {
        let before = NetCounters { down_bytes: 1000, down_packets: 2, up_bytes: 400, up_packets: 5 };
        let after = NetCounters { down_bytes: 1500, down_packets: 3, ..before };
        let between = NetCounters { down_bytes: 500, down_packets: 1, up_bytes: 0, up_packets: 0 };
        assert_eq!(after.since(before), between);
    }

    #[test]
    fn the_counters_of_an_interface_are_found_by_its_whole_name() {
        assert!(NetCounters::read("lo").is_ok());
        assert!(NetCounters::read("l").is_err() && NetCounters::read("no-such-link").is_err());
    }
}
