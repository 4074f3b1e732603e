//! One watched channel at its home: its members, the changes since the last envelope, and the
//! encoding of envelopes.
//!
//! Each envelope gives the present state of every user that it names, so receiving it twice does no
//! harm. A client stays right because of this: each user who was in a list or an envelope of a
//! session and has changed since is in the next envelope, unless that is full; then it says so.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::ids::ShardId;
use crate::base::slab::{SessionKey, TimerKey};
use crate::base::ticks::Span;
use crate::core::limits::{
    ROOM_CHANGES_MAX, ROOM_NAMES_MAX, ROOM_PAUSE_MAX, ROOM_PAUSE_MIN, ROOM_PAUSE_MS_PER_USER,
    SMALL_ROOM_USERS_MAX,
};
use crate::protocol::native::envelope::{Encoding, Message};
use crate::turn::local_members::{Report, toggle};
use crate::wire::channel_name::presence_channel;
use crate::wire::json::escape_into;

/// All members of one watched channel.
#[derive(Debug)]
pub(crate) struct Roster {
    /// The number that distinguishes this watch from earlier ones.
    pub(crate) watch: u64,
    /// Shards that have not reported everything yet, one bit each. Nothing is published before.
    silent: u64,
    present: BTreeSet<Box<str>>,
    /// Users that have changed since the last envelope.
    changed: BTreeSet<Box<str>>,
    /// Users about whom some clients know from a list and others do not: the next envelope names
    /// them in any case.
    shown: BTreeSet<Box<str>>,
    /// The last list, while it is current enough.
    list: Option<Arc<Message>>,
    /// Sessions that want a list.
    pub(crate) askers: Vec<(ShardId, SessionKey)>,
    /// When the next envelope may be published.
    pub(crate) timer: RosterTimer,
}

/// When a room may publish.
#[derive(Debug)]
pub(crate) enum RosterTimer {
    /// As soon as there is a change.
    Ready,
    /// After the timer.
    Resting(TimerKey),
}

impl Roster {
    /// A room that waits for reports of the shards in the set `silent`.
    pub(crate) fn new(watch: u64, silent: u64) -> Self {
        Self {
            watch,
            silent,
            present: BTreeSet::new(),
            changed: BTreeSet::new(),
            shown: BTreeSet::new(),
            list: None,
            askers: Vec::new(),
            timer: RosterTimer::Ready,
        }
    }

    /// Whether all shards have reported everything.
    pub(crate) fn is_known(&self) -> bool {
        self.silent == 0
    }

    /// Whether there are changes to publish.
    pub(crate) fn has_news(&self) -> bool {
        self.is_known() && !(self.changed.is_empty() && self.shown.is_empty())
    }

    /// Applies a shard's report.
    pub(crate) fn take_in(&mut self, from: ShardId, report: Report) {
        let silent = self.silent != 0;
        let mut changes = 0;
        for user in report.came {
            if !self.present.contains(&user) {
                changes += 1;
                if !silent {
                    toggle(&mut self.changed, &user);
                }
                self.present.insert(user);
            }
        }
        for user in report.left {
            if self.present.remove(&user) {
                changes += 1;
                if !silent {
                    toggle(&mut self.changed, &user);
                }
            }
        }
        if changes > 0 && (silent || self.present.len() <= SMALL_ROOM_USERS_MAX) {
            self.list = None;
        }
        if report.rest == 0 {
            self.silent &= !from.bit();
        }
    }

    /// The list for a session that asks now: `{"channel":…,"count":…,"users":[…],"more":…}` of
    /// about `bytes_max` at most.
    pub(crate) fn list(&mut self, channel: &str, bytes_max: usize) -> Arc<Message> {
        if let Some(list) = &self.list {
            return Arc::clone(list);
        }
        self.shown.append(&mut self.changed);
        let mut out = self.begin(channel);
        let named = names("users", self.present.iter().take(ROOM_NAMES_MAX), bytes_max, &mut out);
        let list = finish(channel, out, self.present.len() - named);
        self.list = Some(Arc::clone(&list));
        list
    }

    /// The joins and leaves: `{"channel":…,"count":…,"came":[…],"left":[…],"more":…}` of about
    /// `bytes_max` at most.
    pub(crate) fn news(&self, channel: &str, bytes_max: usize) -> Arc<Message> {
        let (came, left): (Vec<_>, Vec<_>) =
            self.shown.union(&self.changed).partition(|user| self.present.contains(*user));
        let mut out = self.begin(channel);
        let mut named = names("came", came.iter().take(ROOM_CHANGES_MAX).copied(), bytes_max / 2, &mut out);
        named += names("left", left.iter().take(ROOM_CHANGES_MAX).copied(), bytes_max, &mut out);
        finish(channel, out, came.len() + left.len() - named)
    }

    /// The changes were published.
    pub(crate) fn on_published(&mut self) {
        self.changed.clear();
        self.shown.clear();
        self.list = None;
    }

    /// The pause after an envelope.
    pub(crate) fn rest(&self) -> Span {
        rest(self.present.len())
    }

    fn begin(&self, channel: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(br#"{"channel":"#);
        escape_into(channel, &mut out);
        out.extend_from_slice(br#","count":"#);
        out.extend_from_slice(itoa::Buffer::new().format(self.present.len()).as_bytes());
        out
    }
}

/// The pause after an envelope: it grows with the number of users, within bounds.
fn rest(users: usize) -> Span {
    let rest = Span::from_millis((users as u64).saturating_mul(ROOM_PAUSE_MS_PER_USER));
    rest.clamp(ROOM_PAUSE_MIN, ROOM_PAUSE_MAX)
}

/// Appends `,"key":[…]`; the names stop where `out` would exceed about `bytes_max`. Returns their
/// number.
fn names<'a>(
    key: &str,
    list: impl Iterator<Item = &'a Box<str>>,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> usize {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":[");
    let mut count = 0;
    for name in list {
        let before = out.len();
        if count > 0 {
            out.push(b',');
        }
        escape_into(name, out);
        if out.len() > bytes_max {
            out.truncate(before);
            break;
        }
        count += 1;
    }
    out.push(b']');
    count
}

fn finish(channel: &str, mut out: Vec<u8>, more: usize) -> Arc<Message> {
    if more > 0 {
        out.extend_from_slice(br#","more":"#);
        out.extend_from_slice(itoa::Buffer::new().format(more).as_bytes());
    }
    out.push(b'}');
    Arc::new(Message {
        channel: presence_channel(channel).into(),
        from: None,
        data: String::from_utf8_lossy(&out).into(),
        encoding: Encoding::Presence,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::core::presence::roster::*;

    const ENOUGH: usize = 100_000;

    fn report(came: &[&str], left: &[&str]) -> Report {
        let boxed = |list: &[&str]| list.iter().map(|name| Box::from(*name)).collect();
        Report { came: boxed(came), left: boxed(left), rest: 0 }
    }

    fn room(users: &[&str]) -> Roster {
        let mut room = Roster::new(1, 1);
        room.take_in(ShardId(0), report(users, &[]));
        room
    }

    fn listed(room: &mut Roster) -> Value {
        serde_json::from_str(&room.list("/c", ENOUGH).data).unwrap()
    }

    fn news(room: &mut Roster) -> Value {
        let news = serde_json::from_str(&room.news("/c", ENOUGH).data).unwrap();
        room.on_published();
        news
    }

    #[test]
    fn nothing_is_said_before_all_shards_have_reported() {
        let mut room = Roster::new(1, 0b11);
        room.take_in(ShardId(1), Report { rest: 1, ..report(&["bob"], &[]) });
        room.take_in(ShardId(0), report(&["alice"], &[]));
        assert!(!room.is_known() && !room.has_news());
        room.take_in(ShardId(1), report(&["carol"], &[]));
        assert!(room.is_known() && !room.has_news());
        assert_eq!(
            listed(&mut room),
            json!({"channel": "/c", "count": 3, "users": ["alice", "bob", "carol"]})
        );
    }

    #[test]
    fn members_that_join_and_leave_between_two_envelopes_are_not_named() {
        let mut room = room(&["alice"]);
        room.take_in(ShardId(0), report(&["bob", "dave"], &[]));
        room.take_in(ShardId(0), report(&[], &["bob"]));
        assert_eq!(news(&mut room), json!({"channel": "/c", "count": 2, "came": ["dave"], "left": []}));
        room.take_in(ShardId(0), report(&[], &["dave"]));
        room.take_in(ShardId(0), report(&["dave"], &[]));
        assert!(!room.has_news());
    }

    #[test]
    fn a_member_that_only_a_list_named_is_named_when_it_leaves() {
        let mut room = room(&["alice"]);
        room.take_in(ShardId(0), report(&["bob"], &[]));
        assert_eq!(listed(&mut room)["users"], json!(["alice", "bob"]));
        room.take_in(ShardId(0), report(&[], &["bob"]));
        assert_eq!(news(&mut room), json!({"channel": "/c", "count": 1, "came": [], "left": ["bob"]}));
        assert!(!room.has_news());
    }

    #[test]
    fn names_beyond_the_bounds_are_counted() {
        let users: Vec<String> = (0..1500).map(|n| format!("u{n:04}")).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let mut room = room(&users);
        let list = listed(&mut room);
        assert_eq!((&list["count"], &list["more"]), (&json!(1500), &json!(500)));
        assert_eq!(list["users"].as_array().unwrap().len(), 1000);
        room.take_in(ShardId(0), report(&["x"], &users[..250]));
        let news = news(&mut room);
        assert_eq!(
            (&news["count"], &news["came"], &news["more"]),
            (&json!(1251), &json!(["x"]), &json!(150))
        );
        assert_eq!(news["left"].as_array().unwrap().len(), 100);
    }

    #[test]
    fn an_envelope_stays_within_its_bytes() {
        let users: Vec<String> = (0..100).map(|n| format!("\u{1}{n}")).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let mut room = room(&users);
        let list = room.list("/c", 300);
        assert!(list.data.len() < 330, "{}", list.data.len());
        let list: Value = serde_json::from_str(&list.data).unwrap();
        assert_eq!(list["users"].as_array().unwrap().len() as u64 + list["more"].as_u64().unwrap(), 100);
        room.take_in(ShardId(0), report(&["a"], &users));
        let news = room.news("/c", 300);
        assert!(news.data.len() < 330, "{}", news.data.len());
        let news: Value = serde_json::from_str(&news.data).unwrap();
        assert_eq!(news["came"], json!(["a"]));
        assert_eq!(news["left"].as_array().unwrap().len() as u64 + news["more"].as_u64().unwrap(), 100);
    }

    #[test]
    fn in_a_large_channel_all_requests_between_two_envelopes_get_one_list() {
        let users: Vec<String> = (0..101).map(|n| n.to_string()).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let mut room = room(&users);
        let first = room.list("/c", ENOUGH);
        room.take_in(ShardId(0), report(&["late"], &["7"]));
        assert!(Arc::ptr_eq(&first, &room.list("/c", ENOUGH)));
        let news = news(&mut room);
        assert_eq!((&news["came"], &news["left"]), (&json!(["late"]), &json!(["7"])));
        assert_eq!(listed(&mut room)["count"], 101);
    }

    #[test]
    fn the_pause_between_reports_grows_with_the_members() {
        let seconds = [0, 100, 101, 500, 1_000, 10_000, usize::MAX].map(|users| rest(users).as_millis());
        assert_eq!(seconds, [1_000, 1_000, 1_010, 5_000, 10_000, 10_000, 10_000]);
    }
}
