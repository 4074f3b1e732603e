//! Which session continues for a client that sends a position and no session.
//!
//! A position identifies a place in the stream, not a client: several pages of one user may have
//! the same one. A client gets a session whose stream can have been its own, and from which it gets
//! exactly the messages that it lacks. The private log of a session belongs to its client alone:
//! old messages have new positions there, and another client would get them twice.

use crate::base::slab::{ChannelKey, SessionKey};
use crate::call::queue::Since;
use crate::core::Core;
use crate::hub::channel::{Began, SessionStage, Subscription};
use crate::protocol::native::envelope::Encoding;
use crate::request::Open;
use crate::session::{FoundBy, Link, Session};
use crate::wire::channel_name::presence_of;

/// The session that a client means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionMatch {
    /// Its own.
    Own(SessionKey),
    /// None that exists.
    Missing,
    /// This one, which another client uses.
    InUse(SessionKey),
    /// Perhaps one that it does not get, because that may be another client's: requested history
    /// may be missing after this number.
    Uncertain(u64),
}

impl From<Option<SessionKey>> for SessionMatch {
    fn from(key: Option<SessionKey>) -> Self {
        key.map_or(Self::Missing, Self::Own)
    }
}

impl Core {
    /// A detached session of the user that no client has found by its id, with the same channels
    /// and options, that existed at the client's position and cannot have been served less than
    /// that; of several, the one that was served exactly that far.
    pub(crate) fn detached_session(&self, open: &Open, n: u64) -> SessionMatch {
        let personal = self.hub.find(open.user.channel.as_str()).and_then(|key| self.hub.channel(key));
        let Some(personal) = personal else { return SessionMatch::Missing };
        // Looked up once, for all sessions of the user. No session has a channel that does not
        // exist here.
        let channels: Vec<_> = open.channels.iter().filter_map(|name| self.hub.find(name.as_str())).collect();
        let are_all_here = channels.len() == open.channels.len();
        self.cx.steps.work(personal.subscribers.len());
        let sessions = personal.subscribers.iter().map(|subscriber| subscriber.session);
        // Clients of other protocols have their own ways to find theirs.
        let sessions = sessions.filter(|key| self.sessions[*key].client.is_native());
        let mut uncertain = SessionMatch::Missing;
        let mut is_kept = false;
        let sure = sessions.filter(|key| {
            if !(are_all_here && self.may_be_of(*key, open, &channels, n)) {
                is_kept |= self.keeps_history(*key, open, &channels, n);
                return false;
            }
            let session = &self.sessions[*key];
            let fits = session.last == last_of(open) && open.conflate.is_none();
            let sure = fits || !self.has_history_after(session, n);
            if !sure && open.conflate.is_none() {
                uncertain = SessionMatch::Uncertain(n);
            }
            sure
        });
        // Of equals preferably one that a position alone has continued before: the client of
        // another may know its id.
        let sure = sure.min_by_key(|key| {
            let session = &self.sessions[*key];
            (session.cursor, session.lent_at().is_none())
        });
        match sure.filter(|_| !is_kept) {
            Some(key) => SessionMatch::Own(key),
            None if is_kept => SessionMatch::Uncertain(n),
            None => uncertain,
        }
    }

    /// Whether a session can be that of a client with this request, but cannot be used: commands
    /// have changed it since the client's position, or an older connection still has it. If it has
    /// requested history, no other session can deliver that, so a client that gets another one is
    /// told of a gap.
    fn keeps_history(&self, key: SessionKey, open: &Open, channels: &[ChannelKey], n: u64) -> bool {
        let session = &self.sessions[key];
        open.conflate.is_none()
            && session.found != FoundBy::Id
            && session.last == last_of(open)
            && session.start <= n
            && session.cursor >= n
            && channels.iter().any(|channel| session.subscriptions.to(*channel).is_some())
            && self.began_within(session, channels)
            && self.has_history_after(session, n)
    }

    /// Whether all remaining channels of a session's first request are among these, which a client
    /// that repeats its request names.
    fn began_within(&self, session: &Session, channels: &[ChannelKey]) -> bool {
        self.cx.steps.work(session.subscriptions.len());
        let is_hidden = |at: &Subscription| {
            self.hub.channel(at.channel).is_some_and(|channel| presence_of(&channel.name).is_some())
        };
        let first = |at: &&Subscription| at.stage == SessionStage::Opening;
        // The personal channel is implied.
        let began = session.subscriptions.iter().skip(1).filter(first).filter(|at| !is_hidden(at)).count();
        let named = channels.iter().filter_map(|channel| session.subscriptions.to(*channel));
        began == named.filter(first).count()
    }

    /// A client names a session that another client uses: perhaps it got a session of its own
    /// before and does not know it, because it repeats its first request.
    pub(crate) fn apart_before(&self, open: &Open, since: &Since) -> Option<SessionKey> {
        match since {
            Since::Here(n) => match self.detached_session(open, *n) {
                SessionMatch::Own(key) => Some(key),
                SessionMatch::Missing | SessionMatch::InUse(_) | SessionMatch::Uncertain(_) => None,
            },
            Since::Unspecified | Since::Elsewhere(_) => None,
        }
    }

    /// Whether the session can be that of a client with this request, for `channels`.
    fn may_be_of(&self, key: SessionKey, open: &Open, channels: &[ChannelKey], n: u64) -> bool {
        let session = &self.sessions[key];
        let attended = if open.presence { channels.len() } else { 0 };
        let count = 1 + channels.len() + attended + usize::from(session.private.is_some());
        let conflated = open.conflate.is_some();
        let is_asked = |at: &Subscription| (at.began == Began::Conflated) == conflated;
        session.link == Link::Detached
            && session.found != FoundBy::Id
            && session.cursor >= n
            && session.subscriptions.len() == count
            && session.attended as usize == attended
            && channels.iter().all(|channel| session.subscriptions.to(*channel).is_some_and(is_asked))
            && session.has_all_since(n)
            && self.paces(key).all(|pace| Some(pace) == open.conflate)
    }

    /// Whether a session's client gets, after `n`, messages that no other client of the same
    /// channels would: requested history, or messages for it alone. Lists of members do no harm.
    pub(crate) fn has_history_after(&self, session: &Session, n: u64) -> bool {
        let awaits = |at: &Subscription| matches!(at.began, Began::Awaited { last } if last > 0);
        let private = session.private.as_ref().and_then(|private| self.hub.channel(private.channel));
        self.cx.steps.work(session.subscriptions.len());
        session.recalls > 0
            || session.subscriptions.iter().any(awaits)
            || private
                .into_iter()
                .flat_map(|private| private.log.after(n))
                .any(|publication| publication.message.encoding != Encoding::Presence)
    }

    /// The client of a new session may have requested history that another session has: the new one
    /// owes it a gap from `n` on, as for any log that has dropped messages.
    pub(crate) fn owe_history(&mut self, key: SessionKey, n: u64) {
        self.hub.skip();
        let private = self.make_private(key);
        let session = &mut self.sessions[key];
        if let Some(subscription) = session.subscriptions.iter_mut().find(|at| at.channel == private) {
            subscription.began = Began::After(n);
        }
    }
}

/// The number of recent messages that a request asks for, as its session stores it.
fn last_of(open: &Open) -> u16 {
    u16::try_from(open.last).unwrap_or(u16::MAX)
}
