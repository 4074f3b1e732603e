//! Bounds on Bayeux clients, and how long they wait before they try again.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use crate::base::ticks::Span;

// ---- intervals ----

/// Time before a client asks again for a session that it cannot have now: sessions end and backends
/// recover within seconds, and thousands of clients that ask more often are a load.
pub(in crate::bayeux) const UNAVAILABLE_INTERVAL: Span = Span::from_secs(5);

/// Time before a client's next handshake if the issuer's keys are not there yet: a fetch takes
/// less.
pub(in crate::bayeux) const KEYS_INTERVAL: Span = Span::from_secs(1);

/// Milliseconds before a client whose socket lacks the cookie makes its next handshake. The wait
/// doubles with each such client that follows.
pub(in crate::bayeux) const UNMARKED_INTERVAL_MS: u64 = 1_000;

/// Doublings of that wait, to 32 s: the client gains nothing by asking sooner, and a person who
/// repairs the setting waits no longer.
pub(in crate::bayeux) const UNMARKED_DOUBLINGS_MAX: u32 = 5;

// ---- sockets and messages ----

/// Connects in a row on one socket for sessions that are not the socket's. One is normal after a
/// restart, two after a race. At the third the client is looping; a new socket helps, because it
/// opens before the next handshake, or brings a cookie.
pub(in crate::bayeux) const REFUSED_CONNECTS_MAX: u8 = 3;

/// Levels of JSON of a message above its payload: the array, and the message itself.
pub(in crate::bayeux) const MESSAGE_LEVELS: usize = 2;

// ---- first visits ----

/// Pending cookies that one shard remembers. At the bound it forgets the oldest: if that client
/// keeps no cookie, it counts as unknown a few seconds sooner.
pub(in crate::bayeux) const PENDING_COOKIES_MAX: usize = 16_384;

/// Pending cookies that are forgotten at once: more than are added between two passes, so that
/// their number falls, and few enough to be little work.
pub(in crate::bayeux) const COOKIES_FORGOTTEN_MAX: usize = 32;

/// When a client that another node serves shakes hands again, at the latest: it may not know
/// `hosts`, and a table in change is right a moment later.
pub(in crate::bayeux) const ELSEWHERE_INTERVAL_MAX: Span = Span::from_secs(5);

/// The shortest such time, in eighths of the longest.
pub(in crate::bayeux) const ELSEWHERE_EIGHTHS_MIN: u64 = 2;
