//! The rules that need the whole run: one order for all, no silent loss, no more history than was
//! requested.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{Book, Entry, Wish, matches};
use super::got::Got;
use super::steps::Steps;
use super::{Fate, Oracle, Publish};

impl Oracle {
    /// Everything has settled: every client that is still well has all that it was promised.
    pub(crate) fn judge(&mut self) {
        let orders = self.orders();
        let mut found = self.judge_order(&orders);
        for (index, book) in self.books.iter().enumerate() {
            for life in 0..book.lives.len() {
                let settled = life + 1 == book.lives.len() && book.well_since.is_some();
                let got = Got::by(&book.lives[life], self.publishes.len());
                for (channel, order) in &orders {
                    self.judge_loss(book, life, channel, order, settled, &got, &mut found);
                }
                found.extend(self.judge_history(index, life));
                found.extend(self.judge_sequences(book, life, &got));
            }
        }
        self.violations.append(&mut found);
    }

    /// Clients that are not well at the end, though all faults have ended. If responses are
    /// `recycled`, one may be reconnecting.
    pub(crate) fn unwell(&self, recycled: bool) -> Vec<String> {
        self.books.iter().filter(|book| book.is_unwell(recycled)).map(|book| book.owner.clone()).collect()
    }

    /// Whether some are not well yet, and each of them got messages since this was asked last.
    /// A client that sends its requests byte by byte, and gets small answers, asks less often than
    /// others publish: when they have stopped, it is far behind.
    pub(crate) fn catches_up(&mut self, recycled: bool) -> bool {
        let (mut unwell, mut stuck) = (0, 0);
        for book in &mut self.books {
            let had = book.lives.last().map_or(0, |life| life.entries.len());
            let is_stuck = had <= std::mem::replace(&mut book.looked_at, had);
            unwell += usize::from(book.is_unwell(recycled));
            stuck += usize::from(book.is_unwell(recycled) && is_stuck);
        }
        unwell > 0 && stuck == 0
    }

    /// For each channel its publishes.
    fn orders(&self) -> BTreeMap<&str, Order> {
        let mut orders: BTreeMap<&str, (Vec<Placed>, Vec<usize>)> = BTreeMap::new();
        for (number, publish) in self.publishes.iter().enumerate() {
            if let Fate::Accepted { id, at } = &publish.fate {
                // Each run of the server counts from the start.
                let run = self.restarts.iter().filter(|restart| *restart < at).count() as u64;
                orders.entry(&publish.channel).or_default().0.push(((run, id.n), number));
            } else if publish.is_unanswered() {
                orders.entry(&publish.channel).or_default().1.push(number);
            } else if publish.seen {
                orders.entry(&publish.channel).or_default();
            }
        }
        let sorted = |(mut list, unanswered): (Vec<Placed>, _)| {
            list.sort_unstable();
            Order { answered: list.into_iter().map(|(_, number)| number).collect(), unanswered }
        };
        orders.into_iter().map(|(channel, lists)| (channel, sorted(lists))).collect()
    }

    /// Everything that clients saw of a channel, and the answers to its publishes, agree on one
    /// order.
    fn judge_order(&self, orders: &BTreeMap<&str, Order>) -> Vec<String> {
        let mut steps = Steps::among(self.publishes.len());
        orders.values().for_each(|order| steps.link(&order.answered, || "the answers".to_owned()));
        for book in &self.books {
            for life in 0..book.lives.len() {
                for seen in self.seen(book, life).values() {
                    steps.link(seen, || format!("{} (life {life})", book.owner));
                }
            }
        }
        steps.cycle().map(|steps| format!("no order suits all: {steps}")).into_iter().collect()
    }

    /// The messages of each channel that a life saw, in order; without possible history, if another
    /// subscription has the channel too, since history may arrive at any time.
    fn seen(&self, book: &Book, life: usize) -> BTreeMap<&str, Vec<usize>> {
        let mut seen: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
        for (at, entry) in book.lives[life].entries.iter().enumerate() {
            let Some(number) = entry.number() else { continue };
            seen.entry(&self.publishes[number].channel).or_default().push((at, number));
        }
        let counts = |channel: &str, list: Vec<(usize, usize)>| {
            let covers = |wish: &&Wish| wish.life == life && matches(&wish.pattern, channel);
            let wishes: Vec<&Wish> = book.wishes.iter().filter(covers).collect();
            let is_history = |at: usize, number: usize| {
                let sent = self.publishes[number].sent;
                wishes.iter().any(|wish| wish.may_bring_history(channel, sent, at))
            };
            let counts = |&(at, number): &(usize, usize)| wishes.len() < 2 || !is_history(at, number);
            list.into_iter().filter(counts).map(|(_, number)| number).collect()
        };
        seen.into_iter().map(|(channel, list)| (channel, counts(channel, list))).collect()
    }

    /// Every promised message arrived, or a gap covered it.
    fn judge_loss(
        &self,
        book: &Book,
        life: usize,
        channel: &str,
        Order { answered: order, unanswered }: &Order,
        settled: bool,
        got: &Got,
        found: &mut Vec<String>,
    ) {
        let covers = covers(book, life, channel);
        if covers.is_empty() {
            return;
        }
        let entries = &book.lives[life].entries;
        // No message of the order after this place arrived.
        let end = order.iter().rposition(|number| got.has(*number)).map_or(0, |last| last + 1);
        for (place, &number) in order.iter().enumerate() {
            if got.has(number) {
                continue;
            }
            let owed = settled && book.is_owed(life, number);
            let later = &order[place + 1..end.max(place + 1)];
            let promises = |cover| self.promises(cover, order, place, later, got, settled, entries);
            let promised = owed || covers.iter().any(promises);
            if promised
                && !self.excused(book, life, order, place, got)
                && !self.late_history(book, life, &covers, number)
            {
                found.push(format!(
                    "{} (life {life}) never got message {number} of {channel}, sent at {}, and no gap says so",
                    book.owner, self.publishes[number].sent
                ));
            }
        }
        if settled {
            self.judge_unanswered(book, life, unanswered, &covers, got, found);
        }
    }

    /// Whether a subscription promises the message at `place` of its channel's order. All
    /// later ones that arrived are in `rest`.
    fn promises(
        &self,
        cover: &Cover,
        order: &[usize],
        place: usize,
        rest: &[usize],
        got: &Got,
        settled: bool,
        entries: &[Entry],
    ) -> bool {
        let publish = &self.publishes[order[place]];
        let Fate::Accepted { at: accepted, .. } = publish.fate else { return false };
        let within = |number: &usize| got.last(*number).filter(|at| *at >= cover.entry);
        let follows = cover.until.is_none() && settled;
        // A later message arrived before the client unsubscribed.
        let in_time = |at: usize| cover.until.is_none_or(|until| entries[at].at() < until);
        let later = || rest.iter().filter_map(within).any(in_time);
        let before_end = cover.until.is_none_or(|until| accepted < until);
        // Only if no other subscription can have delivered it.
        let earlier = || cover.alone && order[..place].iter().any(|number| within(number).is_some());
        let is_new = publish.sent > cover.sure;
        before_end && (is_new || earlier()) && (is_new && follows || later())
    }

    /// Messages that some client got although their publisher got no answer: they took effect, so
    /// every earlier subscriber must have them too.
    fn judge_unanswered(
        &self,
        book: &Book,
        life: usize,
        unanswered: &[usize],
        covers: &[Cover],
        got: &Got,
        found: &mut Vec<String>,
    ) {
        for &number in unanswered.iter().filter(|number| !got.has(**number)) {
            let Publish { sent, channel, .. } = &self.publishes[number];
            let promised = covers.iter().any(|cover| cover.until.is_none() && *sent > cover.sure)
                || book.is_owed(life, number);
            if promised && !book.lives[life].entries.iter().any(|entry| entry.is_gap_since(*sent)) {
                found.push(format!("{} never got the unanswered message {number} of {channel}", book.owner));
            }
        }
    }

    /// Whether a gap covers the message: it must reach between the neighbours that arrived.
    fn excused(&self, book: &Book, life: usize, order: &[usize], place: usize, got: &Got) -> bool {
        let entries = &book.lives[life].entries;
        let channel = &self.publishes[order[place]].channel;
        let n_of = |number: &usize| {
            let at = got.last(*number)?;
            (!self.may_be_history(book, life, channel, *number, at)).then(|| entries[at].n())
        };
        let before = order[..place].iter().rev().find_map(n_of).unwrap_or(0);
        let after = order[place + 1..].iter().find_map(n_of).unwrap_or(u64::MAX);
        let sent = self.publishes[order[place]].sent;
        // Messages of this shard that others got would give the message's position, if history were
        // not sent again.
        entries.iter().any(|entry| match entry {
            Entry::Message { .. } => false,
            Entry::Gap { from, to, at, .. } => *from < after && *to > before && *at >= sent,
        })
    }

    /// Whether entry `at` may be history that a subscription requested during the life. Its
    /// position is a new one then, and says nothing of its neighbours.
    fn may_be_history(&self, book: &Book, life: usize, channel: &str, number: usize, at: usize) -> bool {
        let sent = self.publishes[number].sent;
        let brings = |wish: &Wish| wish.replays() && wish.may_bring_history(channel, sent, at);
        book.wishes.iter().any(|wish| wish.life == life && brings(wish))
    }

    /// History that a subscription requested gets new positions, and any later gap may cover it.
    fn late_history(&self, book: &Book, life: usize, covers: &[Cover], number: usize) -> bool {
        let sent = self.publishes[number].sent;
        covers
            .iter()
            .filter(|cover| cover.sure <= sent && sent < cover.asked)
            .any(|cover| book.lives[life].entries.iter().any(|entry| entry.is_gap_since(cover.asked)))
    }

    /// `last` gives as many recent messages as requested: no more, and no fewer of the existing
    /// ones.
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

/// A publish, after the server's run and its number there.
type Placed = ((u64, u64), usize);

/// The numbers of a channel's publishes.
#[derive(Debug)]
struct Order {
    /// The accepted ones, in the order of the answers' positions.
    answered: Vec<usize>,
    /// Those that took effect, but whose position no answer told.
    unanswered: Vec<usize>,
}

impl Publish {
    /// Whether it took effect although no answer told its position.
    fn is_unanswered(&self) -> bool {
        match self.fate {
            Fate::Open => self.seen,
            Fate::Taken { .. } => true,
            Fate::Accepted { .. } | Fate::Refused => false,
        }
    }
}

/// A time during which a channel was subscribed without interruption.
#[derive(Debug)]
struct Cover {
    asked: u64,
    sure: u64,
    until: Option<u64>,
    entry: usize,
    /// No other subscription covers this channel.
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
