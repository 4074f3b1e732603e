//! Which sessions a browser has, so that a stolen client id is of no use, and several clients do not use up a browser's connections.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Caller, Stage};
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::{Span, Tick};
use crate::config::BayeuxTrust;
use crate::shard::Shard;
use crate::shard::conn::Phase;
use crate::shard::request::User;
use crate::shard::session::{Link, SessionId};

/// The cookies by which a browser is known again. There are two, since a handshake by request and a WebSocket may begin at once, each
/// without the other's: of one name, the later would take the earlier's place in the browser, and the other end would be a stranger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// What the answer to a handshake has set.
    pub browser: Option<Box<str>>,
    /// What the beginning of a WebSocket has set.
    pub socket: Option<Box<str>>,
}

impl Marks {
    /// Neither: a first visit, or a client that keeps no cookies.
    pub fn are_missing(&self) -> bool {
        self.browser.is_none() && self.socket.is_none()
    }

    /// By which of them a browser's sessions are counted, and where those without users are at home.
    pub fn name(&self) -> Option<&str> {
        self.browser.as_deref().or(self.socket.as_deref())
    }

    fn meet(&self, other: &Self) -> bool {
        let same = |one: &Option<Box<str>>, two: &Option<Box<str>>| one.is_some() && one == two;
        same(&self.browser, &other.browser) || same(&self.socket, &other.socket)
    }
}

/// Why a session is not this caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// There is no such session, or it is another's: a handshake makes a new one.
    Unknown,
    /// Perhaps it is the caller's, who does not send back the cookie that came with it. Another handshake would go no better.
    Forgetful,
}

/// Sessions by the cookie under which they were made.
#[derive(Debug, Default)]
pub(in crate::shard) struct Browsers {
    sessions: HashMap<Box<str>, Vec<SessionKey>>,
}

impl Browsers {
    /// A session was made.
    pub(super) fn enter(&mut self, browser: &str, key: SessionKey) {
        self.sessions.entry(browser.into()).or_default().push(key);
    }

    /// A session is over.
    pub(in crate::shard) fn leave(&mut self, browser: &str, key: SessionKey) {
        if let Some(sessions) = self.sessions.get_mut(browser) {
            sessions.retain(|known| *known != key);
            if sessions.is_empty() {
                self.sessions.remove(browser);
            }
        }
    }

    /// The sessions of a browser.
    pub(super) fn of(&self, browser: &str) -> &[SessionKey] {
        self.sessions.get(browser).map_or(&[], Vec::as_slice)
    }

    /// How many sessions there are that a browser has.
    pub(in crate::shard) fn len(&self) -> usize {
        self.sessions.values().map(Vec::len).sum()
    }
}

/// Whether the cookie that came with a session is known to have been kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// The answer to the handshake has set it, and it has not come back.
    Sent,
    /// It has come back, or was there before, or was not needed.
    Seen,
}

/// What is known of a handshake that came without a cookie, by which the socket is found that was opened along with it: Faye opens both at
/// once, so that the socket cannot bring the cookie, and without this would have to begin again at each first visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twin {
    /// When it came.
    pub shaken: Tick,
    /// From where.
    pub address: Option<IpAddr>,
    /// From what: the program's name for itself, shortened to a number.
    pub agent: u32,
}

/// A socket that began so long before the handshake, or earlier, is another's; and so is one that names the session so long after it.
const TWIN_BEFORE: Span = Span::from_secs(10);

/// A socket that began so long after the handshake, or later, could have brought the cookie: it is of somebody who knows no more than the
/// client id. This is what a socket's connection takes on a slow and lossy line, where the handshake had one that was open already.
const TWIN_AFTER: Span = Span::from_secs(3);

impl Twin {
    fn is_of(self, began: Tick, address: Option<IpAddr>, agent: u32, now: Tick) -> bool {
        let (before, after) = (self.shaken.since(began), began.since(self.shaken));
        let is_timely = before < TWIN_BEFORE && after < TWIN_AFTER && now.since(self.shaken) < TWIN_BEFORE;
        is_timely && self.address == address && self.agent == agent
    }
}

impl Shard {
    /// The session that a client id names, if this caller may use it: by the cookies or the token of whoever made it, or over the
    /// socket that it was made by.
    pub(super) fn bayeux_session(
        &mut self,
        now: Tick,
        (conn, own): (ConnKey, Option<SessionKey>),
        caller: &Caller,
        id: &str,
    ) -> Result<SessionKey, Stranger> {
        let (key, user) = self.named_session(caller, id).ok_or(Stranger::Unknown)?;
        let is_proven = caller.is_proven(&user);
        let is_trusted = self.config.bayeux_trust == BayeuxTrust::ClientId;
        let talk = self.talk(conn);
        let is_socket = talk.is_some();
        // What was the socket's when it asked stays so if it closes before all is carried out.
        let own = talk.and_then(|talk| talk.session).or(own);
        let unmarked = talk.and_then(|talk| talk.unmarked).filter(|_| own.is_none());
        let address = self.conns.get(conn).and_then(|conn| conn.peer).map(|peer| peer.ip());
        let session = self.sessions.get_mut(key).and_then(|session| session.bayeux.as_deref_mut());
        let client = session.ok_or(Stranger::Unknown)?;
        let is_new = client.cookie != Cookie::Seen;
        let is_marked = client.marks.meet(&caller.marks);
        let is_twin = unmarked.is_some_and(|began| {
            client.twin.is_some_and(|twin| twin.is_of(began, address, caller.agent, now))
        });
        if is_marked {
            client.cookie = Cookie::Seen;
        }
        if is_twin {
            // Once: whoever comes later is another.
            client.twin = None;
            if let Some(talk) = self.talk_mut(conn) {
                talk.session = Some(key);
            }
        }
        if own == Some(key) || is_marked || is_twin || is_proven || is_trusted {
            if let Some(talk) = self.talk_mut(conn) {
                talk.refused = 0;
            }
            return Ok(key);
        }
        let is_forgetful = !is_socket && caller.marks.are_missing() && is_new;
        Err(if is_forgetful { Stranger::Forgetful } else { Stranger::Unknown })
    }

    fn named_session(&self, caller: &Caller, id: &str) -> Option<(SessionKey, User)> {
        let SessionId { key, nonce, .. } = id.parse().ok()?;
        let session = self.sessions.get(key).filter(|session| session.nonce == nonce)?;
        session.bayeux.as_ref()?;
        let user = self.user_of_session(key)?;
        let is_others = caller.user.as_ref().is_some_and(|named| *named != user);
        (!is_others).then_some((key, user))
    }

    /// Whether another client of the same browser holds a connection: two would leave the browser none for the page.
    pub(super) fn is_crowded(&self, key: SessionKey) -> bool {
        let Some(browser) = self.sessions[key].bayeux.as_deref().and_then(|client| client.marks.name())
        else {
            return false;
        };
        self.browsers.of(browser).iter().any(|other| *other != key && self.holds_a_connect(*other))
    }

    fn holds_a_connect(&self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key) else { return false };
        let connected = session.bayeux.as_deref().is_some_and(|client| client.stage == Stage::Connected);
        let (Link::Parked(conn) | Link::Waking(conn)) = session.link else { return false };
        connected && matches!(self.conns.get(conn).map(|conn| &conn.phase), Some(Phase::Parked(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_begins_about_when_the_handshake_does_and_names_the_session_soon() {
        let at = |seconds: u64| Tick::from_millis(seconds * 1000);
        let twin = Twin { shaken: at(100), address: Some([127, 0, 0, 1].into()), agent: 7 };
        let is_of = |began, now| twin.is_of(at(began), twin.address, 7, at(now));
        assert!(is_of(100, 100) && is_of(91, 109) && is_of(102, 102));
        assert!(!is_of(90, 100), "it waited there for a session to steal");
        assert!(!is_of(103, 103), "by then the cookie could have come along");
        assert!(!is_of(100, 110), "a client says something sooner");
        assert!(!twin.is_of(at(100), None, 7, at(100)) && !twin.is_of(at(100), twin.address, 8, at(100)));
    }
}
