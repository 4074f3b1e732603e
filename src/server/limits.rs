//! How long the main thread waits, and for what.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use std::time::Duration;

use crate::base::ticks::Span;

// ---- clocks and the end ----

/// How often the node checks the wall clock.
pub(in crate::server) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Normal drift between the clocks; beyond it the shards get the new time.
pub(in crate::server) const WALL_DRIFT_MAX: Span = Span::from_millis(100);

/// Too large for drift: the clock was set.
pub(in crate::server) const WALL_STEP: Span = Span::from_secs(2);

/// How long a shard may take to stop: many turns, but the node does not wait for a stuck one.
pub(in crate::server) const STOP_MAX: Span = Span::from_millis(500);

/// Time that the process may need to close its sockets and exit.
pub(in crate::server) const EXIT_MARGIN_MAX: Span = Span::from_millis(250);

/// Time beyond the drain that the supervisor is asked to wait: the last writes and the exit on a
/// loaded machine.
pub(in crate::server) const STOP_MARGIN: Span = Span::from_secs(10);

/// Questions to the shards in the watchdog's time: one may come late, and an answer too.
pub(in crate::server) const WATCHDOG_QUESTIONS: u64 = 3;

// ---- key files ----

/// Bytes of a key's file. A certificate's chain, which is refused with its reason, fits.
pub(in crate::server) const PEM_BYTES_MAX: u64 = 64 * 1024;
