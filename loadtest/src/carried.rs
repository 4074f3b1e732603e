//! What a network interface has carried, as the kernel counts it: whole packets with their headers, acknowledgements and whatever else went by.
//!
//! The interface is one of this process's network namespace. Nothing here knows whose packets they were: a measurement needs a link of its own.

use std::fs;
use std::io;

/// An interface's counters, seen from this end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes that came.
    pub down_bytes: u64,
    /// Packets that came.
    pub down_packets: u64,
    /// Bytes that went.
    pub up_bytes: u64,
    /// Packets that went.
    pub up_packets: u64,
}

impl Carried {
    /// Since the interface was made.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn by(interface: &str) -> io::Result<Self> {
        let text = fs::read_to_string("/proc/self/net/dev")?;
        found(&text, interface).ok_or_else(|| io::Error::other(format!("there is no interface {interface}")))
    }

    /// Since an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            down_bytes: self.down_bytes.saturating_sub(earlier.down_bytes),
            down_packets: self.down_packets.saturating_sub(earlier.down_packets),
            up_bytes: self.up_bytes.saturating_sub(earlier.up_bytes),
            up_packets: self.up_packets.saturating_sub(earlier.up_packets),
        }
    }
}

/// An interface's line: its name, a colon, eight counters of what came and eight of what went, bytes and packets first.
fn found(text: &str, interface: &str) -> Option<Carried> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))?;
    let counters: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let counter = |index: usize| counters.get(index).copied();
    Some(Carried {
        down_bytes: counter(0)?,
        down_packets: counter(1)?,
        up_bytes: counter(8)?,
        up_packets: counter(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Inter-|   Receive                          |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 600 7    0    0    0     0          0         0 600       7    0    0    0     0       0          0
 link1: 1500 3    0    0    0     0          0         0  400       5    0    0    0     0       0          0
";

    #[test]
    fn both_directions_of_the_interface_that_is_meant_are_read() {
        let link = Carried { down_bytes: 1500, down_packets: 3, up_bytes: 400, up_packets: 5 };
        assert_eq!(found(TEXT, "link1"), Some(link));
        assert_eq!((found(TEXT, "link"), found(TEXT, "l")), (None, None));
        let before = Carried { down_bytes: 1000, down_packets: 2, up_bytes: 400, up_packets: 5 };
        let between = Carried { down_bytes: 500, down_packets: 1, up_bytes: 0, up_packets: 0 };
        assert_eq!(link.since(before), between);
    }

    #[test]
    fn the_kernels_own_table_is_understood() {
        assert!(Carried::by("lo").is_ok() && Carried::by("no-such-link").is_err());
    }
}
