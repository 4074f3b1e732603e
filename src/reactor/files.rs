//! File descriptors: how many there may be, and how many connections that allows.
//!
//! The soft limit of most systems is 1024, a relic of `select`; the hard limit is what the administrator means.
//! So the node raises the one to the other at its start and says so.

use super::fault::Fault;

/// What the system allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files {
    /// The soft limit before the start.
    pub before: u64,
    /// The soft limit now: as many descriptors the process may have.
    pub limit: u64,
}

/// Raises the soft limit of file descriptors to the hard one.
///
/// # Errors
/// When the limit cannot be read. That it cannot be raised is only worth a warning.
pub fn raise_limit() -> Result<Files, Fault> {
    let read = || {
        rlimit::getrlimit(rlimit::Resource::NOFILE)
            .map_err(Fault::doing("read the limit of file descriptors"))
    };
    let (before, hard) = read()?;
    if let Err(error) = rlimit::setrlimit(rlimit::Resource::NOFILE, hard, hard) {
        log::warn!("could not raise the limit of file descriptors from {before} to {hard}: {error}");
    }
    let (limit, _) = read()?;
    Ok(Files { before, limit })
}

impl Files {
    /// How many connections the node may have when `ENCKE_CONNECTIONS` is `auto`: all descriptors but a
    /// reserve, and at most a million, so that an unlimited limit stays a limit.
    pub fn connections(&self, shards: usize) -> usize {
        self.room(shards).min(CONNECTIONS_MAX)
    }

    /// How many connections there are descriptors for.
    pub fn room(&self, shards: usize) -> usize {
        let reserve = RESERVE + RESERVE_PER_SHARD * shards as u64;
        // Where the limit is tiny, half of it is better than nothing.
        let usable = self.limit.saturating_sub(reserve).max(self.limit / 2).max(1);
        usize::try_from(usable).unwrap_or(usize::MAX)
    }
}

/// Standard streams, signal pipes, files read on a reload, sockets that are being refused.
const RESERVE: u64 = 32;

/// Epoll, wake-up, listeners and the reserve of each shard, with some room: connections that move between
/// shards are counted by neither.
const RESERVE_PER_SHARD: u64 = 32;

/// What 4 GiB of memory hold, at some 4 KiB for a connection with the kernel's part.
const CONNECTIONS_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        let files = raise_limit().unwrap();
        let (soft, hard) = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap();
        assert_eq!((soft, files.limit), (hard, hard));
    }

    #[test]
    fn some_descriptors_are_kept_from_the_connections() {
        let files = |limit| Files { before: 1024, limit };
        assert_eq!(files(20_000).connections(2), 20_000 - 32 - 64);
        assert_eq!(files(64).connections(4), 32);
        assert_eq!(files(u64::MAX).connections(1), CONNECTIONS_MAX);
        assert!(files(u64::MAX).room(1) > CONNECTIONS_MAX, "more may be asked for");
    }
}
