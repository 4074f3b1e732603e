//! Bounds on sessions, and when two clients count as contesting one.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use crate::base::ticks::Span;

// ---- two clients with one id ----

/// Moves of a session between connections, in a row, after which two clients contest it: each has
/// taken it from the other twice, which a reload or a bad network seldom causes.
pub(in crate::session) const CONTEST_CHANGES_MIN: u8 = 4;

// ---- admissions ----

/// Sessions that may come at once, as the time in which `ENCKE_ADMIT` allows them: an ordinary
/// burst of clients, after a tunnel or a deployment of the page, waits for nothing.
pub(in crate::session) const ADMISSION_BURST: Span = Span::from_secs(2);

/// The longest time after which a client comes back to be admitted. Who would have to wait for
/// longer asks again, since others may have given up.
pub(in crate::session) const ADMISSION_WAIT_MAX: Span = Span::from_secs(30);

// ---- addresses ----

/// Sessions of one public address if `ENCKE_SESSIONS_PER_ADDRESS` is unset. A carrier's translator
/// gives one address to a few thousand subscribers, since their connections share its 64,512 ports.
pub(in crate::session) const PUBLIC_ADDRESS_SESSIONS_MAX: usize = 20_000;

// ---- subscriptions ----

/// Subscriptions of a session without an index: a walk over a few cache lines is faster than a
/// look-up. The index is dropped at half of it, so that a session at the bound does not rebuild it
/// repeatedly.
pub(in crate::session) const SUBSCRIPTIONS_WALKED_MAX: usize = 16;
