//! Responses that carry messages: how they find or make their session, and how they leave it.
//!
//! A session has at most one such response at a time; a new one takes over and the old one is told so. How a response is written is the
//! business of `stream` and `poll`: there transports and the protocol meet, one says how bytes are spelled, the other what is said.

use crate::base::position::Position;
use crate::base::slab::{ConnKey, SessionKey};
use crate::hub::channel::{Began, Stage};
use crate::hub::log::Log;
use crate::protocol::native::envelope::CloseCode;
use crate::shard::Shard;
use crate::shard::conn::Poll;
use crate::shard::core::Core;
use crate::shard::deliver::Gap;
use crate::shard::detached::Whose;
use crate::shard::interest::Start;
use crate::shard::mutation::Mutation;
use crate::shard::reply::Reply;
use crate::shard::request::Open;
use crate::shard::session::{FoundBy, Link, Session, SessionId};
use crate::shard::todo::Todo;
use crate::transport::{Delivery, Opening};
use crate::wire::channel_name::presence_of;
use crate::wire::refusal::Refusal;

/// Where a client wants to go on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// It does not say.
    Unsaid,
    /// After this number of this shard's epoch.
    Here(u64),
    /// After something that is not of this epoch, or not a position at all.
    Elsewhere(Box<str>),
}

/// The session that a request means.
#[derive(Debug)]
pub struct Located {
    pub(super) key: SessionKey,
    made: Made,
    since: Since,
}

/// A session that a request was given.
pub(super) struct Found {
    pub(super) key: SessionKey,
    pub(super) made: Made,
    /// What `open` says: whether the client goes on where it was.
    pub(super) resumed: bool,
    pub(super) gap: Option<Gap>,
}

/// Whether a session is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    New,
    /// Instead of this one, which another client uses.
    Apart(SessionId),
    Before,
}

impl Core {
    /// What a position that a client names means here.
    pub(super) fn since(&self, text: Option<&str>) -> Since {
        let Some(text) = text else { return Since::Unsaid };
        let foreign = || Since::Elsewhere(text.into());
        match text.parse::<Position>() {
            Ok(Position { epoch, n }) => {
                let skipped = u64::from(self.cx.broken_by(Mutation::SkipAfterSince));
                if epoch == self.hub.epoch() && n <= self.hub.head() {
                    Since::Here((n + skipped).min(self.hub.head()))
                } else {
                    foreign()
                }
            }
            Err(_) => foreign(),
        }
    }

    /// A session that was there before gets the channels that a query names, as far as it does not have them.
    pub(super) fn subscribe_to_named(&mut self, key: SessionKey, open: &Open) -> Result<(), Refusal> {
        let start =
            Start { since: &Since::Unsaid, last: open.last, stage: Stage::Later, conflate: open.conflate };
        for name in &open.channels {
            self.subscribe(key, name, &start)?;
            if open.presence {
                self.attend(key, name, Stage::Later)?;
            }
        }
        Ok(())
    }

    /// The gap of a client that names a position, and thereby shows what it has. Also what came before the logs of other shards'
    /// channels began is not known here: a client below that has not got the gap, or cannot be told from one that has not.
    fn owed_since(&self, key: SessionKey) -> Option<Gap> {
        let session = &self.sessions[key];
        let had = session.cursor.max(session.start);
        let told_once = self.cx.broken_by(Mutation::GapToldOnce);
        let first = session.subscriptions.iter().filter(|at| at.stage == Stage::Opening);
        let unknown =
            first.filter(|at| !told_once || matches!(at.began, Began::Awaited { .. })).filter_map(|at| {
                let channel = self.hub.channel(at.channel)?;
                // A list will say all that earlier news said, and a conflated channel gives its newest value.
                let is_exact = at.began != Began::Conflated && presence_of(&channel.name).is_none();
                (is_exact && had < channel.log.began()).then(|| channel.log.history())
            });
        let forgotten = self.hub.missing(session.cursor, &session.subscriptions);
        let to = unknown.max().max(forgotten)?;
        (!self.cx.broken_by(Mutation::SilentGap))
            .then(|| Gap { from: self.hub.position(session.cursor).to_string().into(), to })
    }

    /// Up to where some log of a session has forgotten.
    fn forgotten(&self, key: SessionKey) -> u64 {
        let subscriptions = self.sessions[key].subscriptions.iter();
        let logs =
            subscriptions.filter_map(|subscription| Some(&self.hub.channel(subscription.channel)?.log));
        logs.map(Log::complete_from).max().unwrap_or(0)
    }

    /// A user's session by its id; `None` if it is not there, not this user's, or not an id.
    pub(super) fn session_named(
        &self,
        id: Option<&str>,
        personal: &crate::wire::channel_name::ChannelName,
    ) -> Option<SessionKey> {
        let SessionId { key, nonce, .. } = id?.parse().ok()?;
        // A Bayeux client's is named by its client id, in Bayeux.
        let fits = |session: &&Session| session.nonce == nonce && session.bayeux.is_none();
        let session = self.sessions.get(key).filter(fits)?;
        let own = self.hub.channel(session.subscriptions.first()?.channel)?;
        (*own.name == *personal.as_str()).then_some(key)
    }

    /// A session's public name.
    pub(super) fn session_id(&self, key: SessionKey) -> SessionId {
        let session = &self.sessions[key];
        let personal = session.subscriptions.first().and_then(|own| self.hub.channel(own.channel));
        let user = personal.and_then(|channel| crate::wire::channel_name::user_of(&channel.name));
        SessionId {
            home: self.cx.identity.homes().hash(&user.unwrap_or_default()),
            key,
            nonce: session.nonce,
        }
    }

    pub(super) fn detach_session(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.link == Link::Detached {
            return;
        }
        if matches!(session.link, Link::Level(_)) {
            session.cursor = self.hub.head();
        }
        session.link = Link::Detached;
        self.cx.metrics.attached[session.transport.index()] -= 1;
        if session.bayeux.is_some() {
            self.cx.todos.push_back(Todo::Detached(key));
        }
        self.arm_session(key);
    }
}

impl Shard {
    /// Opens a response that carries messages.
    pub(super) fn open(&mut self, conn: ConnKey, open: &Open, reply: Reply) {
        if !self.core.cx.takes_clients() {
            return self.turn_away(conn, open, &reply);
        }
        // First what is asked for, so that a request which cannot be met makes no session.
        let opened = self.opening(open).and_then(|opening| Ok((opening, self.locate(conn, open)?)));
        let (opening, located) = match opened {
            Ok(opened) => opened,
            Err(refusal) => return self.core.conns.refuse(&mut self.core.cx, conn, &reply, &refusal),
        };
        let key = located.key;
        if let Some(first) = self.core.poll_ahead(key, open) {
            self.core.regrant(key, &open.grant);
            let opening = opening.0;
            let form = self.form(open.transport, opening.dialect, &reply);
            let poll = Poll { session: key, form, reply, opening, behind: None, connect: None };
            return self.core.wait_behind(first, conn, poll);
        }
        match self.enter(open, &located) {
            Ok(()) => self.open_as(conn, open, (located, opening), reply, &[]),
            Err(refusal) => self.core.conns.refuse(&mut self.core.cx, conn, &reply, &refusal),
        }
    }

    /// Opens a response for a session that was entered before; `answers` are those to the commands that came with the request.
    pub(super) fn open_for(
        &mut self,
        conn: ConnKey,
        open: &Open,
        located: Located,
        reply: Reply,
        answers: &[Vec<u8>],
    ) {
        match self.opening(open) {
            Ok(opening) => self.open_as(conn, open, (located, opening), reply, answers),
            Err(refusal) => {
                self.core.arm_session(located.key);
                self.core.conns.refuse(&mut self.core.cx, conn, &reply, &refusal);
            }
        }
    }

    fn open_as(
        &mut self,
        conn: ConnKey,
        open: &Open,
        (located, opening): (Located, (Opening, Vec<u8>)),
        reply: Reply,
        answers: &[Vec<u8>],
    ) {
        let found = self.attach(open, conn, located);
        match open.transport.transport().delivery() {
            Delivery::Stream | Delivery::Duplex(_) => {
                self.open_stream(conn, open, &reply, opening, found);
            }
            delivery @ (Delivery::Once | Delivery::Held) => {
                let opening = opening.0;
                let form = self.form(open.transport, opening.dialect, &reply);
                let poll = Poll { session: found.key, form, reply, opening, behind: None, connect: None };
                let waits = delivery == Delivery::Held && found.made == Made::Before;
                self.open_poll(conn, poll, found, waits, answers);
            }
        }
    }

    /// Finds or makes the session that a request means, and leaves it as it is.
    pub(super) fn locate(&mut self, conn: ConnKey, open: &Open) -> Result<Located, Refusal> {
        let since = self.core.since(open.since.as_deref());
        let named = self.core.session_named(open.names(), &open.user.channel);
        if let (Since::Unsaid, Some(other)) = (&since, named)
            && let Some(cursor) = self.core.sessions[other].lent_at()
        {
            return self.locate_apart(conn, open, (other, cursor));
        }
        let found = match (open.names(), &since) {
            (Some(_), Since::Here(n)) => {
                named.filter(|key| self.core.sessions[*key].reaches_back_to(*n)).into()
            }
            (Some(_), Since::Unsaid | Since::Elsewhere(_)) => named.into(),
            // Only for whoever names none: others know their own.
            (None, Since::Here(n)) => self.core.detached_session(open, *n),
            (None, Since::Unsaid | Since::Elsewhere(_)) => Whose::Nobodys,
        };
        let found = match found {
            // A poll that waits behind another takes nothing over.
            Whose::Theirs(key) if named.is_some() && self.core.poll_ahead(key, open).is_none() => {
                if self.core.is_contested(key) {
                    self.core.apart_before(open, &since).map_or(Whose::Anothers(key), Whose::Theirs)
                } else {
                    self.core.change_hands(key);
                    found
                }
            }
            found => found,
        };
        let (key, made) = match found {
            Whose::Theirs(key) => (key, Made::Before),
            Whose::Nobodys => (self.make_session(conn, open, &since)?, Made::New),
            Whose::Anothers(other) => {
                let key = self.make_apart(conn, open, (other, &since))?;
                (key, Made::Apart(self.core.session_id(other)))
            }
            Whose::Doubtful(n) => {
                let key = self.make_session(conn, open, &since)?;
                self.core.owe_history(key, n);
                (key, Made::New)
            }
        };
        if named == Some(key) {
            self.core.sessions[key].found = FoundBy::Id;
        } else if made == Made::Before {
            self.core.sessions[key].lend();
            if open.streams() {
                // Its lists of who is there may have gone to another client, or to a connection
                // that this one lost. A poll is not given them again, or each of a client without a
                // session would be answered at once.
                self.core.ask_again(key);
            }
        }
        Ok(Located { key, made, since })
    }

    /// A client names a session by its id alone, but a position alone took that up when it was at
    /// `cursor`. What was written since may have gone to another client, so this one is given a
    /// session of its own that begins there.
    fn locate_apart(
        &mut self,
        conn: ConnKey,
        open: &Open,
        (other, cursor): (SessionKey, u64),
    ) -> Result<Located, Refusal> {
        let since = Since::Here(cursor);
        let key = self.make_apart(conn, open, (other, &since))?;
        if self.core.has_history_after(&self.core.sessions[other], cursor) {
            self.core.owe_history(key, cursor);
        }
        Ok(Located { key, made: Made::Apart(self.core.session_id(other)), since })
    }

    /// What a request says of its session before anything else happens in it: it takes the session over, with its own grant, and
    /// subscribes to what its query names. Commands that came along are carried out after that, so that what they change stays changed.
    pub(super) fn enter(&mut self, open: &Open, located: &Located) -> Result<(), Refusal> {
        let key = located.key;
        match located.made {
            // It has all of that from the start.
            Made::New | Made::Apart(_) => Ok(()),
            Made::Before => {
                self.supersede(key);
                self.core.regrant(key, &open.grant);
                self.core.subscribe_to_named(key, open).inspect_err(|_| self.core.arm_session(key))
            }
        }
    }

    /// Gives a session that was entered a new response.
    fn attach(&mut self, open: &Open, conn: ConnKey, located: Located) -> Found {
        let Located { key, made, since } = located;
        // While commands waited for other shards, another request may have come for it.
        self.supersede(key);
        if self.core.cx.broken_by(Mutation::QueryHasTheLastWord) {
            let _ = self.core.subscribe_to_named(key, open);
        }
        let session = &mut self.core.sessions[key];
        session.link = Link::Behind(conn);
        session.transport = open.transport;
        self.core.cx.metrics.exchanges[open.transport.index()] += 1;
        self.core.cx.metrics.attached[open.transport.index()] += 1;
        self.core.arm_session(key);
        if let Since::Here(n) = since {
            self.core.conflated_since(key, n);
        }
        self.core.freshen_all(key);
        if since != Since::Unsaid {
            self.core.sessions[key].told = 0;
        }
        let goes_on = since != Since::Unsaid || made == Made::Before;
        let gap = match since {
            Since::Unsaid => self.core.owed(key),
            Since::Here(n) => {
                self.core.sessions[key].cursor = n;
                self.core.owed_since(key)
            }
            Since::Elsewhere(from) => {
                let to = match made {
                    Made::New | Made::Apart(_) => self.core.forgotten(key),
                    Made::Before => self.core.sessions[key].cursor,
                };
                (!self.core.cx.broken_by(Mutation::SilentGap)).then_some(Gap { from, to })
            }
        };
        Found { key, made, resumed: goes_on && gap.is_none(), gap }
    }

    /// Another response takes a session over: the one that it has is told so and ends.
    pub(super) fn supersede(&mut self, key: SessionKey) {
        if self.core.cx.broken_by(Mutation::LeaveOldConnOpen) {
            return;
        }
        self.close_link(key, CloseCode::Replaced);
    }

    /// Ends a session's response, if there is one, with a reason.
    pub(super) fn close_link(&mut self, key: SessionKey, code: CloseCode) {
        match self.core.sessions[key].link {
            Link::Detached => {}
            Link::Parked(conn) | Link::Waking(conn) => {
                let second = self.core.conns.take_second(conn);
                self.answer_poll(conn, Some(code));
                if let Some(second) = second.filter(|second| self.core.take_place(key, *second)) {
                    self.answer_poll(second, Some(code));
                }
            }
            Link::Level(conn) | Link::Behind(conn) => {
                self.close_stream(conn, code);
                self.core.detach_session(key);
            }
        }
    }

    /// A connection has left its session, which is on its own now, unless another one has taken it over.
    pub(super) fn leave_session(&mut self, conn: ConnKey, key: SessionKey, behind: Option<ConnKey>) {
        let link = self.core.sessions.get(key).and_then(|session| session.link.conn());
        if link == Some(conn) {
            self.core.detach_session(key);
        } else if let Some(first) = link {
            self.core.conns.leave_from_behind(first, conn);
        }
        if let Some(behind) = behind {
            self.move_up(key, behind);
        }
    }
}
