//! Bounds on the content of a request, and sizes that decide how its response is written.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use crate::base::ticks::Span;

// ---- queries ----

/// Parameters of a query. The transports know some twenty; a longer query is an attack.
pub(in crate::request) const QUERY_PAIRS_MAX: usize = 64;

/// Bytes of an unknown parameter that is compared with the known names: shorter ones are cache
/// busters and the like.
pub(in crate::request) const MISSPELT_BYTES_MIN: usize = 3;

/// The same upwards: longer than any known name with a typing error.
pub(in crate::request) const MISSPELT_BYTES_MAX: usize = 24;

/// Characters of a `since` that the server keeps. A position has at most 29; a longer text is no
/// position and is only repeated in an answer.
pub(in crate::request) const SINCE_CHARS_MAX: usize = 64;

/// Channels of a request that are compared one by one. A longer list gets a table, which costs an
/// allocation but no comparison of each with all.
pub(in crate::request) const CHANNELS_COMPARED_MAX: usize = 16;

/// Time between two values of a conflated subscription. Below it, conflation would drop nothing.
pub(in crate::request) const CONFLATE_MIN: Span = Span::from_millis(10);

/// The same upwards: a client that wants one value an hour or less can fetch it.
pub(in crate::request) const CONFLATE_MAX: Span = Span::from_secs(3600);

// ---- the private API ----

/// Channels of a list whose request names no `limit`: what a person reads.
pub(in crate::request) const CHANNELS_SHOWN_DEFAULT: usize = 100;

/// Channels of a list: about a megabyte of JSON, to which every shard contributes in one turn.
pub(in crate::request) const CHANNELS_SHOWN_MAX: usize = 10_000;

// ---- publishes and cookies ----

/// Characters of a publish's key: more than any client needs to distinguish its publishes, and
/// little enough to remember many.
pub(crate) const PUBLISH_KEY_CHARS_MAX: usize = 128;

/// Cookies of one request that are kept beyond the first of each name. A browser sends several of
/// one name only for paths or domains that differ, so a longer list is an attack.
pub(in crate::request) const MARKS_MORE_MAX: usize = 6;

// ---- responses ----

/// Bytes of a frame below which it is copied into the response: that costs less than one more slice
/// for the kernel.
pub(crate) const COPY_BYTES_MAX: usize = 2048;
