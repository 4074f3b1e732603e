//! Which sessions a browser has, so that a stolen client id is of no use, and several clients do not use up a browser's connections.

use std::collections::HashMap;

use super::{Caller, Stage};
use crate::base::slab::SessionKey;
use crate::config::BayeuxTrust;
use crate::shard::Shard;
use crate::shard::conn::Phase;
use crate::shard::session::{Link, SessionId};

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

impl Shard {
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
        let user = self.user_of_session(key)?;
        if caller.user.as_ref().is_some_and(|named| *named != user) {
            return None;
        }
        let is_trusted = self.config.bayeux_trust == BayeuxTrust::ClientId;
        let is_browsers = client.browser.is_some() && client.browser == caller.browser;
        (own == Some(key) || is_browsers || caller.is_proven(&user) || is_trusted).then_some(key)
    }

    /// Whether another client of the same browser holds a connection: two would leave the browser none for the page.
    pub(super) fn is_crowded(&self, key: SessionKey) -> bool {
        let Some(browser) = self.sessions[key].bayeux.as_deref().and_then(|client| client.browser.as_deref())
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
