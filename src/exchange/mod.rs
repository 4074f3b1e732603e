//! Responses with messages: how they find or create their session, and how they leave it.
//!
//! A session has at most one such response at a time; a new one takes over, and the old one gets
//! `replaced`. `stream` and `poll` write the response: there the transport, which defines the
//! bytes, meets the protocol, which defines the envelopes.

pub mod detached;
pub mod lifecycle;
pub mod lifespan;
mod limits;
pub mod placed;
pub mod takeover;

use crate::answer::Found;
use crate::base::position::Position;
use crate::base::slab::{ConnKey, SessionKey};
use crate::call::queue::{Located, Made, Since};
use crate::conn::phase::Poll;
use crate::core::Core;
use crate::core::deliver::Gap;
use crate::exchange::detached::SessionMatch;
use crate::hub::channel::{Began, SessionStage};
use crate::hub::log::Log;
use crate::protocol::native::envelope::CloseCode;
use crate::request::Open;
use crate::request::reply::Reply;
use crate::request::session_id::SessionId;
use crate::session::{FoundBy, Link, Session};
use crate::transport::{Delivery, Opening};
use crate::turn::mutation::Mutation;
use crate::turn::todo::Leaving;
use crate::wire::channel_name::presence_of;
use crate::wire::refusal::Refusal;

impl Core {
    /// Parses a position that a client names.
    pub(crate) fn since(&self, text: Option<&str>) -> Since {
        let Some(text) = text else { return Since::Unspecified };
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

    /// The gap of a client that names a position, which shows what it has. Messages before the logs
    /// of other shards' channels began are unknown here, too: a client below that has not received
    /// the gap, or cannot be distinguished from one that has not.
    fn unreported_gap_since(&self, key: SessionKey) -> Option<Gap> {
        let session = &self.sessions[key];
        // History of one pattern may precede the log of the next, and is no new message.
        let had = if session.resumes { session.cursor.max(session.start) } else { u64::MAX };
        let told_once = self.cx.broken_by(Mutation::GapToldOnce);
        let first = session.subscriptions.iter().filter(|at| at.stage == SessionStage::Opening);
        let unknown =
            first.filter(|at| !told_once || matches!(at.began, Began::Awaited { .. })).filter_map(|at| {
                let channel = self.hub.channel(at.channel)?;
                // A list repeats all earlier changes, and a conflated channel sends its newest
                // value.
                let is_exact = at.began != Began::Conflated && presence_of(&channel.name).is_none();
                (is_exact && had < channel.log.began()).then(|| channel.log.history())
            });
        let forgotten = self.hub.missing(session.cursor, &session.subscriptions);
        let to = unknown.max().max(forgotten)?;
        (!self.cx.broken_by(Mutation::SilentGap))
            .then(|| Gap { from: self.hub.position(session.cursor).to_string().into(), to })
    }

    /// The number up to which some log of a session has dropped messages.
    fn forgotten(&self, key: SessionKey) -> u64 {
        let subscriptions = self.sessions[key].subscriptions.iter();
        let logs =
            subscriptions.filter_map(|subscription| Some(&self.hub.channel(subscription.channel)?.log));
        logs.map(Log::complete_from).max().unwrap_or(0)
    }

    /// A user's session by its id; `None` if it does not exist, is not this user's, or is no id.
    pub(crate) fn session_named(
        &self,
        id: Option<&str>,
        personal: &crate::wire::channel_name::ChannelName,
    ) -> Option<SessionKey> {
        let SessionId { key, nonce, .. } = id?.parse().ok()?;
        // Other protocols name the sessions of their clients differently.
        let fits = |session: &&Session| session.nonce == nonce && session.client.is_native();
        let session = self.sessions.get(key).filter(fits)?;
        (self.personal_channel(session)? == personal.as_str()).then_some(key)
    }

    /// Opens a response with messages.
    pub(crate) fn open(&mut self, conn: ConnKey, open: &Open, reply: Reply) {
        if !self.cx.takes_clients() {
            return self.turn_away(conn, open, &reply);
        }
        // The transport's parameters come first, so that an invalid request creates no session.
        let opened = self.opening(open).and_then(|opening| Ok((opening, self.locate(conn, open)?)));
        let (opening, located) = match opened {
            Ok(opened) => opened,
            Err(refusal) => return self.refuse_open(conn, open, &reply, &refusal),
        };
        let key = located.key;
        if let Some(first) = self.poll_ahead(key, open) {
            self.apply_grant(key, &open.grant);
            let opening = opening.0;
            let form = self.form(open.transport, opening.dialect, &reply);
            let poll = Poll { session: key, form, reply, opening, behind: None, held: None };
            return self.wait_behind(first, conn, poll);
        }
        match self.enter(open, &located) {
            Ok(()) => self.open_as(conn, open, (located, opening), reply, &[]),
            Err(refusal) => self.conns.refuse(&mut self.cx, conn, &reply, &refusal),
        }
    }

    /// Opens a response for a session that was entered before; `answers` are those to the request's
    /// commands.
    pub(crate) fn open_for(
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
                self.arm_session(located.key);
                self.conns.refuse(&mut self.cx, conn, &reply, &refusal);
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
                let poll = Poll { session: found.key, form, reply, opening, behind: None, held: None };
                let waits = delivery == Delivery::Held && found.made == Made::Before;
                self.open_poll(conn, poll, found, waits, answers);
            }
        }
    }

    /// Finds or creates the session of a request, without changing it.
    pub(crate) fn locate(&mut self, conn: ConnKey, open: &Open) -> Result<Located, Refusal> {
        let since = self.since(open.since.as_deref());
        let named = self.session_named(open.names(), &open.user.channel);
        if let (Since::Unspecified, Some(other)) = (&since, named)
            && let Some(cursor) = self.sessions[other].lent_at()
        {
            return self.locate_apart(conn, open, (other, cursor));
        }
        let found = match (open.names(), &since) {
            (Some(_), Since::Here(n)) => named.filter(|key| self.sessions[*key].reaches_back_to(*n)).into(),
            (Some(_), Since::Unspecified | Since::Elsewhere(_)) => named.into(),
            // Only for clients that name no session: others know theirs.
            (None, Since::Here(n)) => self.detached_session(open, *n),
            (None, Since::Unspecified | Since::Elsewhere(_)) => SessionMatch::Missing,
        };
        let found = match found {
            // A poll that waits behind another takes nothing over.
            SessionMatch::Own(key) if named.is_some() && self.poll_ahead(key, open).is_none() => {
                if self.is_contested(key) {
                    self.apart_before(open, &since).map_or(SessionMatch::InUse(key), SessionMatch::Own)
                } else {
                    self.change_hands(key);
                    found
                }
            }
            SessionMatch::Own(_)
            | SessionMatch::Missing
            | SessionMatch::InUse(_)
            | SessionMatch::Uncertain(_) => found,
        };
        let (key, made) = match found {
            SessionMatch::Own(key) => (key, Made::Before),
            SessionMatch::Missing => (self.make_session(conn, open, &since)?, Made::New),
            SessionMatch::InUse(other) => {
                let key = self.make_apart(conn, open, (other, &since))?;
                (key, Made::Apart(self.session_id(other)))
            }
            SessionMatch::Uncertain(n) => {
                let key = self.make_session(conn, open, &since)?;
                self.owe_history(key, n);
                (key, Made::New)
            }
        };
        if named == Some(key) {
            self.sessions[key].found = FoundBy::Id;
        } else if made == Made::Before {
            self.sessions[key].lend();
            if open.streams() {
                // Its lists of members may have gone to another client, or to a connection that it
                // lost. A poll does not get them again, because each poll of a client without a
                // session would be answered at once.
                self.ask_again(key);
            }
        }
        Ok(Located { key, made, since })
    }

    /// A client names a session by its id alone, but a position alone continued that when it was at
    /// `cursor`. What was written since may have gone to another client, so this one gets a session
    /// of its own that begins there.
    fn locate_apart(
        &mut self,
        conn: ConnKey,
        open: &Open,
        (other, cursor): (SessionKey, u64),
    ) -> Result<Located, Refusal> {
        let since = Since::Here(cursor);
        let key = self.make_apart(conn, open, (other, &since))?;
        if self.has_history_after(&self.sessions[other], cursor) {
            self.owe_history(key, cursor);
        }
        Ok(Located { key, made: Made::Apart(self.session_id(other)), since })
    }

    /// Applies a request to its session before its commands: it takes the session over, with its
    /// own grant, and subscribes to the channels of its query. The commands are executed
    /// afterwards, so that they have the last word.
    pub(crate) fn enter(&mut self, open: &Open, located: &Located) -> Result<(), Refusal> {
        let key = located.key;
        match located.made {
            // It has all of that from the start.
            Made::New | Made::Apart(_) => Ok(()),
            Made::Before => {
                self.supersede(key);
                self.apply_grant(key, &open.grant);
                self.subscribe_to_named(key, open).inspect_err(|_| self.arm_session(key))
            }
        }
    }

    /// Attaches a session that was entered to a new response.
    fn attach(&mut self, open: &Open, conn: ConnKey, located: Located) -> Found {
        let Located { key, made, since } = located;
        // While commands waited for other shards, another request may have taken it over.
        self.supersede(key);
        if self.cx.broken_by(Mutation::QueryHasTheLastWord) {
            let _ = self.subscribe_to_named(key, open);
        }
        self.cx.metrics.exchanges[open.transport.index()] += 1;
        self.attach_session(key, Link::Behind(conn), open.transport);
        if let Since::Here(n) = since {
            self.conflated_since(key, n);
        }
        self.schedule_all_latest(key);
        if since != Since::Unspecified {
            self.sessions[key].gap_sent = 0;
        }
        let goes_on = since != Since::Unspecified || made == Made::Before;
        let gap = match since {
            Since::Unspecified => self.unreported_gap(key),
            Since::Here(n) => {
                self.sessions[key].cursor = n;
                self.unreported_gap_since(key)
            }
            Since::Elsewhere(from) => {
                let to = match made {
                    Made::New | Made::Apart(_) => self.forgotten(key),
                    Made::Before => self.sessions[key].cursor,
                };
                (!self.cx.broken_by(Mutation::SilentGap)).then_some(Gap { from, to })
            }
        };
        Found { key, made, resumed: goes_on && gap.is_none(), gap }
    }

    /// Another response takes a session over: its present one gets `replaced` and ends.
    pub(crate) fn supersede(&mut self, key: SessionKey) {
        if self.cx.broken_by(Mutation::LeaveOldConnOpen) {
            return;
        }
        self.close_link(key, CloseCode::Replaced);
    }

    /// Ends a session's response, if there is one, with a reason.
    pub(crate) fn close_link(&mut self, key: SessionKey, code: CloseCode) {
        match self.sessions[key].link {
            Link::Detached => {}
            Link::Parked(conn) | Link::Waking(conn) => {
                let second = self.conns.take_second(conn);
                self.answer_poll(conn, Some(code));
                if let Some(second) = second.filter(|second| self.take_place(key, *second)) {
                    self.answer_poll(second, Some(code));
                }
            }
            Link::Level(conn) | Link::Behind(conn) => {
                self.close_stream(conn, code);
                self.detach_session(key);
            }
        }
    }

    /// A session's last answer was not written: what it carried is due again.
    fn go_back(&mut self, key: SessionKey, cursor: u64) {
        let session = &mut self.sessions[key];
        session.cursor = cursor;
        session.gap_sent = 0;
        self.conflated_since(key, cursor);
    }

    /// A connection has left its session, which is on its own now, unless another one has taken it
    /// over.
    pub(crate) fn leave_session(
        &mut self,
        conn: ConnKey,
        key: SessionKey,
        behind: Option<ConnKey>,
        leaving: Leaving,
    ) {
        let link = self.sessions.get(key).and_then(|session| session.link.conn());
        if link == Some(conn) {
            self.detach_session(key);
            if !self.sessions[key].client.outlives(leaving) {
                return self.end_session(key, CloseCode::Ended);
            }
            if let Some(cursor) = self.sessions[key].client.left(leaving)
                && !self.cx.broken_by(Mutation::ForgetUnwritten)
            {
                self.go_back(key, cursor);
            }
            self.end_if_drained(key);
        } else if let Some(first) = link {
            self.conns.leave_from_behind(first, conn);
        }
        if let Some(behind) = behind {
            self.move_up(key, behind);
        }
    }
}

#[cfg(test)]
mod tests;
