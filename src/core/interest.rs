//! Subscribe and unsubscribe; interest sent to other shards.
//!
//! A shard keeps a replica of another shard's channel while a session here is subscribed, and for
//! the grace afterwards, for sessions that resume. The first subscription's interest is sent to the
//! home before the client gets its confirmation. Mail is handled before bytes that are read later,
//! so later publishes arrive.

use std::rc::Rc;
use std::sync::Arc;

use crate::auth::Grant;
use crate::base::ids::ShardId;
use crate::base::slab::{ChannelKey, SessionKey};
use crate::base::ticks::Span;
use crate::call::queue::Since;
use crate::core::Core;
use crate::core::presence::allows;
use crate::hub::census::{Charged, Full, Maker};
use crate::hub::channel::{Began, Channel, Role, SessionStage, Subscriber, Subscription};
use crate::hub::publication::Message;
use crate::request::router::too_many_subscriptions;
use crate::session::Link;
use crate::turn::mail::Mail;
use crate::turn::mutation::Mutation;
use crate::turn::timer::Timer;
use crate::wire::channel_name::{ChannelKind, ChannelName, presence_channel, presence_of};
use crate::wire::refusal::{Refusal, Refused};

/// Where a subscription begins.
pub(crate) struct SubscriptionStart<'a> {
    /// After this position.
    pub(crate) since: &'a Since,
    /// Or with this number of recent messages.
    pub(crate) last: u32,
    /// Whether its session is new.
    pub(crate) stage: SessionStage,
    /// Only the newest message, at most one per span.
    pub(crate) conflate: Option<Span>,
}

impl Core {
    pub(crate) fn ensure_home(&mut self, name: &str) -> Result<(ChannelKey, bool), Refusal> {
        self.hub.ensure(name, Role::Home, Maker::Personal).map_err(too_many_channels)
    }

    /// Subscribes a session. An existing subscription does not change: only a command changes it
    /// (`core::resubscribe`).
    pub(crate) fn subscribe(
        &mut self,
        key: SessionKey,
        name: &ChannelName,
        start: &SubscriptionStart<'_>,
    ) -> Result<(), Refusal> {
        if self.subscription(key, name.as_str()).is_some() {
            return Ok(());
        }
        // The personal channel does not count; clients cannot name private logs and hidden
        // channels.
        let session = &self.sessions[key];
        let (count, max) = (session.subscriptions.len(), self.cx.config.subscriptions);
        let private = usize::from(session.private.is_some());
        if count - private - session.attended as usize > max {
            return Err(too_many_subscriptions(max));
        }
        let channel = self.prepare(key, name.as_str(), self.role_of(name), start.stage)?;
        self.join(key, channel, start);
        let is_pattern =
            matches!(name.kind(), ChannelKind::PatternOne { .. } | ChannelKind::PatternDeep { .. });
        if is_pattern && start.last > 0 && start.conflate.is_none() && !matches!(start.since, Since::Here(_))
        {
            self.begin_recall(key, name.as_str(), start.last);
        }
        Ok(())
    }

    /// The role in which this shard subscribes to a channel.
    fn role_of(&self, name: &ChannelName) -> Role {
        match name.kind() {
            ChannelKind::PatternOne { .. } | ChannelKind::PatternDeep { .. } => Role::Pattern,
            ChannelKind::Exact | ChannelKind::Personal { .. } | ChannelKind::Reserved => {
                self.exact_role(name.as_str())
            }
        }
    }

    /// The role in which this shard subscribes to a channel that is no pattern.
    pub(crate) fn exact_role(&self, name: &str) -> Role {
        if self.cx.home(name) == self.cx.identity.id { Role::Home } else { Role::Asked }
    }

    /// Finds or creates a channel, and sends interest to the shards that need to know. The request
    /// that opens a session has taken the number at which its logs begin.
    pub(crate) fn prepare(
        &mut self,
        key: SessionKey,
        name: &str,
        role: Role,
        stage: SessionStage,
    ) -> Result<ChannelKey, Refusal> {
        let home = self.cx.home(name);
        self.hub.make_room_for_subscription().map_err(too_many_channels)?;
        let takes_number = stage == SessionStage::Later || self.cx.broken_by(Mutation::BeginBeforeItsLogs);
        if takes_number && self.begins_with_messages_before(name, role) {
            self.hub.skip();
        }
        let (channel, made) = if let Some(channel) = self.hub.find(name) {
            (channel, false)
        } else {
            let user = self.user_of(key).unwrap_or_default();
            self.hub.ensure(name, role, Maker::Subscriber(&user)).map_err(too_many_channels)?
        };
        let noted = self.hub.channel(channel).is_some_and(|channel| channel.role == Role::Noted);
        if noted {
            self.hub.declare(channel);
        }
        if (made || noted) && !self.cx.broken_by(Mutation::KeepInterestSecret) {
            let interest = || Mail::Interest { channel: name.into() };
            match role {
                Role::Asked => self.cx.post(home, interest()),
                Role::Pattern => self.cx.others().for_each(|to| self.cx.post(to, interest())),
                Role::Home | Role::Level | Role::Noted | Role::Private => {}
            }
        }
        Ok(channel)
    }

    /// Whether a subscription begins a log here that may lack messages of other shards: they have
    /// no numbers here. The log then takes a number of its own, so that a position from before it
    /// does not look like one of a client that was there when it began.
    fn begins_with_messages_before(&self, name: &str, role: Role) -> bool {
        let known = self.hub.find(name).and_then(|key| self.hub.channel(key));
        known.is_none_or(|channel| channel.role == Role::Noted)
            && matches!(role, Role::Asked | Role::Pattern)
            && self.cx.others().next().is_some()
            && !self.cx.broken_by(Mutation::BeginWithoutNumber)
    }

    /// The same for any of a request's channels or their lists of members. The number is taken
    /// before the session begins, so that its first position is not one from before its own logs.
    pub(crate) fn opens_with_messages_before(&self, channels: &[ChannelName], presence: bool) -> bool {
        !self.cx.broken_by(Mutation::BeginBeforeItsLogs)
            && channels.iter().any(|name| {
                let hidden = || presence_channel(name.as_str());
                self.begins_with_messages_before(name.as_str(), self.role_of(name))
                    || presence && self.begins_with_messages_before(&hidden(), self.exact_role(&hidden()))
            })
    }

    /// Links session and channel, and decides with which message the subscription begins. A session
    /// in creation may begin in the past. An existing one gets the past as new messages, because
    /// the positions in its stream only rise.
    pub(crate) fn join(&mut self, key: SessionKey, channel: ChannelKey, start: &SubscriptionStart<'_>) {
        let slot = self.sessions[key].subscriptions.len() as u32;
        let slot = self.hub.subscribe(channel, Subscriber { session: key, slot });
        self.cancel_linger(channel);
        self.joined(key, channel);
        let Some(Channel { role, log, .. }) = self.hub.channel(channel) else { return };
        if let Some(every) = start.conflate {
            let (role, settled) = (*role, log.before_last(1));
            self.sessions[key].subscriptions.push(Subscription {
                channel,
                slot,
                began: Began::Conflated,
                stage: start.stage,
            });
            self.sessions[key].unpushed += 1;
            let seen = match (start.since, role) {
                (Since::Here(n), _) => Some(*n),
                _ if start.last > 0 => Some(settled.unwrap_or(0)),
                (_, Role::Asked) => None,
                _ => Some(self.hub.head()),
            };
            return self.conflate(key, channel, every, seen);
        }
        let late = u64::from(self.cx.broken_by(Mutation::BeginLate));
        let now_on = self.hub.head() + late;
        let complete = log.complete_from();
        let from = match (role, start.since) {
            (Role::Asked, _) => None,
            (_, Since::Here(n)) if start.stage == SessionStage::Opening => Some(log.goes_on_from(*n)),
            (_, Since::Here(n)) => Some(complete.max(*n)),
            (_, Since::Elsewhere(_)) => {
                Some(log.before_last(start.last as usize).map_or(complete, |from| from.min(complete)))
            }
            (Role::Pattern, Since::Unspecified) => Some(now_on),
            (_, Since::Unspecified) => {
                let fewer = usize::from(self.cx.broken_by(Mutation::LastOffByOne));
                Some(log.before_last((start.last as usize).saturating_sub(fewer)).unwrap_or(now_on))
            }
        };
        let resumes = matches!(start.since, Since::Here(_));
        let reaches_back = start.stage == SessionStage::Opening && (resumes || from >= Some(complete));
        // A position takes precedence over `last`: messages that the client may have had must not
        // follow the gap.
        let last = if resumes && start.stage == SessionStage::Opening { 0 } else { start.last };
        let (began, history) = match from {
            None => (Began::Awaited { last }, None),
            Some(from) if reaches_back => (Began::After(from), None),
            Some(from) => (Began::After(now_on), Some(from)),
        };
        let session = &mut self.sessions[key];
        session.unpushed += u32::from(!began.is_pushed());
        session.subscriptions.push(Subscription { channel, slot, began, stage: start.stage });
        if let Some(from) = history {
            self.give(key, channel, (from, now_on));
        }
    }

    /// The index of a subscription in its session's list.
    pub(crate) fn subscription(&self, key: SessionKey, name: &str) -> Option<usize> {
        let channel = self.hub.find(name)?;
        self.sessions.get(key)?.subscriptions.place(channel)
    }

    /// Removes a subscription from its session and its channel.
    pub(crate) fn leave(&mut self, key: SessionKey, at: usize) {
        self.cx.steps.work(1);
        self.left_channel(key, self.sessions[key].subscriptions[at].channel);
        let session = &mut self.sessions[key];
        let Subscription { channel, slot, began, .. } = session.subscriptions.swap_remove(at);
        session.unpushed -= u32::from(!began.is_pushed());
        let is_hidden = self.hub.channel(channel).is_some_and(|channel| presence_of(&channel.name).is_some());
        session.attended -= u32::from(is_hidden);
        if let Some(moved) = session.subscriptions.get(at).copied()
            && let Some(of) = self.hub.channel_mut(moved.channel)
        {
            of.subscribers[moved.slot as usize].slot = at as u32;
        }
        if let Some(moved) = self.hub.unsubscribe(channel, slot)
            && let Some(session) = self.sessions.get_mut(moved.session)
        {
            session.subscriptions[moved.slot as usize].slot = slot;
        }
        if began == Began::Conflated {
            self.unconflate(key, channel);
        }
        self.forget_given(key, channel);
        self.hand_down(key, channel);
        self.linger(channel);
    }

    /// A session has left a channel. If the session's user is charged for it and others are
    /// subscribed, charges one of them.
    fn hand_down(&mut self, key: SessionKey, channel: ChannelKey) {
        let Some(at) = self.hub.channel(channel) else { return };
        let (Charged::User(_), Some(heir)) = (at.charged, at.subscribers.first()) else { return };
        if let (Some(user), Some(heir)) = (self.user_of(key), self.user_of(heir.session)) {
            self.hub.inherit(channel, &user, &heir);
        }
    }

    /// Called when a channel may have lost its last local subscriber.
    fn linger(&mut self, key: ChannelKey) {
        let now = self.cx.now;
        let Some(channel) = self.hub.channel_mut(key) else { return };
        if !channel.subscribers.is_empty() {
            return;
        }
        match channel.role {
            Role::Private => self.hub.remove(key),
            // Members are kept for the grace, as a replica is: collecting them costs a visit to
            // every shard, and one session may subscribe and unsubscribe 1,000 times in a batch.
            Role::Home if presence_of(&channel.name).is_some() => {
                channel.linger =
                    Some(self.cx.wheel.arm(now + self.cx.config.session_grace, Timer::Linger(key)));
            }
            Role::Home | Role::Noted => self.hub.release(key),
            Role::Asked | Role::Level | Role::Pattern => {
                channel.linger =
                    Some(self.cx.wheel.arm(now + self.cx.config.session_grace, Timer::Linger(key)));
            }
        }
    }

    pub(crate) fn cancel_linger(&mut self, key: ChannelKey) {
        if let Some(timer) = self.hub.channel_mut(key).and_then(|channel| channel.linger.take()) {
            self.cx.wheel.cancel(timer);
        }
    }

    /// The grace of a replica without subscribers is over.
    pub(crate) fn lose_interest(&mut self, key: ChannelKey) {
        let Some(channel) = self.hub.channel_mut(key) else { return };
        channel.linger = None;
        if channel.role == Role::Home {
            self.unwatch(key);
            return self.hub.release(key);
        }
        let name = channel.name.clone();
        if channel.role == Role::Pattern {
            self.cx.others().for_each(|to| self.cx.post(to, Mail::Disinterest { channel: name.clone() }));
        } else {
            self.cx.post(self.cx.home(&name), Mail::Disinterest { channel: name });
        }
        self.hub.undeclare(key);
    }

    /// Handles interest of another shard.
    pub(crate) fn interested(&mut self, from: ShardId, name: &str) {
        let role = if name.ends_with('*') { Role::Noted } else { Role::Home };
        let key = self.hub.ensure_for_other(name, role);
        let Some(channel) = self.hub.channel_mut(key) else { return };
        channel.forward |= from.bit();
        if role == Role::Home {
            let hidden = presence_of(name);
            if let Some(channel) = hidden {
                self.watch(channel);
            }
            // For a presence channel, lists replace its older messages.
            let lost = self.cx.broken_by(Mutation::LoseSnapshot) || hidden.is_some();
            let log = self.hub.channel(key).map(|channel| &channel.log);
            let held = log.into_iter().flat_map(|log| log.after(0)).filter(|_| !lost);
            let messages = held.map(|publication| Arc::clone(&publication.message)).collect();
            self.cx.post(from, Mail::Snapshot { channel: name.into(), messages });
        }
    }

    /// Another shard has no subscribers any more.
    pub(crate) fn disinterested(&mut self, from: ShardId, name: &str) {
        let Some(key) = self.hub.find(name) else { return };
        if let Some(channel) = self.hub.channel_mut(key) {
            channel.forward &= !from.bit();
        }
        self.unwatch(key);
        self.hub.release(key);
    }

    /// Handles the log that a channel's home sent: history for subscriptions that asked for it, and
    /// the beginning for all that waited.
    pub(crate) fn snapshot(&mut self, name: &str, messages: Vec<Arc<Message>>) {
        let now = self.cx.now;
        let Some(key) = self.hub.find(name) else { return };
        let Some(channel) = self.hub.channel_mut(key).filter(|channel| channel.role == Role::Asked) else {
            return;
        };
        channel.role = Role::Level;
        for message in messages {
            self.hub.take_in(now, message, &[key]);
        }
        let head = self.hub.head();
        let Some(channel) = self.hub.channel_mut(key) else { return };
        channel.log.complete_only_from(head);
        if presence_of(name).is_some() {
            // Their subscriptions begin with the lists that they asked for.
            return;
        }
        let subscribers = channel.subscribers.clone();
        for Subscriber { session, slot } in subscribers {
            let subscription = &mut self.sessions[session].subscriptions[slot as usize];
            let last = match subscription.began {
                Began::Awaited { last } => last,
                Began::Conflated => {
                    self.settle_conflated(session, key);
                    continue;
                }
                Began::After(_) => continue,
            };
            subscription.began = Began::After(head);
            self.sessions[session].unpushed -= 1;
            let fewer = usize::from(self.cx.broken_by(Mutation::LastOffByOne));
            let last = (last as usize).saturating_sub(fewer);
            let Some(log) = self.hub.channel(key).map(|channel| &channel.log) else { return };
            if let Some(from) = log.before_last(last) {
                self.give(session, key, (from, head));
            }
            self.forget_brought(session);
        }
    }

    /// Replaces a resumed session's grant, and ends the subscriptions that it does not allow.
    pub(crate) fn apply_grant(&mut self, key: SessionKey, grant: &Rc<Grant>) {
        if Rc::ptr_eq(&self.sessions[key].grant, grant) {
            return;
        }
        self.sessions[key].grant = Rc::clone(grant);
        // Backwards, since leaving moves the last subscription into the free place. The first is
        // the personal channel.
        for at in (1..self.sessions[key].subscriptions.len()).rev() {
            let channel = self.hub.channel(self.sessions[key].subscriptions[at].channel);
            let name = channel.filter(|channel| channel.role != Role::Private).map(|channel| &*channel.name);
            if name.is_some_and(|name| !allows(grant, name)) {
                self.leave(key, at);
            }
        }
    }

    /// Arms the end of a session: with its grant, or after the grace if it is detached.
    pub(crate) fn arm_session(&mut self, key: SessionKey) {
        let now = self.cx.now;
        let immortal = self.cx.broken_by(Mutation::ImmortalSession);
        let Some(session) = self.sessions.get(key) else { return };
        let expires = session.grant.expires().map(|at| self.cx.tick_of(at));
        let session = &mut self.sessions[key];
        let grace = session.client.grace(&self.cx.config);
        let grace = (session.link == Link::Detached && !immortal).then_some(now + grace);
        match expires.into_iter().chain(grace).min() {
            Some(due) => session.alarm.set(&mut self.cx.wheel, due, Timer::Session(key)),
            None => session.alarm.clear(),
        }
    }
}

/// The refusal of a channel beyond the bounds.
pub(crate) fn too_many_channels(full: Full) -> Refusal {
    match full {
        Full::Channels => Refused::Channels.into(),
        Full::Clients => Refused::ClientChannels.into(),
        Full::User => Refused::UserChannels.into(),
        Full::Memory => Refused::Memory.into(),
    }
}
