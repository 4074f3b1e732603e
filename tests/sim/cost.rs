//! What one input may cost: the rule that keeps one client from stopping a shard.
//!
//! The shard counts the elements that its loops look at (`src/shard/steps.rs`). For each input that is more than a base, it may look
//! at as many as what the input brought and what was answered explain.

use encke::shard::steps::Spent;

/// Steps that any input may cost, whatever it is: a portion of a batch, and a recall, which looks back at a thousand messages.
const BASE: u64 = 2_048;

/// Steps for each occasion, besides looks at subscriptions: a request, a command, a timer.
const PER_OCCASION: u64 = 16;

/// How often one occasion may look at all subscriptions of a session: to find it, to find what it is owed, what it has not had, and
/// whether that is all.
const LOOKS: u64 = 12;

/// Steps for each message of a channel's history that a session has not been given: whether it had it, and to hand it out.
const PER_OLD_MESSAGE: u64 = 2;

/// Bytes that a message has in an outbox at least, whose merging is a step or two.
const MESSAGE_BYTES: u64 = 8;

/// What the simulated world has at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Subscriptions of one session.
    pub(crate) subscriptions: u64,
    /// Sessions of one shard: each may get a message by several of its subscriptions.
    pub(crate) sessions: u64,
}

/// What came between two looks at a shard's counters.
pub(crate) fn difference(before: Spent, after: Spent) -> Spent {
    Spent {
        work: after.work - before.work,
        offers: after.offers - before.offers,
        occasions: after.occasions - before.occasions,
        history: after.history - before.history,
        bytes: after.bytes - before.bytes,
    }
}

/// Why an input that brought `bytes` has cost too much, if it has.
pub(crate) fn judge(spent: Spent, bytes: u64, extent: Extent) -> Result<(), String> {
    let Spent { work, offers, occasions, history, bytes: answered } = spent;
    let each = PER_OCCASION + LOOKS * extent.subscriptions;
    let asked_for = occasions * each + history * PER_OLD_MESSAGE;
    let work_max = BASE + asked_for + bytes + answered / MESSAGE_BYTES;
    let offers_max = (1 + occasions + work) * extent.sessions * extent.subscriptions;
    if work > work_max {
        return Err(format!(
            "{work} steps, and {work_max} are explained: {spent:?}, {bytes} bytes came, {extent:?}"
        ));
    }
    if offers > offers_max {
        return Err(format!("{offers} offers, and {offers_max} are explained: {spent:?}, {extent:?}"));
    }
    Ok(())
}
