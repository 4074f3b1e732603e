//! Subscriptions that get only the newest value, at intervals: tickers, positions, progress.
//!
//! Such a subscription takes no part in the session's cursor. When its interval is over, the newest
//! message of each channel goes to the session as a new one, through its private log. Older ones
//! since the last are never sent. While the session is detached or behind, nothing is sent: it gets
//! the newest value as soon as it can.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::slab::{ChannelKey, SessionKey, SlabKey};
use crate::base::ticks::{Span, Tick};
use crate::core::Core;
use crate::hub::channel::Began;
use crate::hub::publication::Message;
use crate::session::Link;
use crate::session::conflated::{ConflateTimer, Conflated, Conflations, NewMessages};
use crate::turn::timer::Timer;

impl Core {
    /// Conflates a subscription that is new, or was plain. With `last`, it begins with the newest
    /// value.
    pub(crate) fn conflate(&mut self, key: SessionKey, channel: ChannelKey, every: Span, seen: Option<u64>) {
        let seen = seen.map_or(NewMessages::Unsettled, NewMessages::UpTo);
        let entry = Conflated { channel, every, seen, timer: ConflateTimer::Idle, sent: None, plain: 0 };
        self.sessions[key].conflated.get_or_insert_default().insert(channel.index(), entry);
        self.schedule_latest(key, channel);
    }

    /// Removes the interval of a conflated subscription.
    pub(crate) fn unconflate(&mut self, key: SessionKey, channel: ChannelKey) {
        let session = &mut self.sessions[key];
        let Some(list) = &mut session.conflated else { return };
        if let Some(entry) = list.remove(&channel.index()) {
            if let ConflateTimer::Armed(timer) = entry.timer {
                self.cx.wheel.cancel(timer);
            }
            if list.is_empty() {
                session.conflated = None;
            }
        }
    }

    /// Changes the interval, and perhaps repeats what came after `seen`.
    pub(crate) fn set_interval(
        &mut self,
        key: SessionKey,
        channel: ChannelKey,
        every: Span,
        seen: Option<u64>,
    ) {
        let Some(entry) = self.conflated(key, channel) else { return };
        entry.every = every;
        if let Some(seen) = seen {
            entry.seen = NewMessages::UpTo(seen);
        }
        // A value that waits is due by the new interval.
        if let ConflateTimer::Armed(timer) = std::mem::replace(&mut entry.timer, ConflateTimer::Idle) {
            self.cx.wheel.cancel(timer);
        }
        self.schedule_latest(key, channel);
    }

    /// Notes that a conflated subscription was a plain one up to a number.
    pub(crate) fn was_plain(&mut self, key: SessionKey, channel: ChannelKey, plain: u64) {
        if let Some(entry) = self.conflated(key, channel) {
            entry.plain = plain;
        }
    }

    /// The client named a position: subscriptions that were plain there repeat their newest value,
    /// because its plain message may have been lost.
    pub(crate) fn conflated_since(&mut self, key: SessionKey, n: u64) {
        let list = self.sessions.get_mut(key).and_then(|session| session.conflated.as_deref_mut());
        for entry in list.into_iter().flat_map(Conflations::values_mut).filter(|entry| n < entry.plain) {
            entry.seen = NewMessages::UpTo(n);
        }
    }

    /// Sends a value that waits for its interval, at once. Returns whether the subscription had
    /// begun; before that there is no value.
    pub(crate) fn send_held_back(&mut self, key: SessionKey, channel: ChannelKey) -> bool {
        let began = self.conflated(key, channel).is_some_and(|entry| entry.seen != NewMessages::Unsettled);
        if began {
            self.send_newest(key, channel);
        }
        began
    }

    /// The home of a channel has sent its log: subscriptions without `last` begin after it.
    pub(crate) fn settle_conflated(&mut self, key: SessionKey, channel: ChannelKey) {
        let head = self.hub.head();
        if let Some(entry) = self.conflated(key, channel)
            && entry.seen == NewMessages::Unsettled
        {
            entry.seen = NewMessages::UpTo(head);
        }
        self.schedule_latest(key, channel);
    }

    /// A conflated channel may have a new message.
    pub(crate) fn schedule_latest(&mut self, key: SessionKey, channel: ChannelKey) {
        let now = self.cx.now;
        // Detached sessions are checked when they reattach, not at each message.
        if self.sessions.get(key).is_none_or(|session| session.link == Link::Detached) {
            return;
        }
        let newest = self.hub.channel(channel).and_then(|channel| channel.log.newest());
        let Some(entry) = self.conflated(key, channel) else { return };
        let NewMessages::UpTo(seen) = entry.seen else { return };
        if newest.is_none_or(|newest| newest <= seen) {
            return;
        }
        if entry.timer != ConflateTimer::Idle {
            return;
        }
        let due = entry.sent.map_or(now, |sent| (sent + entry.every).max(now));
        self.arm_conflated(key, channel, due);
    }

    /// The session was attached: sends new values. Those that are due go at once, because a poll
    /// does not wait.
    pub(crate) fn schedule_all_latest(&mut self, key: SessionKey) {
        let now = self.cx.now;
        let list = self.sessions.get(key).and_then(|session| session.conflated.as_deref());
        let entries = list.into_iter().flat_map(Conflations::values);
        let channels: Vec<_> = entries.map(|entry| (entry.channel, entry.is_due(now))).collect();
        for (channel, is_due) in channels {
            if is_due {
                self.send_newest(key, channel);
            } else {
                self.schedule_latest(key, channel);
            }
        }
    }

    /// The timer of a conflated subscription has fired.
    pub(crate) fn conflated_due(&mut self, key: SessionKey, channel: ChannelKey) {
        let now = self.cx.now;
        let Some(link) = self.sessions.get(key).map(|session| session.link) else { return };
        let Some(entry) = self.conflated(key, channel) else { return };
        entry.timer = ConflateTimer::Idle;
        match link {
            // Checked when the session is attached.
            Link::Detached => {}
            Link::Behind(_) => {
                let due = now + entry.every;
                self.arm_conflated(key, channel, due);
            }
            Link::Parked(_) | Link::Waking(_) | Link::Level(_) => self.send_newest(key, channel),
        }
    }

    /// The newest value is looked at again at this time.
    fn arm_conflated(&mut self, key: SessionKey, channel: ChannelKey, due: Tick) {
        let timer = self.cx.wheel.arm(due, Timer::Conflated(key, channel));
        if let Some(entry) = self.conflated(key, channel) {
            entry.timer = ConflateTimer::Armed(timer);
        }
    }

    fn send_newest(&mut self, key: SessionKey, channel: ChannelKey) {
        let now = self.cx.now;
        let head = self.hub.head();
        let Some(entry) = self.conflated(key, channel) else { return };
        let NewMessages::UpTo(seen) = entry.seen else { return };
        entry.seen = NewMessages::UpTo(head);
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

    /// Whether a session also gets the messages of a channel by a plain subscription.
    fn has_otherwise(&self, key: SessionKey, channel: &str) -> bool {
        let mut by = self.hub.find(channel).into_iter().chain(self.hub.matching(channel));
        let subscriptions = &self.sessions[key].subscriptions;
        by.any(|channel| subscriptions.to(channel).is_some_and(|at| at.began != Began::Conflated))
    }

    /// The interval of a subscription, if it is conflated.
    pub(crate) fn pace(&self, key: SessionKey, channel: ChannelKey) -> Option<Span> {
        let list = self.sessions.get(key).and_then(|session| session.conflated.as_deref());
        Some(list?.get(&channel.index())?.every)
    }

    /// The intervals of a session's conflated subscriptions.
    pub(crate) fn paces(&self, key: SessionKey) -> impl Iterator<Item = Span> {
        let list = self.sessions.get(key).and_then(|session| session.conflated.as_deref());
        list.into_iter().flatten().map(|(_, entry)| entry.every)
    }

    fn conflated(&mut self, key: SessionKey, channel: ChannelKey) -> Option<&mut Conflated> {
        let list = self.sessions.get_mut(key)?.conflated.as_mut()?;
        list.get_mut(&channel.index())
    }
}
