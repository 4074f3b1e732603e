//! Bounds on credentials and pages.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use crate::base::ticks::Span;

// ---- tokens ----

/// Bytes of a token. It has to fit into a request head beside everything else, and 256 rules of an
/// ordinary length fit into it. A longer one is refused before any decoding.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Credentials of one request that are tried. Each may cost the check of a signature.
pub const CANDIDATES_MAX: usize = 8;

/// Keys with which one token is tried if it does not name one.
pub(in crate::auth) const KEYS_TRIED_MAX: usize = 8;

/// Rules of one token. Each subscribe and publish looks through them; a token with more is refused.
pub const RULES_MAX: usize = 256;

/// The end of the year 9999: the latest `exp`.
pub const EXPIRES_UNIX_MAX: u64 = 253_402_300_799;

/// Seconds by which `nbf` may lie ahead: an issuer that stamps the current time on a token often
/// runs a little ahead of us, and its users connect at once.
pub(in crate::auth) const NOT_BEFORE_LEEWAY_SECONDS: u64 = 10;

/// Keys of one set. Issuers have a handful, and the two of a rotation.
pub const JWKS_KEYS_MAX: usize = 64;

// ---- keys ----

/// Time after a fetch for which an unknown key name is considered invalid.
pub(in crate::auth) const KEYS_FRESH: Span = Span::from_secs(5);

// ---- pages ----

/// Bytes of an origin that are repeated in a refusal.
pub(in crate::auth) const ORIGIN_SHOWN_BYTES_MAX: usize = 300;

/// Bytes of an origin: a DNS name has at most 253, and this leaves room for scheme and port.
pub(in crate::auth) const ORIGIN_BYTES_MAX: usize = 300;

/// Bytes of a list of headers that is repeated. Monitoring scripts add some ten names to a
/// request's own.
pub(in crate::auth) const PREFLIGHT_NAMES_BYTES_MAX: usize = 2048;

/// Logged origins: more pages than that are not a mistake in a configuration.
pub(in crate::auth) const LOGGED_SLOTS: usize = 64;

// ---- refusals ----

/// Characters of a text that a refusal repeats: longer ones are not meant, and refusals end up on
/// screens.
pub(in crate::auth) const SHOWN_CHARS_MAX: usize = 64;

/// Names that a refusal repeats: enough to recognise a list.
pub(in crate::auth) const SHOWN_NAMES_MAX: usize = 4;
