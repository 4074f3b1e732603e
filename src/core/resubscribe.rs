//! A repeated subscription: the newest options apply.
//!
//! The subscription keeps its place in session and channel, so nothing is missed between the old
//! options and the new: of messages that a plain one has not delivered yet, a conflated one gives
//! the newest; a value that a conflated one delays is sent before it becomes plain. Presence is not
//! handled here: its hidden channel comes and goes by itself. A connection that names its channels
//! again changes nothing.

use crate::base::slab::SessionKey;
use crate::call::queue::Since;
use crate::core::Core;
use crate::core::interest::SubscriptionStart;
use crate::hub::channel::Began;
use crate::hub::log::Log;
use crate::wire::channel_name::ChannelName;

impl Core {
    /// Repeats a session's subscription, at `at` in its list.
    pub(crate) fn subscribe_again(
        &mut self,
        key: SessionKey,
        at: usize,
        name: &ChannelName,
        start: &SubscriptionStart<'_>,
    ) {
        let (channel, began) =
            (self.sessions[key].subscriptions[at].channel, self.sessions[key].subscriptions[at].began);
        let seen = self.hub.channel(channel).and_then(|channel| newest_again(&channel.log, start));
        match (began, start.conflate) {
            (Began::Conflated, Some(every)) => self.set_interval(key, channel, every, seen),
            (Began::Conflated, None) => {
                self.make_plain(key, at);
                self.give_history(key, at, name, start);
            }
            (Began::After(from), Some(every)) => {
                let had = from.max(self.sessions[key].cursor);
                self.sessions[key].unpushed += 1;
                self.sessions[key].subscriptions[at].began = Began::Conflated;
                self.conflate(key, channel, every, Some(seen.map_or(had, |seen| seen.min(had))));
                self.was_plain(key, channel, had);
            }
            (Began::Awaited { .. }, Some(every)) => {
                self.sessions[key].subscriptions[at].began = Began::Conflated;
                self.conflate(key, channel, every, (start.last > 0).then_some(0));
            }
            (Began::After(_) | Began::Awaited { .. }, None) => self.give_history(key, at, name, start),
        }
    }

    /// Makes a conflated subscription plain; a delayed value goes first.
    fn make_plain(&mut self, key: SessionKey, at: usize) {
        let channel = self.sessions[key].subscriptions[at].channel;
        let settled = self.send_held_back(key, channel);
        self.unconflate(key, channel);
        let head = self.hub.head();
        let session = &mut self.sessions[key];
        session.subscriptions[at].began = if settled {
            session.unpushed -= 1;
            Began::After(head)
        } else {
            Began::Awaited { last: 0 }
        };
    }

    /// Sends the requested messages that the session has not had.
    fn give_history(
        &mut self,
        key: SessionKey,
        at: usize,
        name: &ChannelName,
        start: &SubscriptionStart<'_>,
    ) {
        let subscription = &mut self.sessions[key].subscriptions[at];
        match &mut subscription.began {
            // The awaited answer brings it.
            Began::Awaited { last } => *last = start.last.max(*last),
            Began::Conflated => {}
            Began::After(_) if name.is_pattern() && matches!(start.since, Since::Unspecified) => {
                if start.last > 0 {
                    self.begin_recall(key, name.as_str(), start.last);
                }
            }
            Began::After(began) => {
                // The session has had what came after the beginning.
                let (channel, began) = (subscription.channel, *began);
                let Some(log) = self.hub.channel(channel).map(|channel| &channel.log) else { return };
                let Some(from) = history_from(log, start) else { return };
                self.give(key, channel, (from, began));
            }
        }
    }
}

/// The number from which a conflated subscription repeats its newest value: `None` if it cannot
/// have sent any of what is requested.
fn newest_again(log: &Log, start: &SubscriptionStart<'_>) -> Option<u64> {
    match start.since {
        Since::Here(n) => Some(*n),
        Since::Elsewhere(_) => Some(log.before_last(1).unwrap_or(0)),
        Since::Unspecified => (start.last > 0).then(|| log.before_last(1).unwrap_or(0)),
    }
}

/// The number after which the requested history begins; `None` if none is requested.
fn history_from(log: &Log, start: &SubscriptionStart<'_>) -> Option<u64> {
    match start.since {
        Since::Here(n) => Some(log.complete_from().max(*n)),
        Since::Elsewhere(_) => Some(0),
        Since::Unspecified => log.before_last(start.last as usize),
    }
}
