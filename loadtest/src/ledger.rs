//! Counts what arrived at which client, when, and what is missing.
//!
//! A client must receive every message of its channels that is published after it subscribed, once
//! and in order. A missing message must be covered by a gap that the server reported; otherwise it
//! is lost, unless it still arrives, out of order. The publisher's serials decide, not the server's
//! positions. Only errors take memory: a message in order costs two comparisons and a count.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::latencies::Latencies;
use crate::stamp::Stamp;

/// One client's state in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The channel's number.
    pub channel: u32,
    /// The last serial that it got; 0 before the first.
    serial: u32,
    /// The number of the last position that it got; 0 where the server has none.
    at: u64,
}

/// Counts of deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Messages that arrived, each once for each client.
    pub delivered: u64,
    /// Missing, and not covered by a gap.
    pub lost: u64,
    /// Missing, and covered by a gap.
    pub in_gaps: u64,
    /// Arrived again.
    pub doubled: u64,
    /// Arrived after a later one.
    pub disordered: u64,
    /// Gaps that the server reported.
    pub gaps: u64,
    /// Gaps reported to clients that read without delay.
    pub undeserved: u64,
    /// Messages of channels that the client did not subscribe to.
    pub strays: u64,
}

/// Counts deliveries and times them.
#[derive(Debug)]
pub struct Ledger {
    sums: Sums,
    /// Of the present lap.
    latencies: Latencies,
    /// Of those before.
    before: Latencies,
    /// When the last of each message's receivers had it. `None` for channels with one receiver
    /// each.
    last: Option<LastReceipts>,
    /// The serials of a channel that a client misses so far.
    missing: BTreeMap<(u32, u32), BTreeSet<u32>>,
    /// The last gap of each client that no message has followed yet: from and to.
    pending: BTreeMap<u32, (Option<u64>, u64)>,
}

/// For each message: when it was due, and when the last one had it. By channel and serial.
type LastReceipts = BTreeMap<(u32, u32), (u64, u64)>;

/// One message's end: channel, serial, when it was due, when the last one had it.
pub type Completion = (u32, u32, u64, u64);

/// The counts of one worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct Account {
    /// The sums.
    pub sums: Sums,
    /// From due to received.
    pub latencies: Vec<(u64, u64)>,
    /// When each message was everywhere.
    pub endings: Vec<Completion>,
}

/// The messages published in a run: the last serial of each channel, and those that the server
/// refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Published {
    /// By channel.
    pub serials: Vec<u32>,
    /// Channel and serial.
    pub refused: Vec<(u32, u32)>,
}

impl Ledger {
    /// Nothing has arrived. `follows_last` says whether channels have several receivers, so that
    /// the last of them matters.
    pub fn new(follows_last: bool) -> Self {
        Self {
            sums: Sums::default(),
            latencies: Latencies::new(),
            before: Latencies::new(),
            last: follows_last.then(LastReceipts::new),
            missing: BTreeMap::new(),
            pending: BTreeMap::new(),
        }
    }

    /// The counts of all deliveries so far. Missing messages do not count as lost yet.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// A message arrived at a position. `timed_at` says when, if it counts for latency: at a client
    /// that was held back it does not.
    pub fn message(
        &mut self,
        client: u32,
        subscription: &mut Subscription,
        stamp: Stamp,
        at: u64,
        timed_at: Option<u64>,
    ) {
        if stamp.channel != subscription.channel {
            self.sums.strays += 1;
            return;
        }
        if stamp.serial == subscription.serial + 1 {
            // The usual case. A gap that covered nothing is forgotten.
            if !self.pending.is_empty() {
                self.pending.remove(&client);
            }
        } else if stamp.serial > subscription.serial {
            self.skipped(client, subscription, stamp, at);
        } else {
            self.late((client, stamp.channel), stamp.serial);
            return;
        }
        self.sums.delivered += 1;
        (subscription.serial, subscription.at) = (stamp.serial, at);
        if let Some(now) = timed_at {
            self.time(stamp, now);
        }
    }

    /// Messages between the last one and this one did not arrive.
    fn skipped(&mut self, client: u32, subscription: &Subscription, stamp: Stamp, at: u64) {
        let missing = subscription.serial + 1..stamp.serial;
        match self.pending.remove(&client) {
            // Positions of 0 are unknown, or from before the first message.
            Some((from, to))
                if from.is_none_or(|from| subscription.at == 0 || from <= subscription.at)
                    && (at == 0 || to + 1 >= at) =>
            {
                self.sums.in_gaps += u64::from(missing.end - missing.start);
            }
            Some(_) | None => self.missing.entry((client, stamp.channel)).or_default().extend(missing),
        }
    }

    /// A message arrived that is not above the last one.
    fn late(&mut self, place: (u32, u32), serial: u32) {
        if self.missing.get_mut(&place).is_some_and(|missing| missing.remove(&serial)) {
            self.sums.disordered += 1;
            self.sums.delivered += 1;
        } else {
            self.sums.doubled += 1;
        }
    }

    fn time(&mut self, stamp: Stamp, now: u64) {
        self.latencies.record(now.saturating_sub(stamp.due));
        if let Some(last) = &mut self.last {
            let ending = last.entry((stamp.channel, stamp.serial)).or_insert((stamp.due, 0));
            ending.1 = ending.1.max(now);
        }
    }

    /// The server reported a gap to a client. A client that reads slowly causes its own gaps.
    pub fn gap(&mut self, client: u32, from: Option<u64>, to: u64, is_slow: bool) {
        self.sums.gaps += 1;
        self.sums.undeserved += u64::from(!is_slow);
        let pending = self.pending.entry(client).or_insert((from, to));
        *pending = (pending.0.zip(from).map(|(before, from)| before.min(from)), pending.1.max(to));
    }

    /// Ends the run: messages still missing are lost, unless a gap covers them.
    pub fn settle<'a>(
        &mut self,
        subscriptions: impl Iterator<Item = (u32, &'a Subscription)>,
        published: &Published,
    ) {
        let refused: BTreeSet<(u32, u32)> = published.refused.iter().copied().collect();
        for (client, subscription) in subscriptions {
            let end = published.serials.get(subscription.channel as usize).copied().unwrap_or(0);
            let tail = (subscription.serial + 1..=end)
                .filter(|serial| !refused.contains(&(subscription.channel, *serial)));
            let tail = tail.count() as u64;
            if self.pending.remove(&client).is_some() {
                self.sums.in_gaps += tail;
            } else {
                self.sums.lost += tail;
            }
            let missing = self.missing.remove(&(client, subscription.channel)).unwrap_or_default();
            let owed = missing.iter().filter(|&&serial| !refused.contains(&(subscription.channel, serial)));
            self.sums.lost += owed.count() as u64;
        }
    }

    /// Ends a lap: the latencies since the last one.
    pub fn lap(&mut self) -> Vec<(u64, u64)> {
        let counts = std::mem::replace(&mut self.latencies, Latencies::new()).counts();
        self.before.add(&counts);
        counts
    }

    /// All counts.
    pub fn account(&mut self) -> Account {
        self.lap();
        let last = self.last.iter().flatten();
        Account {
            sums: self.sums,
            latencies: self.before.counts(),
            endings: last.map(|(&(channel, serial), &(due, last))| (channel, serial, due, last)).collect(),
        }
    }
}

impl Subscription {
    /// A client of a channel, before the first message.
    pub fn new(channel: u32) -> Self {
        Self { channel, serial: 0, at: 0 }
    }
}

impl Sums {
    /// Adds those of another worker.
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.in_gaps += other.in_gaps;
        self.doubled += other.doubled;
        self.disordered += other.disordered;
        self.gaps += other.gaps;
        self.undeserved += other.undeserved;
        self.strays += other.strays;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: u32 = 3;

    fn after(steps: impl Fn(&mut Ledger, &mut Subscription)) -> Sums {
        let (mut ledger, mut subscription) = (Ledger::new(true), Subscription::new(0));
        steps(&mut ledger, &mut subscription);
        *ledger.sums()
    }

    fn message(ledger: &mut Ledger, subscription: &mut Subscription, serial: u32) {
        let stamp = Stamp { channel: 0, serial, due: 0 };
        ledger.message(CLIENT, subscription, stamp, u64::from(serial), Some(1000));
    }

    fn settle(ledger: &mut Ledger, subscription: &Subscription, serial: u32, refused: &[u32]) {
        let refused = refused.iter().map(|&serial| (0, serial)).collect();
        ledger.settle([(CLIENT, subscription)].into_iter(), &Published { serials: vec![serial], refused });
    }

    #[test]
    fn what_is_missing_without_a_word_is_lost() {
        let sums = after(|ledger, subscription| {
            message(ledger, subscription, 1);
            message(ledger, subscription, 4);
            settle(ledger, subscription, 5, &[]);
        });
        assert_eq!(sums, Sums { delivered: 2, lost: 3, ..Sums::default() });
    }

    #[test]
    fn what_the_server_refused_is_owed_to_nobody() {
        let sums = after(|ledger, subscription| {
            message(ledger, subscription, 1);
            message(ledger, subscription, 4);
            settle(ledger, subscription, 5, &[2, 5]);
        });
        assert_eq!(sums.lost, 1);
    }

    #[test]
    fn a_gap_excuses_what_it_covers_and_nothing_else() {
        let covered = after(|ledger, subscription| {
            message(ledger, subscription, 1);
            ledger.gap(CLIENT, Some(1), 3, true);
            message(ledger, subscription, 4);
            message(ledger, subscription, 6);
            settle(ledger, subscription, 6, &[]);
        });
        assert_eq!(covered, Sums { delivered: 3, in_gaps: 2, lost: 1, gaps: 1, ..Sums::default() });
        for (from, to) in [(1, 2), (2, 3)] {
            let short = after(|ledger, subscription| {
                message(ledger, subscription, 1);
                ledger.gap(CLIENT, Some(from), to, true);
                message(ledger, subscription, 4);
                settle(ledger, subscription, 4, &[]);
            });
            assert_eq!((short.lost, short.in_gaps), (2, 0), "{from} {to}");
        }
    }

    #[test]
    fn a_gap_at_the_end_excuses_what_did_not_come() {
        let sums = after(|ledger, subscription| {
            message(ledger, subscription, 1);
            ledger.gap(CLIENT, Some(1), 5, true);
            settle(ledger, subscription, 5, &[]);
        });
        assert_eq!((sums.in_gaps, sums.lost), (4, 0));
    }

    #[test]
    fn a_message_that_comes_twice_is_doubled_and_one_that_comes_late_is_disordered() {
        let sums = after(|ledger, subscription| {
            for serial in [1, 2, 2, 4, 3, 3] {
                message(ledger, subscription, serial);
            }
            settle(ledger, subscription, 4, &[]);
        });
        assert_eq!(sums, Sums { delivered: 4, doubled: 2, disordered: 1, ..Sums::default() });
    }

    #[test]
    fn a_message_of_another_channel_is_a_stray() {
        let sums = after(|ledger, subscription| {
            let stamp = Stamp { channel: 9, serial: 1, due: 0 };
            ledger.message(CLIENT, subscription, stamp, 1, Some(1));
        });
        assert_eq!(sums, Sums { strays: 1, ..Sums::default() });
    }

    #[test]
    fn what_is_missing_of_one_channel_does_not_excuse_another() {
        let mut ledger = Ledger::new(true);
        let mut subscriptions = [Subscription::new(0), Subscription::new(1)];
        for (channel, serial) in [(0, 1), (0, 3), (1, 1), (1, 2), (1, 2), (0, 2)] {
            let subscription = &mut subscriptions[channel as usize];
            ledger.message(CLIENT, subscription, Stamp { channel, serial, due: 0 }, 0, Some(1));
        }
        let (doubled, disordered) = (ledger.sums().doubled, ledger.sums().disordered);
        assert_eq!((doubled, disordered), (1, 1));
        let published = Published { serials: vec![4, 2], refused: vec![] };
        ledger.settle(subscriptions.iter().map(|subscription| (CLIENT, subscription)), &published);
        assert_eq!(ledger.sums().lost, 1);
    }

    #[test]
    fn a_lap_has_its_own_latencies_and_the_account_has_all() {
        let (mut ledger, mut subscription) = (Ledger::new(false), Subscription::new(0));
        let count = |counts: Vec<(u64, u64)>| counts.iter().map(|(_, count)| count).sum::<u64>();
        message(&mut ledger, &mut subscription, 1);
        message(&mut ledger, &mut subscription, 2);
        assert_eq!((count(ledger.lap()), count(ledger.lap())), (2, 0));
        message(&mut ledger, &mut subscription, 3);
        assert_eq!(count(ledger.account().latencies), 3);
    }

    #[test]
    fn a_message_ends_with_its_last_receiver() {
        let mut ledger = Ledger::new(true);
        for (client, now) in [(1, 50), (2, 70), (3, 60)] {
            let stamp = Stamp { channel: 0, serial: 1, due: 40 };
            ledger.message(client, &mut Subscription::new(0), stamp, 1, Some(now));
        }
        assert_eq!(ledger.account().endings, [(0, 1, 40, 70)]);
    }
}
