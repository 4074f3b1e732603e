//! Cookies of first visits: those sent with the answer to a handshake by request that have not come
//! back yet.
//!
//! Faye opens a socket and sends its handshake at the same time, so on a first visit the socket
//! cannot bring the handshake's cookie; without this table such a client would have to start again,
//! and lose its subscriptions. A client that never sends the cookie back is told so, because it
//! would otherwise repeat its handshake without end. Both take seconds: no entry is kept for
//! longer, and sessions need no memory for it afterwards.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::base::hash::{Homes, Keyed, KeyedMap};
use crate::base::slab::SessionKey;
use crate::base::ticks::{Span, Tick};
use crate::bayeux::limits::{COOKIES_FORGOTTEN_MAX, PENDING_COOKIES_MAX};
use crate::config::Config;
use crate::request::cookie::Sender;

/// Pending cookies, by the sessions that the handshakes created.
#[derive(Debug)]
pub(crate) struct PendingCookies {
    patience: Patience,
    by_session: KeyedMap<SessionKey, PendingCookie>,
    /// Oldest first; some may have ended since.
    order: VecDeque<(Tick, SessionKey)>,
}

#[derive(Debug)]
struct PendingCookie {
    sent_at: Tick,
    origin: Origin,
    cookie: PendingCookieState,
    companion: Companion,
}

/// Whether the client is known to have kept the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PendingCookieState {
    Sent,
    Seen,
}

/// Whether the socket that belongs to the handshake may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Companion {
    Expected,
    /// It has come: a later one belongs to another client.
    Here,
}

/// The address and the program of a client, both hashed under the node's key, so that no client can
/// choose a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    address: u32,
    agent: Option<u32>,
    sender: Sender,
}

/// How long a client counts as new, and its socket may come without the cookie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The time within which the cookie must come back. A socket that opened earlier than this
    /// before the handshake belongs to another client.
    first_visit: Span,
    /// The time after the handshake within which its socket must open. A later one could have sent
    /// the cookie, so its client knows only the client id.
    socket_within: Span,
}

impl Patience {
    /// From the configuration.
    pub(crate) fn new(config: &Config) -> Self {
        Self { first_visit: config.bayeux_first_visit, socket_within: config.bayeux_socket_within }
    }
}

impl Origin {
    /// `agent` is the hash of the `User-Agent`.
    pub(crate) fn new(
        homes: &Homes,
        address: Option<IpAddr>,
        (agent, sender): (Option<u32>, Sender),
    ) -> Self {
        Self { address: homes.hash(&format!("{address:?}")), agent, sender }
    }

    /// Whether the client whose handshake came from here may have opened a socket from there. A
    /// program may have two libraries, and the one for sockets may send no `User-Agent`, as in
    /// Ruby's faye; in a browser both are the same.
    fn may_open(self, socket: Self) -> bool {
        let is_nameless = socket.agent.is_none() && [self.sender, socket.sender] == [Sender::Program; 2];
        self.address == socket.address && (self.agent == socket.agent || is_nameless)
    }
}

impl PendingCookies {
    /// None. `keyed` is for the table.
    pub(crate) fn new(patience: Patience, keyed: Keyed) -> Self {
        Self { patience, by_session: KeyedMap::with_hasher(keyed), order: VecDeque::new() }
    }

    /// Adds the session of a handshake without a cookie.
    pub(crate) fn begin(&mut self, now: Tick, key: SessionKey, origin: Origin) {
        self.expire(now);
        if self.order.len() >= PENDING_COOKIES_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.by_session.remove(&oldest);
        }
        let visit = PendingCookie {
            sent_at: now,
            origin,
            cookie: PendingCookieState::Sent,
            companion: Companion::Expected,
        };
        self.by_session.insert(key, visit);
        self.order.push_back((now, key));
    }

    /// Removes some expired entries.
    pub(crate) fn expire(&mut self, now: Tick) {
        for _ in 0..COOKIES_FORGOTTEN_MAX {
            let over =
                self.order.pop_front_if(|(sent_at, _)| now.since(*sent_at) >= self.patience.first_visit);
            let Some((_, key)) = over else { return };
            self.by_session.remove(&key);
            if self.order.is_empty() {
                // Frees the memory that a burst of them took.
                *self = Self::new(self.patience, *self.by_session.hasher());
                return;
            }
        }
    }

    /// Removes an ended session.
    pub(crate) fn end(&mut self, key: SessionKey) {
        if !self.by_session.is_empty() {
            self.by_session.remove(&key);
        }
    }

    /// The cookie has come back.
    pub(crate) fn see(&mut self, key: SessionKey) {
        if let Some(visit) = self.by_session.get_mut(&key) {
            visit.cookie = PendingCookieState::Seen;
        }
    }

    /// Whether a session's client was just sent a cookie that has not come back.
    pub(crate) fn is_unseen(&self, now: Tick, key: SessionKey) -> bool {
        let is_unseen = |visit: &PendingCookie| {
            visit.cookie == PendingCookieState::Sent && now.since(visit.sent_at) < self.patience.first_visit
        };
        self.by_session.get(&key).is_some_and(is_unseen)
    }

    /// Whether a socket that opened at `began`, without a cookie, belongs to the session's client.
    /// At most one does.
    pub(crate) fn takes_companion(
        &mut self,
        now: Tick,
        key: SessionKey,
        began: Tick,
        origin: Origin,
    ) -> bool {
        let Patience { first_visit, socket_within } = self.patience;
        let Some(visit) = self.by_session.get_mut(&key) else { return false };
        let is_timely = visit.sent_at.since(began) < first_visit
            && began.since(visit.sent_at) < socket_within
            && now.since(visit.sent_at) < first_visit;
        let is_companion =
            is_timely && visit.origin.may_open(origin) && visit.companion == Companion::Expected;
        if is_companion {
            visit.companion = Companion::Here;
        }
        is_companion
    }
}

#[cfg(test)]
mod tests {
    use crate::bayeux::pending_cookies::*;

    const HOMES: Homes = Homes::new((1, 2), 1);
    use crate::base::slab::Slab;

    const PATIENCE: Patience =
        Patience { first_visit: Span::from_secs(10), socket_within: Span::from_secs(3) };
    const AT: fn(u64) -> Tick = |seconds| Tick::from_millis(seconds * 1000);

    fn origin(host: Option<u8>, agent: Option<u32>, sender: Sender) -> Origin {
        Origin::new(&HOMES, host.map(|host| [127, 0, 0, host].into()), (agent, sender))
    }

    fn visit(origin: Origin) -> (PendingCookies, SessionKey) {
        let mut slab: Slab<SessionKey, ()> = Slab::default();
        let key = slab.insert(());
        let mut pending = PendingCookies::new(PATIENCE, Keyed::new((1, 2)));
        pending.begin(AT(100), key, origin);
        (pending, key)
    }

    #[test]
    fn a_companion_socket_opens_about_when_the_handshake_does_and_names_the_session_soon() {
        let origin = origin(Some(1), Some(7), Sender::Program);
        let is_taken = |began, now, from| {
            let (mut pending, key) = visit(origin);
            pending.takes_companion(AT(now), key, AT(began), from)
        };
        assert!(is_taken(100, 100, origin) && is_taken(91, 109, origin) && is_taken(102, 102, origin));
        assert!(!is_taken(90, 100, origin), "it waited there for a session to steal");
        assert!(!is_taken(103, 103, origin), "by then the cookie could have come along");
        assert!(!is_taken(100, 110, origin), "a client says something sooner");
    }

    #[test]
    fn a_companion_socket_has_the_address_and_user_agent_of_the_handshake() {
        let is_taken = |handshake, socket| {
            let (mut pending, key) = visit(handshake);
            pending.takes_companion(AT(100), key, AT(100), socket)
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
    fn one_companion_socket_is_accepted_and_a_returned_cookie_stays_known() {
        let origin = origin(None, None, Sender::Program);
        let (mut pending, key) = visit(origin);
        assert!(pending.takes_companion(AT(101), key, AT(101), origin));
        assert!(!pending.takes_companion(AT(101), key, AT(101), origin));
        assert!(pending.is_unseen(AT(101), key));
        pending.see(key);
        assert!(!pending.is_unseen(AT(101), key));
    }

    #[test]
    fn a_pending_cookie_is_forgotten_when_it_expires() {
        let (mut pending, key) = visit(origin(None, None, Sender::Program));
        pending.expire(AT(109));
        assert!(pending.is_unseen(AT(109), key) && !pending.is_unseen(AT(110), key));
        pending.expire(AT(110));
        assert!(pending.by_session.is_empty() && pending.order.is_empty());
        let (mut pending, key) = visit(origin(None, None, Sender::Program));
        pending.end(key);
        assert!(!pending.is_unseen(AT(100), key));
    }

    #[test]
    fn a_burst_of_pending_cookies_is_bounded_and_forgotten_in_portions() {
        let mut slab: Slab<SessionKey, ()> = Slab::default();
        let mut pending = PendingCookies::new(PATIENCE, Keyed::new((1, 2)));
        for _ in 0..PENDING_COOKIES_MAX + 10 {
            pending.begin(AT(100), slab.insert(()), origin(None, None, Sender::Program));
        }
        assert_eq!(
            (pending.by_session.len(), pending.order.len()),
            (PENDING_COOKIES_MAX, PENDING_COOKIES_MAX)
        );
        pending.expire(AT(110));
        assert_eq!(pending.by_session.len(), PENDING_COOKIES_MAX - COOKIES_FORGOTTEN_MAX);
        for _ in 0..PENDING_COOKIES_MAX / COOKIES_FORGOTTEN_MAX {
            pending.expire(AT(110));
        }
        assert!(pending.by_session.is_empty() && pending.by_session.capacity() == 0);
    }
}
