//! One subscriber's book: its subscriptions and its messages.

use std::collections::{BTreeMap, HashMap};

/// A subscriber.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) owner: String,
    /// The user of the client, and the number of recent messages that it requests; of a native
    /// subscriber.
    pub(crate) native: Option<(String, usize)>,
    /// It may resume by its position alone: then it may get a session that another page of its user
    /// names in commands.
    pub(crate) names_no_session: bool,
    /// How much later than usual its messages may arrive: it polls seldom.
    pub(crate) patience: u64,
    pub(crate) lives: Vec<Life>,
    pub(crate) wishes: Vec<Wish>,
    /// Attached, level and undisturbed since.
    pub(crate) well_since: Option<u64>,
    /// It was so at some time since all faults ended.
    pub(crate) was_well: bool,
    /// The session that it got last.
    pub(crate) session: Option<String>,
    /// Its own messages that it must not get, and in which life.
    pub(crate) forbidden: BTreeMap<usize, usize>,
    /// How many entries its life had when the world looked who is well.
    pub(crate) looked_at: usize,
}

/// The time from one start without a position to the next.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(crate) entries: Vec<Entry>,
    /// How often each message is among the entries.
    times: HashMap<usize, usize>,
}

impl Life {
    pub(crate) fn times(&self, number: usize) -> usize {
        self.times.get(&number).copied().unwrap_or(0)
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        if let Some(number) = entry.number() {
            *self.times.entry(number).or_default() += 1;
        }
        self.entries.push(entry);
    }

    /// Drops entries after position `n`. A gap that was reported before a message which stays,
    /// stays: it may reach further; and so does one that was reported apart from the messages.
    pub(crate) fn rewind(&mut self, n: u64) {
        let stays = |entry: &Entry| entry.number().is_some() && entry.n() <= n;
        let kept = self.entries.iter().rposition(stays).map_or(0, |last| last + 1);
        let later = self.entries.split_off(kept);
        self.entries.extend(later.into_iter().filter(|entry| entry.is_apart() || entry.n() <= n));
        self.times.clear();
        for number in self.entries.iter().filter_map(Entry::number) {
            *self.times.entry(number).or_default() += 1;
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Message { n: u64, number: usize, at: u64 },
    Gap { from: u64, to: u64, at: u64, apart: bool },
}

impl Entry {
    pub(crate) fn n(&self) -> u64 {
        match self {
            Self::Message { n, .. } => *n,
            Self::Gap { to, .. } => *to,
        }
    }

    /// Reported in the answer to a command, which is not part of the stream.
    pub(crate) fn is_apart(&self) -> bool {
        matches!(self, Self::Gap { apart: true, .. })
    }

    pub(crate) fn number(&self) -> Option<usize> {
        match self {
            Self::Message { number, .. } => Some(*number),
            Self::Gap { .. } => None,
        }
    }

    pub(crate) fn at(&self) -> u64 {
        match self {
            Self::Message { at, .. } | Self::Gap { at, .. } => *at,
        }
    }
}

/// One subscription, as its client knows it.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) pattern: String,
    pub(crate) life: usize,
    pub(crate) asked: u64,
    /// When its confirmation arrived.
    pub(crate) sure: Option<u64>,
    /// When the client unsubscribed, and when that was confirmed.
    pub(crate) leaving: Option<u64>,
    /// The answer to its request was lost: it may exist.
    pub(crate) is_unanswered: bool,
    pub(crate) left: Option<u64>,
    pub(crate) last: usize,
    /// It sent a position, which was the client's at this time: it promises everything from then
    /// on.
    pub(crate) since: Option<u64>,
    /// The number of entries when it was requested.
    pub(crate) entry: usize,
    /// The number of entries when the session ended in which it requested history: history that had
    /// not arrived then will not.
    pub(crate) over: Option<usize>,
    /// It was requested by a command, not by the request that began the life.
    pub(crate) is_late: bool,
    /// It was requested again from a position, in a session that did not have it: messages since
    /// then may arrive after those of other subscriptions.
    pub(crate) again: Option<Again>,
    /// Its client's own messages that it must deliver: they were published after it.
    pub(crate) owed: Vec<usize>,
}

impl Book {
    /// Whether its client is not well. Where responses are `recycled`, it may just be coming back.
    pub(super) fn is_unwell(&self, recycled: bool) -> bool {
        self.well_since.is_none() && !(recycled && self.was_well)
    }

    /// Whether one of this client's sessions may be the one that a request for `listed` means, and
    /// has history that no other session gives: all that is left of the channels with which it
    /// began is among them.
    pub(super) fn may_be_meant(&self, listed: &[String]) -> bool {
        (0..self.lives.len()).any(|life| {
            let wishes = || self.wishes.iter().filter(move |wish| wish.life == life);
            let is_listed = |wish: &Wish| listed.contains(&wish.pattern);
            let began =
                |wish: &&Wish| !wish.is_late && wish.leaving.is_none() && !wish.pattern.starts_with("/u/");
            wishes().any(Wish::asks_for_history)
                && wishes().any(is_listed)
                && wishes().filter(began).all(is_listed)
        })
    }
}

impl Wish {
    pub(crate) fn asks_for_history(&self) -> bool {
        self.last > 0 || self.since.is_some()
    }

    /// Whether it may deliver earlier messages during the life, with new positions.
    pub(crate) fn replays(&self) -> bool {
        self.is_late && self.asks_for_history() || self.again.is_some()
    }

    /// Whether it may have delivered a message that was sent at a time, as entry `at`, as history.
    pub(crate) fn may_bring_history(&self, channel: &str, sent: u64, at: usize) -> bool {
        let within = |entry: usize, sure: Option<u64>| at >= entry && sure.is_none_or(|sure| sent <= sure);
        let at_first = self.asks_for_history() && within(self.entry, self.sure);
        let anew = self.again.is_some_and(|Again { entry, sure }| within(entry, sure));
        (at_first || anew) && matches(&self.pattern, channel)
    }
}

/// When a subscription was requested again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again {
    /// The number of entries when it was, the first time.
    pub(crate) entry: usize,
    /// When it was confirmed, the last time.
    pub(crate) sure: Option<u64>,
}

/// Whether a subscription covers a channel. Personal channels are the user's alone.
pub(crate) fn matches(pattern: &str, channel: &str) -> bool {
    if pattern == channel {
        return true;
    }
    if channel.starts_with("/u/") {
        return false;
    }
    if let Some(prefix) = pattern.strip_suffix("/**") {
        return channel.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
    }
    let Some(prefix) = pattern.strip_suffix("/*") else { return false };
    channel
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_the_protocol_says() {
        for (pattern, channel, covers) in [
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/*", "/a", false),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/ab/c", false),
            ("/**", "/a", true),
            ("/**", "/u/x", false),
            ("/u/x", "/u/x", true),
        ] {
            assert_eq!(matches(pattern, channel), covers, "{pattern} {channel}");
        }
    }
}
