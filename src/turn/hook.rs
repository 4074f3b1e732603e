//! Calls to the backend, as a shard sees them: an effect out, and later an input with the answer.
//!
//! A shard never blocks: it keeps the action in a pending request, which the answer names, and
//! continues then. Each call gets exactly one answer; if the pending request is gone by then, the
//! answer is ignored. This file does not know what a body contains or what an answer means to a
//! client.

/// The address to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// `ENCKE_SERVICE_HOOK`: takes what clients publish to service channels.
    Service,
    /// `ENCKE_POLICY_HOOK`: decides who may do what, where tokens leave it open.
    Policy,
    /// `ENCKE_PIPE_HOOK`: takes the strings of pages.
    Pipe,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAnswer {
    /// The backend has answered.
    Response {
        /// HTTP's status.
        status: u16,
        /// At most `ENCKE_BODY_BYTES`, unparsed, perhaps empty.
        body: Vec<u8>,
    },
    /// It has not: no such hook is set, too many calls wait, or the backend is unreachable, too
    /// slow or sends too much. The text is for the operator, not for clients.
    Failed(String),
}

/// What an answer means, the same for all hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookVerdict<'a> {
    /// 2xx: accepted, or allowed. Has the body.
    Taken(&'a [u8]),
    /// 401 or 403.
    Denied,
    /// Anything else. It allows nothing.
    Unavailable,
}

impl HookAnswer {
    /// Its meaning.
    pub fn verdict(&self) -> HookVerdict<'_> {
        match self {
            Self::Response { status: 200..=299, body } => HookVerdict::Taken(body),
            Self::Response { status: 401 | 403, .. } => HookVerdict::Denied,
            Self::Response { .. } | Self::Failed(_) => HookVerdict::Unavailable,
        }
    }
}

impl HookVerdict<'_> {
    /// Its place in [`crate::turn::metrics::Metrics::hooks`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Taken(_) => 0,
            Self::Denied => 1,
            Self::Unavailable => 2,
        }
    }
}

/// The names of verdicts in metrics, by their index.
pub(crate) const VERDICTS: [&str; 3] = ["taken", "denied", "unavailable"];

#[cfg(test)]
mod tests {
    use crate::turn::hook::*;

    fn verdict(status: u16) -> usize {
        HookAnswer::Response { status, body: Vec::new() }.verdict().index()
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
        assert_eq!(HookAnswer::Failed(String::new()).verdict(), HookVerdict::Unavailable);
    }

    #[test]
    fn what_is_taken_comes_with_its_body() {
        let answer = HookAnswer::Response { status: 200, body: b"{}".to_vec() };
        assert_eq!(answer.verdict(), HookVerdict::Taken(b"{}"));
    }
}
