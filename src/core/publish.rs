//! Publishing: from a backend's request or a client's command to the channel's home, and on to all
//! subscribers.
//!
//! The home is the single sequencer of its channels. An item with another home goes there by mail,
//! and so does its result, so a request's answers have the order of its items, whatever the order
//! in which they become known.

use std::sync::Arc;

use crate::base::ids::ShardId;
use crate::base::slab::{ChannelKey, PendingKey};
use crate::call::pending::{AnswerSlot, ItemAnswer, Items, PendingRequest};
use crate::core::Core;
use crate::core::interest::too_many_channels;
use crate::core::limits::RUN_BYTES_MAX;
use crate::hub::census::Maker;
use crate::hub::channel::Role;
use crate::hub::publication::Message;
use crate::hub::run::Run;
use crate::protocol::native::envelope::Encoding;
use crate::request::publish_key::PublishKey;
use crate::turn::idempotency::KeyLookup;
use crate::turn::mail::Mail;
use crate::turn::mutation::Mutation;
use crate::turn::publishing::{Addressee, Outgoing, OutgoingBatch, Receipt, Results};
use crate::turn::timer::NodePhase;
use crate::turn::todo::Todo;
use crate::wire::channel_name::{ChannelKind, ChannelName, is_personal, user_of};
use crate::wire::json;
use crate::wire::refusal::{Refusal, Refused};

impl Core {
    /// Adds an item to a pending request, to be answered by `Core::published`; returns its index.
    pub(crate) fn expect_item(&mut self, pending: PendingKey, awaited: AnswerSlot) -> u32 {
        let Some(PendingRequest { missing, kind, .. }) = self.pending.get_mut(pending) else { return 0 };
        *missing += 1;
        kind.expect(awaited)
    }

    /// Gives messages their positions, as their home, and delivers them.
    pub(crate) fn sequence(&mut self, batch: OutgoingBatch) -> Results {
        self.cx.steps.occasions(batch.len());
        let mut run = Run::default();
        let one = |outgoing: Outgoing| (outgoing.item, self.sequence_one(outgoing, &mut run));
        let results: Results = batch.into_iter().map(one).collect();
        if !self.cx.broken_by(Mutation::RefusalDropsRun) || results.iter().all(|(_, result)| result.is_ok()) {
            self.hand_out(&mut run);
        }
        results
    }

    /// Gives a message its position, unless its key shows that it has one.
    fn sequence_one(&mut self, outgoing: Outgoing, run: &mut Run) -> Result<Receipt, Refusal> {
        let now = self.cx.now;
        let Outgoing { to, message, key, .. } = outgoing;
        let digest = match &key {
            None => None,
            Some(key) => match self.idempotency_keys.look_up(now, key, to, &message) {
                KeyLookup::Repeat(_) if self.cx.broken_by(Mutation::ForgetKeys) => None,
                KeyLookup::Repeat(receipt) => return Ok(receipt),
                KeyLookup::Mismatch => return Err(key.reused(&message.channel)),
                KeyLookup::New(digest) => Some(digest),
            },
        };
        let receipt = match to {
            Addressee::Channel => self.take_in(message, run)?,
            Addressee::Session(id) => {
                self.hand_out(run);
                self.tell_session(id, message)?
            }
        };
        if let Some(digest) = digest {
            self.idempotency_keys.remember(now, digest, receipt);
            self.arm_idempotency_timer();
        }
        Ok(receipt)
    }

    /// Gives a message its position, and adds it to a run. If it cannot join the run, that is
    /// delivered first.
    fn take_in(&mut self, message: Arc<Message>, run: &mut Run) -> Result<Receipt, Refusal> {
        let now = self.cx.now;
        let maker = message.from.as_deref().map_or(Maker::Backend, Maker::Publisher);
        let (own, _) = self.hub.ensure(&message.channel, Role::Home, maker).map_err(too_many_channels)?;
        let mut channels = vec![own];
        channels.extend(self.hub.matching(&message.channel));
        if self.listening(&channels) & self.cx.congested != 0 {
            if self.cx.broken_by(Mutation::DeliverRefused) {
                self.hand_out(run);
                run.push(channels.clone(), self.hub.take_in(now, message, &channels));
            }
            self.hub.release(own);
            return Err(busy());
        }
        let personal = is_personal(&message.channel);
        // Once the node leaves they go on at another node, where a backend must publish, too:
        // health checks fail, and a client that polls may be there already.
        let counts = personal && self.cx.life == NodePhase::Serving;
        let sessions = self.hub.channel(own).filter(|_| personal);
        let sessions = sessions.map(|channel| if counts { channel.subscribers.len() } else { 0 });
        if !run.admits(&channels, self.run_weight()) {
            self.hand_out(run);
        }
        self.cx.metrics.messages_in += u64::from(message.encoding != Encoding::Presence);
        let publication = self.hub.take_in(now, message, &channels);
        let position = self.hub.position(publication.n);
        run.push(channels, publication);
        Ok(Receipt { position, sessions })
    }

    /// Offers a run to the subscribers here, forwards it to shards with subscribers, and empties
    /// it.
    fn hand_out(&mut self, run: &mut Run) {
        let run = std::mem::take(run);
        self.fan_out(&run);
        let forward = self.listening(run.channels());
        for to in (0..self.cx.identity.shards).map(ShardId).filter(|to| forward & to.bit() != 0) {
            let messages = run.publications().iter().map(|publication| Arc::clone(&publication.message));
            self.cx.post(to, Mail::Forward { messages: messages.collect() });
        }
    }

    /// Bytes above which a run takes no further message: enough for a system call, and no more than
    /// an outbox may hold.
    pub(crate) fn run_weight(&self) -> usize {
        self.cx.config.outbox_bytes.min(RUN_BYTES_MAX)
    }

    /// The other shards with subscribers to any of these channels and patterns.
    fn listening(&self, channels: &[ChannelKey]) -> u64 {
        let all =
            channels.iter().filter_map(|key| self.hub.channel(*key)).fold(0, |all, at| all | at.forward);
        if self.cx.broken_by(Mutation::ForwardToOneLess) { all & all.wrapping_sub(1) } else { all }
    }

    /// Handles messages that a channel's home forwarded.
    pub(crate) fn forwarded(&mut self, messages: Vec<Arc<Message>>) {
        let now = self.cx.now;
        let Some(channel) = messages.first().map(|message| &message.channel) else { return };
        let mut channels: Vec<_> = self.hub.find(channel).into_iter().collect();
        channels.extend(self.hub.matching(channel));
        channels.retain(|key| self.hub.channel(*key).is_some_and(|channel| channel.role.logs()));
        if channels.is_empty() {
            return;
        }
        self.cx.steps.occasions(messages.len());
        let mut run = Run::default();
        for message in messages {
            let publication = self.hub.take_in(now, message, &channels);
            run.push(channels.clone(), publication);
        }
        self.fan_out(&run);
    }

    /// A pending request gets no more items: it may be complete.
    pub(crate) fn close_items(&mut self, key: PendingKey) {
        if let Some(pending) = self.pending.get_mut(key) {
            pending.items = Items::All;
        }
    }

    /// A message, unless it is too large. The caller has checked the channel.
    pub(crate) fn message_of_size(
        &self,
        channel: &ChannelName,
        from: Option<Box<str>>,
        data: Box<str>,
        encoding: Encoding,
    ) -> Result<Arc<Message>, Refusal> {
        let max = self.cx.config.message_bytes;
        if data.len() > max {
            return Err(Refused::Payload { bytes: data.len(), bytes_max: max }.into());
        }
        Ok(Arc::new(Message { channel: channel.as_str().into(), from, data, encoding }))
    }

    /// Refuses what is for a user whom another node serves: nobody would get it here.
    fn served_here(&self, channel: &ChannelName) -> Result<(), Refusal> {
        let (Some(place), ChannelKind::Personal { .. }) = (&self.cx.config.place, channel.kind()) else {
            return Ok(());
        };
        let user = user_of(channel.as_str()).unwrap_or_default();
        match place.elsewhere(&user) {
            Some(node) => Err(Refused::Elsewhere { node: &node.address }.into()),
            None => Ok(()),
        }
    }

    /// Sends a message to its channel's home, which answers now or by mail. Returns the home.
    pub(crate) fn send_to_channel(
        &mut self,
        pending: PendingKey,
        item: u32,
        (message, key): (Arc<Message>, Option<PublishKey>),
    ) -> ShardId {
        let home = self.cx.home(&message.channel);
        self.send_home(pending, home, vec![Outgoing { item, to: Addressee::Channel, message, key }]);
        home
    }

    /// Sends messages to their common home, which answers now or by mail.
    pub(crate) fn send_home(&mut self, pending: PendingKey, home: ShardId, batch: OutgoingBatch) {
        if home == self.cx.identity.id {
            let results = self.sequence(batch);
            self.published(pending, results);
        } else if self.cx.congested & home.bit() != 0 && !self.cx.broken_by(Mutation::IgnoreCongestion) {
            let results = batch.into_iter().map(|message| (message.item, Err(busy()))).collect();
            self.published(pending, results);
        } else {
            self.cx.post(home, Mail::Publish { pending, batch });
        }
    }

    /// Stores results of a pending request's items.
    pub(crate) fn published(&mut self, key: PendingKey, results: Results) {
        let hasty = self.cx.broken_by(Mutation::AnswersOutOfOrder);
        for (item, result) in results {
            let Some(PendingRequest { missing, kind, .. }) = self.pending.get_mut(key) else { return };
            let item = if hasty { kind.first_awaited() } else { item as usize };
            kind.answered(item, result);
            *missing -= 1;
        }
        if self.is_answered(key) {
            self.cx.todos.push_back(Todo::Continue(key));
        }
    }

    /// A front has answered a command.
    pub(crate) fn settle(&mut self, (key, item): (PendingKey, u32), answer: ItemAnswer) {
        let Some(PendingRequest { missing, kind, .. }) = self.pending.get_mut(key) else { return };
        kind.settled(item as usize, answer);
        *missing -= 1;
        if self.is_answered(key) {
            self.cx.todos.push_back(Todo::Continue(key));
        }
    }

    pub(crate) fn json(&self, body: &[u8]) -> Result<Box<str>, Refusal> {
        let bad = |error| Refused::PayloadJson { error }.into();
        json::check(body, self.cx.config.json_depth).map(std::convert::Into::into).map_err(bad)
    }

    /// A message, if it is not too large and may go to that channel.
    pub(crate) fn message(
        &self,
        channel: &ChannelName,
        from: Option<Box<str>>,
        data: Box<str>,
        encoding: Encoding,
    ) -> Result<Arc<Message>, Refusal> {
        publishable(channel)?;
        self.served_here(channel)?;
        self.message_of_size(channel, from, data, encoding)
    }
}

/// Messages are published to channels, but not to patterns, nor to channels that a protocol
/// reserves.
fn publishable(channel: &ChannelName) -> Result<(), Refusal> {
    match channel.kind() {
        ChannelKind::Exact | ChannelKind::Personal { .. } => Ok(()),
        ChannelKind::PatternOne { .. } | ChannelKind::PatternDeep { .. } => {
            Err(Refused::PublishToPattern.into())
        }
        ChannelKind::Reserved => Err(Refused::Reserved.into()),
    }
}

fn busy() -> Refusal {
    Refused::Mailbox.into()
}
