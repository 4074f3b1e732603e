//! The limit of file descriptors, and the number of connections that it allows.
//!
//! The soft limit of most systems is 1024, a relic of `select`; the hard limit is the
//! administrator's. So the node raises the soft limit to the hard one at its start and logs it.

use super::{fault::Fault, system};

use crate::reactor::limits::{CONNECTIONS_MAX, FILES_FEW, FILES_RESERVE, FILES_RESERVE_PER_SHARD};

/// The system's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files {
    /// The soft limit before the start.
    pub before: u64,
    /// The soft limit now: the number of descriptors that the process may have.
    pub limit: u64,
}

/// The number of connections that the descriptors allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Those that `ENCKE_CONNECTIONS` bounds.
    pub connections: usize,
    /// Those on top, which only the private listener may use.
    pub reserve: usize,
}

impl Allowed {
    /// A warning for the operator: a limit that lowers the configured number, or allows few
    /// connections.
    pub fn warning(&self, asked: Option<usize>, files: &Files) -> Option<String> {
        let Self { connections, reserve } = self;
        let allows = format!(
            "{} file descriptors (ulimit -n) allow {connections} connections and {reserve} more for the private listener",
            files.limit
        );
        match asked {
            Some(asked) if asked > *connections => Some(format!(
                "ENCKE_CONNECTIONS={asked} is more than {allows}: using {connections}; raise the hard limit (LimitNOFILE= of systemd)"
            )),
            None if *connections < FILES_FEW => {
                Some(format!("{allows}: raise the hard limit (LimitNOFILE= of systemd) for more clients"))
            }
            Some(_) | None => None,
        }
    }
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
    if before < hard
        && let Err(error) = system::raise_descriptors(hard)
    {
        log::warn!("could not raise the limit of file descriptors from {before} to {hard}: {error}");
    }
    let (limit, _) = read()?;
    Ok(Files { before, limit })
}

impl Files {
    /// The same without the descriptors of `streams` connections to backends, which may be half of
    /// all: each has a client, too. Also returns how many those are.
    #[must_use]
    pub fn without(self, streams: usize) -> (Self, usize) {
        let streams = (streams as u64).min(self.limit / 2);
        (Self { limit: self.limit - streams, ..self }, usize::try_from(streams).unwrap_or(usize::MAX))
    }

    /// A warning for the operator if there are fewer than the `asked` streams.
    pub fn streams_warning(&self, asked: usize, streams: usize) -> Option<String> {
        let limit = self.limit;
        (asked > streams).then(|| {
            format!(
                "ENCKE_TCP_NODE_STREAMS={asked} is more than half of {limit} file descriptors (ulimit -n): using {streams}; \
                 raise the hard limit (LimitNOFILE= of systemd)"
            )
        })
    }

    /// Divides the descriptors: `asked` and `reserve` as configured, lowered if there are not
    /// enough.
    pub fn allow(&self, asked: Option<usize>, reserve: usize, shards: usize) -> Allowed {
        let room = self.room(shards);
        // With a tiny limit, clients need some too.
        let reserve = reserve.min(room / 4).max(1);
        let most = room.saturating_sub(reserve).max(1);
        Allowed { connections: asked.unwrap_or(CONNECTIONS_MAX).min(most), reserve }
    }

    /// The number of connections that the descriptors allow.
    fn room(&self, shards: usize) -> usize {
        let reserve = FILES_RESERVE + FILES_RESERVE_PER_SHARD * shards as u64;
        // With a tiny limit, use half of it.
        let usable = self.limit.saturating_sub(reserve).max(self.limit / 2).max(1);
        usize::try_from(usable).unwrap_or(usize::MAX)
    }
}

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
        let allow = |limit, asked, shards| {
            let Allowed { connections, reserve } = Files { before: 1024, limit }.allow(asked, 256, shards);
            (connections, reserve)
        };
        assert_eq!(allow(20_000, None, 2), (20_000 - 32 - 64 - 256, 256));
        assert_eq!(allow(20_000, Some(5_000), 2), (5_000, 256));
        assert_eq!(allow(20_000, Some(50_000), 2), (20_000 - 32 - 64 - 256, 256));
        assert_eq!(allow(64, None, 4), (24, 8));
        assert_eq!(allow(64, Some(6), 4), (6, 8));
        assert_eq!(allow(2, None, 1), (1, 1));
        assert_eq!(allow(u64::MAX, None, 1), (CONNECTIONS_MAX, 256));
        assert_eq!(
            allow(u64::MAX, Some(2 * CONNECTIONS_MAX), 1),
            (2 * CONNECTIONS_MAX, 256),
            "more may be asked for"
        );
    }

    #[test]
    fn a_low_descriptor_limit_is_reported_with_what_it_allows() {
        let warning = |limit, asked| {
            let files = Files { before: limit, limit };
            files.allow(asked, 256, 1).warning(asked, &files)
        };
        assert!(
            warning(64, None)
                .unwrap()
                .starts_with("64 file descriptors (ulimit -n) allow 24 connections and 8 more")
        );
        let lowered = warning(1024, Some(10_000)).unwrap();
        assert!(
            lowered.starts_with("ENCKE_CONNECTIONS=10000 is more than 1024 file descriptors"),
            "{lowered}"
        );
        assert!(lowered.contains("using 720"), "{lowered}");
        assert_eq!((warning(20_000, None), warning(64, Some(6))), (None, None));
    }

    #[test]
    fn half_of_the_descriptors_may_be_streams() {
        let files = Files { before: 1024, limit: 1024 };
        assert_eq!(files.without(500), (Files { before: 1024, limit: 524 }, 500));
        let (rest, streams) = files.without(1000);
        assert_eq!((rest.limit, streams), (512, 512));
        assert_eq!(files.streams_warning(500, 500), None);
        let lowered = files.streams_warning(1000, 512).unwrap();
        assert!(lowered.starts_with("ENCKE_TCP_NODE_STREAMS=1000 is more than half of 1024"), "{lowered}");
        assert!(lowered.contains("using 512;"), "{lowered}");
    }
}
