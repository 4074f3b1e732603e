//! Recent messages for a new subscription to a pattern: asked of all shards, since each is the home of some of its channels.

use std::collections::HashSet;
use std::sync::Arc;

use crate::base::slab::{SessionKey, TicketKey};
use crate::hub::publication::Message;
use crate::shard::core::Core;
use crate::shard::mail::Mail;

/// A question to the other shards, for a new subscription to a pattern.
#[derive(Debug)]
pub(super) struct Recall {
    /// How many answers are still to come.
    missing: usize,
    session: SessionKey,
    pattern: Box<str>,
    /// The shard's newest message when the subscription began.
    after: u64,
    /// The messages so far, oldest first within each shard's.
    messages: Vec<Arc<Message>>,
}

impl Core {
    /// Asks all shards what came lately in the channels that match a pattern. New messages do not wait for the answers.
    pub(super) fn begin_recall(&mut self, key: SessionKey, pattern: &str, last: u32) {
        let (messages, after) = (self.recall(pattern, last), self.hub.head());
        let recalls = &mut self.sessions[key].recalls;
        *recalls = recalls.saturating_add(1);
        let missing = usize::from(self.cx.identity.shards);
        let recall = Recall { missing, session: key, pattern: pattern.into(), after, messages };
        let ticket = self.recalls.insert(recall);
        self.cx
            .others()
            .for_each(|to| self.cx.post(to, Mail::Recall { ticket, pattern: pattern.into(), last }));
        self.recalled(ticket, Vec::new());
    }

    /// What came lately here in the channels that match a pattern.
    pub(super) fn recall(&mut self, pattern: &str, last: u32) -> Vec<Arc<Message>> {
        let (messages, looks) = self.hub.recall(pattern, last as usize);
        self.cx.steps.work(looks);
        messages
    }

    /// One shard has said what it knows. After the last, the session gets it, save for channels that have said something new meanwhile:
    /// old messages after new ones would be out of order.
    pub(super) fn recalled(&mut self, ticket: TicketKey, recalled: Vec<Arc<Message>>) {
        let Some(recall) = self.recalls.get_mut(ticket) else { return };
        recall.messages.extend(recalled);
        recall.missing -= 1;
        if recall.missing > 0 {
            return;
        }
        let Some(Recall { session, pattern, after, mut messages, .. }) = self.recalls.remove(ticket) else {
            return;
        };
        if let Some(session) = self.sessions.get_mut(session) {
            session.recalls = session.recalls.saturating_sub(1);
        }
        let Some(place) = self.subscription(session, &pattern) else { return };
        let channel = self.sessions[session].subscriptions[place].channel;
        let log = self.hub.channel(channel).map(|channel| &channel.log);
        let live: HashSet<&str> =
            log.into_iter().flat_map(|log| log.after(after)).map(|p| &*p.message.channel).collect();
        self.cx.steps.work(live.len() + messages.len());
        messages.retain(|message| !live.contains(&*message.channel));
        let messages = self.not_had(session, messages);
        self.replay(session, messages);
        self.forget_brought(session);
    }
}
