//! Questions to the backend, as a shard sees them: an effect out, and some time later an input with the answer.
//!
//! A shard never waits: whoever asks keeps what is to be done in a ticket, and goes on when the answer names it. Each
//! question is answered exactly once, whatever befalls the call; a ticket that is gone by then is no fault. What is in a body
//! and what an answer means to a client is not known here.

use crate::base::slab::TicketKey;
use crate::shard::Shard;

/// Which address is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// `ENCKE_SERVICE_HOOK`: takes what clients publish to service channels.
    Service,
    /// `ENCKE_POLICY_HOOK`: decides who may do what, where tokens leave it open.
    Policy,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAnswer {
    /// The backend has answered.
    Said {
        /// HTTP's.
        status: u16,
        /// At most `ENCKE_BODY_BYTES`, and may be empty. Nobody has looked at it yet.
        body: Vec<u8>,
    },
    /// It has not: no such hook is set, too many calls wait, or it is unreachable, too slow or too wordy. The words are for
    /// the operator and not for clients.
    Failed(String),
}

/// What an answer means, the same for all hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// 2xx: taken, or allowed. With the body.
    Taken(&'a [u8]),
    /// 401 or 403.
    Denied,
    /// Anything else. Nothing may be concluded from it, so nothing is allowed.
    Unavailable,
}

impl HookAnswer {
    /// What it means.
    pub fn verdict(&self) -> Verdict<'_> {
        match self {
            Self::Said { status: 200..=299, body } => Verdict::Taken(body),
            Self::Said { status: 401 | 403, .. } => Verdict::Denied,
            Self::Said { .. } | Self::Failed(_) => Verdict::Unavailable,
        }
    }
}

impl Verdict<'_> {
    /// Its place in [`crate::shard::metrics::Metrics::hooks`].
    pub(super) fn index(self) -> usize {
        match self {
            Self::Taken(_) => 0,
            Self::Denied => 1,
            Self::Unavailable => 2,
        }
    }
}

/// The names of verdicts in metrics, by their index.
pub(super) const VERDICTS: [&str; 3] = ["taken", "denied", "unavailable"];

impl Shard {
    /// A call has come to its end.
    pub(super) fn hooked(&mut self, ticket: TicketKey, answer: &HookAnswer) {
        let verdict = answer.verdict();
        self.core.cx.metrics.hooks[verdict.index()] += 1;
        self.judged(ticket, verdict);
    }
}

#[cfg(test)]
mod tests {
    use crate::shard::hook::*;

    fn verdict(status: u16) -> usize {
        HookAnswer::Said { status, body: Vec::new() }.verdict().index()
    }

    #[test]
    fn only_what_is_2xx_is_taken_and_only_401_and_403_deny() {
        for status in 100..600 {
            let expected = match status {
                200..=299 => "taken",
                401 | 403 => "denied",
                _ => "unavailable",
            };
            assert_eq!(VERDICTS[verdict(status)], expected, "{status}");
        }
        assert_eq!(HookAnswer::Failed(String::new()).verdict(), Verdict::Unavailable);
    }

    #[test]
    fn what_is_taken_comes_with_its_body() {
        let answer = HookAnswer::Said { status: 200, body: b"{}".to_vec() };
        assert_eq!(answer.verdict(), Verdict::Taken(b"{}"));
    }
}
