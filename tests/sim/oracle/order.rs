//! What one client sends takes effect in its order: which of its own messages it must get, which it must not, and in which order all see them.
//!
//! The times at which something was asked for and confirmed say nothing of a batch, whose parts have the same. So clients that mix
//! publishes with changes of their subscriptions tell what follows from the order of the batch itself.

use std::collections::BTreeMap;

use super::book::{Book, Entry, Wish, matches};
use super::{BookId, Oracle, Publish};

impl Oracle {
    /// A client publishes a message while it is not subscribed to its channel, as far as it knows. Where the answer to an earlier
    /// subscription was lost, it does not.
    pub(crate) fn forbid(&mut self, now: u64, id: BookId, number: usize) {
        let channel = &self.publishes[number].channel;
        let book = &mut self.books[id];
        let life = book.lives.len() - 1;
        let in_doubt = |wish: &Wish| {
            let before = wish.is_unanswered || wish.leaving.is_some_and(|leaving| leaving < now);
            wish.life == life && before && wish.left.is_none() && matches(&wish.pattern, channel)
        };
        if !book.wishes.iter().any(in_doubt) {
            book.forbidden.insert(number, life);
        }
    }

    /// The connection of a publish is lost before its answer: it may still take effect, behind what is sent again on another one.
    pub(crate) fn unforbid(&mut self, id: BookId, number: usize) {
        self.books[id].forbidden.remove(&number);
    }

    /// A client publishes a message behind a subscription that it is covered by.
    pub(crate) fn owe(&mut self, id: BookId, wish: usize, number: usize) {
        self.books[id].wishes[wish].owed.push(number);
    }

    /// What was sent in the order of a batch may be sent once more in parts.
    pub(crate) fn owe_nothing(&mut self, id: BookId) {
        self.books[id].wishes.iter_mut().for_each(|wish| wish.owed.clear());
    }

    /// One client has published these, in this order, over one connection.
    pub(crate) fn in_sequence(&mut self, numbers: Vec<usize>) {
        self.mixed += 1;
        if numbers.len() > 1 {
            self.sequences.push(numbers);
        }
    }

    /// Whether a message must not change its place among others of its client.
    pub(crate) fn is_in_sequence(&self, number: usize) -> bool {
        self.sequences.iter().any(|numbers| numbers.contains(&number))
    }

    /// Nobody has got the messages of one client in another order than that in which it sent them.
    pub(super) fn judge_sequences(&self) -> Vec<String> {
        let lives = || self.books.iter().flat_map(|book| (0..book.lives.len()).map(move |life| (book, life)));
        let wrong = |book: &Book, life: usize, numbers: &[usize]| {
            // History comes channel by channel, when each home has told it.
            let is_history = |number: usize, at: usize| {
                let Publish { channel, sent, .. } = &self.publishes[number];
                book.wishes.iter().any(|wish| wish.life == life && wish.may_bring_history(channel, *sent, at))
            };
            let places: BTreeMap<usize, usize> = (0..)
                .zip(&book.lives[life].entries)
                .filter_map(|(at, entry): (usize, &Entry)| Some((entry.number()?, at)))
                .filter(|(number, at)| !is_history(*number, *at))
                .collect();
            let came: Vec<_> = numbers.iter().filter_map(|number| places.get(number)).collect();
            (!came.is_sorted())
                .then(|| format!("{} (life {life}) got {numbers:?} in another order", book.owner))
        };
        self.sequences
            .iter()
            .flat_map(|numbers| lives().filter_map(move |(book, life)| wrong(book, life, numbers)))
            .collect()
    }
}

impl Book {
    /// Whether a message must not come: it was published while there was no subscription, and nothing has asked for the past since.
    pub(super) fn forbids(&self, number: usize, channel: &str) -> bool {
        let life = self.lives.len() - 1;
        let history = self
            .wishes
            .iter()
            .any(|wish| wish.life == life && wish.replays() && matches(&wish.pattern, channel));
        self.forbidden.get(&number) == Some(&life) && !history
    }

    /// Whether a message must come, however it was sent and asked for at one time.
    pub(super) fn is_owed(&self, life: usize, number: usize) -> bool {
        self.wishes.iter().any(|wish| {
            wish.life == life && wish.leaving.is_none() && wish.over.is_none() && wish.owed.contains(&number)
        })
    }
}
