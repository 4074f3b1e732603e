//! Bounds on values of the configuration that are not a range in the table.
//!
//! Each has a unit in its name or its type, and a reason.

use crate::base::ticks::Span;

/// Shards of a node: session ids and congestion masks have room for so many.
pub const SHARDS_MAX: usize = 64;

/// Time between failing health checks and the drain if `ENCKE_LAME_DUCK` is unset and the node can
/// be reached from outside: common balancers check every few seconds.
pub(in crate::config) const LAME_DUCK_DEFAULT: Span = Span::from_secs(5);

/// Bytes of a Unix socket's path: the length of `sun_path` of unix(7), without its closing NUL.
pub(in crate::config) const UNIX_PATH_BYTES_MAX: usize = 107;

/// Bytes of an API key: 16 characters of base64 are 96 bits, which nobody guesses over a network.
pub(in crate::config) const API_KEY_BYTES_MIN: usize = 16;

/// Bytes of an HMAC secret: RFC 7518, section 3.2 demands as many as the hash has, which is this
/// for HS256. More is not demanded for HS384 and HS512: the issuer has chosen, and 256 bits cannot
/// be guessed.
pub const TOKEN_SECRET_BYTES_MIN: usize = 32;

/// Bytes of a key or a secret: longer than any real one, and a whole file pasted by mistake is
/// refused.
pub(in crate::config) const KEY_BYTES_MAX: usize = 1024;

/// Nodes of a cluster. Each costs every start a hash for each of 16,384 slots: two seconds for so
/// many.
pub(in crate::config) const NODES_MAX: usize = 1_024;

/// Bytes of the name of a node: it is shown in answers, and in maps of balancers.
pub(in crate::config) const NODE_NAME_BYTES_MAX: usize = 64;

/// Bytes of the name of a TCP target: it is shown in logs and metrics.
pub(super) const TARGET_NAME_BYTES_MAX: usize = 64;
