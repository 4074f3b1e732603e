//! How a session is made and how it ends, and which one goes when a user has one too many.
//!
//! That is the one that was unused for longest: detached ones first, and of those the one that would
//! end first. It is looked for among a bounded number, so that a user with very many costs no more.

use std::rc::Rc;

use rand_chacha::rand_core::RngCore;

use crate::base::alarm::Alarm;
use crate::base::slab::{ChannelKey, ConnKey, SessionKey};
use crate::config::Config;
use crate::hub::channel::{Began, Stage};
use crate::protocol::native::envelope::CloseCode;
use crate::shard::Shard;
use crate::shard::exchange::Since;
use crate::shard::interest::Start;
use crate::shard::mutation::Mutation;
use crate::shard::request::Open;
use crate::shard::session::{FoundBy, Link, NEVER, Session};
use crate::shard::subscriptions::Subscriptions;
use crate::shard::takeover::Hands;
use crate::wire::channel_name::ChannelName;
use crate::wire::refusal::Refusal;

impl Shard {
    /// A new session of a user, with its channels.
    pub(super) fn make_session(
        &mut self,
        conn: ConnKey,
        open: &Open,
        since: &Since,
    ) -> Result<SessionKey, Refusal> {
        let now = self.core.cx.now;
        if self.core.sessions.len()
            >= Config::share(self.core.cx.config.sessions, usize::from(self.core.cx.identity.shards))
        {
            let reason = "the node has all the sessions that ENCKE_SESSIONS allows";
            return Err(Refusal::new(503, "too-many-sessions", reason).with_header("Retry-After", "5"));
        }
        let (personal, _) = self.core.ensure_home(open.user.channel.as_str())?;
        self.make_room(personal);
        let (personal, _) = self.core.ensure_home(open.user.channel.as_str())?;
        let peer = self.core.conns.get(conn).and_then(|conn| conn.peer);
        let entered = self.core.addresses.enter(peer.map(|peer| peer.ip()));
        let address = entered.inspect_err(|_| self.core.hub.release(personal))?;
        let mut nonce = [0; 12];
        self.core.cx.rng.fill_bytes(&mut nonce);
        let elsewhere = |name: &ChannelName| {
            name.is_pattern() || self.core.cx.home(name.as_str()) != self.core.cx.identity.id
        };
        let resumes = matches!(since, Since::Here(_));
        if open.last > 0 && !resumes && open.conflate.is_none() && open.channels.iter().any(elsewhere) {
            // What comes of that comes with new positions. Clients that were here before are below.
            self.core.hub.skip();
        }
        let start = match since {
            Since::Here(n) => *n,
            Since::Unsaid | Since::Elsewhere(_) => self.core.hub.head(),
        };
        let key = self.core.sessions.insert(Session {
            start,
            cursor: start,
            told: 0,
            link: Link::Detached,
            found: FoundBy::Position,
            lent_after: NEVER,
            subscriptions: Subscriptions::with_capacity(1 + open.channels.len()),
            last: u16::try_from(open.last).unwrap_or(u16::MAX),
            hands: Hands::default(),
            recalls: 1, // until all that its request asks for was asked
            unpushed: 0,
            conflated: None,
            transport: open.transport,
            since: now,
            alarm: Alarm::default(),
            grant: Rc::clone(&open.grant),
            nonce,
            private: None,
            attended: 0,
            bayeux: None,
            address,
        });
        let start = Start { since, last: open.last, stage: Stage::Opening, conflate: None };
        self.core.join(key, personal, &start);
        let start = Start { conflate: open.conflate, ..start };
        // Patterns last: what they recall leaves out what the channels bring.
        let (patterns, channels): (Vec<_>, Vec<_>) = open.channels.iter().partition(|name| name.is_pattern());
        for name in channels.into_iter().chain(patterns) {
            let subscribed = self.core.subscribe(key, name, &start);
            let attends =
                |(): ()| if open.presence { self.core.attend(key, name, Stage::Opening) } else { Ok(()) };
            if let Err(refusal) = subscribed.and_then(attends) {
                self.end_session(key, CloseCode::Ended);
                return Err(refusal);
            }
        }
        let session = &mut self.core.sessions[key];
        for subscription in session.subscriptions.iter() {
            if let Began::After(n) = subscription.began {
                session.cursor = session.cursor.min(n);
            }
        }
        self.core.has_asked(key);
        Ok(key)
    }

    /// Ends a session for good.
    pub(super) fn end_session(&mut self, key: SessionKey, code: CloseCode) {
        if self.core.sessions.get(key).is_none() {
            return;
        }
        self.core.cx.steps.occasions(1);
        self.close_link(key, code);
        if !self.core.cx.broken_by(Mutation::LeakSubscription) {
            while let Some(at) = self.core.sessions[key].subscriptions.len().checked_sub(1) {
                self.core.leave(key, at);
            }
        }
        if let Some(mut session) = self.core.sessions.remove(key) {
            session.alarm.disarm(&mut self.core.cx.wheel);
            if let Some(address) = session.address {
                self.core.addresses.leave(address);
            }
            if let Some(client) = session.bayeux {
                self.leave_browser(key, &client);
            }
        }
    }

    /// Ends the session of a user that was unused for longest, if the user has as many as allowed.
    /// Of many, some are drawn and compared: with a user that everybody shares, each new session
    /// would else look at all of them.
    pub(super) fn make_room(&mut self, personal: ChannelKey) {
        let Some(channel) = self.core.hub.channel(personal) else { return };
        let count = channel.subscribers.len();
        if count < self.core.cx.config.sessions_per_user {
            return;
        }
        self.core.cx.steps.work(count.min(COMPARED_MAX));
        let begin =
            if count > COMPARED_MAX { (self.core.cx.rng.next_u64() % count as u64) as usize } else { 0 };
        let drawn =
            (begin..begin + count.min(COMPARED_MAX)).map(|at| channel.subscribers[at % count].session);
        let oldest = drawn.min_by_key(|key| {
            let session = &self.core.sessions[*key];
            (session.link != Link::Detached, session.alarm.due().unwrap_or_default(), session.since)
        });
        if let Some(oldest) = oldest {
            self.end_session(oldest, CloseCode::TooManySessions);
        }
    }
}

/// Sessions of a user that are compared to find the one that goes: all that most users may have,
/// and no work even for a shard that makes thousands of sessions a second.
const COMPARED_MAX: usize = 256;
