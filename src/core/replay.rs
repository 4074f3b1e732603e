//! Older messages for an existing session: those that it has not had, through its private log.
//!
//! The cost is bounded by the number of messages that are asked for, not by the length of the
//! session's logs: each message is looked up in the logs that may have delivered it, those of its
//! channel, of the matching patterns, and the private one. What a session was given of a channel is
//! stored as a range, so a repeated request costs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::slab::{ChannelKey, SessionKey, SlabKey};
use crate::core::Core;
use crate::hub::channel::{Began, SessionStage, Subscriber, Subscription};
use crate::hub::publication::Message;
use crate::hub::run::Run;
use crate::session::private::{Private, ReplayedRange};

/// A log by which messages of a channel reach a session, and the number after which it begins.
type ReplayLog = (ChannelKey, u64);

impl Core {
    /// Gives a session the requested part of a channel's history, up to the beginning of its
    /// subscription: those messages that do not reach it by another subscription. So it gets each
    /// once.
    pub(crate) fn give(&mut self, key: SessionKey, channel: ChannelKey, (above, upto): (u64, u64)) {
        let before = self.given(key, channel);
        let upto = before.map_or(upto, |given| given.above.min(upto));
        let Some(log) = self.hub.channel(channel).map(|channel| &channel.log) else { return };
        let history: Vec<_> =
            log.between(above, upto).map(|publication| Arc::clone(&publication.message)).collect();
        if history.is_empty() {
            return;
        }
        self.cx.steps.history(history.len());
        let at = before.map_or(self.hub.head(), |given| given.at);
        let history = self.not_had(key, history);
        self.replay(key, history);
        if let Some(private) = &mut self.sessions[key].private {
            private.given.insert(channel.index(), ReplayedRange { above, at });
        }
    }

    /// The part of a channel's history that a session was given. `None` once the private log has
    /// dropped any of it: lost messages may be requested again.
    fn given(&self, key: SessionKey, channel: ChannelKey) -> Option<ReplayedRange> {
        let private = self.sessions.get(key)?.private.as_deref()?;
        let given = private.given.get(&channel.index())?;
        let log = &self.hub.channel(private.channel)?.log;
        (log.complete_from() <= given.at).then_some(*given)
    }

    /// A session leaves a channel: the next tenant of its slot is another channel.
    pub(crate) fn forget_given(&mut self, key: SessionKey, channel: ChannelKey) {
        if let Some(private) = &mut self.sessions[key].private {
            private.given.remove(&channel.index());
        }
    }

    /// Those of recent messages that do not reach a session by another of its subscriptions.
    pub(crate) fn not_had(&mut self, key: SessionKey, mut messages: Vec<Arc<Message>>) -> Vec<Arc<Message>> {
        self.cx.steps.work(messages.len());
        if let Some(private) = self.sessions.get(key).and_then(|session| session.private.as_deref()) {
            messages.retain(|message| !private.brought.contains_key(&address(message)));
        }
        // Usually all are of one channel.
        let mut ways: Option<(Arc<Message>, Vec<ReplayLog>)> = None;
        messages.retain(|message| {
            let ways = match &ways {
                Some((of, ways)) if of.channel == message.channel => ways,
                Some(_) | None => {
                    let (_, ways) = ways.insert((Arc::clone(message), self.ways(key, &message.channel)));
                    &*ways
                }
            };
            !ways.iter().any(|&(channel, began)| {
                let log = self.hub.channel_mut(channel).map(|channel| &mut channel.log);
                log.and_then(|log| log.number_of(message)).is_some_and(|n| n > began)
            })
        });
        messages
    }

    /// The logs by which messages of a channel reach a session, and after which number each begins.
    fn ways(&self, key: SessionKey, name: &str) -> Vec<ReplayLog> {
        let session = &self.sessions[key];
        let private = session.private.as_deref().map(|private| private.channel);
        let channels = self.hub.find(name).into_iter().chain(self.hub.matching(name)).chain(private);
        let way = |channel| match session.subscriptions.to(channel)?.began {
            Began::After(began) => Some((channel, began)),
            Began::Awaited { .. } | Began::Conflated => None,
        };
        channels.filter_map(way).collect()
    }

    /// Appends messages to a session's private log, so that it gets them as new ones.
    pub(crate) fn replay(&mut self, key: SessionKey, messages: Vec<Arc<Message>>) {
        let now = self.cx.now;
        if messages.is_empty() {
            return;
        }
        let private = match &self.sessions[key].private {
            Some(private) => private.channel,
            None => self.make_private(key),
        };
        self.cx.steps.work(messages.len());
        if let Some(private) = &mut self.sessions[key].private {
            private.brought.extend(messages.iter().map(|message| (address(message), Arc::clone(message))));
        }
        let mut run = Run::default();
        for message in messages {
            if !run.admits(&[private], self.run_weight()) {
                self.fan_out(&std::mem::take(&mut run));
            }
            let publication = self.hub.take_in(now, message, &[private]);
            run.push(vec![private], publication);
        }
        self.fan_out(&run);
        self.forget_brought(key);
    }

    /// A new session has requested all history of its request. A message in several of its channels
    /// comes once.
    pub(crate) fn has_asked(&mut self, key: SessionKey) {
        self.sessions[key].recalls -= 1;
        self.forget_brought(key);
    }

    /// Once a session awaits no more history, no message can come a second time.
    pub(crate) fn forget_brought(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(private) = session.private.as_deref_mut().filter(|private| !private.brought.is_empty())
        else {
            return;
        };
        self.cx.steps.work(session.subscriptions.len());
        let awaited = |at: &Subscription| matches!(at.began, Began::Awaited { last } if last > 0);
        if session.recalls == 0 && !session.subscriptions.iter().any(awaited) {
            private.brought = BTreeMap::new();
        }
    }

    pub(crate) fn make_private(&mut self, key: SessionKey) -> ChannelKey {
        let channel = self.hub.private();
        let session = &mut self.sessions[key];
        let slot = session.subscriptions.len() as u32;
        let slot = self.hub.subscribe(channel, Subscriber { session: key, slot });
        let began = Began::After(self.hub.head());
        session.subscriptions.push(Subscription { channel, slot, began, stage: SessionStage::Later });
        session.private =
            Some(Box::new(Private { channel, given: BTreeMap::new(), brought: BTreeMap::new() }));
        channel
    }
}

/// Identifies a message as long as it lives.
fn address(message: &Arc<Message>) -> usize {
    Arc::as_ptr(message).addr()
}
