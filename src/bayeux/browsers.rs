//! Which client may use which session, so that a stolen client id is useless, and several clients
//! do not use up a browser's connections.

use crate::call::protocol::OtherClient;

use rand_chacha::rand_core::RngCore;

use crate::base::hash::{Keyed, KeyedMap};
use crate::base::slab::{ConnKey, SessionKey, Slab, SlabKey};
use crate::base::ticks::Span;
use crate::bayeux::BayeuxFront;
use crate::bayeux::limits::{UNMARKED_DOUBLINGS_MAX, UNMARKED_INTERVAL_MS};
use crate::bayeux::pending_cookies::{Origin, Patience, PendingCookies};
use crate::config::BayeuxTrust;
use crate::conn::phase::{Conn, Phase};
use crate::core::Core;
use crate::protocol::bayeux::client::{BayeuxClient, BrowserKey, ClientStage};
use crate::protocol::bayeux::held::SessionDenied;
use crate::request::bayeux::{BayeuxCaller, BrowserCookies, BrowserId, Credential};
use crate::request::session_id::SessionId;
use crate::session::Link;
use crate::turn::mutation::Mutation;

/// The browsers that have sessions here. Sessions of one browser are counted, not listed: no event
/// of one session costs more if there are more of them.
#[derive(Debug)]
pub(crate) struct Browsers {
    known: KeyedMap<BrowserId, BrowserKey>,
    tallies: Slab<BrowserKey, Tally>,
    /// The other cookie of sessions whose browser sent two.
    others: KeyedMap<SessionKey, BrowserId>,
    /// Sessions whose browser sent none.
    pub(crate) pending_cookies: PendingCookies,
    hint: Hint,
}

/// The state of one browser.
#[derive(Debug)]
struct Tally {
    browser: BrowserId,
    /// The number of its sessions; never zero.
    sessions: u32,
    /// How many of them hold a connect by a request ([`ClientStage::Holding`]).
    holds: u32,
    cookie: CookieState,
}

/// Whether a browser is known to send its cookie back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CookieState {
    /// Not yet.
    Sent,
    /// It has done so; since then `without` of its sockets in a row came without it.
    Shown { without: u32 },
}

/// Whether the log has named the setting for clients that keep no cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint {
    Due,
    Given,
}

impl Browsers {
    /// No browsers. `keyed` is for the tables.
    pub(crate) fn new(patience: Patience, keyed: Keyed) -> Self {
        Self {
            known: KeyedMap::with_hasher(keyed),
            tallies: Slab::default(),
            others: KeyedMap::with_hasher(keyed),
            pending_cookies: PendingCookies::new(patience, keyed),
            hint: Hint::Due,
        }
    }

    /// The number of a browser's sessions.
    pub(crate) fn sessions(&self, browser: BrowserId) -> usize {
        let tally = self.known.get(&browser).and_then(|key| self.tallies.get(*key));
        tally.map_or(0, |tally| tally.sessions as usize)
    }

    /// Counts a session of a browser. `shown` says whether the handshake had a cookie.
    pub(crate) fn enter(&mut self, browser: BrowserId, shown: bool) -> BrowserKey {
        let key = *self.known.entry(browser).or_insert_with(|| {
            self.tallies.insert(Tally { browser, sessions: 0, holds: 0, cookie: CookieState::Sent })
        });
        let tally = &mut self.tallies[key];
        tally.sessions += 1;
        if shown {
            tally.cookie.show();
        }
        key
    }

    /// Uncounts a session of a browser.
    fn leave(&mut self, key: BrowserKey, stage: ClientStage) {
        let Some(tally) = self.tallies.get_mut(key) else { return };
        tally.sessions -= 1;
        tally.holds -= u32::from(stage == ClientStage::Holding);
        if tally.sessions == 0 {
            self.known.remove(&tally.browser);
            self.tallies.remove(key);
        }
    }

    /// A socket without a cookie wants a session of a browser that sends one with requests: returns
    /// how long its client must wait before its next handshake. The first such client waits too,
    /// because the cookie will be missing again.
    fn refuse_unmarked(&mut self, key: BrowserKey) -> Option<Span> {
        let CookieState::Shown { without } = &mut self.tallies.get_mut(key)?.cookie else { return None };
        *without = without.saturating_add(1);
        let doublings = (*without - 1).min(UNMARKED_DOUBLINGS_MAX);
        Some(Span::from_millis(UNMARKED_INTERVAL_MS << doublings))
    }

    /// Names the setting for clients that keep no cookies in the log, once.
    fn hint(&mut self, client: &str) {
        if std::mem::replace(&mut self.hint, Hint::Given) == Hint::Due {
            log::warn!(
                "{client}: its sessions cannot be told from stolen ones and are refused. \
                 ENCKE_BAYEUX_TRUST=1 takes the client id alone (docs/BAYEUX.md); further ones are not logged"
            );
        }
    }
}

impl CookieState {
    /// The cookie has come back.
    fn show(&mut self) {
        if *self == Self::Sent {
            *self = Self::Shown { without: 0 };
        }
    }
}

impl Core {
    /// Whether a session's connect is held by a request, judged by its connection.
    fn holds_a_connect(&self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key) else { return false };
        let (Link::Parked(conn) | Link::Waking(conn)) = session.link else { return false };
        matches!(self.conns.get(conn).map(|conn| &conn.phase), Some(Phase::Parked(_)))
    }

    /// A new browser id; the browser's clients without users have their home here.
    pub(crate) fn fresh_browser(&mut self) -> BrowserId {
        loop {
            let mut bytes = [0; 16];
            self.cx.rng.fill_bytes(&mut bytes);
            let browser = BrowserId(bytes);
            if browser.home(&self.cx.identity.homes()) == self.cx.identity.id {
                return browser;
            }
        }
    }

    /// The session of an id, unless the caller has another user; and its browser.
    fn named_session(&self, caller: &BayeuxCaller, id: &str) -> Option<(SessionKey, BrowserKey)> {
        let SessionId { key, nonce, .. } = id.parse().ok()?;
        let session = self.sessions.get(key).filter(|session| session.nonce == nonce)?;
        let client = session.client.bayeux()?;
        let personal = self.personal_channel(session);
        let is_others = caller.user.as_ref().is_some_and(|named| personal != Some(named.channel.as_str()));
        (!is_others).then_some((key, client.browser))
    }

    /// The origin of a caller.
    pub(crate) fn origin(&self, conn: ConnKey, caller: &BayeuxCaller) -> Origin {
        let peer = self.conns.get(conn).and_then(Conn::peer);
        Origin::new(&self.cx.identity.homes(), peer.map(|peer| peer.ip()), (caller.agent, caller.sender))
    }
}

impl BayeuxFront {
    /// Links a new session that has `client` to its browser. `other` is another cookie of the
    /// browser.
    pub(crate) fn link_client(
        &mut self,
        core: &mut Core,
        key: SessionKey,
        client: BayeuxClient,
        other: Option<BrowserId>,
    ) {
        if let Some(other) = other {
            self.browsers.others.insert(key, other);
        }
        if let Some(session) = core.sessions.get_mut(key) {
            session.client = OtherClient::Bayeux(client).into();
        }
    }

    /// Unlinks an ended session that had `client`.
    pub(crate) fn unlink_client(&mut self, key: SessionKey, client: &BayeuxClient) {
        self.browsers.others.remove(&key);
        self.browsers.pending_cookies.end(key);
        self.browsers.leave(client.browser, client.stage);
    }

    /// A session begins to hold a connect by a request.
    pub(crate) fn hold_connect(&mut self, core: &mut Core, key: SessionKey) {
        let Some(client) = core.sessions.get_mut(key).and_then(|session| session.client.bayeux_mut()) else {
            return;
        };
        debug_assert_eq!(client.stage, ClientStage::Connected, "a connect is held twice");
        client.stage = ClientStage::Holding;
        if let Some(tally) = self.browsers.tallies.get_mut(client.browser) {
            tally.holds += 1;
        }
    }

    /// A session has lost its response: it holds no connect.
    pub(crate) fn release_connect(&mut self, core: &mut Core, key: SessionKey) {
        let Some(client) = core.sessions.get_mut(key).and_then(|session| session.client.bayeux_mut()) else {
            return;
        };
        if client.stage == ClientStage::Holding {
            client.stage = ClientStage::Connected;
            if let Some(tally) = self.browsers.tallies.get_mut(client.browser) {
                tally.holds -= 1;
            }
        }
    }

    /// A session has lost its response. If it has another by now, that has released the connect.
    pub(crate) fn release_if_detached(&mut self, core: &mut Core, key: SessionKey) {
        if core.sessions.get(key).is_some_and(|session| session.link == Link::Detached) {
            self.release_connect(core, key);
        }
    }

    /// Panics unless browsers' counts agree with the sessions.
    pub(crate) fn check_browsers(&self, core: &Core) {
        let mut counted = std::collections::BTreeMap::<u32, (u32, u32)>::new();
        for (key, session) in core.sessions.iter() {
            let Some(client) = session.client.bayeux() else { continue };
            let holds = core.holds_a_connect(key);
            assert_eq!(
                holds,
                client.stage == ClientStage::Holding,
                "a hold is not noted: {:?}",
                session.link
            );
            let (sessions, held) = counted.entry(client.browser.index()).or_default();
            *sessions += 1;
            *held += u32::from(holds);
        }
        for (key, tally) in self.browsers.tallies.iter() {
            let counts = counted.get(&key.index()).copied();
            assert_eq!(counts, Some((tally.sessions, tally.holds)), "a browser's counts are wrong");
            assert_eq!(self.browsers.known.get(&tally.browser), Some(&key));
        }
        assert_eq!(counted.len(), self.browsers.tallies.len());
        assert_eq!(self.browsers.known.len(), self.browsers.tallies.len());
    }

    /// The session that a client id names, if this caller may use it: by the cookies or the token
    /// of the client that created it, or on the socket that created it. `own` is the socket's
    /// session when the message arrived, and counts even if the socket closes before the message is
    /// executed.
    pub(crate) fn bayeux_session(
        &mut self,
        core: &mut Core,
        (conn, own): (ConnKey, Option<SessionKey>),
        caller: &BayeuxCaller,
        id: &str,
    ) -> Result<SessionKey, SessionDenied> {
        let (key, of) = core.named_session(caller, id).ok_or(SessionDenied::Unknown)?;
        let own = core.bayeux_socket(conn).and_then(|bayeux| bayeux.session).or(own);
        let browser = self.browsers.tallies.get(of).map(|tally| tally.browser);
        let other = || self.browsers.others.get(&key);
        let is_marked = browser.is_some_and(|browser| caller.cookies.has(browser))
            || other().is_some_and(|other| caller.cookies.has(*other));
        if is_marked {
            self.browsers.pending_cookies.see(key);
            if let Some(tally) = self.browsers.tallies.get_mut(of) {
                tally.cookie.show();
            }
        }
        // If it names a user, that is the session's, by the check above.
        let is_users = caller.user.is_some() && matches!(caller.credential, Credential::Token(_));
        let is_trusted = core.cx.config.bayeux_trust == BayeuxTrust::ClientId;
        let is_known = own == Some(key) || is_marked || is_users || is_trusted;
        if is_known || (own.is_none() && self.is_companion(core, conn, key, caller)) {
            if let Some(bayeux) = core.bayeux_socket_mut(conn) {
                bayeux.refused = 0;
            }
            return Ok(key);
        }
        Err(self.why_denied(core, conn, (key, of), caller))
    }

    /// The reason why this caller may not use an existing session.
    fn why_denied(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        (key, of): (SessionKey, BrowserKey),
        caller: &BayeuxCaller,
    ) -> SessionDenied {
        let now = core.cx.now;
        let unmarked = core.bayeux_socket(conn).map(|bayeux| bayeux.unmarked.is_some());
        match unmarked {
            None if caller.cookies.name().is_none() && self.browsers.pending_cookies.is_unseen(now, key) => {
                self.browsers.hint("a Bayeux client does not send back the cookie of its handshake");
                SessionDenied::Forgetful
            }
            Some(true) => match self.browsers.refuse_unmarked(of) {
                Some(interval) => {
                    let client = "a Bayeux client sends its cookie with requests and not with its WebSocket";
                    self.browsers.hint(client);
                    SessionDenied::Unmarked(interval)
                }
                None => SessionDenied::Unknown,
            },
            None | Some(false) => SessionDenied::Unknown,
        }
    }

    /// Whether a socket without a cookie belongs to the handshake that created a session. If so,
    /// the session becomes its own.
    fn is_companion(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        key: SessionKey,
        caller: &BayeuxCaller,
    ) -> bool {
        let now = core.cx.now;
        let Some(began) = core.bayeux_socket(conn).and_then(|bayeux| bayeux.unmarked) else { return false };
        let origin = core.origin(conn, caller);
        let is_companion = self.browsers.pending_cookies.takes_companion(now, key, began, origin);
        if is_companion && let Some(bayeux) = core.bayeux_socket_mut(conn) {
            bayeux.session = Some(key);
        }
        is_companion
    }

    /// The browser for which a handshake counts: preferably one that has sessions here.
    pub(crate) fn known_browser(&self, cookies: &BrowserCookies) -> Option<BrowserId> {
        cookies.all().find(|one| self.browsers.known.contains_key(one)).or(cookies.name())
    }

    /// Whether another client of the same browser holds a connection: two would leave none for the
    /// page.
    pub(crate) fn has_multiple_clients(&self, core: &Core, key: SessionKey) -> bool {
        let client = core.sessions.get(key).and_then(|session| session.client.bayeux());
        let Some(client) = client.filter(|_| !core.cx.broken_by(Mutation::CrowdUnseen)) else {
            return false;
        };
        let own = u32::from(client.stage == ClientStage::Holding);
        self.browsers.tallies.get(client.browser).is_some_and(|tally| tally.holds > own)
    }
}
