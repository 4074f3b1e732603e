//! Budgets of a turn below the protocols, and bounds of presence.
//!
//! Each has a unit in its name or its type, and a reason. What operators decide is configuration.

use crate::base::ticks::Span;

// ---- commands ----

/// Steps that a queue of commands may cost in one turn before it yields: a tenth of a millisecond
/// for plain commands, a millisecond where history is replayed. Many queues may need their portion
/// in the same turn.
pub(in crate::core) const QUEUE_STEPS_PER_TURN: u64 = 1_024;

/// Steps that all queues of the backlog may cost in one turn: requests of other clients wait no
/// longer than that.
pub(crate) const BACKLOG_STEPS_PER_TURN: u64 = 4 * QUEUE_STEPS_PER_TURN;

/// Steps of a command beyond the entries that it looks at: its names are parsed, its answer is
/// written.
pub(in crate::core) const COMMAND_STEPS: u64 = 8;

// ---- messages ----

/// Bytes above which a run takes no further message: enough to be worth a system call, and a
/// default socket takes it at once.
pub(in crate::core) const RUN_BYTES_MAX: usize = 32 * 1024;

/// Least time between two removals of old messages: a busy shard must not wake for each of them.
pub(in crate::core) const LEDGER_PAUSE_MIN: Span = Span::from_secs(1);

/// Sessions checked in one turn after the wall clock was set: a millisecond of work at most.
pub(in crate::core) const SWEPT_SESSIONS_PER_TURN: u32 = 4096;

// ---- presence ----

/// Names that a shard reports in one turn: what one letter may hold, and a turn's work. The rest
/// follows in the next turn.
pub(in crate::core) const REPORTED_NAMES_PER_TURN: usize = 2_000;

/// Bytes of a presence envelope beyond its names: the longest channel name and the counts fit.
pub(in crate::core) const ROOM_ENVELOPE_BYTES: usize = 1_024;

/// Names in a list of members: what a page can show.
pub(in crate::core) const ROOM_NAMES_MAX: usize = 1000;

/// Joins, and also leaves, in one envelope, which goes to everybody in the room.
pub(in crate::core) const ROOM_CHANGES_MAX: usize = 100;

/// Members up to which each request gets a fresh list. In larger rooms all requests between two
/// envelopes get the same one: otherwise 10,000 users who arrive together would cost 10,000 lists
/// of 1,000.
pub(in crate::core) const SMALL_ROOM_USERS_MAX: usize = 100;

/// Milliseconds between two envelopes of a room, for each member. Each envelope goes to everybody,
/// so rooms of 100 to 1,000 members cost 100 copies a second, however busy they are.
pub(in crate::core) const ROOM_PAUSE_MS_PER_USER: u64 = 10;

/// The same at least: several people who arrive within a second share an envelope.
pub(in crate::core) const ROOM_PAUSE_MIN: Span = Span::from_secs(1);

/// The same at most, which a room of 10,000 reaches with 1,000 copies a second. People would take
/// an older list for broken.
pub(in crate::core) const ROOM_PAUSE_MAX: Span = Span::from_secs(10);
