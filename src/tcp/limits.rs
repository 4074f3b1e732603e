//! Bounds on TCP streams that no operator needs to set.

/// Streams of one public address if `ENCKE_TCP_ADDRESS_STREAMS` is unset: four users with all that
/// they may have, or an office whose people have a few each.
pub(super) const PUBLIC_ADDRESS_STREAMS_MAX: usize = 256;

/// Bytes of a stream in one message to the page: what another message waits for at most.
pub(super) const CHUNK_BYTES: usize = 16 << 10;

/// The part of a private log that the streams of its session may fill with what the page has not
/// acknowledged: the rest is for other messages of the session.
pub(super) const LOG_PART: usize = 2;

/// The part of these messages that one stream may have under way.
pub(super) const STREAM_PART: usize = 4;

/// A page is told of room for more bytes when that much of its window is free.
pub(super) const CREDIT_PART: u64 = 2;

/// How many forgotten streams of a session are told of again: a page asks soon after a gap.
pub(super) const ENDED_KEPT: usize = 64;

/// A WebSocket's message with fewer bytes is one frame: two would cost more than to copy them.
pub(super) const SPLIT_BYTES_MIN: usize = 1024;
