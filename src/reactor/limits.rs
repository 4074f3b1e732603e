//! Budgets of a turn and bounds of what waits outside the shards.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use std::time::Duration;

use crate::base::ticks::Span;

// ---- budgets of a turn ----

/// Events per call to the kernel. Further ones come with the next call, so this bounds a turn.
pub(in crate::reactor) const EVENTS_PER_TURN: usize = 1024;

/// Letters per turn: some milliseconds of work, then sockets are served again. If more wait,
/// sockets are read before the rest, since a flood of letters must not starve clients.
pub(in crate::reactor) const LETTERS_PER_TURN: usize = 4096;

/// Connections accepted at one listener in one turn: a flood of new ones must not starve those that
/// are there, and each brings a request that costs some 20 µs.
pub(in crate::reactor) const ACCEPTS_PER_TURN: usize = 64;

/// One read takes at most this. Larger than nearly all requests, and a default socket's window.
pub(in crate::reactor) const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes read from one socket in one turn, if the shard grants no more: a fast sender must not
/// starve the rest.
pub(in crate::reactor) const READ_BYTES_PER_SOCKET: usize = READ_BUFFER_BYTES;

/// The token of a dial's first attempt, above those of listeners.
pub(in crate::reactor) const FIRST_ATTEMPT: usize = 1 << 16;

/// How long one address of a server may take before the next one is tried, too (RFC 8305, section
/// 8).
pub(in crate::reactor) const ATTEMPT_DELAY: Span = Span::from_millis(250);

/// Threads that resolve names: one slow name server should not hold up all.
pub(in crate::reactor) const RESOLVERS: usize = 4;

/// Names that wait for them. More would not be resolved in time.
pub(in crate::reactor) const RESOLVES_WAITING_MAX: usize = 1024;

/// Bytes read in one turn, so that requests are answered soon.
pub(in crate::reactor) const READ_BYTES_PER_TURN: usize = 1024 * 1024;

/// A read counts as at least this many bytes: a thousand tiny requests are as much work as a
/// megabyte.
pub(in crate::reactor) const READ_COST_BYTES_MIN: usize = 1024;

/// Bytes written to one socket in one turn, give or take one call. One fast reader must not starve
/// the rest; 64 KiB fills a default send buffer, so more would mostly meet `WouldBlock` anyway.
pub(in crate::reactor) const WRITE_BYTES_PER_SOCKET: usize = 64 * 1024;

/// Bytes read at once of a request that is refused without parsing.
pub(in crate::reactor) const TURNED_AWAY_READ_BYTES: usize = 4096;

/// Gauges are for people and scrapers, which read them every few seconds.
pub(in crate::reactor) const GAUGES_EVERY: Span = Span::from_secs(1);

/// Pieces offered to the kernel at once. A frame is two or three pieces, so this is some twenty
/// messages; the array lives on the stack and the kernel copies its own from it on every call.
pub(in crate::reactor) const SLICES_MAX: usize = 64;

// ---- listeners ----

/// How long nothing is accepted after a failure: ten tries a second are no load, and short for a
/// client.
pub(in crate::reactor) const ACCEPT_PAUSE: Span = Span::from_millis(100);

/// Out of files is a lasting state: one line says it, more would fill the disk.
pub(in crate::reactor) const ACCEPT_LOG_EVERY: Span = Span::from_secs(10);

/// Time between keep-alive probes once the first went unanswered. With `TCP_USER_TIMEOUT` set, that
/// decides when the peer counts as dead; without it, Linux's nine probes make it some two minutes.
pub(in crate::reactor) const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// Idle time before the first keep-alive probe. The kernel counts whole seconds, and refuses zero.
pub(in crate::reactor) const KEEPALIVE_IDLE_MIN: Duration = Duration::from_secs(1);

// ---- hooks ----

/// How long a connection is kept for the next call. Shorter than the five seconds after which
/// common servers (Node's among them) close theirs: a call on a connection that is just being
/// closed fails, and must not be made twice.
pub(in crate::reactor) const HOOK_IDLE_MAX: Duration = Duration::from_secs(4);

/// Time for which one thread logs no second failure. The metrics count them all.
pub(in crate::reactor) const HOOK_LOG_PAUSE: Duration = Duration::from_secs(10);

// ---- token keys ----

/// Time for one fetch, from the look-up of the name to the last byte.
pub(in crate::reactor) const FETCH_MAX: Duration = Duration::from_secs(10);

/// Least time between two fetches, however often shards request them.
pub(in crate::reactor) const FETCH_PAUSE_MIN: Duration = Duration::from_secs(5);

/// Wait after the first failed fetch: most failures pass quickly, and without keys no client with
/// an unknown key gets in. It doubles with each further failure.
pub(in crate::reactor) const FETCH_RETRY_MIN: Duration = Duration::from_secs(1);

/// The same at most: an issuer that is down is no worse off, and keys are back a minute after it.
pub(in crate::reactor) const FETCH_RETRY_MAX: Duration = Duration::from_mins(1);

/// Bytes of a key set: some of the largest, with their certificates, have a tenth of it.
pub(in crate::reactor) const FETCH_BYTES_MAX: u64 = 256 * 1024;

// ---- file descriptors ----

/// Standard streams, signal pipes, files read on a reload, sockets that are being refused.
pub(in crate::reactor) const FILES_RESERVE: u64 = 32;

/// Epoll, wake-up, listeners and the reserve of each shard, with some room: connections that move
/// between shards are counted by neither.
pub(in crate::reactor) const FILES_RESERVE_PER_SHARD: u64 = 32;

/// Fewer connections than this cannot be intended: every desktop and distribution allows more.
pub(in crate::reactor) const FILES_FEW: usize = 900;

/// 4 GiB of memory, at some 4 KiB for a connection including the kernel's part.
pub(in crate::reactor) const CONNECTIONS_MAX: usize = 1_000_000;
