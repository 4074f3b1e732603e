//! First visits: clients that shook hands by a request without a cookie, for as long as it is not known what they make of the one they got.
//!
//! Faye opens a socket and shakes hands at once, so that on a first visit the socket cannot bring the handshake's cookie; without this it
//! would have to begin again, and lose what it had asked for. And who sends no cookie back is to be told, rather than to shake hands without
//! end. Both are a matter of seconds: no visit is kept for longer, and no session pays for it afterwards.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::base::hash::{Homes, Keyed};
use crate::base::slab::SessionKey;
use crate::base::ticks::{Span, Tick};
use crate::shard::bayeux::Sender;

/// First visits, by the sessions that they made.
#[derive(Debug)]
pub(in crate::shard) struct Visits {
    visits: HashMap<SessionKey, Visit, Keyed>,
    /// Oldest first; some may have ended since.
    order: VecDeque<(Tick, SessionKey)>,
}

#[derive(Debug)]
struct Visit {
    shaken: Tick,
    origin: Origin,
    cookie: Cookie,
    twin: Twin,
}

/// Whether the cookie that the answer to the handshake has set is known to have been kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cookie {
    Sent,
    Seen,
}

/// Whether a socket that was opened along with the handshake may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twin {
    Expected,
    /// Whoever comes later is another.
    Here,
}

/// From where something came, and from what program. Both are shortened to numbers under the node's key: nobody can choose another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    address: u32,
    agent: Option<u32>,
    sender: Sender,
}

/// A visit is over. A socket that began so long before the handshake is another's, too.
const VISIT: Span = Span::from_secs(10);

/// A socket that began so long after the handshake could have brought the cookie: it is of somebody who knows no more than the client id. This
/// is what a socket's connection takes on a slow and lossy line, where the handshake had one that was open already.
const TWIN_AFTER: Span = Span::from_secs(3);

impl Origin {
    /// `agent` is what the program calls itself, as a number.
    pub(super) fn new(
        homes: &Homes,
        address: Option<IpAddr>,
        (agent, sender): (Option<u32>, Sender),
    ) -> Self {
        Self { address: homes.hash(&format!("{address:?}")), agent, sender }
    }

    /// Whether the program that shook hands from here may have opened a socket from there. A program can have one library for
    /// requests and another for sockets, of which the second sends no `User-Agent`, as Ruby's faye has; a browser has not.
    fn may_open(self, socket: Self) -> bool {
        let is_nameless = socket.agent.is_none() && [self.sender, socket.sender] == [Sender::Program; 2];
        self.address == socket.address && (self.agent == socket.agent || is_nameless)
    }
}

/// Visits that are remembered. At the bound the oldest is forgotten: its client, if it keeps no
/// cookie, is a stranger a few seconds sooner.
const VISITS_MAX: usize = 16_384;

/// Visits that are forgotten at once, at most: more than come between two looks, so that they get
/// fewer, and few enough to be no work.
const FORGOTTEN_AT_ONCE: usize = 32;

impl Visits {
    /// None. `keyed` is for the table.
    pub(super) fn new(keyed: Keyed) -> Self {
        Self { visits: HashMap::with_hasher(keyed), order: VecDeque::new() }
    }

    /// A handshake came without a cookie, and made a session.
    pub(super) fn begin(&mut self, now: Tick, key: SessionKey, origin: Origin) {
        self.expire(now);
        if self.order.len() >= VISITS_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.visits.remove(&oldest);
        }
        let visit = Visit { shaken: now, origin, cookie: Cookie::Sent, twin: Twin::Expected };
        self.visits.insert(key, visit);
        self.order.push_back((now, key));
    }

    /// Forgets some of those that are over.
    pub(super) fn expire(&mut self, now: Tick) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            let over = self.order.pop_front_if(|(shaken, _)| now.since(*shaken) >= VISIT);
            let Some((_, key)) = over else { return };
            self.visits.remove(&key);
            if self.order.is_empty() {
                // A burst of them leaves nothing behind.
                *self = Self::new(*self.visits.hasher());
                return;
            }
        }
    }

    /// A session is over.
    pub(super) fn end(&mut self, key: SessionKey) {
        if !self.visits.is_empty() {
            self.visits.remove(&key);
        }
    }

    /// The cookie has come back.
    pub(super) fn see(&mut self, key: SessionKey) {
        if let Some(visit) = self.visits.get_mut(&key) {
            visit.cookie = Cookie::Seen;
        }
    }

    /// Whether a session's client was sent a cookie just now, and nobody has sent it back.
    pub(super) fn is_unseen(&self, now: Tick, key: SessionKey) -> bool {
        let is_unseen = |visit: &Visit| visit.cookie == Cookie::Sent && now.since(visit.shaken) < VISIT;
        self.visits.get(&key).is_some_and(is_unseen)
    }

    /// Whether a socket that began then, without a cookie, is of the session's client. It is believed once.
    pub(super) fn takes_twin(&mut self, now: Tick, key: SessionKey, began: Tick, origin: Origin) -> bool {
        let Some(visit) = self.visits.get_mut(&key) else { return false };
        let is_timely = visit.shaken.since(began) < VISIT
            && began.since(visit.shaken) < TWIN_AFTER
            && now.since(visit.shaken) < VISIT;
        let is_twin = is_timely && visit.origin.may_open(origin) && visit.twin == Twin::Expected;
        if is_twin {
            visit.twin = Twin::Here;
        }
        is_twin
    }
}

#[cfg(test)]
mod tests {
    use crate::shard::bayeux::visits::*;

    const HOMES: Homes = Homes::new((1, 2), 1);
    use crate::base::slab::Slab;

    const AT: fn(u64) -> Tick = |seconds| Tick::from_millis(seconds * 1000);

    fn origin(host: Option<u8>, agent: Option<u32>, sender: Sender) -> Origin {
        Origin::new(&HOMES, host.map(|host| [127, 0, 0, host].into()), (agent, sender))
    }

    fn visit(origin: Origin) -> (Visits, SessionKey) {
        let mut slab: Slab<SessionKey, ()> = Slab::default();
        let key = slab.insert(());
        let mut visits = Visits::new(Keyed::new((1, 2)));
        visits.begin(AT(100), key, origin);
        (visits, key)
    }

    #[test]
    fn a_twin_begins_about_when_the_handshake_does_and_names_the_session_soon() {
        let origin = origin(Some(1), Some(7), Sender::Program);
        let is_taken = |began, now, from| {
            let (mut visits, key) = visit(origin);
            visits.takes_twin(AT(now), key, AT(began), from)
        };
        assert!(is_taken(100, 100, origin) && is_taken(91, 109, origin) && is_taken(102, 102, origin));
        assert!(!is_taken(90, 100, origin), "it waited there for a session to steal");
        assert!(!is_taken(103, 103, origin), "by then the cookie could have come along");
        assert!(!is_taken(100, 110, origin), "a client says something sooner");
    }

    #[test]
    fn a_twin_is_of_the_address_and_the_program_and_only_a_programs_socket_may_be_nameless() {
        let is_taken = |handshake, socket| {
            let (mut visits, key) = visit(handshake);
            visits.takes_twin(AT(100), key, AT(100), socket)
        };
        let (program, browser) = (Sender::Program, Sender::Browser);
        for (handshake, socket, taken) in [
            ((Some(1), Some(7), program), (Some(1), Some(7), program), true),
            ((Some(1), Some(7), browser), (Some(1), Some(7), browser), true),
            ((Some(1), None, program), (Some(1), None, program), true),
            ((Some(1), Some(7), program), (Some(1), None, program), true),
            ((Some(1), Some(7), program), (Some(2), None, program), false),
            ((Some(1), Some(7), program), (None, Some(7), program), false),
            ((Some(1), Some(7), program), (Some(1), Some(8), program), false),
            ((Some(1), None, program), (Some(1), Some(7), program), false),
            ((Some(1), Some(7), browser), (Some(1), None, program), false),
            ((Some(1), Some(7), browser), (Some(1), None, browser), false),
            ((Some(1), Some(7), program), (Some(1), None, browser), false),
        ] {
            let [from, to] = [handshake, socket].map(|(host, agent, sender)| origin(host, agent, sender));
            assert_eq!(is_taken(from, to), taken, "{handshake:?} {socket:?}");
        }
    }

    #[test]
    fn a_twin_is_believed_once_and_a_cookie_once_seen_stays_so() {
        let origin = origin(None, None, Sender::Program);
        let (mut visits, key) = visit(origin);
        assert!(visits.takes_twin(AT(101), key, AT(101), origin));
        assert!(!visits.takes_twin(AT(101), key, AT(101), origin));
        assert!(visits.is_unseen(AT(101), key));
        visits.see(key);
        assert!(!visits.is_unseen(AT(101), key));
    }

    #[test]
    fn a_visit_is_forgotten_when_it_is_over() {
        let (mut visits, key) = visit(origin(None, None, Sender::Program));
        visits.expire(AT(109));
        assert!(visits.is_unseen(AT(109), key) && !visits.is_unseen(AT(110), key));
        visits.expire(AT(110));
        assert!(visits.visits.is_empty() && visits.order.is_empty());
        let (mut visits, key) = visit(origin(None, None, Sender::Program));
        visits.end(key);
        assert!(!visits.is_unseen(AT(100), key));
    }

    #[test]
    fn a_burst_of_visits_is_bounded_and_forgotten_a_few_at_a_time() {
        let mut slab: Slab<SessionKey, ()> = Slab::default();
        let mut visits = Visits::new(Keyed::new((1, 2)));
        for _ in 0..VISITS_MAX + 10 {
            visits.begin(AT(100), slab.insert(()), origin(None, None, Sender::Program));
        }
        assert_eq!((visits.visits.len(), visits.order.len()), (VISITS_MAX, VISITS_MAX));
        visits.expire(AT(110));
        assert_eq!(visits.visits.len(), VISITS_MAX - FORGOTTEN_AT_ONCE);
        for _ in 0..VISITS_MAX / FORGOTTEN_AT_ONCE {
            visits.expire(AT(110));
        }
        assert!(visits.visits.is_empty() && visits.visits.capacity() == 0);
    }
}
