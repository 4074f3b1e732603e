//! Bounds of the transports, and sizes below which work is not worth it.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

// ---- padding and names ----

/// Bytes of padding that a client may request: the most that any known proxy holds back.
pub(in crate::transport) const PAD_BYTES_MAX: usize = 65_536;

/// Longest callback name: enough for every library, too short for a hidden script.
pub(in crate::transport) const CALLBACK_CHARS_MAX: usize = 64;

/// Bytes before the first event. WebKit holds back 1024, old Internet Explorer held back 256, some
/// proxies more.
pub(in crate::transport) const PRELUDE_BYTES_MIN: usize = 2048;

// ---- compression ----

/// Below this many bytes a piece is stored uncompressed: deflate would save no more than it adds.
pub(in crate::transport) const GZIP_BYTES_MIN: usize = 64;

/// Below this many bytes compression costs more than it saves.
pub(in crate::transport) const DEFLATE_BYTES_MIN: usize = 64;
