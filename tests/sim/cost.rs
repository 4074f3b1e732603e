//! The cost of one input: the rule that no client can stop a shard.
//!
//! The shard counts the elements that its loops visit (`src/turn/steps.rs`). An input that costs
//! more than a base may cost as much as its size and its answers explain.

use encke::turn::steps::Spent;

/// Steps that any input may cost: a portion of a batch, and a recall, which visits the last
/// thousand messages.
const BASE: u64 = 2_048;

/// Steps for each occasion, not counting subscriptions: a request, a command, a timer.
const PER_OCCASION: u64 = 16;

/// How often one occasion may visit all subscriptions of a session: to find it, to find pending
/// messages, those that it has not had, and whether these are all.
const LOOKS: u64 = 12;

/// Steps for each message of a channel's history that a session has not had: to check that, and to
/// deliver it.
const PER_OLD_MESSAGE: u64 = 2;

/// Least bytes of a message in an outbox, whose merging is a step or two.
const MESSAGE_BYTES: u64 = 8;

/// The sizes of the simulated world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Subscriptions of one session.
    pub(crate) subscriptions: u64,
    /// Sessions of one shard: each may get a message by several of its subscriptions.
    pub(crate) sessions: u64,
}

/// The difference between two readings of a shard's counters.
pub(crate) fn difference(before: Spent, after: Spent) -> Spent {
    Spent {
        work: after.work - before.work,
        offers: after.offers - before.offers,
        occasions: after.occasions - before.occasions,
        history: after.history - before.history,
        bytes: after.bytes - before.bytes,
    }
}

/// The reason why an input of `bytes` has cost too much, if it has.
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
