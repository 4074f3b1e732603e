//! When a shard requests the issuer's keys again: a token names an unknown key, perhaps because the
//! issuer has changed its keys.
//!
//! Until the keys have been fetched again the client gets 503, because a refusal would be final.
//! For a moment after that there is no further request, so that tokens with invented key names do
//! not make the node fetch without end. Routing only reads and notes; the shard requests at the end
//! of its turn.

use std::cell::Cell;

use crate::auth::limits::KEYS_FRESH;
use crate::auth::{AuthReject, Denied};
use crate::base::ticks::Tick;
use crate::wire::refusal::{Refusal, Refused};

/// One shard's view of the keys.
#[derive(Debug, Default)]
pub struct KeyWatch(Cell<State>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// No key is missing.
    #[default]
    Idle,
    /// A token named an unknown key.
    Wanted,
    /// A fetch is under way.
    Asked,
    /// A fetch has just ended.
    Fresh { until: Tick },
}

impl KeyWatch {
    /// The refusal of a request by its tokens.
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
        Refused::KeysFetched { denied: &denied.to_string() }.into()
    }

    /// Whether the keys must be fetched now. True once.
    pub fn wants(&self) -> bool {
        let is_wanted = self.0.get() == State::Wanted;
        if is_wanted {
            self.0.set(State::Asked);
        }
        is_wanted
    }

    /// The keys have arrived, or the fetch failed.
    pub fn keys_arrived(&self, now: Tick) {
        self.0.set(State::Fresh { until: now + KEYS_FRESH });
    }
}

#[cfg(test)]
mod tests {
    use crate::auth::Place;
    use crate::auth::key_watch::*;
    use crate::base::ticks::Span;

    fn at(seconds: u64) -> Tick {
        Tick::ZERO + Span::from_secs(seconds)
    }

    #[test]
    fn an_unknown_key_is_asked_for_once_and_not_again_right_after_it_came() {
        let mut denied = Denied::nothing(AuthReject::NoToken, "tokens");
        denied.also(Place::Cookie, AuthReject::UnknownKey { named: "\"k\"".into() });
        let watch = KeyWatch::default();
        assert!(!watch.wants());
        assert_eq!(watch.refusal(at(0), &denied).status(), 503);
        assert!(watch.wants() && !watch.wants());
        assert_eq!(watch.refusal(at(3), &denied).status(), 503, "still under way");
        assert!(!watch.wants());
        watch.keys_arrived(at(4));
        assert_eq!(watch.refusal(at(8), &denied).status(), 401);
        assert!(!watch.wants());
        assert_eq!(watch.refusal(at(9), &denied).code.text(), "no-token-keys");
        assert!(watch.wants());
    }

    #[test]
    fn other_refusals_ask_for_nothing() {
        let watch = KeyWatch::default();
        let mut denied = Denied::nothing(AuthReject::NoToken, "tokens");
        denied.also(Place::Cookie, AuthReject::Expired);
        assert_eq!(watch.refusal(at(0), &denied).code.text(), "token-expired");
        assert!(!watch.wants());
    }
}
