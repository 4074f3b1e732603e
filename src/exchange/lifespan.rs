//! How sessions are created and end, and which one ends when a user has too many.
//!
//! That is the one that was unused for longest: detached ones first, and of those the one that
//! would end first. It is searched among a bounded number, so that a user with very many costs no
//! more.

use std::rc::Rc;

use rand_chacha::rand_core::RngCore;

use crate::base::slab::{ChannelKey, ConnKey, SessionKey};
use crate::call::queue::Since;
use crate::config::Config;
use crate::core::Core;
use crate::core::interest::SubscriptionStart;
use crate::exchange::limits::{ADMISSION_SPREAD_PART, SESSIONS_COMPARED_MAX};
use crate::hub::channel::{Began, SessionStage};
use crate::protocol::native::envelope::CloseCode;
use crate::request::Open;
use crate::session::addresses::AddressFull;
use crate::session::subscriptions::Subscriptions;
use crate::session::{Link, Session};
use crate::turn::mutation::Mutation;
use crate::turn::todo::Todo;
use crate::wire::channel_name::ChannelName;
use crate::wire::refusal::{Refusal, Refused};

impl Core {
    /// Creates a session of a user, with its channels.
    pub(crate) fn make_session(
        &mut self,
        conn: ConnKey,
        open: &Open,
        since: &Since,
    ) -> Result<SessionKey, Refusal> {
        let now = self.cx.now;
        if self.sessions.len() >= Config::share(self.cx.config.sessions, usize::from(self.cx.identity.shards))
        {
            return Err(Refused::Sessions.into());
        }
        if let Err(wait) = self.admissions.admit(now) {
            // Spread, so that those who were refused together do not come back together.
            let after = wait + self.cx.jittered(wait.part(1, ADMISSION_SPREAD_PART), 0);
            return Err(Refused::Admission { after: after.as_millis() }.into());
        }
        let (personal, _) = self.ensure_home(open.user.channel.as_str())?;
        self.make_room(personal);
        let (personal, _) = self.ensure_home(open.user.channel.as_str())?;
        let peer = self.conns.get(conn).and_then(crate::conn::phase::Conn::peer);
        let address = self.addresses.enter(peer.map(|peer| peer.ip())).map_err(|AddressFull(address)| {
            self.hub.release(personal);
            Refusal::from(Refused::Address { address })
        })?;
        let mut nonce = [0; 12];
        self.cx.rng.fill_bytes(&mut nonce);
        let elsewhere =
            |name: &ChannelName| name.is_pattern() || self.cx.home(name.as_str()) != self.cx.identity.id;
        let resumes = matches!(since, Since::Here(_));
        let asks_history =
            open.last > 0 && !resumes && open.conflate.is_none() && open.channels.iter().any(elsewhere);
        if asks_history || self.opens_with_messages_before(&open.channels, open.presence) {
            // What is requested below arrives with new positions, and logs that begin below lack
            // earlier messages. Clients that existed before are below.
            self.hub.skip();
        }
        let start = match since {
            Since::Here(n) => *n,
            Since::Unspecified | Since::Elsewhere(_) => self.hub.head(),
        };
        let mut session = Session::new(start, now, open.transport, Rc::clone(&open.grant), nonce);
        session.resumes = resumes;
        session.subscriptions = Subscriptions::with_capacity(1 + open.channels.len());
        session.last = u16::try_from(open.last).unwrap_or(u16::MAX);
        session.recalls = 1; // until all that its request asks for was asked
        session.address = address;
        let key = self.sessions.insert(session);
        let start =
            SubscriptionStart { since, last: open.last, stage: SessionStage::Opening, conflate: None };
        self.join(key, personal, &start);
        let start = SubscriptionStart { conflate: open.conflate, ..start };
        // Patterns last: their recall omits what the channels deliver.
        let (patterns, channels): (Vec<_>, Vec<_>) = open.channels.iter().partition(|name| name.is_pattern());
        for name in channels.into_iter().chain(patterns) {
            let subscribed = self.subscribe(key, name, &start);
            let attends =
                |(): ()| if open.presence { self.attend(key, name, SessionStage::Opening) } else { Ok(()) };
            if let Err(refusal) = subscribed.and_then(attends) {
                self.end_session(key, CloseCode::Ended);
                return Err(refusal);
            }
        }
        let session = &mut self.sessions[key];
        for subscription in session.subscriptions.iter() {
            if let Began::After(n) = subscription.began {
                session.cursor = session.cursor.min(n);
            }
        }
        self.has_asked(key);
        Ok(key)
    }

    /// Ends a session for good.
    pub(crate) fn end_session(&mut self, key: SessionKey, code: CloseCode) {
        if self.sessions.get(key).is_none() {
            return;
        }
        self.cx.steps.occasions(1);
        self.close_link(key, code);
        if !self.cx.broken_by(Mutation::LeakSubscription) {
            while let Some(at) = self.sessions[key].subscriptions.len().checked_sub(1) {
                self.leave(key, at);
            }
        }
        if let Some(mut session) = self.sessions.remove(key) {
            session.alarm.disarm(&mut self.cx.wheel);
            if let Some(address) = session.address {
                self.addresses.leave(address);
            }
            if session.concerns_front() {
                self.departed.push_back((key, session.client, code));
                self.cx.todos.push_back(Todo::Departed);
            }
        }
    }

    /// Ends the session of a user that was unused for longest, if the user has as many as allowed.
    /// Of many, a random sample is compared: with a user that all clients share, each new session
    /// would otherwise visit all of them.
    pub(crate) fn make_room(&mut self, personal: ChannelKey) {
        let Some(channel) = self.hub.channel(personal) else { return };
        let count = channel.subscribers.len();
        if count < self.cx.config.sessions_per_user {
            return;
        }
        self.cx.steps.work(count.min(SESSIONS_COMPARED_MAX));
        let begin =
            if count > SESSIONS_COMPARED_MAX { (self.cx.rng.next_u64() % count as u64) as usize } else { 0 };
        let drawn = (begin..begin + count.min(SESSIONS_COMPARED_MAX))
            .map(|at| channel.subscribers[at % count].session);
        let oldest = drawn.min_by_key(|key| {
            let session = &self.sessions[*key];
            (session.link != Link::Detached, session.alarm.due().unwrap_or_default(), session.since)
        });
        if let Some(oldest) = oldest {
            self.end_session(oldest, CloseCode::TooManySessions);
        }
    }
}
