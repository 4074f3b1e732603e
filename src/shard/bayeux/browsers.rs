//! Which sessions a browser has, so that a stolen client id is of no use, and several clients do not use up a browser's connections.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use rand_chacha::rand_core::RngCore;

use crate::base::base32;
use crate::base::hash::{Homes, Keyed};
use crate::base::ids::ShardId;
use crate::base::slab::{BrowserKey, ConnKey, Key, SessionKey, Slab};
use crate::base::ticks::Span;
use crate::config::BayeuxTrust;
use crate::protocol::bayeux::answer::{Advice, Fault};
use crate::shard::Shard;
use crate::shard::bayeux::visits::{Origin, Visits};
use crate::shard::bayeux::{Caller, Client, Credential, Stage};
use crate::shard::conn::Phase;
use crate::shard::mutation::Mutation;
use crate::shard::request::User;
use crate::shard::session::{Link, Session, SessionId};

/// A browser, by the value of the cookie that it was given, which cannot be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Browser([u8; 16]);

/// A cookie that is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoBrowser;

impl Browser {
    /// The shard at which its clients without users are at home.
    pub fn home(self, homes: &Homes) -> ShardId {
        ShardId(homes.of(&self.to_string()))
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// What the answer to a handshake has set.
    pub browser: Option<Browser>,
    /// What the beginning of a WebSocket has set.
    pub socket: Option<Browser>,
    /// Further cookies of these names. Another path or domain of the host may have set some, and browsers do not say which is whose.
    more: Box<[Browser]>,
}

impl Marks {
    /// The cookies of a request, each with the place of its name: 0 for a handshake's, 1 for a socket's.
    pub fn new(cookies: impl Iterator<Item = (usize, Browser)>) -> Self {
        let (mut first, mut more) = ([None; 2], Vec::new());
        for (name, browser) in cookies {
            match &mut first[name] {
                place @ None => *place = Some(browser),
                Some(_) if more.len() < MORE_MAX && !more.contains(&browser) => more.push(browser),
                Some(_) => {}
            }
        }
        let [browser, socket] = first;
        more.retain(|one| !first.contains(&Some(*one)));
        Self { browser, socket, more: more.into() }
    }

    /// By which of them a browser's sessions are known and counted, and where those without users are at home. `None` on a first visit, or
    /// of a client that keeps no cookies.
    pub fn name(&self) -> Option<Browser> {
        self.browser.or(self.socket)
    }

    /// The other one, if there are two.
    pub fn other(&self) -> Option<Browser> {
        self.socket.filter(|_| self.browser.is_some())
    }

    fn all(&self) -> impl Iterator<Item = Browser> {
        self.browser.into_iter().chain(self.socket).chain(self.more.iter().copied())
    }

    fn has(&self, browser: Browser) -> bool {
        self.all().any(|one| one == browser)
    }
}

/// Cookies of one request beyond the first of each name that are looked at.
const MORE_MAX: usize = 6;

/// Why a session is not this caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// There is no such session, or it is another's: a handshake makes a new one.
    Unknown,
    /// Perhaps it is the caller's, who does not send back the cookie that came with it. Another handshake would go no better.
    Forgetful,
    /// The session's browser sends its cookie with requests, and this socket came without: a
    /// handshake by a request would end here again, so the client waits for so long before it.
    Unmarked(Span),
    /// It is the caller's and another client's, who take it from each other: a handshake makes one of its own.
    Shared,
}

impl Stranger {
    /// What the answer says. A client that shakes hands again at once and is refused again would do
    /// so for ever.
    pub(super) fn told(self) -> (Fault, Advice) {
        match self {
            Self::Unknown => (Fault::session_unknown(), Advice::Handshake(Span::ZERO)),
            Self::Forgetful => (Fault::cookie_withheld(), Advice::Nothing),
            Self::Shared => (Fault::session_shared(), Advice::Handshake(Span::ZERO)),
            Self::Unmarked(interval) => (Fault::socket_unmarked(), Advice::Handshake(interval)),
        }
    }
}

/// The browsers that have sessions here. Sessions of one browser are counted, not listed: nothing
/// that happens to one of them costs more the more there are.
#[derive(Debug)]
pub(in crate::shard) struct Browsers {
    known: HashMap<Browser, BrowserKey, Keyed>,
    tallies: Slab<BrowserKey, Tally>,
    /// The other cookie of sessions whose browser showed two.
    others: HashMap<SessionKey, Browser, Keyed>,
    /// Sessions whose browser showed none.
    pub(super) visits: Visits,
    hint: Hint,
}

/// What is known of one browser.
#[derive(Debug)]
struct Tally {
    browser: Browser,
    /// How many sessions it has; never zero.
    sessions: u32,
    /// How many of them hold a connect by a request ([`Stage::Holding`]).
    holds: u32,
    cookie: Cookie,
}

/// Whether a browser is known to send its cookie back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cookie {
    /// Not yet.
    Sent,
    /// It has done so, and since then so many of its sockets in a row came without it.
    Shown { without: u32 },
}

/// Whether the log has named the setting for clients that keep no cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint {
    Due,
    Given,
}

impl Browsers {
    /// None. `keyed` is for the tables.
    pub(in crate::shard) fn new(keyed: Keyed) -> Self {
        Self {
            known: HashMap::with_hasher(keyed),
            tallies: Slab::default(),
            others: HashMap::with_hasher(keyed),
            visits: Visits::new(keyed),
            hint: Hint::Due,
        }
    }

    /// How many sessions a browser has.
    pub(super) fn sessions(&self, browser: Browser) -> usize {
        let tally = self.known.get(&browser).and_then(|key| self.tallies.get(*key));
        tally.map_or(0, |tally| tally.sessions as usize)
    }

    /// One more session of a browser. `shown` says whether it sent a cookie along with the
    /// handshake.
    pub(super) fn enter(&mut self, browser: Browser, shown: bool) -> BrowserKey {
        let key = *self.known.entry(browser).or_insert_with(|| {
            self.tallies.insert(Tally { browser, sessions: 0, holds: 0, cookie: Cookie::Sent })
        });
        let tally = &mut self.tallies[key];
        tally.sessions += 1;
        if shown {
            tally.cookie.show();
        }
        key
    }

    /// One session of a browser less.
    fn leave(&mut self, key: BrowserKey, stage: Stage) {
        let Some(tally) = self.tallies.get_mut(key) else { return };
        tally.sessions -= 1;
        tally.holds -= u32::from(stage == Stage::Holding);
        if tally.sessions == 0 {
            self.known.remove(&tally.browser);
            self.tallies.remove(key);
        }
    }

    /// A socket without a cookie wants a session of a browser that sends one with requests: how
    /// long its client is to wait before it shakes hands again. The first of them waits too: the
    /// cookie will be missing then as it is now.
    fn refuse_unmarked(&mut self, key: BrowserKey) -> Option<Span> {
        let Cookie::Shown { without } = &mut self.tallies.get_mut(key)?.cookie else { return None };
        *without = without.saturating_add(1);
        let doublings = (*without - 1).min(UNMARKED_DOUBLINGS);
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

impl Cookie {
    /// It has come back.
    fn show(&mut self) {
        if *self == Self::Sent {
            *self = Self::Shown { without: 0 };
        }
    }
}

/// How long the first client whose socket lacks the cookie waits before it shakes hands again, in
/// milliseconds; the wait doubles with each that follows.
const UNMARKED_INTERVAL_MS: u64 = 1_000;

/// So often the wait doubles, to 32 s: the client is no better off by asking, and a person who
/// repairs the setting waits no longer.
const UNMARKED_DOUBLINGS: u32 = 5;

impl Shard {
    /// A session was made, and has `client`. `other` is another cookie by which its browser is
    /// known.
    pub(super) fn enter_browser(&mut self, key: SessionKey, client: Client, other: Option<Browser>) {
        if let Some(other) = other {
            self.browsers.others.insert(key, other);
        }
        if let Some(session) = self.core.sessions.get_mut(key) {
            session.bayeux = Some(Box::new(client));
        }
    }

    /// A session is over, and gone, that had `client`.
    pub(in crate::shard) fn leave_browser(&mut self, key: SessionKey, client: &Client) {
        self.browsers.others.remove(&key);
        self.browsers.visits.end(key);
        self.browsers.leave(client.browser, client.stage);
    }

    /// A session begins to hold a connect by a request.
    pub(super) fn hold_connect(&mut self, key: SessionKey) {
        let Some(client) = self.core.sessions.get_mut(key).and_then(|session| session.bayeux.as_deref_mut())
        else {
            return;
        };
        debug_assert_eq!(client.stage, Stage::Connected, "a connect is held twice");
        client.stage = Stage::Holding;
        if let Some(tally) = self.browsers.tallies.get_mut(client.browser) {
            tally.holds += 1;
        }
    }

    /// A session is reached no longer by the response that it had: it holds no connect.
    pub(in crate::shard) fn release_connect(&mut self, key: SessionKey) {
        let Some(client) = self.core.sessions.get_mut(key).and_then(|session| session.bayeux.as_deref_mut())
        else {
            return;
        };
        if client.stage == Stage::Holding {
            client.stage = Stage::Connected;
            if let Some(tally) = self.browsers.tallies.get_mut(client.browser) {
                tally.holds -= 1;
            }
        }
    }

    /// A session has lost its response. If it has another by now, that has released the connect.
    pub(in crate::shard) fn release_if_detached(&mut self, key: SessionKey) {
        if self.core.sessions.get(key).is_some_and(|session| session.link == Link::Detached) {
            self.release_connect(key);
        }
    }

    /// Panics unless browsers' counts are those of the sessions that are here.
    pub(in crate::shard) fn check_browsers(&self) {
        let mut counted = std::collections::BTreeMap::<u32, (u32, u32)>::new();
        for (key, session) in self.core.sessions.iter() {
            let Some(client) = session.bayeux.as_deref() else { continue };
            let holds = self.holds_a_connect(key);
            assert_eq!(holds, client.stage == Stage::Holding, "a hold is not noted: {:?}", session.link);
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

    /// Whether a session's connect is held by a request, as its connection has it.
    fn holds_a_connect(&self, key: SessionKey) -> bool {
        let Some(session) = self.core.sessions.get(key) else { return false };
        let (Link::Parked(conn) | Link::Waking(conn)) = session.link else { return false };
        matches!(self.core.conns.get(conn).map(|conn| &conn.phase), Some(Phase::Parked(_)))
    }

    /// A browser that is not known yet; its clients without users are at home here.
    pub(super) fn fresh_browser(&mut self) -> Browser {
        loop {
            let mut bytes = [0; 16];
            self.core.cx.rng.fill_bytes(&mut bytes);
            let browser = Browser(bytes);
            if browser.home(&self.core.cx.identity.homes()) == self.core.cx.identity.id {
                return browser;
            }
        }
    }

    /// The session that a client id names, if this caller may use it: by the cookies or the token of whoever made it, or over the
    /// socket that it was made by. `own` is the socket's when it asked, and stays so if it closes before all is carried out.
    pub(super) fn bayeux_session(
        &mut self,
        (conn, own): (ConnKey, Option<SessionKey>),
        caller: &Caller,
        id: &str,
    ) -> Result<SessionKey, Stranger> {
        let (key, of) = self.named_session(caller, id).ok_or(Stranger::Unknown)?;
        let own = self.talk(conn).and_then(|talk| talk.session).or(own);
        let browser = self.browsers.tallies.get(of).map(|tally| tally.browser);
        let other = || self.browsers.others.get(&key);
        let is_marked = browser.is_some_and(|browser| caller.marks.has(browser))
            || other().is_some_and(|other| caller.marks.has(*other));
        if is_marked {
            self.browsers.visits.see(key);
            if let Some(tally) = self.browsers.tallies.get_mut(of) {
                tally.cookie.show();
            }
        }
        // If it names a user, that is the session's, as was just seen.
        let is_users = caller.user.is_some() && matches!(caller.credential, Credential::Token(_));
        let is_trusted = self.core.cx.config.bayeux_trust == BayeuxTrust::ClientId;
        let is_known = own == Some(key) || is_marked || is_users || is_trusted;
        if is_known || (own.is_none() && self.is_twin(conn, key, caller)) {
            if let Some(talk) = self.talk_mut(conn) {
                talk.refused = 0;
            }
            return Ok(key);
        }
        Err(self.stranger(conn, (key, of), caller))
    }

    /// Why a session that is there is not this caller's.
    fn stranger(&mut self, conn: ConnKey, (key, of): (SessionKey, BrowserKey), caller: &Caller) -> Stranger {
        let now = self.core.cx.now;
        let unmarked = self.talk(conn).map(|talk| talk.unmarked.is_some());
        match unmarked {
            None if caller.marks.name().is_none() && self.browsers.visits.is_unseen(now, key) => {
                self.browsers.hint("a Bayeux client does not send back the cookie of its handshake");
                Stranger::Forgetful
            }
            Some(true) => match self.browsers.refuse_unmarked(of) {
                Some(interval) => {
                    let client = "a Bayeux client sends its cookie with requests and not with its WebSocket";
                    self.browsers.hint(client);
                    Stranger::Unmarked(interval)
                }
                None => Stranger::Unknown,
            },
            None | Some(false) => Stranger::Unknown,
        }
    }

    /// A session that is this caller's, as far as its user goes; and whose browser it is.
    fn named_session(&self, caller: &Caller, id: &str) -> Option<(SessionKey, BrowserKey)> {
        let SessionId { key, nonce, .. } = id.parse().ok()?;
        let session = self.core.sessions.get(key).filter(|session| session.nonce == nonce)?;
        let client = session.bayeux.as_deref()?;
        let is_others = caller.user.as_ref().is_some_and(|named| !self.is_of(session, named));
        (!is_others).then_some((key, client.browser))
    }

    /// Whether a socket without a cookie was opened along with the handshake that made a session. If so, it is the socket's own.
    fn is_twin(&mut self, conn: ConnKey, key: SessionKey, caller: &Caller) -> bool {
        let now = self.core.cx.now;
        let Some(began) = self.talk(conn).and_then(|talk| talk.unmarked) else { return false };
        let origin = self.origin(conn, caller);
        let is_twin = self.browsers.visits.takes_twin(now, key, began, origin);
        if is_twin && let Some(talk) = self.talk_mut(conn) {
            talk.session = Some(key);
        }
        is_twin
    }

    /// The browser that a handshake is counted with: one that has sessions here, before others that its cookies may name.
    pub(super) fn known_browser(&self, marks: &Marks) -> Option<Browser> {
        marks.all().find(|one| self.browsers.known.contains_key(one)).or(marks.name())
    }

    /// From where a caller asks.
    pub(super) fn origin(&self, conn: ConnKey, caller: &Caller) -> Origin {
        let peer = self.core.conns.get(conn).and_then(|conn| conn.peer);
        Origin::new(&self.core.cx.identity.homes(), peer.map(|peer| peer.ip()), (caller.agent, caller.sender))
    }

    /// Whether a session is this user's. Its first subscription is the user's personal channel.
    fn is_of(&self, session: &Session, user: &User) -> bool {
        let personal = session.subscriptions.first().and_then(|first| self.core.hub.channel(first.channel));
        personal.is_some_and(|personal| *personal.name == *user.channel.as_str())
    }

    /// Whether another client of the same browser holds a connection: two would leave the browser none for the page.
    pub(super) fn is_crowded(&self, key: SessionKey) -> bool {
        let client = self.core.sessions.get(key).and_then(|session| session.bayeux.as_deref());
        let Some(client) = client.filter(|_| !self.core.cx.broken_by(Mutation::CrowdUnseen)) else {
            return false;
        };
        let own = u32::from(client.stage == Stage::Holding);
        self.browsers.tallies.get(client.browser).is_some_and(|tally| tally.holds > own)
    }
}
