//! Which sessions a browser has, so that a stolen client id is of no use, and several clients do not use up a browser's connections.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use rand_chacha::rand_core::RngCore;

use super::{Caller, Client, Credential, Stage};
use crate::base::base32;
use crate::base::hash::{home_hash, home_of};
use crate::base::slab::SessionKey;
use crate::config::BayeuxTrust;
use crate::shard::conn::Phase;
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

/// One of the sessions of each browser. Those of one browser form a ring, by [`Client::next`]: mostly it has one, and then nothing need be
/// looked up to see that there is no other.
#[derive(Debug, Default)]
pub(in crate::shard) struct Browsers {
    newest: HashMap<Browser, SessionKey>,
}

impl Shard {
    /// A session was made, and has `client`: puts it into its browser's ring.
    pub(super) fn enter_browser(&mut self, key: SessionKey, mut client: Client) {
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
        if client.next == key {
            self.browsers.newest.remove(&client.browser);
            return;
        }
        let mut before = client.next;
        while let Some(other) = self.bayeux_client_mut(before) {
            if other.next == key {
                other.next = client.next;
                self.browsers.newest.insert(client.browser, before);
                return;
            }
            before = other.next;
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

    /// The session that a client id names, if this caller may use it: by the cookie or the token of whoever made it, or over the
    /// socket that it was made by.
    pub(super) fn bayeux_session(
        &self,
        caller: &Caller,
        own: Option<SessionKey>,
        id: &str,
    ) -> Option<SessionKey> {
        let SessionId { key, nonce, .. } = id.parse().ok()?;
        let session = self.sessions.get(key).filter(|session| session.nonce == nonce)?;
        let client = session.bayeux.as_deref()?;
        if caller.user.as_ref().is_some_and(|named| !self.is_of(session, named)) {
            return None;
        }
        let is_trusted = self.config.bayeux_trust == BayeuxTrust::ClientId;
        let is_browsers = caller.browser == Some(client.browser);
        // If it names a user, that is the session's, as was just seen.
        let is_users = caller.user.is_some() && matches!(caller.credential, Credential::Token(_));
        (own == Some(key) || is_browsers || is_users || is_trusted).then_some(key)
    }

    /// Whether a session is this user's. Its first subscription is the user's personal channel.
    fn is_of(&self, session: &Session, user: &User) -> bool {
        let personal = session.subscriptions.first().and_then(|first| self.hub.channel(first.channel));
        personal.is_some_and(|personal| *personal.name == *user.channel.as_str())
    }

    /// Whether another client of the same browser holds a connection: two would leave the browser none for the page.
    pub(super) fn is_crowded(&self, key: SessionKey) -> bool {
        self.siblings(key).any(|other| self.holds_a_connect(other))
    }

    fn holds_a_connect(&self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key) else { return false };
        let connected = session.bayeux.as_deref().is_some_and(|client| client.stage == Stage::Connected);
        let (Link::Parked(conn) | Link::Waking(conn)) = session.link else { return false };
        connected && matches!(self.conns.get(conn).map(|conn| &conn.phase), Some(Phase::Parked(_)))
    }
}
