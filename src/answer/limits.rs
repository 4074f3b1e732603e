//! How long responses wait, how polls are spread, and how many are written at once.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use crate::base::ticks::Span;

// ---- polls ----

/// The earliest end of a held poll without a message, in eighths of its hold. The spread keeps
/// polls that began together from ending together.
pub(crate) const POLL_HOLD_EIGHTHS_MIN: u64 = 7;

/// The reciprocal of the part of the silence so far after which a client polls next. It bounds the
/// extra latency to a third of that silence.
pub(in crate::answer) const POLL_SILENCE_PART: u64 = 3;

/// The reciprocal of the part of `ENCKE_SESSION_GRACE` within which a client polls next: a late
/// poll still finds its session.
pub(in crate::answer) const POLL_GRACE_PART: u64 = 2;

/// Polls that are answered before their answers are written: their number is small enough that the
/// answers, and the messages in them, stay in the processor's caches.
pub(in crate::answer) const POLLS_AT_ONCE_MAX: usize = 64;

// ---- polls under load ----

/// Microseconds of a turn that lengthen the wait between polls by one more time: a turn of that
/// length delays others noticeably.
pub(in crate::answer) const STRAIN_TURN_MICROS: u64 = 10_000;

/// Parts of a mailbox, each of which lengthens the wait by one more time if it is full: a mailbox
/// that fills up shows load before it is congested.
pub(in crate::answer) const STRAIN_MAILBOX_PARTS: usize = 8;

/// Times by which load lengthens the wait at most. A longer one would in effect turn clients away.
pub(in crate::answer) const STRAIN_MAX: u64 = 16;

// ---- streams ----

/// Bytes of a response around its first envelope, with some room: one allocation holds both.
pub(in crate::answer) const OPENING_BYTES: usize = 128;

/// The earliest recycling, in eighths of `ENCKE_RECYCLE_AFTER`. The spread keeps responses that
/// opened together from being recycled together.
pub(in crate::answer) const RECYCLE_EIGHTHS_MIN: u64 = 6;

// ---- drains ----

/// The latest answer to a held connect, in eighths of a drain: the last ones have time to
/// arrive before the node stops.
pub(in crate::answer) const DRAIN_EIGHTHS_MAX: u64 = 6;

/// The shortest stay of a guest, in eighths of the longest: guests that came together leave one by
/// one.
pub(in crate::answer) const GUEST_EIGHTHS_MIN: u64 = 4;

/// When a client that does not follow to the named node tries again, at the latest: the table may
/// be in change, and the balancer right a moment later.
pub(in crate::answer) const ELSEWHERE_RETRY_MAX: Span = Span::from_secs(5);

/// The shortest such time, in eighths of the longest.
pub(in crate::answer) const ELSEWHERE_EIGHTHS_MIN: u64 = 2;
