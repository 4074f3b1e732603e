//! One watched channel at its home: who is there, what changed since the last envelope, and how the envelopes are spelled.
//!
//! Each envelope says how things stand for every user that it names, so to hear it twice does no harm. What keeps a client right is
//! this: whoever was in a list that somebody was given, or in an envelope, and has changed since, is named in the next envelope,
//! unless that is as full as it may be; then it says so.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::ids::ShardId;
use crate::base::slab::{SessionKey, TimerKey};
use crate::base::ticks::Span;
use crate::protocol::native::envelope::{Encoding, Message};
use crate::shard::presence::roll::{Report, toggle};
use crate::wire::channel_name::presence_channel;
use crate::wire::json::escape_into;

/// Names in a list of who is there: what a page can show, and about as much as its other messages.
const LIST_MAX: usize = 1000;

/// Names of those who came, and of those who left, in one envelope: everybody in the room gets it.
const CHANGES_MAX: usize = 100;

/// Rooms up to this size get their lists made anew for each who asks; in larger ones all who ask between two envelopes get the
/// same, else a room of 10,000 that comes in at once would cost 10,000 lists of 1,000.
const SMALL: usize = 100;

/// Everybody who is in one watched channel.
#[derive(Debug)]
pub(super) struct Room {
    /// Tells this watch from those before.
    pub(super) watch: u64,
    /// Shards that have not told all they know yet, a bit for each. Until they have, nothing is said.
    silent: u64,
    present: BTreeSet<Box<str>>,
    /// Those whose presence is not as was last said.
    changed: BTreeSet<Box<str>>,
    /// Those about whom some were told in a list and others not at all: the next envelope names them, however they stand.
    shown: BTreeSet<Box<str>>,
    /// The last list, while it will do.
    list: Option<Arc<Message>>,
    /// Sessions that want one.
    pub(super) askers: Vec<(ShardId, SessionKey)>,
    /// When the next envelope may be.
    pub(super) pace: Pace,
}

/// When a room may say something.
#[derive(Debug)]
pub(super) enum Pace {
    /// As soon as there is something.
    Ready,
    /// Not before the timer has rung.
    Resting(TimerKey),
}

impl Room {
    /// A room that waits for reports of the shards in the set `silent`.
    pub(super) fn new(watch: u64, silent: u64) -> Self {
        Self {
            watch,
            silent,
            present: BTreeSet::new(),
            changed: BTreeSet::new(),
            shown: BTreeSet::new(),
            list: None,
            askers: Vec::new(),
            pace: Pace::Ready,
        }
    }

    /// Whether all shards have told what they know.
    pub(super) fn is_known(&self) -> bool {
        self.silent == 0
    }

    /// Whether an envelope is due that tells of changes.
    pub(super) fn has_news(&self) -> bool {
        self.is_known() && !(self.changed.is_empty() && self.shown.is_empty())
    }

    /// A shard has said who came and left.
    pub(super) fn take_in(&mut self, from: ShardId, report: Report) {
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
        if changes > 0 && (silent || self.present.len() <= SMALL) {
            self.list = None;
        }
        if report.rest == 0 {
            self.silent &= !from.bit();
        }
    }

    /// Who is there, for whoever asks now: `{"channel":…,"count":…,"users":[…],"more":…}` of about `bytes_max` at most.
    pub(super) fn list(&mut self, channel: &str, bytes_max: usize) -> Arc<Message> {
        if let Some(list) = &self.list {
            return Arc::clone(list);
        }
        self.shown.append(&mut self.changed);
        let mut out = self.begin(channel);
        let named = names("users", self.present.iter().take(LIST_MAX), bytes_max, &mut out);
        let list = finish(channel, out, self.present.len() - named);
        self.list = Some(Arc::clone(&list));
        list
    }

    /// Who came and who left: `{"channel":…,"count":…,"came":[…],"left":[…],"more":…}` of about `bytes_max` at most.
    pub(super) fn news(&self, channel: &str, bytes_max: usize) -> Arc<Message> {
        let (came, left): (Vec<_>, Vec<_>) =
            self.shown.union(&self.changed).partition(|user| self.present.contains(*user));
        let mut out = self.begin(channel);
        let mut named = names("came", came.iter().take(CHANGES_MAX).copied(), bytes_max / 2, &mut out);
        named += names("left", left.iter().take(CHANGES_MAX).copied(), bytes_max, &mut out);
        finish(channel, out, came.len() + left.len() - named)
    }

    /// The news were taken in for all to have.
    pub(super) fn told(&mut self) {
        self.changed.clear();
        self.shown.clear();
        self.list = None;
    }

    /// How long it rests after an envelope.
    pub(super) fn rest(&self) -> Span {
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

/// How long a room of so many users rests after an envelope: 10 ms for each of them, but 1 s at least and 10 s at most. Each envelope
/// goes to everybody, so rooms from 100 to 1,000 get 100 envelopes a second together, whatever happens in them; one of 10,000 gets
/// 1,000. No longer than 10 s, for then people wonder.
fn rest(users: usize) -> Span {
    Span::from_millis((users as u64).saturating_mul(10).clamp(1_000, 10_000))
}

/// Appends `,"key":[…]`; the names stop where `out` would have more than about `bytes_max`. Says how many there are.
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

    use crate::shard::presence::room::*;

    const ENOUGH: usize = 100_000;

    fn report(came: &[&str], left: &[&str]) -> Report {
        let boxed = |list: &[&str]| list.iter().map(|name| Box::from(*name)).collect();
        Report { came: boxed(came), left: boxed(left), rest: 0 }
    }

    fn room(users: &[&str]) -> Room {
        let mut room = Room::new(1, 1);
        room.take_in(ShardId(0), report(users, &[]));
        room
    }

    fn listed(room: &mut Room) -> Value {
        serde_json::from_str(&room.list("/c", ENOUGH).data).unwrap()
    }

    fn news(room: &mut Room) -> Value {
        let news = serde_json::from_str(&room.news("/c", ENOUGH).data).unwrap();
        room.told();
        news
    }

    #[test]
    fn nothing_is_said_before_all_shards_have_reported() {
        let mut room = Room::new(1, 0b11);
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
    fn who_comes_and_goes_between_two_envelopes_is_not_named() {
        let mut room = room(&["alice"]);
        room.take_in(ShardId(0), report(&["bob", "dave"], &[]));
        room.take_in(ShardId(0), report(&[], &["bob"]));
        assert_eq!(news(&mut room), json!({"channel": "/c", "count": 2, "came": ["dave"], "left": []}));
        room.take_in(ShardId(0), report(&[], &["dave"]));
        room.take_in(ShardId(0), report(&["dave"], &[]));
        assert!(!room.has_news());
    }

    #[test]
    fn who_was_in_a_list_and_went_is_named_although_most_never_heard_of_it() {
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
    fn in_a_large_room_all_who_ask_between_two_envelopes_get_one_list() {
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
    fn a_room_rests_the_longer_the_more_are_in_it() {
        let seconds = [0, 100, 101, 500, 1_000, 10_000, usize::MAX].map(|users| rest(users).as_millis());
        assert_eq!(seconds, [1_000, 1_000, 1_010, 5_000, 10_000, 10_000, 10_000]);
    }
}
