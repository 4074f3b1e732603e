//! Bounds on what peers send, and of what the decoders keep.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

// ---- HTTP ----

/// Empty lines skipped before a request line. RFC 9112 2.2 requires at least one: old browsers sent
/// a stray CRLF after the body of a POST.
pub(in crate::wire) const EMPTY_LINES_MAX: usize = 2;

/// Bytes of a host name. The longest name of the DNS has 253.
pub(in crate::wire) const HOST_BYTES_MAX: usize = 255;

/// Digits of a `Content-Length`: as many as surely fit 64 bits.
pub(in crate::wire) const CONTENT_LENGTH_DIGITS_MAX: usize = 19;

/// Digits of a chunk size. 32 bits are far over any body that is let in.
pub(in crate::wire) const CHUNK_SIZE_DIGITS_MAX: u8 = 8;

/// Bytes of chunk extensions in one body. The server does not read them; without a bound for the
/// whole body, chunks of one byte would make us read hundreds of bytes for each byte that counts.
pub(in crate::wire) const CHUNK_EXTENSION_BYTES_MAX: u16 = 256;

/// Bytes of trailers, which the server does not read either.
pub(in crate::wire) const TRAILER_BYTES_MAX: u16 = 4096;

// ---- WebSocket ----

/// Subprotocols in one offer. Each is compared with all before it; a long list is an attack.
pub(in crate::wire) const PROTOCOLS_MAX: usize = 32;

// ---- names ----

/// Bytes of a shared channel's name. Names are keys of several tables and part of every message; a
/// longer one is refused as `bad-channel`.
pub const NAME_BYTES_MAX: usize = 255;

/// Segments of a name. It bounds the patterns that one publish has to look up, to one more.
pub const SEGMENTS_MAX: usize = 16;

/// Bytes of a user id before percent-encoding.
pub const USER_BYTES_MAX: usize = 128;

// ---- the PROXY protocol ----

/// Bytes of a version 1 line with its CRLF: the longest that the specification can produce.
pub(in crate::wire) const PROXY_V1_BYTES_MAX: usize = 107;

/// Bytes of a version 2 header. The format allows 64 KiB, which only certificates in TLVs would
/// fill; what precedes authentication should be short.
pub(in crate::wire) const PROXY_V2_BYTES_MAX: usize = 4096;
