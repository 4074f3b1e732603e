//! Bounds of the front for SockJS.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use crate::base::ticks::Span;

/// Sessions that are over and whose clients are still told so. Each is forgotten after
/// `ENCKE_SOCKJS_DISCONNECT`; more than this many end in that time only in an attack, and then a
/// client that is not told gets a new session.
pub(in crate::sockjs) const CLOSED_MAX: usize = 10_000;

/// The largest number that the test service `amplify` takes.
pub(in crate::sockjs) const AMPLIFY_POWER_MAX: u32 = 18;

/// The pace of the test service `ticker`.
pub(in crate::sockjs) const TICK: Span = Span::from_secs(1);

/// Requests of one session whose strings wait for an earlier call of the hook. A client sends one
/// request at a time.
pub(in crate::sockjs) const CALLS_WAITING_MAX: usize = 16;
