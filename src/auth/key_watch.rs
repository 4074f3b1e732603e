//! When fetched keys are asked for again: a token names a key that is not among them, perhaps since
//! the issuer has changed its keys.
//!
//! Its bearer is told to come back (503), for a refusal would be final, until the keys have been
//! fetched once more. For a moment after that nothing is asked again, so that tokens with made-up
//! names do not make the node ask the issuer without end. Routing only looks and notes; the shard
//! asks at the end of its turn.

use std::cell::Cell;

use crate::auth::{AuthReject, Denied};
use crate::base::ticks::{Span, Tick};
use crate::wire::refusal::Refusal;

/// One shard's view of the keys.
#[derive(Debug, Default)]
pub struct KeyWatch(Cell<State>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing is missing.
    #[default]
    Idle,
    /// A token named a key that is not there.
    Wanted,
    /// They are being fetched.
    Asked,
    /// They have just come.
    Fresh { until: Tick },
}

impl KeyWatch {
    /// What a request is told whose tokens were refused.
    pub fn refusal(&self, now: Tick, denied: &Denied) -> Refusal {
        if !matches!(denied.reject, AuthReject::UnknownKey { .. }) {
            return denied.refusal();
        }
        let state = match self.0.get() {
            State::Fresh { until } if now < until => return denied.refusal(),
            State::Idle | State::Fresh { .. } => State::Wanted,
            state @ (State::Wanted | State::Asked) => state,
        };
        self.0.set(state);
        let reason = format!("{denied}; the keys of ENCKE_TOKEN_KEYS_URL are being fetched again: try again");
        Refusal::new(503, "no-token-keys", reason).with_header("Retry-After", "1")
    }

    /// Whether the keys are to be fetched now. Says so once.
    pub fn wants(&self) -> bool {
        let is_wanted = self.0.get() == State::Wanted;
        if is_wanted {
            self.0.set(State::Asked);
        }
        is_wanted
    }

    /// They have come, or could not be had.
    pub fn came(&self, now: Tick) {
        self.0.set(State::Fresh { until: now + FRESH });
    }
}

/// Time after a fetch for which a name that is not among the keys is taken to be of no key.
const FRESH: Span = Span::from_secs(5);

#[cfg(test)]
mod tests {
    use crate::auth::Place;
    use crate::auth::key_watch::*;

    fn at(seconds: u64) -> Tick {
        Tick::ZERO + Span::from_secs(seconds)
    }

    #[test]
    fn an_unknown_key_is_asked_for_once_and_not_again_right_after_it_came() {
        let mut denied = Denied::nothing(AuthReject::NoToken, "tokens");
        denied.also(Place::Cookie, AuthReject::UnknownKey { named: "\"k\"".into() });
        let watch = KeyWatch::default();
        assert!(!watch.wants());
        assert_eq!(watch.refusal(at(0), &denied).status, 503);
        assert!(watch.wants() && !watch.wants());
        assert_eq!(watch.refusal(at(3), &denied).status, 503, "still under way");
        assert!(!watch.wants());
        watch.came(at(4));
        assert_eq!(watch.refusal(at(8), &denied).status, 401);
        assert!(!watch.wants());
        assert_eq!(watch.refusal(at(9), &denied).code, "no-token-keys");
        assert!(watch.wants());
    }

    #[test]
    fn other_refusals_ask_for_nothing() {
        let watch = KeyWatch::default();
        let mut denied = Denied::nothing(AuthReject::NoToken, "tokens");
        denied.also(Place::Cookie, AuthReject::Expired);
        assert_eq!(watch.refusal(at(0), &denied).code, "token-expired");
        assert!(!watch.wants());
    }
}
