//! Publishes that carry a key are carried out once, however often they come: a client that never saw the answer asks again.
//!
//! The user's home remembers each key with its outcome for the session grace, and no more of them than allowed: then the oldest go
//! first. A publish that was refused is not remembered, so it may be tried again.

use std::collections::{BTreeMap, VecDeque};

use crate::base::position::Position;
use crate::base::ticks::{Span, Tick};

/// Characters of a key: more than any client needs to tell its publishes apart.
pub const KEY_CHARS_MAX: usize = 128;

/// Keys that were used lately, with their users.
#[derive(Debug)]
pub struct Once {
    /// When each was begun, and what became of it.
    known: BTreeMap<Name, (Tick, Outcome)>,
    /// Oldest first; some may be gone from `known`, or have been begun again since.
    order: VecDeque<(Tick, Name)>,
    max: usize,
    span: Span,
}

/// A user and a key of that user's.
pub type Name = (Box<str>, Box<str>);

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its channel's home has not answered yet.
    UnderWay,
    /// It has this place.
    Taken(Position),
}

impl Once {
    /// Remembers at most `max` keys, each for `span`.
    pub fn new(max: usize, span: Span) -> Self {
        Self { known: BTreeMap::new(), order: VecDeque::new(), max, span }
    }

    /// What is known of a publish; if nothing is, it is under way from now on.
    pub fn begin(&mut self, now: Tick, name: &Name) -> Option<Outcome> {
        self.forget(now);
        if let Some((_, outcome)) = self.known.get(name) {
            return Some(*outcome);
        }
        while self.order.len() >= self.max {
            self.forget_oldest();
        }
        self.known.insert(name.clone(), (now, Outcome::UnderWay));
        self.order.push_back((now, name.clone()));
        None
    }

    /// A publish has its place.
    pub fn taken(&mut self, name: &Name, position: Position) {
        if let Some((_, outcome)) = self.known.get_mut(name) {
            *outcome = Outcome::Taken(position);
        }
    }

    /// A publish was refused.
    pub fn refused(&mut self, name: &Name) {
        self.known.remove(name);
    }

    /// Lets go of what is too old. Says when there is something to let go of next.
    pub fn forget(&mut self, now: Tick) -> Option<Tick> {
        while let Some((since, _)) = self.order.front() {
            if now.since(*since) < self.span {
                return Some(*since + self.span);
            }
            self.forget_oldest();
        }
        None
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn forget_oldest(&mut self) {
        if let Some((since, name)) = self.order.pop_front()
            && self.known.get(&name).is_some_and(|(begun, _)| *begun == since)
        {
            self.known.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::position::Epoch;

    fn name(key: &str) -> Name {
        ("alice".into(), key.into())
    }

    fn at(ms: u64) -> Tick {
        Tick::ZERO + Span::from_millis(ms)
    }

    const PLACE: Position = Position { epoch: Epoch::new(7), n: 42 };

    #[test]
    fn a_key_is_known_until_its_time_is_over() {
        let mut once = Once::new(10, Span::from_millis(100));
        assert_eq!(once.begin(at(0), &name("a")), None);
        assert_eq!(once.begin(at(1), &name("a")), Some(Outcome::UnderWay));
        once.taken(&name("a"), PLACE);
        assert_eq!(once.begin(at(99), &name("a")), Some(Outcome::Taken(PLACE)));
        assert_eq!(once.begin(at(99), &("bob".into(), "a".into())), None, "another user's");
        assert_eq!(once.begin(at(100), &name("a")), None);
    }

    #[test]
    fn a_refused_one_may_be_tried_again() {
        let mut once = Once::new(10, Span::from_millis(100));
        once.begin(at(0), &name("a"));
        once.refused(&name("a"));
        assert_eq!(once.begin(at(50), &name("a")), None);
        once.taken(&name("a"), PLACE);
        assert_eq!(once.begin(at(120), &name("a")), Some(Outcome::Taken(PLACE)), "from the second time on");
    }

    #[test]
    fn at_the_bound_the_oldest_goes() {
        let mut once = Once::new(2, Span::from_secs(100));
        for key in ["a", "b", "c"] {
            assert_eq!(once.begin(at(0), &name(key)), None);
        }
        assert_eq!(once.len(), 2);
        assert_eq!(once.begin(at(0), &name("c")), Some(Outcome::UnderWay));
        assert_eq!(once.begin(at(0), &name("a")), None);
        assert_eq!(once.forget(at(200_000)), None);
        assert!(once.is_empty());
    }
}
