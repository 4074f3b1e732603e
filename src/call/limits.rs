//! How soon clients return for a session.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use crate::base::ticks::Span;

/// Time between two moves of a session between connections that count as in a row. Browsers open
/// an `EventSource` again after 3 to 5 seconds.
pub(crate) const CONTEST_PAUSE_MAX: Span = Span::from_secs(10);
