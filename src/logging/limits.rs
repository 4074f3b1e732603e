//! Bounds of the queue of log lines.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use std::time::Duration;

/// Bytes reserved for a line while it is written: a typical one fits.
pub(super) const LINE_BYTES: usize = 256;

/// Bytes in the queue: some thousand lines. A reader that is further behind loses lines.
pub(super) const QUEUE_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a line in the queue beyond its text: its entry and its allocation.
pub(super) const QUEUED_LINE_BYTES: usize = 64;

/// Time that the end of the process waits for a reader: a reader that is alive takes the queue in
/// much less.
pub(super) const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Time between two tries on a full non-blocking pipe: fifty a second are no load, and short for a
/// reader.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(20);
