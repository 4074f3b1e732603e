//! Whose session it is that a client means which names a position, and no session.
//!
//! A position shows how far a client is, not who it is: several pages of one user may be at the same one. A session is given to a client whose
//! stream it can have been, and from which it gets exactly what it lacks. What a session has in its private log is its client's alone: there
//! old messages have new positions, and another client would get them twice.

use crate::base::slab::{ChannelKey, SessionKey};
use crate::hub::channel::{Began, Stage, Subscription};
use crate::protocol::native::envelope::Encoding;
use crate::shard::core::Core;
use crate::shard::exchange::Since;
use crate::shard::request::Open;
use crate::shard::session::{FoundBy, Link, Session};
use crate::wire::channel_name::presence_of;

/// Whose session a client means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Its own.
    Theirs(SessionKey),
    /// None that there is.
    Nobodys,
    /// This one, which another client uses.
    Anothers(SessionKey),
    /// Perhaps one that it is not given, for that may be another client's: history that it asked for may be missing after this number.
    Doubtful(u64),
}

impl From<Option<SessionKey>> for Whose {
    fn from(key: Option<SessionKey>) -> Self {
        key.map_or(Self::Nobodys, Self::Theirs)
    }
}

impl Core {
    /// A session of the user that nobody has found by its id, without a connection, with the same channels and options, that was there at
    /// the client's position and cannot have been served less than that: rather the one that was served just so far.
    pub(super) fn detached_session(&self, open: &Open, n: u64) -> Whose {
        let personal = self.hub.find(open.user.channel.as_str()).and_then(|key| self.hub.channel(key));
        let Some(personal) = personal else { return Whose::Nobodys };
        // Looked up once, for all sessions of the user. A channel that is not here is no session's.
        let channels: Vec<_> = open.channels.iter().filter_map(|name| self.hub.find(name.as_str())).collect();
        let are_all_here = channels.len() == open.channels.len();
        self.cx.steps.work(personal.subscribers.len());
        let sessions = personal.subscribers.iter().map(|subscriber| subscriber.session);
        let mut doubtful = Whose::Nobodys;
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
                doubtful = Whose::Doubtful(n);
            }
            sure
        });
        // Of equals rather one that a position alone took up before: another one's client may know
        // its id.
        let sure = sure.min_by_key(|key| {
            let session = &self.sessions[*key];
            (session.cursor, session.lent_at().is_none())
        });
        match sure.filter(|_| !is_kept) {
            Some(key) => Whose::Theirs(key),
            None if is_kept => Whose::Doubtful(n),
            None => doubtful,
        }
    }

    /// Whether a session can be that of a client which asks so, but is not to be had: commands have changed it since the client's position,
    /// or an older connection has it still. If it has history that its client asked for, no other session gives that, so a client that gets
    /// another one is told of a gap.
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

    /// Whether all that is left of the channels that a session began with is among these, which a
    /// client that repeats its request names.
    fn began_within(&self, session: &Session, channels: &[ChannelKey]) -> bool {
        self.cx.steps.work(session.subscriptions.len());
        let is_hidden = |at: &Subscription| {
            self.hub.channel(at.channel).is_some_and(|channel| presence_of(&channel.name).is_some())
        };
        let first = |at: &&Subscription| at.stage == Stage::Opening;
        // The personal channel goes without saying.
        let began = session.subscriptions.iter().skip(1).filter(first).filter(|at| !is_hidden(at)).count();
        let named = channels.iter().filter_map(|channel| session.subscriptions.to(*channel));
        began == named.filter(first).count()
    }

    /// A client names a session that another one uses: perhaps it was given one of its own before, and does not know, for it repeats
    /// what it once asked.
    pub(super) fn apart_before(&self, open: &Open, since: &Since) -> Option<SessionKey> {
        match since {
            Since::Here(n) => match self.detached_session(open, *n) {
                Whose::Theirs(key) => Some(key),
                Whose::Nobodys | Whose::Anothers(_) | Whose::Doubtful(_) => None,
            },
            Since::Unsaid | Since::Elsewhere(_) => None,
        }
    }

    /// Whether the session can be that of a client which asks so, for `channels`.
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

    /// Whether a session's client gets, after `n`, what no other client of the same channels would: recent messages that were asked for, or
    /// what was said to it alone. Lists of who is there do no harm to anybody.
    pub(super) fn has_history_after(&self, session: &Session, n: u64) -> bool {
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

    /// The client of a session that was just made may have asked for history that another session has: it is owed a gap from `n` on, as by
    /// any log that has forgotten something.
    pub(super) fn owe_history(&mut self, key: SessionKey, n: u64) {
        self.hub.skip();
        let private = self.make_private(key);
        let session = &mut self.sessions[key];
        if let Some(subscription) = session.subscriptions.iter_mut().find(|at| at.channel == private) {
            subscription.began = Began::After(n);
        }
    }
}

/// How many recent messages a request asks for, as its session would remember it.
fn last_of(open: &Open) -> u16 {
    u16::try_from(open.last).unwrap_or(u16::MAX)
}
