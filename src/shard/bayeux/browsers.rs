//! Which sessions a browser has, so that a stolen client id is of no use, and several clients do not use up a browser's connections.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use rand_chacha::rand_core::RngCore;

use super::visits::{Origin, Visits};
use super::{Caller, Client, Credential, Stage};
use crate::base::base32;
use crate::base::hash::{home_hash, home_of};
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::Tick;
use crate::config::BayeuxTrust;
use crate::protocol::bayeux::answer::{Advice, Fault};
use crate::shard::conn::Phase;
use crate::shard::mutation::Mutation;
use crate::shard::request::User;
use crate::shard::session::{Link, Session, SessionId};
use crate::shard::{Shard, ShardId};

/// A browser, by the value of the cookie that it was given, which cannot be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Browser([u8; 16]);

/// A cookie that is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoBrowser;

impl Browser {
    /// The shard at which its clients without users are at home.
    pub fn home(self, shards: u8) -> ShardId {
        ShardId(home_of(home_hash(&self.to_string()), shards))
    }
}

impl fmt::Display for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(28);
        base32::encode(&self.0, &mut text);
        f.write_str(&text)
    }
}

impl FromStr for Browser {
    type Err = NoBrowser;

    fn from_str(text: &str) -> Result<Self, NoBrowser> {
        base32::decode(text).map(Self).ok_or(NoBrowser)
    }
}

/// The cookies by which a browser is known again. There are two, since a handshake by request and a WebSocket may begin at once, each
/// without the other's: of one name, the later would take the earlier's place in the browser, and the other end would be a stranger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// What the answer to a handshake has set.
    pub browser: Option<Browser>,
    /// What the beginning of a WebSocket has set.
    pub socket: Option<Browser>,
}

impl Marks {
    /// By which of them a browser's sessions are known and counted, and where those without users are at home. `None` on a first visit, or
    /// of a client that keeps no cookies.
    pub fn name(self) -> Option<Browser> {
        self.browser.or(self.socket)
    }

    /// The other one, if there are two.
    pub fn other(self) -> Option<Browser> {
        self.socket.filter(|_| self.browser.is_some())
    }

    fn has(self, browser: Browser) -> bool {
        self.browser == Some(browser) || self.socket == Some(browser)
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

impl Stranger {
    /// What the answer says. Whoever shakes hands again at once without being the wiser would do so for ever.
    pub(super) fn told(self) -> (Fault, Advice) {
        match self {
            Self::Unknown => (Fault::session_unknown(), Advice::Handshake),
            Self::Forgetful => (Fault::cookie_withheld(), Advice::Nothing),
        }
    }
}

/// One of the sessions of each browser. Those of one browser form a ring, by [`Client::next`]: mostly it has one, and then nothing need be
/// looked up to see that there is no other.
#[derive(Debug, Default)]
pub(in crate::shard) struct Browsers {
    newest: HashMap<Browser, SessionKey>,
    /// The other cookie of sessions whose browser showed two.
    others: HashMap<SessionKey, Browser>,
    /// Sessions whose browser showed none.
    pub(super) visits: Visits,
}

impl Shard {
    /// A session was made, and has `client`: puts it into its browser's ring. `other` is another cookie by which that is known.
    pub(super) fn enter_browser(&mut self, key: SessionKey, mut client: Client, other: Option<Browser>) {
        if let Some(other) = other {
            self.browsers.others.insert(key, other);
        }
        let newest = self.browsers.newest.insert(client.browser, key);
        if let Some(newest) = newest.and_then(|newest| self.bayeux_client_mut(newest)) {
            client.next = std::mem::replace(&mut newest.next, key);
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.bayeux = Some(Box::new(client));
        }
    }

    /// A session is over, and gone, that had `client`: takes it out of its browser's ring.
    pub(in crate::shard) fn leave_browser(&mut self, key: SessionKey, client: &Client) {
        self.browsers.others.remove(&key);
        if client.next == key {
            self.browsers.newest.remove(&client.browser);
            return;
        }
        let mut before = client.next;
        self.steps.work(1);
        while let Some(other) = self.bayeux_client_mut(before) {
            if other.next == key {
                other.next = client.next;
                self.browsers.newest.insert(client.browser, before);
                return;
            }
            before = other.next;
            self.steps.work(1);
        }
        debug_assert!(false, "a browser's ring is broken");
    }

    fn bayeux_client_mut(&mut self, key: SessionKey) -> Option<&mut Client> {
        self.sessions.get_mut(key)?.bayeux.as_deref_mut()
    }

    /// The other sessions of a session's browser.
    fn siblings(&self, key: SessionKey) -> impl Iterator<Item = SessionKey> {
        let next = |key: SessionKey| Some(self.sessions.get(key)?.bayeux.as_deref()?.next);
        std::iter::successors(next(key), move |at| next(*at)).take_while(move |at| *at != key)
    }

    /// How many sessions are in the browsers' rings.
    pub(in crate::shard) fn browsed(&self) -> usize {
        self.browsers.newest.values().map(|newest| 1 + self.siblings(*newest).count()).sum()
    }

    /// A browser that is not known yet; its clients without users are at home here.
    pub(super) fn fresh_browser(&mut self) -> Browser {
        loop {
            let mut bytes = [0; 16];
            self.rng.fill_bytes(&mut bytes);
            let browser = Browser(bytes);
            if browser.home(self.identity.shards) == self.identity.id {
                return browser;
            }
        }
    }

    /// The session that a client id names, if this caller may use it: by the cookies or the token of whoever made it, or over the
    /// socket that it was made by. `own` is the socket's when it asked, and stays so if it closes before all is carried out.
    pub(super) fn bayeux_session(
        &mut self,
        now: Tick,
        (conn, own): (ConnKey, Option<SessionKey>),
        caller: &Caller,
        id: &str,
    ) -> Result<SessionKey, Stranger> {
        let (key, browser) = self.named_session(caller, id).ok_or(Stranger::Unknown)?;
        let own = self.talk(conn).and_then(|talk| talk.session).or(own);
        let other = || self.browsers.others.get(&key);
        let is_marked = caller.marks.has(browser) || other().is_some_and(|other| caller.marks.has(*other));
        if is_marked {
            self.browsers.visits.see(key);
        }
        // If it names a user, that is the session's, as was just seen.
        let is_users = caller.user.is_some() && matches!(caller.credential, Credential::Token(_));
        let is_trusted = self.config.bayeux_trust == BayeuxTrust::ClientId;
        let is_known = own == Some(key) || is_marked || is_users || is_trusted;
        if is_known || (own.is_none() && self.is_twin(now, conn, key, caller)) {
            if let Some(talk) = self.talk_mut(conn) {
                talk.refused = 0;
            }
            return Ok(key);
        }
        let is_forgetful = self.talk(conn).is_none() && caller.marks.name().is_none();
        let is_forgetful = is_forgetful && self.browsers.visits.is_unseen(key);
        Err(if is_forgetful { Stranger::Forgetful } else { Stranger::Unknown })
    }

    /// A session that is this caller's, as far as its user goes; and whose browser it is.
    fn named_session(&self, caller: &Caller, id: &str) -> Option<(SessionKey, Browser)> {
        let SessionId { key, nonce, .. } = id.parse().ok()?;
        let session = self.sessions.get(key).filter(|session| session.nonce == nonce)?;
        let client = session.bayeux.as_deref()?;
        let is_others = caller.user.as_ref().is_some_and(|named| !self.is_of(session, named));
        (!is_others).then_some((key, client.browser))
    }

    /// Whether a socket without a cookie was opened along with the handshake that made a session. If so, it is the socket's own.
    fn is_twin(&mut self, now: Tick, conn: ConnKey, key: SessionKey, caller: &Caller) -> bool {
        let Some(began) = self.talk(conn).and_then(|talk| talk.unmarked) else { return false };
        let origin = self.origin(conn, caller);
        let is_twin = self.browsers.visits.takes_twin(now, key, began, origin);
        if is_twin && let Some(talk) = self.talk_mut(conn) {
            talk.session = Some(key);
        }
        is_twin
    }

    /// From where a caller asks.
    pub(super) fn origin(&self, conn: ConnKey, caller: &Caller) -> Origin {
        let peer = self.conns.get(conn).and_then(|conn| conn.peer);
        Origin::new(peer.map(|peer| peer.ip()), caller.agent)
    }

    /// Whether a session is this user's. Its first subscription is the user's personal channel.
    fn is_of(&self, session: &Session, user: &User) -> bool {
        let personal = session.subscriptions.first().and_then(|first| self.hub.channel(first.channel));
        personal.is_some_and(|personal| *personal.name == *user.channel.as_str())
    }

    /// Whether another client of the same browser holds a connection: two would leave the browser none for the page.
    pub(super) fn is_crowded(&self, key: SessionKey) -> bool {
        let holds = |other| {
            self.steps.work(1);
            self.holds_a_connect(other)
        };
        !self.broken_by(Mutation::CrowdUnseen) && self.siblings(key).any(holds)
    }

    fn holds_a_connect(&self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key) else { return false };
        let connected = session.bayeux.as_deref().is_some_and(|client| client.stage == Stage::Connected);
        let (Link::Parked(conn) | Link::Waking(conn)) = session.link else { return false };
        connected && matches!(self.conns.get(conn).map(|conn| &conn.phase), Some(Phase::Parked(_)))
    }
}
