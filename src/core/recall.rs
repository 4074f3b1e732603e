//! Recent messages for a new subscription to a pattern: asked of all shards, because each is the
//! home of some of its channels.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::slab::{PendingKey, SessionKey};
use crate::core::Core;
use crate::hub::publication::Message;
use crate::turn::mail::Mail;

/// A question to the other shards, for a new subscription to a pattern.
#[derive(Debug)]
pub(crate) struct Recall {
    /// The number of answers that have not arrived.
    missing: usize,
    session: SessionKey,
    pattern: Box<str>,
    /// The shard's newest message when the subscription began.
    after: u64,
    /// The messages so far, oldest first within each shard's.
    messages: Vec<Arc<Message>>,
}

impl Core {
    /// Asks all shards for recent messages of the channels that match a pattern. New messages do
    /// not wait for the answers.
    pub(crate) fn begin_recall(&mut self, key: SessionKey, pattern: &str, last: u32) {
        let (messages, after) = (self.recall(pattern, last), self.hub.head());
        let recalls = &mut self.sessions[key].recalls;
        *recalls = recalls.saturating_add(1);
        let missing = usize::from(self.cx.identity.shards);
        let recall = Recall { missing, session: key, pattern: pattern.into(), after, messages };
        let pending = self.recalls.insert(recall);
        self.cx
            .others()
            .for_each(|to| self.cx.post(to, Mail::Recall { pending, pattern: pattern.into(), last }));
        self.recalled(pending, Vec::new());
    }

    /// Recent messages here of the channels that match a pattern.
    pub(crate) fn recall(&mut self, pattern: &str, last: u32) -> Vec<Arc<Message>> {
        let (messages, looks) = self.hub.recall(pattern, last as usize);
        self.cx.steps.work(looks);
        messages
    }

    /// Handles one shard's answer. With the last answer the session gets the messages, except those
    /// of channels with a newer message: old messages after new ones would be out of order.
    pub(crate) fn recalled(&mut self, pending: PendingKey, recalled: Vec<Arc<Message>>) {
        let Some(recall) = self.recalls.get_mut(pending) else { return };
        recall.messages.extend(recalled);
        recall.missing -= 1;
        if recall.missing > 0 {
            return;
        }
        let Some(Recall { session, pattern, after, mut messages, .. }) = self.recalls.remove(pending) else {
            return;
        };
        if let Some(session) = self.sessions.get_mut(session) {
            session.recalls = session.recalls.saturating_sub(1);
        }
        let Some(place) = self.subscription(session, &pattern) else { return };
        let channel = self.sessions[session].subscriptions[place].channel;
        let log = self.hub.channel(channel).map(|channel| &channel.log);
        let live: BTreeSet<&str> =
            log.into_iter().flat_map(|log| log.after(after)).map(|p| &*p.message.channel).collect();
        self.cx.steps.work(live.len() + messages.len());
        messages.retain(|message| !live.contains(&*message.channel));
        let messages = self.not_had(session, messages);
        self.replay(session, messages);
        self.forget_brought(session);
    }
}
