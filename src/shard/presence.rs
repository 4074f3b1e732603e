//! Presence: who is in a channel, told to the sessions that ask for it.
//!
//! The news of `/chat/1` are ordinary messages of a hidden channel, `?/chat/1`, whose name no client can spell and whose home is that of
//! `/chat/1`: order, fan-out, logs and resuming are those of any channel. While it has subscribers anywhere, its home has all shards keep
//! a `Roll` of their users in `/chat/1` and report what changes; from the reports it keeps a `Room`, and says what is new in it at the
//! room's pace. Who begins to watch is given a list first: until then its subscription is one that is awaited.
//!
//! It does not know why a session is there: attached or within its grace is the same. Subscribers of patterns are not present.

mod roll;
mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::auth::Grant;
use crate::base::ids::ShardId;
use crate::base::slab::{ChannelKey, SessionKey};
use crate::hub::channel::{Began, Channel, Role, Stage, Subscriber, Subscription};
use crate::hub::publication::Message;
use crate::shard::core::Core;
use crate::shard::mail::Mail;
pub use crate::shard::presence::roll::Report;
use crate::shard::presence::roll::Roll;
use crate::shard::presence::room::{Pace, Room};
use crate::shard::publish::{Addressee, Outgoing};
use crate::shard::{Shard, Timer};
use crate::wire::channel_name::{ChannelKind, ChannelName, presence_channel, presence_of, user_of};
use crate::wire::refusal::Refusal;

/// What one shard knows of presence.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// By channel: its users here, for the channel's home.
    rolls: BTreeMap<Box<str>, Roll>,
    /// Channels whose homes must be told something of a roll.
    untold: BTreeSet<Box<str>>,
    /// By channel: all its users, where this shard is its home.
    rooms: BTreeMap<Box<str>, Room>,
    /// Rooms that may have something to say at the end of this turn.
    stirred: BTreeSet<Box<str>>,
    /// Sessions that want a list, and of which channel.
    asks: Vec<(SessionKey, Box<str>)>,
    /// Watches begun so far.
    watches: u64,
}

impl Presence {
    /// Whether the end of a turn would do something.
    pub(super) fn is_pending(&self) -> bool {
        !(self.untold.is_empty() && self.stirred.is_empty() && self.asks.is_empty())
    }

    /// How many channels are watched: rolls and rooms.
    pub(super) fn len(&self) -> usize {
        self.rolls.len() + self.rooms.len()
    }
}

/// Names that a shard reports in one turn: what a letter may hold, and a turn's work. The rest goes with the next turn.
const REPORTED_A_TURN: usize = 2_000;

/// What an envelope has besides its names, with room to spare.
const BESIDES_NAMES: usize = 1_024;

impl Core {
    /// A session wants to know who is in a channel that it may read.
    pub(super) fn attend(
        &mut self,
        key: SessionKey,
        channel: &ChannelName,
        stage: Stage,
    ) -> Result<(), Refusal> {
        let hidden = presence_channel(channel.as_str());
        if self.subscription(key, &hidden).is_some() {
            return Ok(());
        }
        let role = if self.cx.home(&hidden) == self.cx.identity.id { Role::Home } else { Role::Asked };
        let hidden = self.prepare_as(key, &hidden, role)?;
        let slot = self.sessions[key].subscriptions.len() as u32;
        let slot = self.hub.subscribe(hidden, Subscriber { session: key, slot });
        self.unlinger(hidden);
        let session = &mut self.sessions[key];
        // The list comes first: the subscription begins with it.
        session.unpushed += 1;
        session.attended += 1;
        let began = Began::Awaited { last: 0 };
        session.subscriptions.push(Subscription { channel: hidden, slot, began, stage });
        self.presence.asks.push((key, channel.as_str().into()));
        if role == Role::Home {
            self.watch(channel.as_str());
        }
        Ok(())
    }

    /// A session leaves a channel, and is told no more of who is there.
    pub(super) fn disregard(&mut self, key: SessionKey, channel: &ChannelName) {
        if let Some(at) = self.subscription(key, &presence_channel(channel.as_str())) {
            self.leave(key, at);
        }
    }

    /// A session's client may have missed news, or the lists themselves: in a gap, or as another session's. So lists are due.
    pub(super) fn ask_again(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key).filter(|session| session.attended > 0) else { return };
        for subscription in session.subscriptions.iter() {
            if matches!(subscription.began, Began::After(_))
                && let Some(channel) = self.hub.channel(subscription.channel)
                && let Some(name) = presence_of(&channel.name)
            {
                self.presence.asks.push((key, name.into()));
            }
        }
    }

    /// A session has come into a channel.
    pub(super) fn came(&mut self, key: SessionKey, channel: ChannelKey) {
        self.enrol(key, channel, Roll::join);
    }

    /// A session is about to leave a channel.
    pub(super) fn went(&mut self, key: SessionKey, channel: ChannelKey) {
        self.enrol(key, channel, Roll::leave);
    }

    fn enrol(&mut self, key: SessionKey, channel: ChannelKey, change: fn(&mut Roll, &str) -> bool) {
        let Some(channel) = self.hub.channel(channel).filter(|_| !self.presence.rolls.is_empty()) else {
            return;
        };
        let user = self.whose(key);
        if let Some(roll) = self.presence.rolls.get_mut(&channel.name)
            && let Some(user) = user
            && change(roll, &user)
        {
            self.presence.untold.insert(channel.name.clone());
        }
    }

    pub(super) fn whose(&self, key: SessionKey) -> Option<String> {
        let own = self.sessions.get(key)?.subscriptions.first()?.channel;
        user_of(&self.hub.channel(own)?.name)
    }

    /// Somebody wants to know who is in a channel whose home this is: all shards are to say so from now on.
    pub(super) fn watch(&mut self, channel: &str) {
        if self.presence.rooms.contains_key(channel) {
            return;
        }
        self.presence.watches += 1;
        let watch = self.presence.watches;
        let all = self.cx.others().fold(self.cx.identity.id.bit(), |all, other| all | other.bit());
        self.presence.rooms.insert(channel.into(), Room::new(watch, all));
        self.cx.others().for_each(|to| self.cx.post(to, Mail::Watch { channel: channel.into(), watch }));
        self.keep_roll(channel, watch);
    }

    /// A channel's home wants to know who is in it.
    pub(super) fn keep_roll(&mut self, channel: &str, watch: u64) {
        let mut roll = Roll::new(watch);
        let here = self.hub.find(channel).and_then(|key| self.hub.channel(key));
        self.cx.steps.work(here.map_or(0, |channel| channel.subscribers.len()));
        for subscriber in here.into_iter().flat_map(|channel| &channel.subscribers) {
            if let Some(user) = self.whose(subscriber.session) {
                roll.join(&user);
            }
        }
        self.presence.rolls.insert(channel.into(), roll);
        // Also if nobody is here: the home waits for this answer.
        self.presence.untold.insert(channel.into());
    }

    /// A hidden channel may have lost its last subscriber: then nobody needs to know any more.
    pub(super) fn unwatch(&mut self, hidden: ChannelKey) {
        let Some(at) = self.hub.channel(hidden) else { return };
        if at.role != Role::Home || is_watched(at) {
            return;
        }
        let Some(name) = presence_of(&at.name).map(Box::<str>::from) else { return };
        let Some(room) = self.presence.rooms.remove(&name) else { return };
        if let Pace::Resting(timer) = room.pace {
            self.cx.wheel.cancel(timer);
        }
        self.presence.stirred.remove(&name);
        self.cx.others().for_each(|to| self.cx.post(to, Mail::Unwatch { channel: name.clone() }));
        self.drop_roll(&name);
    }

    /// A channel's home does not want to know any more.
    pub(super) fn drop_roll(&mut self, channel: &str) {
        self.presence.rolls.remove(channel);
        self.presence.untold.remove(channel);
    }

    /// A shard has reported, to this one as the channel's home.
    pub(super) fn reported(&mut self, from: ShardId, channel: &str, watch: u64, report: Report) {
        // A report to a watch that is over may still come.
        if let Some(room) = self.presence.rooms.get_mut(channel).filter(|room| room.watch == watch) {
            self.cx.steps.work(report.len());
            room.take_in(from, report);
            self.presence.stirred.insert(channel.into());
        }
    }

    /// A session of some shard wants a list, of this one as the channel's home.
    pub(super) fn asked_who(&mut self, from: ShardId, channel: &str, session: SessionKey) {
        if let Some(room) = self.presence.rooms.get_mut(channel) {
            room.askers.push((from, session));
            self.presence.stirred.insert(channel.into());
        }
    }

    /// A list has come for a session. Its subscription to the news begins here, unless it has begun before.
    pub(super) fn listed(&mut self, key: SessionKey, list: Arc<Message>) {
        let Some(at) = self.subscription(key, &list.channel) else { return };
        let head = self.hub.head();
        let session = &mut self.sessions[key];
        let began = &mut session.subscriptions[at].began;
        if matches!(began, Began::Awaited { .. }) {
            *began = Began::After(head);
            session.unpushed -= 1;
        }
        self.replay(key, vec![list]);
    }

    /// A room has rested.
    pub(super) fn rested(&mut self, hidden: ChannelKey) {
        let Some(name) = self.hub.channel(hidden).and_then(|channel| presence_of(&channel.name)) else {
            return;
        };
        if let Some(room) = self.presence.rooms.get_mut(name) {
            room.pace = Pace::Ready;
            self.presence.stirred.insert(name.into());
        }
    }

    /// The end of a turn: reports go out, then questions, then what rooms have to say. A list goes before the news of the same turn, so
    /// that whoever asked hears of itself in it.
    pub(super) fn settle_presence(&mut self) {
        if !self.presence.is_pending() {
            return;
        }
        self.report_rolls();
        for (session, channel) in std::mem::take(&mut self.presence.asks) {
            let home = self.cx.home(&channel);
            if home == self.cx.identity.id {
                self.asked_who(home, &channel, session);
            } else {
                self.cx.post(home, Mail::Who { channel, session });
            }
        }
        for channel in std::mem::take(&mut self.presence.stirred) {
            self.hand_out_lists(&channel);
            self.tell_news(&channel);
        }
    }

    fn report_rolls(&mut self) {
        let mut left = REPORTED_A_TURN;
        for channel in std::mem::take(&mut self.presence.untold) {
            let Some(roll) = self.presence.rolls.get_mut(&channel) else { continue };
            if left == 0 {
                self.presence.untold.insert(channel);
                continue;
            }
            let (watch, report) = (roll.watch, roll.report(left));
            self.cx.steps.work(report.len());
            left -= report.len();
            if report.rest > 0 {
                self.presence.untold.insert(channel.clone());
            }
            let home = self.cx.home(&channel);
            if home == self.cx.identity.id {
                self.reported(home, &channel, watch, report);
            } else {
                self.cx.post(home, Mail::Roll { channel, watch, report });
            }
        }
    }

    fn hand_out_lists(&mut self, channel: &str) {
        let bytes_max = self.names_bytes_max();
        let Some(room) = self.presence.rooms.get_mut(channel).filter(|room| room.is_known()) else { return };
        let askers = std::mem::take(&mut room.askers);
        if askers.is_empty() {
            return;
        }
        let list = room.list(channel, bytes_max);
        self.cx.steps.occasions(askers.len());
        for (shard, session) in askers {
            let list = Arc::clone(&list);
            if shard == self.cx.identity.id {
                self.listed(session, list);
            } else {
                self.cx.post(shard, Mail::There { session, list });
            }
        }
    }

    fn tell_news(&mut self, channel: &str) {
        let now = self.cx.now;
        let bytes_max = self.names_bytes_max();
        let Some(hidden) = self.hub.find(&presence_channel(channel)) else { return };
        let Some(room) = self.presence.rooms.get(channel) else { return };
        if !room.has_news() || matches!(room.pace, Pace::Resting(_)) {
            return;
        }
        let news =
            Outgoing { item: 0, to: Addressee::Channel, message: room.news(channel, bytes_max), key: None };
        let results = self.sequence(vec![news]);
        let Some(room) = self.presence.rooms.get_mut(channel) else { return };
        // Where a shard that must have them takes no more, they are told, with what is new by then, after the rest.
        if results.iter().all(|(_, result)| result.is_ok()) {
            room.told();
        }
        room.pace = Pace::Resting(self.cx.wheel.arm(now + room.rest(), Timer::Room(hidden)));
    }

    /// Bytes up to which names are put in an envelope: it must not be larger than any message may be, for logs hold no larger.
    fn names_bytes_max(&self) -> usize {
        self.cx.config.message_bytes.saturating_sub(BESIDES_NAMES)
    }
}

impl Shard {
    /// The users of this shard who are in a channel.
    pub fn users_in(&self, channel: &str) -> BTreeSet<String> {
        let here = self.core.hub.find(channel).and_then(|key| self.core.hub.channel(key));
        let sessions = here.into_iter().flat_map(|channel| &channel.subscribers);
        sessions.filter_map(|subscriber| self.core.whose(subscriber.session)).collect()
    }

    /// Panics if presence disagrees with the sessions that are here.
    pub(super) fn check_presence(&self) {
        for (name, roll) in &self.core.presence.rolls {
            let mut users = BTreeMap::new();
            let here = self.core.hub.find(name).and_then(|key| self.core.hub.channel(key));
            for subscriber in here.into_iter().flat_map(|channel| &channel.subscribers) {
                let user = self.core.whose(subscriber.session).expect("a session has a user");
                *users.entry(user.into()).or_insert(0) += 1;
            }
            assert_eq!(&users, roll.users(), "the roll of {name} is wrong");
        }
        for name in self.core.presence.rooms.keys() {
            let hidden =
                self.core.hub.find(&presence_channel(name)).and_then(|key| self.core.hub.channel(key));
            assert!(hidden.is_some_and(is_watched), "nobody watches {name}");
        }
        let watched = self
            .core
            .hub
            .channels()
            .filter(|(_, at)| at.role == Role::Home && is_watched(at) && presence_of(&at.name).is_some());
        assert_eq!(watched.count(), self.core.presence.rooms.len(), "a room is missing");
    }
}

/// Whether somebody wants to know who is there, or did lately.
fn is_watched(hidden: &Channel) -> bool {
    !hidden.is_idle()
}

/// Presence is of one shared channel that the session may read.
pub(super) fn attendable(channel: &ChannelName) -> Result<(), Refusal> {
    let refused = |reason| Err(Refusal::new(400, "bad-channel", reason));
    match channel.kind() {
        ChannelKind::Exact => Ok(()),
        ChannelKind::PatternOne { .. } | ChannelKind::PatternDeep { .. } => {
            refused("presence is of one channel, not of a pattern")
        }
        ChannelKind::Personal { .. } => {
            refused("a personal channel has no presence: nobody else can be there")
        }
        ChannelKind::Reserved => {
            Err(Refusal::new(403, "reserved", "channels under /meta and /service are reserved"))
        }
    }
}

/// Whether a grant allows a subscription by the name that its channel has here: to a hidden one, if it allows the channel itself.
pub(super) fn allows(grant: &Grant, name: &str) -> bool {
    ChannelName::parse(presence_of(name).unwrap_or(name)).is_ok_and(|name| grant.may_subscribe(&name))
}
