//! Presence: the members of a channel, sent to the sessions that ask for it.
//!
//! Joins and leaves in `/chat/1` are ordinary messages of a hidden channel, `?/chat/1`, which no
//! client can name and whose home is that of `/chat/1`: order, fan-out, logs and resuming are those
//! of any channel. While it has subscribers on any shard, its home lets all shards keep a
//! `LocalMembers` of their users in `/chat/1` and report changes. The home collects the reports in
//! a `Roster`, and publishes changes at the room's interval. A new subscriber gets a list first;
//! until then its subscription is an awaited one.
//!
//! Presence does not depend on the connection: attached or within its grace is the same.
//! Subscribers of patterns are not present.

mod roster;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::auth::Grant;
use crate::base::ids::ShardId;
use crate::base::slab::{ChannelKey, SessionKey};
use crate::core::Core;
use crate::core::limits::{REPORTED_NAMES_PER_TURN, ROOM_ENVELOPE_BYTES};
use crate::core::presence::roster::{Roster, RosterTimer};
use crate::hub::channel::{Began, Channel, Role, SessionStage, Subscriber, Subscription};
use crate::hub::publication::Message;
use crate::turn::local_members::{LocalMembers, Report};
use crate::turn::mail::Mail;
use crate::turn::publishing::{Addressee, Outgoing};
use crate::turn::timer::Timer;
use crate::wire::channel_name::{ChannelName, presence_channel, presence_of};
use crate::wire::refusal::Refusal;

/// A shard's presence state.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// By channel: its users here, for the channel's home.
    rolls: BTreeMap<Box<str>, LocalMembers>,
    /// Channels with changes that their homes do not know.
    untold: BTreeSet<Box<str>>,
    /// By channel: all its users, if this shard is its home.
    rooms: BTreeMap<Box<str>, Roster>,
    /// Rooms that may publish something at the end of this turn.
    stirred: BTreeSet<Box<str>>,
    /// Sessions that want a list, and its channel.
    asks: Vec<(SessionKey, Box<str>)>,
    /// The number of watches so far.
    watches: u64,
}

impl Presence {
    /// Whether the end of a turn has something to do.
    pub(crate) fn is_pending(&self) -> bool {
        !(self.untold.is_empty() && self.stirred.is_empty() && self.asks.is_empty())
    }

    /// The number of watched channels, here and as their home.
    pub(crate) fn len(&self) -> usize {
        self.rolls.len() + self.rooms.len()
    }
}

impl Core {
    /// Subscribes a session to the presence of a channel that it may read.
    pub(crate) fn attend(
        &mut self,
        key: SessionKey,
        channel: &ChannelName,
        stage: SessionStage,
    ) -> Result<(), Refusal> {
        let hidden = presence_channel(channel.as_str());
        if self.subscription(key, &hidden).is_some() {
            return Ok(());
        }
        let role = self.exact_role(&hidden);
        let hidden = self.prepare(key, &hidden, role, stage)?;
        let slot = self.sessions[key].subscriptions.len() as u32;
        let slot = self.hub.subscribe(hidden, Subscriber { session: key, slot });
        self.cancel_linger(hidden);
        let session = &mut self.sessions[key];
        // The subscription begins with the list.
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

    /// Ends a session's subscription to presence when it leaves the channel.
    pub(crate) fn disregard(&mut self, key: SessionKey, channel: &ChannelName) {
        if let Some(at) = self.subscription(key, &presence_channel(channel.as_str())) {
            self.leave(key, at);
        }
    }

    /// Requests lists for a session whose client may have missed changes or lists: in a gap, or
    /// because another session got them.
    pub(crate) fn ask_again(&mut self, key: SessionKey) {
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

    /// A session has subscribed to a channel.
    pub(crate) fn joined(&mut self, key: SessionKey, channel: ChannelKey) {
        self.enrol(key, channel, LocalMembers::join);
    }

    /// A session unsubscribes from a channel.
    pub(crate) fn left_channel(&mut self, key: SessionKey, channel: ChannelKey) {
        self.enrol(key, channel, LocalMembers::leave);
    }

    fn enrol(&mut self, key: SessionKey, channel: ChannelKey, change: fn(&mut LocalMembers, &str) -> bool) {
        let Some(channel) = self.hub.channel(channel).filter(|_| !self.presence.rolls.is_empty()) else {
            return;
        };
        let user = self.user_of(key);
        if let Some(roll) = self.presence.rolls.get_mut(&channel.name)
            && let Some(user) = user
            && change(roll, &user)
        {
            self.presence.untold.insert(channel.name.clone());
        }
    }

    /// Starts a watch for a channel whose home this is: all shards report its members from now on.
    pub(crate) fn watch(&mut self, channel: &str) {
        if self.presence.rooms.contains_key(channel) {
            return;
        }
        self.presence.watches += 1;
        let watch = self.presence.watches;
        let all = self.cx.others().fold(self.cx.identity.id.bit(), |all, other| all | other.bit());
        self.presence.rooms.insert(channel.into(), Roster::new(watch, all));
        self.cx.others().for_each(|to| self.cx.post(to, Mail::Watch { channel: channel.into(), watch }));
        self.keep_local_members(channel, watch);
    }

    /// A channel's home asks for its members here.
    pub(crate) fn keep_local_members(&mut self, channel: &str, watch: u64) {
        let mut roll = LocalMembers::new(watch);
        let here = self.hub.find(channel).and_then(|key| self.hub.channel(key));
        self.cx.steps.work(here.map_or(0, |channel| channel.subscribers.len()));
        for subscriber in here.into_iter().flat_map(|channel| &channel.subscribers) {
            if let Some(user) = self.user_of(subscriber.session) {
                roll.join(&user);
            }
        }
        self.presence.rolls.insert(channel.into(), roll);
        // Also if there are none: the home waits for this answer.
        self.presence.untold.insert(channel.into());
    }

    /// Ends the watch if a hidden channel has lost its last subscriber.
    pub(crate) fn unwatch(&mut self, hidden: ChannelKey) {
        let Some(at) = self.hub.channel(hidden) else { return };
        if at.role != Role::Home || is_watched(at) {
            return;
        }
        let Some(name) = presence_of(&at.name).map(Box::<str>::from) else { return };
        let Some(room) = self.presence.rooms.remove(&name) else { return };
        if let RosterTimer::Resting(timer) = room.timer {
            self.cx.wheel.cancel(timer);
        }
        self.presence.stirred.remove(&name);
        self.cx.others().for_each(|to| self.cx.post(to, Mail::Unwatch { channel: name.clone() }));
        self.drop_local_members(&name);
    }

    /// A channel's home ends its watch.
    pub(crate) fn drop_local_members(&mut self, channel: &str) {
        self.presence.rolls.remove(channel);
        self.presence.untold.remove(channel);
    }

    /// Handles a shard's report, as the channel's home.
    pub(crate) fn on_members_reported(&mut self, from: ShardId, channel: &str, watch: u64, report: Report) {
        // A report may arrive after its watch has ended.
        if let Some(room) = self.presence.rooms.get_mut(channel).filter(|room| room.watch == watch) {
            self.cx.steps.work(report.len());
            room.take_in(from, report);
            self.presence.stirred.insert(channel.into());
        }
    }

    /// Handles a session's request for a list, as the channel's home.
    pub(crate) fn on_members_asked(&mut self, from: ShardId, channel: &str, session: SessionKey) {
        if let Some(room) = self.presence.rooms.get_mut(channel) {
            room.askers.push((from, session));
            self.presence.stirred.insert(channel.into());
        }
    }

    /// Delivers a list to a session. Its subscription to changes begins here, unless it has begun
    /// already.
    pub(crate) fn on_member_list(&mut self, key: SessionKey, list: Arc<Message>) {
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

    /// The interval of a room is over.
    pub(crate) fn rested(&mut self, hidden: ChannelKey) {
        let Some(name) = self.hub.channel(hidden).and_then(|channel| presence_of(&channel.name)) else {
            return;
        };
        if let Some(room) = self.presence.rooms.get_mut(name) {
            room.timer = RosterTimer::Ready;
            self.presence.stirred.insert(name.into());
        }
    }

    /// At the end of a turn: sends reports, then requests for lists, then publishes what rooms
    /// have. A list precedes the changes of the same turn, so a session that asked finds itself in
    /// it.
    pub(crate) fn report_presence(&mut self) {
        if !self.presence.is_pending() {
            return;
        }
        self.report_rolls();
        for (session, channel) in std::mem::take(&mut self.presence.asks) {
            let home = self.cx.home(&channel);
            if home == self.cx.identity.id {
                self.on_members_asked(home, &channel, session);
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
        let mut left = REPORTED_NAMES_PER_TURN;
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
                self.on_members_reported(home, &channel, watch, report);
            } else {
                self.cx.post(home, Mail::LocalMembers { channel, watch, report });
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
                self.on_member_list(session, list);
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
        if !room.has_news() || matches!(room.timer, RosterTimer::Resting(_)) {
            return;
        }
        let news =
            Outgoing { item: 0, to: Addressee::Channel, message: room.news(channel, bytes_max), key: None };
        let results = self.sequence(vec![news]);
        let Some(room) = self.presence.rooms.get_mut(channel) else { return };
        // If a shard that needs the changes is congested, the rest stays for the next envelope.
        if results.iter().all(|(_, result)| result.is_ok()) {
            room.on_published();
        }
        room.timer = RosterTimer::Resting(self.cx.wheel.arm(now + room.rest(), Timer::Roster(hidden)));
    }

    /// Bytes of an envelope up to which names are added: logs hold no message above the bound.
    fn names_bytes_max(&self) -> usize {
        self.cx.config.message_bytes.saturating_sub(ROOM_ENVELOPE_BYTES)
    }

    /// Panics if presence disagrees with the sessions that are here.
    pub(crate) fn check_presence(&self) {
        for (name, roll) in &self.presence.rolls {
            let mut users = BTreeMap::new();
            let here = self.hub.find(name).and_then(|key| self.hub.channel(key));
            for subscriber in here.into_iter().flat_map(|channel| &channel.subscribers) {
                let user = self.user_of(subscriber.session).expect("a session has a user");
                *users.entry(user.into()).or_insert(0) += 1;
            }
            assert_eq!(&users, roll.users(), "the roll of {name} is wrong");
        }
        for name in self.presence.rooms.keys() {
            let hidden = self.hub.find(&presence_channel(name)).and_then(|key| self.hub.channel(key));
            assert!(hidden.is_some_and(is_watched), "nobody watches {name}");
        }
        let watched = self
            .hub
            .channels()
            .filter(|(_, at)| at.role == Role::Home && is_watched(at) && presence_of(&at.name).is_some());
        assert_eq!(watched.count(), self.presence.rooms.len(), "a room is missing");
    }
}

/// Whether presence has subscribers, or had them within the grace.
fn is_watched(hidden: &Channel) -> bool {
    !hidden.is_idle()
}

/// Whether a grant allows a subscription by the name of its channel here: for a hidden channel,
/// whether it allows the channel itself.
pub(crate) fn allows(grant: &Grant, name: &str) -> bool {
    ChannelName::parse(presence_of(name).unwrap_or(name)).is_ok_and(|name| grant.may_subscribe(&name))
}
