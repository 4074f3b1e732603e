//! What must be true of all that clients saw.
//!
//! It knows every publish and every answer to it, and keeps a book for each subscriber: what was wished for, what came. Rules that can be
//! judged at once are judged at once; order and loss when everything has settled (`judge`).

mod bayeux;
pub(crate) mod book;
mod judge;
mod order;

use std::collections::{BTreeMap, BTreeSet};

use self::book::{Again, Book, Entry, Life, Wish, matches};
use crate::envelope::{Gap, Message, Position};
use crate::payload::Payload;

pub(crate) type BookId = usize;

/// What became of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Not known (yet): it may have happened or not.
    Open,
    Accepted {
        id: Position,
        at: u64,
    },
    /// Accepted, by an answer that does not say where it stands.
    Taken {
        at: u64,
    },
    Refused,
}

/// One publish.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) channel: String,
    pub(crate) sent: u64,
    pub(crate) fate: Fate,
    pub(crate) payload: Payload,
    /// Somebody got it, so it did happen.
    pub(crate) seen: bool,
}

#[derive(Default)]
pub(crate) struct Oracle {
    pub(crate) publishes: Vec<Publish>,
    pub(crate) books: Vec<Book>,
    /// What each position stands for, once somebody has seen it.
    pub(crate) places: BTreeMap<Position, usize>,
    pub(crate) violations: Vec<String>,
    /// Logs are so roomy that no gap has an excuse.
    pub(crate) roomy: bool,
    pub(crate) gaps: u64,
    pub(crate) deliveries: u64,
    pub(crate) resumed: u64,
    pub(crate) replaced: u64,
    /// Responses that were told to make room.
    pub(crate) recycled: u64,
    /// Commands that were answered on the socket that they went up.
    pub(crate) by_socket: u64,
    /// Sockets that were cut because they answered no pings.
    pub(crate) deaf: u64,
    /// Publishes that were refused for congestion.
    pub(crate) busy: u64,
    /// Publishes that were sent again and accepted.
    pub(crate) repeated: u64,
    /// Batches that mix publishes with changes of subscriptions.
    pub(crate) mixed: u64,
    /// Publishes that one client has sent in this order.
    pub(crate) sequences: Vec<Vec<usize>>,
    /// Watchers whose knowledge was compared with the truth.
    pub(crate) presences: u64,
    /// Events that Bayeux clients got, connections that they lost messages with, sessions of theirs that the server ended.
    pub(crate) events: u64,
    pub(crate) cuts: u64,
    pub(crate) sessions_lost: u64,
    /// Connects that were answered because there are several clients in the browser.
    pub(crate) crowded: u64,
    /// Sessions that went on by another connection type.
    pub(crate) changed: u64,
    /// When connects were answered as the node drained.
    pub(crate) sent_away: Vec<u64>,
    /// When all shards died, and others began from nothing.
    pub(crate) restarts: Vec<u64>,
    /// Who was told the id of a session as its own.
    pub(crate) holders: BTreeMap<String, BTreeSet<BookId>>,
    /// When a shard last had a turn knowing that some mailbox is over its bound.
    pub(crate) pressed_at: Option<u64>,
}

/// Why a client is told of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// What logs have forgotten.
    Logs,
    /// Something else explains it.
    Excused,
    /// It is the answer to a subscription that named a position, which may be older than any log.
    Asked,
}

/// What a publish is refused with because a shard has too much mail.
pub(crate) const BUSY: &str = "busy";

/// Within this time a message must have reached everybody who is well.
pub(crate) const PROMPT: u64 = 1_500;

impl Oracle {
    pub(crate) fn fail(&mut self, what: String) {
        self.violations.push(what);
    }

    // ---- publishers ----

    /// A message that is about to be published: its number, which its payload carries.
    pub(crate) fn next_number(&self) -> usize {
        self.publishes.len()
    }

    pub(crate) fn publish(&mut self, now: u64, channel: &str, payload: Payload) -> usize {
        self.publishes.push(Publish {
            channel: channel.to_owned(),
            sent: now,
            fate: Fate::Open,
            payload,
            seen: false,
        });
        self.publishes.len() - 1
    }

    pub(crate) fn accepted(&mut self, now: u64, number: usize, id: &str) {
        let id = match Position::parse(id) {
            Ok(id) => id,
            Err(why) => return self.fail(format!("the answer to a publish: {why}")),
        };
        match &self.publishes[number].fate {
            // It came again, by its key.
            Fate::Accepted { id: first, .. } if *first == id => self.repeated += 1,
            Fate::Accepted { id: first, .. } => {
                let why = format!("publish {number} was accepted as {first}, and again as {id}");
                self.fail(why);
            }
            Fate::Open | Fate::Taken { .. } | Fate::Refused => {
                self.publishes[number].fate = Fate::Accepted { id, at: now };
            }
        }
    }

    /// A publish was refused: it has not happened, and never will. `code` tells why.
    pub(crate) fn refused(&mut self, number: usize, code: &str) {
        let publish = &mut self.publishes[number];
        publish.fate = Fate::Refused;
        let (seen, sent) = (publish.seen, publish.sent);
        if seen {
            self.fail(format!("message {number} arrived, and then its publish was refused"));
        }
        if code == BUSY {
            self.busy += 1;
            if self.pressed_at.is_none_or(|at| at < sent) {
                self.fail(format!("publish {number} is refused for congestion that there was not"));
            }
        }
    }

    // ---- subscribers ----

    pub(crate) fn book(&mut self, owner: String, patience: u64) -> BookId {
        self.books.push(Book { owner, patience, ..Book::default() });
        self.books.len() - 1
    }

    /// A client is a native one of this user.
    pub(crate) fn is_native(&mut self, id: BookId, user: &str, last: usize) {
        self.books[id].native = Some((user.to_owned(), last));
    }

    /// Whether a client that names its position alone, and `listed`, may be taken for another page
    /// of its user, to which another session has promised history: then it is told of a gap.
    pub(crate) fn may_be_another(&self, id: BookId, listed: &[String]) -> bool {
        let Some((user, last)) = &self.books[id].native else { return false };
        // A session that goes on from a position asks for no recent messages.
        let is_alike = |native: &(String, usize)| native.0 == *user && (native.1 == *last || *last == 0);
        let others = self.books.iter().enumerate().filter(|(other, _)| *other != id).map(|(_, book)| book);
        others.filter(|book| book.native.as_ref().is_some_and(is_alike)).any(|book| book.may_be_meant(listed))
    }

    /// A client begins from nothing: whatever it had before, it has forgotten.
    pub(crate) fn begin_life(&mut self, id: BookId) {
        let book = &mut self.books[id];
        book.lives.push(Life::default());
        book.well_since = None;
    }

    /// A client asks for a channel. Returns the wish.
    pub(crate) fn wish(
        &mut self,
        now: u64,
        id: BookId,
        pattern: &str,
        last: usize,
        since: Option<u64>,
    ) -> usize {
        let book = &mut self.books[id];
        let life = book.lives.len() - 1;
        let entry = book.lives[life].entries.len();
        let pattern = pattern.to_owned();
        let wish = Wish {
            pattern,
            life,
            asked: now,
            sure: None,
            leaving: None,
            is_unanswered: false,
            left: None,
            last,
            since,
            entry,
            over: None,
            is_late: false,
            again: None,
            owed: Vec::new(),
        };
        book.wishes.push(wish);
        book.wishes.len() - 1
    }

    /// A client asks for a channel by a command, while its stream is under way.
    pub(crate) fn late_wish(
        &mut self,
        now: u64,
        id: BookId,
        pattern: &str,
        last: usize,
        since: Option<u64>,
    ) -> usize {
        let wish = self.wish(now, id, pattern, last, since);
        self.books[id].wishes[wish].is_late = true;
        wish
    }

    /// A session begins with the channels that its request listed, and with the personal one.
    pub(crate) fn confirm(&mut self, now: u64, id: BookId, listed: &[String]) {
        let book = &mut self.books[id];
        let life = book.lives.len() - 1;
        let has = |wish: &Wish| wish.pattern.starts_with("/u/") || listed.contains(&wish.pattern);
        let current = |wish: &&mut Wish| wish.life == life && wish.leaving.is_none();
        for wish in book.wishes.iter_mut().filter(current).filter(|wish| has(wish)) {
            wish.sure.get_or_insert(now);
        }
    }

    /// One subscription is confirmed.
    pub(crate) fn sure(&mut self, now: u64, id: BookId, wish: usize) {
        let wish = &mut self.books[id].wishes[wish];
        wish.sure.get_or_insert(now);
        if let Some(again) = &mut wish.again {
            again.sure = Some(now);
        }
    }

    /// A subscription is asked for anew, from a position: the client's session is another, and does not have it.
    pub(crate) fn asked_again(&mut self, id: BookId, wish: usize) {
        let book = &mut self.books[id];
        let entry = book.lives.last().map_or(0, |life| life.entries.len());
        let again = book.wishes[wish].again.get_or_insert(Again { entry, sure: None });
        again.sure = None;
    }

    /// The answer to a subscription was lost.
    pub(crate) fn unanswered(&mut self, now: u64, id: BookId, wish: usize) {
        self.leaving(now, id, wish);
        self.books[id].wishes[wish].is_unanswered = true;
    }

    /// The client asks to leave.
    pub(crate) fn leaving(&mut self, now: u64, id: BookId, wish: usize) {
        self.books[id].wishes[wish].leaving.get_or_insert(now);
    }

    /// That it has left is confirmed.
    pub(crate) fn left(&mut self, now: u64, id: BookId, wish: usize) {
        self.leaving(now, id, wish);
        self.books[id].wishes[wish].left = Some(now);
    }

    /// The client is attached and well from now on, or (with `None`) is not.
    pub(crate) fn well(&mut self, id: BookId, since: Option<u64>) {
        let well = &mut self.books[id].well_since;
        *well = match (*well, since) {
            (Some(earlier), Some(_)) => Some(earlier),
            (_, since) => since,
        };
        self.books[id].was_well |= since.is_some();
    }

    /// A client's session is over, and it goes on in another from its position. History that it had asked for was that session's
    /// alone.
    pub(crate) fn session_over(&mut self, id: BookId) {
        let book = &mut self.books[id];
        let current = book.lives.len() - 1;
        let entries = book.lives[current].entries.len();
        // What the other session has missed may come, also what was not wanted in this one.
        book.forbidden.clear();
        for wish in book.wishes.iter_mut().filter(|wish| wish.life == current && wish.asks_for_history()) {
            wish.over = Some(entries);
        }
    }

    /// A client is told that this session is its own.
    pub(crate) fn holds(&mut self, id: BookId, session: &str) {
        self.holders.entry(session.to_owned()).or_default().insert(id);
    }

    /// Whether another client was told the same: one that named a position alone is given a session
    /// whose own client has not resumed it by its id yet. Both may name it from then on.
    pub(crate) fn is_shared(&self, id: BookId, session: &str) -> bool {
        self.holders.get(session).is_some_and(|holders| holders.iter().any(|holder| *holder != id))
    }

    /// The client goes back to an earlier position: what came after it never arrived.
    pub(crate) fn rewind(&mut self, id: BookId, n: u64) {
        let book = &mut self.books[id];
        book.well_since = None;
        let Some(life) = book.lives.last_mut() else { return };
        life.rewind(n);
        let left = life.entries.len();
        let current = book.lives.len() - 1;
        for wish in book.wishes.iter_mut().filter(|wish| wish.life == current) {
            wish.entry = wish.entry.min(left);
            wish.again = wish.again.map(|again| Again { entry: again.entry.min(left), ..again });
            wish.over = wish.over.map(|over| over.min(left));
        }
    }

    /// The client is told of a gap.
    pub(crate) fn gap(&mut self, now: u64, id: BookId, gap: &Gap, cause: Cause) {
        self.gaps += 1;
        let (from, to) = (Position::parse(&gap.from).ok(), Position::parse(&gap.to));
        let to = match to {
            Ok(to) => to,
            Err(why) => return self.fail(format!("a gap's end: {why}")),
        };
        let from = from.filter(|from| from.epoch == to.epoch).map_or(0, |from| from.n);
        if from > to.n {
            self.fail(format!("a gap from {from} to {}", to.n));
        }
        if self.roomy && cause == Cause::Logs {
            let owner = self.books[id].owner.clone();
            self.fail(format!("{owner} is told of a gap {from}..{} though nothing was forgotten", to.n));
        }
        let book = &mut self.books[id];
        book.well_since = None;
        if let Some(life) = book.lives.last_mut() {
            life.push(Entry::Gap { from, to: to.n, at: now, apart: cause == Cause::Asked });
        }
    }

    /// A client gets a message. Says when it was sent.
    pub(crate) fn message(&mut self, now: u64, id: BookId, message: &Message) -> Option<u64> {
        self.deliveries += 1;
        let judged = self.judge_message(now, id, message);
        if let Err(why) = &judged {
            let owner = self.books[id].owner.clone();
            self.fail(format!("{owner} got {} in {}: {why}", message.id, message.channel));
        }
        judged.ok()
    }

    fn judge_message(&mut self, now: u64, id: BookId, message: &Message) -> Result<u64, String> {
        let number = crate::payload::number_of(message)?;
        if *self.places.entry(message.id.clone()).or_insert(number) != number {
            return Err("its position stands for another message too".to_owned());
        }
        self.judge_content(now, id, message)
    }

    /// All that can be said of a message without its position.
    fn judge_content(&mut self, now: u64, id: BookId, message: &Message) -> Result<u64, String> {
        let number = crate::payload::number_of(message)?;
        let publish = self.publishes.get_mut(number).ok_or("nobody published it")?;
        publish.seen = true;
        if publish.channel != message.channel {
            return Err(format!("it was published in {}", publish.channel));
        }
        if publish.fate == Fate::Refused {
            return Err("its publish was refused".to_owned());
        }
        if !publish.payload.arrives_as(message) {
            return Err(format!("its payload was {:?} and is {:?}", publish.payload, message.data));
        }
        let sent = publish.sent;
        let book = &mut self.books[id];
        let current = book.lives.len() - 1;
        let wishes = || {
            book.wishes.iter().filter(|wish| wish.life == current && matches(&wish.pattern, &message.channel))
        };
        if !wishes().any(|wish| wish.left.is_none_or(|left| sent <= left)) {
            return Err("nobody wished for it any more, or ever".to_owned());
        }
        if book.forbids(number, &message.channel) {
            return Err("its publish was sent while nothing subscribed to it".to_owned());
        }
        let times = book.lives[current].times(number);
        // Whoever asks for history in mid-life gets it, even if another subscription has brought it already.
        if times > wishes().filter(|wish| wish.replays()).count() {
            return Err("it came twice".to_owned());
        }
        book.lives[current].push(Entry::Message { n: message.id.n, number, at: now });
        Ok(sent)
    }

    /// Everybody who was well when `number` was published, and since, must have it by now.
    pub(crate) fn check_prompt(&mut self, number: usize, waited: u64) {
        let publish = &self.publishes[number];
        let mut late = Vec::new();
        for book in &self.books {
            let Some(life) = book.lives.len().checked_sub(1) else { continue };
            let well = book.well_since.is_some_and(|since| since <= publish.sent);
            let waits = |wish: &Wish| {
                wish.life == life
                    && wish.leaving.is_none()
                    && (wish.sure.is_some_and(|sure| sure < publish.sent)
                        || wish.sure.is_some() && wish.owed.contains(&number))
                    && matches(&wish.pattern, &publish.channel)
            };
            if well
                && PROMPT + book.patience <= waited
                && book.wishes.iter().any(waits)
                && book.lives[life].times(number) == 0
            {
                late.push(format!(
                    "{} waits for message {number} in {} since {} ms",
                    book.owner, publish.channel, waited
                ));
            }
        }
        self.violations.append(&mut late);
    }
}
