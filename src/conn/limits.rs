//! Bounds on connections, and how long they wait.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use crate::base::ticks::Span;

// ---- waits ----

/// Time between our FIN and the close: enough for the peer to read the last response, and short
/// enough that few connections are in this state.
pub(in crate::conn) const LINGER: Span = Span::from_secs(2);

/// Time for the rest of a request for Flash's policy file: longer than any network takes for 23
/// bytes.
pub(in crate::conn) const POLICY_PATIENCE: Span = Span::from_secs(1);

/// The earliest heartbeat, in eighths of `ENCKE_HEARTBEAT`, which is the longest silence that
/// clients are promised. The spread keeps streams that opened together from beating together.
pub(crate) const HEARTBEAT_EIGHTHS_MIN: u64 = 6;

// ---- wrong API keys ----

/// Refusals that one shard delays at once, so that a guesser takes few connections from others. A
/// further one closes the connection that has waited for longest.
pub(in crate::conn) const WITHHELD_MAX: usize = 16;

// ---- memory ----

/// Bodies of `ENCKE_BODY_BYTES` that a shard can buffer, however small `ENCKE_INPUT_MEMORY` is: a
/// body takes up to twice its bytes while it grows, and a quarter is not for the public.
pub(in crate::conn) const UNFINISHED_BODIES_MIN: usize = 4;

/// The reciprocal of the part of input memory that is reserved for the private listener, so that
/// clients that fill the rest do not keep backends from publishing.
pub(in crate::conn) const PRIVATE_INPUT_PART: usize = 4;

/// Bytes of buffers that are kept for the next response's head and body: most fit, and a large one
/// does not keep its memory.
pub(in crate::conn) const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// Keys in a queue of silent connections, beyond twice the silent ones, before it is swept: with
/// few connections, sweeping would be too frequent.
pub(in crate::conn) const SILENT_PASSED_OVER_MAX: usize = 16;

// ---- compression ----

/// Bytes of a body below which it is not compressed: the response's head is most of it.
pub(in crate::conn) const COMPRESSED_BYTES_MIN: usize = 256;

// ---- sockets of bytes ----

/// Bytes read in one turn from a WebSocket that is a TCP stream, and from its server: they are
/// copied, not parsed. With 64 KiB a bulk transfer takes half as much CPU time again.
pub(crate) const BULK_READ_BYTES: usize = 256 << 10;
