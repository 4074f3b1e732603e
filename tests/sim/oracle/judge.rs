//! The rules that need the whole story: one order for all, nothing lost in silence, no more history than was asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{Book, Entry, Wish, matches};
use super::{Fate, Oracle, Publish};

impl Oracle {
    /// Everything has settled: who is still well has all that it was promised.
    pub(crate) fn judge(&mut self) {
        let orders = self.orders();
        let mut found = self.judge_order(&orders);
        for (index, book) in self.books.iter().enumerate() {
            for life in 0..book.lives.len() {
                let settled = life + 1 == book.lives.len() && book.well_since.is_some();
                for channel in orders.keys() {
                    self.judge_loss(book, life, channel, &orders[channel], settled, &mut found);
                }
                found.extend(self.judge_history(index, life));
            }
        }
        found.extend(self.judge_sequences());
        self.violations.append(&mut found);
    }

    /// Who is not well at the end, though all faults are over. Where responses are `recycled`, one may just be coming back.
    pub(crate) fn unwell(&self, recycled: bool) -> Vec<String> {
        let unwell = |book: &&Book| book.well_since.is_none() && !(recycled && book.was_well);
        self.books.iter().filter(unwell).map(|book| book.owner.clone()).collect()
    }

    /// For each channel the numbers of its accepted publishes, in the order which the answers name.
    fn orders(&self) -> BTreeMap<String, Vec<usize>> {
        let mut orders: BTreeMap<String, Vec<Placed>> = BTreeMap::new();
        for (number, publish) in self.publishes.iter().enumerate() {
            if let Fate::Accepted { id, at } = &publish.fate {
                // Each run of the server counts anew.
                let run = self.restarts.iter().filter(|restart| *restart < at).count() as u64;
                orders.entry(publish.channel.clone()).or_default().push(((run, id.n), number));
            } else if publish.seen || matches!(publish.fate, Fate::Taken { .. }) {
                orders.entry(publish.channel.clone()).or_default();
            }
        }
        let sorted = |mut list: Vec<Placed>| {
            list.sort_unstable();
            list.into_iter().map(|(_, number)| number).collect()
        };
        orders.into_iter().map(|(channel, list)| (channel, sorted(list))).collect()
    }

    /// All that anybody saw of a channel, and the answers to its publishes, agree on one order.
    fn judge_order(&self, orders: &BTreeMap<String, Vec<usize>>) -> Vec<String> {
        let mut after = Steps::new();
        let mut link = |list: &[usize], says: &str| {
            for pair in list.windows(2) {
                after.entry(pair[0]).or_default().entry(pair[1]).or_insert_with(|| says.to_owned());
            }
        };
        orders.values().for_each(|list| link(list, "the answers"));
        for book in &self.books {
            for life in 0..book.lives.len() {
                for channel in orders.keys() {
                    link(&self.seen(book, life, channel), &format!("{} (life {life})", book.owner));
                }
            }
        }
        circle(&after).map(|steps| format!("no order suits all: {steps}")).into_iter().collect()
    }

    /// What a life saw of a channel, in order. Without what may be history, where another subscription has the channel too: history
    /// comes when it comes.
    fn seen(&self, book: &Book, life: usize, channel: &str) -> Vec<usize> {
        let wishes =
            || book.wishes.iter().filter(|wish| wish.life == life && matches(&wish.pattern, channel));
        let several = wishes().count() > 1;
        let entries = book.lives[life].entries.iter().enumerate();
        let numbers = entries.filter_map(|(at, entry)| Some((at, entry.number()?)));
        let counts = |&(at, number): &(usize, usize)| {
            let Publish { channel: of, sent, .. } = &self.publishes[number];
            let is_history = || wishes().any(|wish| wish.may_bring_history(channel, *sent, at));
            of == channel && !(several && is_history())
        };
        numbers.filter(counts).map(|(_, number)| number).collect()
    }

    /// Whatever was promised came, or a gap said that it would not.
    fn judge_loss(
        &self,
        book: &Book,
        life: usize,
        channel: &str,
        order: &[usize],
        settled: bool,
        found: &mut Vec<String>,
    ) {
        let covers = covers(book, life, channel);
        if covers.is_empty() {
            return;
        }
        let got: BTreeMap<usize, usize> = book.lives[life]
            .entries
            .iter()
            .enumerate()
            .filter_map(|(at, entry)| Some((entry.number()?, at)))
            .collect();
        for (place, &number) in order.iter().enumerate() {
            if got.contains_key(&number) {
                continue;
            }
            let owed = settled && book.is_owed(life, number);
            let promised = owed
                || covers.iter().any(|cover| {
                    self.promises(cover, order, place, &got, settled, &book.lives[life].entries)
                });
            if promised
                && !self.excused(book, life, order, place, &got)
                && !self.late_history(book, life, &covers, number)
            {
                found.push(format!(
                    "{} (life {life}) never got message {number} of {channel}, sent at {}, and no gap says so",
                    book.owner, self.publishes[number].sent
                ));
            }
        }
        self.judge_unanswered(book, life, channel, &covers, settled, &got, found);
    }

    /// Whether a subscription promises the message at `place` of its channel's order.
    fn promises(
        &self,
        cover: &Cover,
        order: &[usize],
        place: usize,
        got: &BTreeMap<usize, usize>,
        settled: bool,
        entries: &[Entry],
    ) -> bool {
        let publish = &self.publishes[order[place]];
        let Fate::Accepted { at: accepted, .. } = publish.fate else { return false };
        let within = |number: &usize| got.get(number).is_some_and(|&at| at >= cover.entry);
        let follows = cover.until.is_none() && settled;
        // Something later came, before the client left.
        let in_time = |number: &usize| {
            let at = got.get(number).map(|&at| entries[at].at());
            at.is_some_and(|at| cover.until.is_none_or(|until| at < until))
        };
        let later = order[place + 1..].iter().any(|number| within(number) && in_time(number));
        let before_end = cover.until.is_none_or(|until| accepted < until);
        // Only where no other subscription can have brought it.
        let earlier = cover.alone && order[..place].iter().any(within);
        before_end && (follows || later) && (publish.sent > cover.sure || (earlier && later))
    }

    /// Messages that somebody got although their publisher never heard of it: they happened, so whoever was subscribed before must
    /// have them too.
    fn judge_unanswered(
        &self,
        book: &Book,
        life: usize,
        channel: &str,
        covers: &[Cover],
        settled: bool,
        got: &BTreeMap<usize, usize>,
        found: &mut Vec<String>,
    ) {
        for (number, publish) in self.publishes.iter().enumerate() {
            let happened = match publish.fate {
                Fate::Open => publish.seen,
                Fate::Taken { .. } => true,
                Fate::Accepted { .. } | Fate::Refused => false,
            };
            if !happened || publish.channel != channel || got.contains_key(&number) || !settled {
                continue;
            }
            let promised = covers.iter().any(|cover| cover.until.is_none() && publish.sent > cover.sure)
                || book.is_owed(life, number);
            let gap = |entry: &Entry| matches!(entry, Entry::Gap { at, .. } if *at >= publish.sent);
            if promised && !book.lives[life].entries.iter().any(gap) {
                found.push(format!("{} never got the unanswered message {number} of {channel}", book.owner));
            }
        }
    }

    /// Whether a gap covers the message: it must reach between those of its neighbours that came.
    fn excused(
        &self,
        book: &Book,
        life: usize,
        order: &[usize],
        place: usize,
        got: &BTreeMap<usize, usize>,
    ) -> bool {
        let entries = &book.lives[life].entries;
        let channel = &self.publishes[order[place]].channel;
        let n_of = |number: &usize| {
            let at = *got.get(number)?;
            (!self.may_be_history(book, life, channel, *number, at)).then(|| entries[at].n())
        };
        let before = order[..place].iter().rev().find_map(n_of).unwrap_or(0);
        let after = order[place + 1..].iter().find_map(n_of).unwrap_or(u64::MAX);
        let sent = self.publishes[order[place]].sent;
        // What others got of this shard would tell the message's position, were it not for history that is sent anew.
        entries.iter().any(|entry| match entry {
            Entry::Message { .. } => false,
            Entry::Gap { from, to, at, .. } => *from < after && *to > before && *at >= sent,
        })
    }

    /// Whether entry `at` may have come as history that a subscription asked for in mid-life. Its position is a new one then,
    /// and tells nothing of its neighbours'.
    fn may_be_history(&self, book: &Book, life: usize, channel: &str, number: usize, at: usize) -> bool {
        let sent = self.publishes[number].sent;
        let brings = |wish: &Wish| wish.replays() && wish.may_bring_history(channel, sent, at);
        book.wishes.iter().any(|wish| wish.life == life && brings(wish))
    }

    /// History that a subscription asked for gets new positions, and any gap after that may have swallowed it.
    fn late_history(&self, book: &Book, life: usize, covers: &[Cover], number: usize) -> bool {
        let sent = self.publishes[number].sent;
        covers.iter().filter(|cover| cover.sure <= sent && sent < cover.asked).any(|cover| {
            let gap = |entry: &Entry| matches!(entry, Entry::Gap { at, .. } if *at >= cover.asked);
            book.lives[life].entries.iter().any(gap)
        })
    }

    /// `last` gives as many recent messages as were asked for: no more, and no fewer of those that there were.
    fn judge_history(&self, book: usize, life: usize) -> Vec<String> {
        let book = &self.books[book];
        let mut found = Vec::new();
        for (index, wish) in book.wishes.iter().enumerate().filter(|(_, wish)| wish.life == life) {
            let Some(sure) = wish.sure else { continue };
            let plain = wish.over.is_none()
                && wish.last > 0
                && wish.since.is_none()
                && !wish.pattern.ends_with('*')
                && wish.leaving.is_none();
            let lonely = book.wishes.iter().enumerate().all(|(other, rival)| {
                other == index || rival.life != life || !matches(&rival.pattern, &wish.pattern)
            });
            let entries = &book.lives[life].entries;
            let gap = entries.iter().any(|entry| matches!(entry, Entry::Gap { .. }));
            if !plain || !lonely || gap || !self.roomy || wish.pattern.starts_with("/u/") {
                continue;
            }
            let earlier = |number: usize| {
                let publish = &self.publishes[number];
                publish.channel == wish.pattern
                    && matches!(publish.fate, Fate::Accepted { at, .. } if at < wish.asked)
            };
            let there = (0..self.publishes.len()).filter(|&number| earlier(number)).count();
            let got: BTreeSet<usize> = entries.iter().filter_map(Entry::number).collect();
            let had = got.iter().filter(|&&number| earlier(number)).count();
            let amid = got.iter().filter(|&&number| !earlier(number) && self.publishes[number].sent < sure);
            let amid = amid.filter(|&&number| self.publishes[number].channel == wish.pattern).count();
            let complete = book.well_since.is_some() && life + 1 == book.lives.len();
            if had > wish.last || (complete && had + amid < wish.last.min(there)) {
                found.push(format!(
                    "{} asked for the last {} of {} and got {had} (and {amid} that came meanwhile) of {there}",
                    book.owner, wish.last, wish.pattern
                ));
            }
        }
        found
    }
}

/// A publish, behind the server's run and its number there.
type Placed = ((u64, u64), usize);

/// A time during which a channel was subscribed to without interruption.
#[derive(Debug)]
struct Cover {
    asked: u64,
    sure: u64,
    until: Option<u64>,
    entry: usize,
    /// There is no other for this channel.
    alone: bool,
}

fn covers(book: &Book, life: usize, channel: &str) -> Vec<Cover> {
    let mut covers: Vec<Cover> = book
        .wishes
        .iter()
        .filter(|wish| wish.life == life && matches(&wish.pattern, channel))
        .filter_map(|wish: &Wish| {
            Some(Cover {
                asked: wish.asked,
                sure: wish.since.filter(|_| wish.over.is_none()).or(wish.sure)?,
                until: wish.leaving,
                entry: wish.over.unwrap_or(wish.entry),
                alone: false,
            })
        })
        .collect();
    if let [only] = &mut covers[..] {
        only.alone = true;
    }
    covers
}

/// Which messages follow each one, and according to whom.
type Steps = BTreeMap<usize, BTreeMap<usize, String>>;

/// A circle in a graph, if there is one: each step of it, and who says so.
fn circle(after: &Steps) -> Option<String> {
    let mut before: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (from, list) in after {
        before.entry(*from).or_default();
        for to in list.keys() {
            before.entry(*to).or_default().insert(*from);
        }
    }
    let free = before.iter().filter(|(_, list)| list.is_empty());
    let mut free: Vec<usize> = free.map(|(node, _)| *node).collect();
    while let Some(node) = free.pop() {
        before.remove(&node);
        for to in after.get(&node).into_iter().flat_map(BTreeMap::keys) {
            if let Some(list) = before.get_mut(to) {
                list.remove(&node);
                free.extend(list.is_empty().then_some(*to));
            }
        }
    }
    // Each one that is left has another before it: going back leads round.
    let mut path = vec![*before.keys().next()?];
    let first = loop {
        let last = path[path.len() - 1];
        let earlier = *before[&last].first()?;
        let met = path.iter().position(|node| *node == earlier);
        path.push(earlier);
        if let Some(first) = met {
            break first;
        }
    };
    let steps = path[first..].windows(2).rev();
    let steps = steps.map(|pair| format!("{} before {}: {}", pair[1], pair[0], after[&pair[1]][&pair[0]]));
    Some(steps.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_told_by_its_steps_alone() {
        let step = |from: usize, to: usize| (from, BTreeMap::from([(to, format!("w{from}"))]));
        let steps = Steps::from([step(0, 1), step(1, 2), step(2, 3), step(3, 1)]);
        assert_eq!(circle(&steps).as_deref(), Some("1 before 2: w1; 2 before 3: w2; 3 before 1: w3"));
        assert_eq!(circle(&Steps::from([step(0, 1), step(1, 2)])), None);
    }
}
