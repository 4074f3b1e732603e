//! The rules for Bayeux clients. Their events carry no position, so each gets the next number of
//! its book; a lost connection is a gap there, which may cover everything that was then on its way.

use super::book::Entry;
use super::{BookId, Fate, Oracle};
use crate::envelope::Message;

impl Oracle {
    /// A client gets an event; returns when it was sent.
    pub(crate) fn event(&mut self, now: u64, id: BookId, mut message: Message) -> Option<u64> {
        self.deliveries += 1;
        self.events += 1;
        self.back(now, id);
        message.id.n = 2 * (self.entries(id) + 1);
        let judged = self.judge_content(now, id, &message);
        if let Err(why) = &judged {
            let owner = self.books[id].owner.clone();
            self.fail(format!("{owner} got {} in {}: {why}", message.data, message.channel));
        }
        judged.ok()
    }

    /// A client has lost a connection, and everything on its way.
    pub(crate) fn cut(&mut self, now: u64, id: BookId) {
        let last = 2 * self.entries(id);
        self.cuts += 1;
        if let Some(life) = self.books[id].lives.last_mut() {
            life.push(Entry::Gap { from: last, to: last + 1, at: now, apart: false });
        }
    }

    /// The client hears from the server again. Until now the server may have sent to a dead
    /// connection.
    pub(crate) fn back(&mut self, now: u64, id: BookId) {
        let life = self.books[id].lives.last_mut();
        if let Some(Entry::Gap { at, .. }) = life.and_then(|life| life.entries.last_mut()) {
            *at = now;
        }
    }

    /// A publish was accepted, without a position.
    pub(crate) fn taken(&mut self, now: u64, number: usize) {
        let publish = &mut self.publishes[number];
        if publish.fate == Fate::Open {
            publish.fate = Fate::Taken { at: now };
        }
    }

    /// The server was killed and restarted with nothing in its memory.
    pub(crate) fn restarted(&mut self, now: u64) {
        self.restarts.push(now);
    }

    fn entries(&self, id: BookId) -> u64 {
        self.books[id].lives.last().map_or(0, |life| life.entries.len() as u64)
    }
}
