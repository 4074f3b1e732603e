//! The order of one client's commands: which of its own messages it must get, which it must not,
//! and in which order all see them.
//!
//! All parts of a batch have the same times of request and confirmation. So clients that mix
//! publishes with changes of their subscriptions report what follows from the order of the batch
//! itself.

use super::book::{Book, Wish, matches};
use super::got::Got;
use super::{BookId, Oracle, Publish};

impl Oracle {
    /// A client publishes a message while it is not subscribed to its channel, as far as it knows.
    /// If the answer to an earlier subscription was lost, it does not know.
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

    /// The connection of a publish is lost before its answer: it may still take effect, after
    /// messages that are sent again on another one.
    pub(crate) fn unforbid(&mut self, id: BookId, number: usize) {
        self.books[id].forbidden.remove(&number);
    }

    /// A client publishes a message after a subscription that covers it.
    pub(crate) fn owe(&mut self, id: BookId, wish: usize, number: usize) {
        self.books[id].wishes[wish].owed.push(number);
    }

    /// A batch may be repeated in parts, which loses its order.
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

    /// Whether a message must keep its place among others of its client.
    pub(crate) fn is_in_sequence(&self, number: usize) -> bool {
        self.sequences.iter().any(|numbers| numbers.contains(&number))
    }

    /// No client got the messages of another in a different order than that of their sending.
    pub(super) fn judge_sequences(&self, book: &Book, life: usize, got: &Got) -> Vec<String> {
        // History arrives channel by channel, as the homes answer.
        let is_history = |number: usize, at: usize| {
            let Publish { channel, sent, .. } = &self.publishes[number];
            book.wishes.iter().any(|wish| wish.life == life && wish.may_bring_history(channel, *sent, at))
        };
        let place = |number: usize| got.all(number).find(|at| !is_history(number, *at));
        let wrong = |numbers: &&Vec<usize>| !numbers.iter().filter_map(|number| place(*number)).is_sorted();
        let wrong = self.sequences.iter().filter(wrong);
        wrong
            .map(|numbers| format!("{} (life {life}) got {numbers:?} in another order", book.owner))
            .collect()
    }
}

impl Book {
    /// Whether a message must not arrive: it was published while there was no subscription, and no
    /// later request covers the past.
    pub(super) fn forbids(&self, number: usize, channel: &str) -> bool {
        let life = self.lives.len() - 1;
        let history = self
            .wishes
            .iter()
            .any(|wish| wish.life == life && wish.replays() && matches(&wish.pattern, channel));
        self.forbidden.get(&number) == Some(&life) && !history
    }

    /// Whether a message must arrive because of the order of its batch.
    pub(super) fn is_owed(&self, life: usize, number: usize) -> bool {
        self.wishes.iter().any(|wish| {
            wish.life == life && wish.leaving.is_none() && wish.over.is_none() && wish.owed.contains(&number)
        })
    }
}
