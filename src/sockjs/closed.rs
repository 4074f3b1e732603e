//! How sessions ended that are over: their clients come back to learn it.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::base::hash::{Keyed, KeyedMap};
use crate::base::ticks::Tick;
use crate::protocol::sockjs::close::SockjsClose;
use crate::protocol::sockjs::pipe::PipeName;
use crate::sockjs::limits::CLOSED_MAX;

/// Ended sessions, each for a time.
pub(crate) struct Closed {
    by_name: KeyedMap<Rc<PipeName>, (Tick, SockjsClose)>,
    /// In the order in which they are forgotten: all are kept for the same time.
    order: VecDeque<(Tick, Rc<PipeName>)>,
}

impl Closed {
    pub(crate) fn new(keyed: Keyed) -> Self {
        Self { by_name: KeyedMap::with_hasher(keyed), order: VecDeque::new() }
    }

    /// A session has ended with a frame, which its client may ask for until `until`.
    pub(crate) fn remember(&mut self, until: Tick, name: Rc<PipeName>, close: SockjsClose) {
        while self.order.len() >= CLOSED_MAX {
            self.forget_oldest();
        }
        self.order.push_back((until, Rc::clone(&name)));
        self.by_name.insert(name, (until, close));
    }

    /// How a session ended, if that is still known.
    pub(crate) fn get(&mut self, now: Tick, name: &PipeName) -> Option<&SockjsClose> {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
        self.by_name.get(name).map(|(_, close)| close)
    }

    fn forget_oldest(&mut self) {
        let Some((until, name)) = self.order.pop_front() else { return };
        // A later session of the name may have ended since.
        if self.by_name.get(&name).is_some_and(|(known, _)| *known == until) {
            self.by_name.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ticks::Span;
    use crate::protocol::sockjs::pipe::Service;

    fn name(segment: &str) -> Rc<PipeName> {
        Rc::new(PipeName::new(Service::Encke, "alice", segment))
    }

    #[test]
    fn a_close_is_remembered_until_its_time_and_the_latest_of_a_name_counts() {
        let at = |secs| Tick::ZERO + Span::from_secs(secs);
        let mut closed = Closed::new(Keyed::new((1, 2)));
        closed.remember(at(5), name("a"), SockjsClose::NORMAL);
        closed.remember(at(7), name("a"), SockjsClose::GO_AWAY);
        assert_eq!(closed.get(at(4), &name("b")), None);
        assert_eq!(closed.get(at(4), &name("a")), Some(&SockjsClose::GO_AWAY));
        assert_eq!(closed.get(at(6), &name("a")), Some(&SockjsClose::GO_AWAY));
        assert_eq!(closed.get(at(7), &name("a")), None);
    }

    #[test]
    fn of_very_many_the_oldest_are_forgotten() {
        let mut closed = Closed::new(Keyed::new((1, 2)));
        let until = Tick::ZERO + Span::from_secs(5);
        for at in 0..=CLOSED_MAX {
            closed.remember(until, name(&at.to_string()), SockjsClose::NORMAL);
        }
        assert_eq!(closed.get(Tick::ZERO, &name("0")), None);
        assert!(closed.get(Tick::ZERO, &name("1")).is_some());
        assert_eq!(closed.by_name.len(), CLOSED_MAX);
    }
}
