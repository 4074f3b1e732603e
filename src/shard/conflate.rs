//! Subscriptions that want the newest value only, and at most so often: tickers, positions, progress.
//!
//! Such a subscription takes no part in the session's cursor: what came is looked at when its time has come, and the newest message of each
//! channel then goes to the session as a new one, by its private log. What was overtaken meanwhile is never sent. While the
//! session cannot be reached, or takes less than comes, nothing is sent at all: it gets the newest value when it can.

use crate::base::slab::{ChannelKey, Key, SessionKey, TimerKey};
use crate::base::ticks::{Span, Tick};
use crate::hub::channel::Began;
use crate::hub::publication::Message;
use crate::shard::Timer;
use crate::shard::core::Core;
use crate::shard::session::Link;

use std::collections::BTreeMap;
use std::sync::Arc;

/// The shortest time between two values that can be asked for, and the longest.
pub(super) const BETWEEN: (Span, Span) = (Span::from_millis(10), Span::from_secs(3600));

/// A subscription's pace.
#[derive(Debug)]
pub struct Conflated {
    /// To what.
    channel: ChannelKey,
    /// At most one value in so long.
    every: Span,
    seen: Seen,
    pace: Pace,
    /// When something was sent last.
    sent: Option<Tick>,
    /// Up to here it was a plain subscription; 0 if it never was.
    plain: u64,
}

/// A session's paces, by the slots of their channels: whoever has one has a subscription, so a slot alone says which is meant.
pub(super) type Conflations = BTreeMap<u32, Conflated>;

impl Conflated {
    /// Whether what is new may go now.
    fn is_due(&self, now: Tick) -> bool {
        self.sent.is_none_or(|sent| sent + self.every <= now)
    }
}

/// Which messages count as new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Those that come after the channel's home has said what it holds.
    Unsettled,
    /// Those above this number.
    UpTo(u64),
}

/// When something may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// At once, unless something was sent just now.
    Idle,
    /// When the timer rings.
    Armed(TimerKey),
}

impl Core {
    /// A subscription that was just made, or was plain, is to be conflated. With `last`, it begins with the newest value.
    pub(super) fn conflate(&mut self, key: SessionKey, channel: ChannelKey, every: Span, seen: Option<u64>) {
        let seen = seen.map_or(Seen::Unsettled, Seen::UpTo);
        let entry = Conflated { channel, every, seen, pace: Pace::Idle, sent: None, plain: 0 };
        self.sessions[key].conflated.get_or_insert_default().insert(channel.index(), entry);
        self.freshen(key, channel);
    }

    /// A conflated subscription is no more.
    pub(super) fn unconflate(&mut self, key: SessionKey, channel: ChannelKey) {
        let session = &mut self.sessions[key];
        let Some(list) = &mut session.conflated else { return };
        if let Some(entry) = list.remove(&channel.index()) {
            if let Pace::Armed(timer) = entry.pace {
                self.cx.wheel.cancel(timer);
            }
            if list.is_empty() {
                session.conflated = None;
            }
        }
    }

    /// Another pace is asked for, and perhaps what came after `seen` once more.
    pub(super) fn repace(&mut self, key: SessionKey, channel: ChannelKey, every: Span, seen: Option<u64>) {
        let Some(entry) = self.conflated(key, channel) else { return };
        entry.every = every;
        if let Some(seen) = seen {
            entry.seen = Seen::UpTo(seen);
        }
        // What waits is due by the new pace.
        if let Pace::Armed(timer) = std::mem::replace(&mut entry.pace, Pace::Idle) {
            self.cx.wheel.cancel(timer);
        }
        self.freshen(key, channel);
    }

    /// A conflated subscription was a plain one up to a number.
    pub(super) fn was_plain(&mut self, key: SessionKey, channel: ChannelKey, plain: u64) {
        if let Some(entry) = self.conflated(key, channel) {
            entry.plain = plain;
        }
    }

    /// A position was named: subscriptions that were plain there begin with the newest value once more, for what was on its way as a
    /// plain message may have been lost.
    pub(super) fn conflated_since(&mut self, key: SessionKey, n: u64) {
        let list = self.sessions.get_mut(key).and_then(|session| session.conflated.as_deref_mut());
        for entry in list.into_iter().flat_map(Conflations::values_mut).filter(|entry| n < entry.plain) {
            entry.seen = Seen::UpTo(n);
        }
    }

    /// Sends what waits for its time, at once. Whether the subscription had begun: else there is nothing yet.
    pub(super) fn send_held_back(&mut self, key: SessionKey, channel: ChannelKey) -> bool {
        let began = self.conflated(key, channel).is_some_and(|entry| entry.seen != Seen::Unsettled);
        if began {
            self.send_newest(key, channel);
        }
        began
    }

    /// The home of a channel has said what it holds: who did not ask for that begins after it.
    pub(super) fn settle_conflated(&mut self, key: SessionKey, channel: ChannelKey) {
        let head = self.hub.head();
        if let Some(entry) = self.conflated(key, channel)
            && entry.seen == Seen::Unsettled
        {
            entry.seen = Seen::UpTo(head);
        }
        self.freshen(key, channel);
    }

    /// Something may be new in a conflated channel.
    pub(super) fn freshen(&mut self, key: SessionKey, channel: ChannelKey) {
        let now = self.cx.now;
        // Whoever is away is looked at on coming back, and not at each message.
        if self.sessions.get(key).is_none_or(|session| session.link == Link::Detached) {
            return;
        }
        let newest = self.hub.channel(channel).and_then(|channel| channel.log.newest());
        let Some(entry) = self.conflated(key, channel) else { return };
        let Seen::UpTo(seen) = entry.seen else { return };
        if newest.is_none_or(|newest| newest <= seen) {
            return;
        }
        if entry.pace != Pace::Idle {
            return;
        }
        let due = entry.sent.map_or(now, |sent| (sent + entry.every).max(now));
        let timer = self.cx.wheel.arm(due, Timer::Conflated(key, channel));
        if let Some(entry) = self.conflated(key, channel) {
            entry.pace = Pace::Armed(timer);
        }
    }

    /// The session can be reached again: whatever is new may go. What is due goes at once, for a poll does not wait.
    pub(super) fn freshen_all(&mut self, key: SessionKey) {
        let now = self.cx.now;
        let list = self.sessions.get(key).and_then(|session| session.conflated.as_deref());
        let entries = list.into_iter().flat_map(Conflations::values);
        let channels: Vec<_> = entries.map(|entry| (entry.channel, entry.is_due(now))).collect();
        for (channel, is_due) in channels {
            if is_due {
                self.send_newest(key, channel);
            } else {
                self.freshen(key, channel);
            }
        }
    }

    /// The time of a conflated subscription has come.
    pub(super) fn conflated_due(&mut self, key: SessionKey, channel: ChannelKey) {
        let now = self.cx.now;
        let Some(link) = self.sessions.get(key).map(|session| session.link) else { return };
        let Some(entry) = self.conflated(key, channel) else { return };
        entry.pace = Pace::Idle;
        match link {
            // It is looked at again when somebody takes the session up.
            Link::Detached => {}
            Link::Behind(_) => {
                let due = now + entry.every;
                let timer = self.cx.wheel.arm(due, Timer::Conflated(key, channel));
                if let Some(entry) = self.conflated(key, channel) {
                    entry.pace = Pace::Armed(timer);
                }
            }
            Link::Parked(_) | Link::Waking(_) | Link::Level(_) => self.send_newest(key, channel),
        }
    }

    fn send_newest(&mut self, key: SessionKey, channel: ChannelKey) {
        let now = self.cx.now;
        let head = self.hub.head();
        let Some(entry) = self.conflated(key, channel) else { return };
        let Seen::UpTo(seen) = entry.seen else { return };
        entry.seen = Seen::UpTo(head);
        let Some(log) = self.hub.channel(channel).map(|channel| &channel.log) else { return };
        let mut newest: BTreeMap<&str, (u64, &Arc<Message>)> = BTreeMap::new();
        for publication in log.after(seen) {
            newest.insert(&publication.message.channel, (publication.n, &publication.message));
        }
        let mut chosen: Vec<_> = newest.into_values().collect();
        chosen.sort_unstable_by_key(|(n, _)| *n);
        let messages: Vec<_> = chosen.into_iter().map(|(_, message)| Arc::clone(message)).collect();
        let messages: Vec<_> =
            messages.into_iter().filter(|message| !self.has_otherwise(key, &message.channel)).collect();
        if !messages.is_empty()
            && let Some(entry) = self.conflated(key, channel)
        {
            entry.sent = Some(now);
        }
        self.replay(key, messages);
    }

    /// Whether a session gets the messages of a channel by a subscription that is not conflated.
    fn has_otherwise(&self, key: SessionKey, channel: &str) -> bool {
        let mut by = self.hub.find(channel).into_iter().chain(self.hub.matching(channel));
        let subscriptions = &self.sessions[key].subscriptions;
        by.any(|channel| subscriptions.to(channel).is_some_and(|at| at.began != Began::Conflated))
    }

    /// The pace of a subscription, if it is conflated.
    pub(super) fn pace(&self, key: SessionKey, channel: ChannelKey) -> Option<Span> {
        let list = self.sessions.get(key).and_then(|session| session.conflated.as_deref());
        Some(list?.get(&channel.index())?.every)
    }

    /// At most one value in so long, for each conflated subscription of a session.
    pub(super) fn paces(&self, key: SessionKey) -> impl Iterator<Item = Span> {
        let list = self.sessions.get(key).and_then(|session| session.conflated.as_deref());
        list.into_iter().flatten().map(|(_, entry)| entry.every)
    }

    fn conflated(&mut self, key: SessionKey, channel: ChannelKey) -> Option<&mut Conflated> {
        let list = self.sessions.get_mut(key)?.conflated.as_mut()?;
        list.get_mut(&channel.index())
    }
}
