//! The rules for everything that clients saw.
//!
//! It knows every publish and every answer to it, and keeps a book for each subscriber: its
//! subscriptions and its messages. Rules that can be checked at once are; order and loss once
//! everything has settled (`judge`).

mod bayeux;
pub(crate) mod book;
mod got;
mod judge;
mod order;
mod sockjs;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use self::book::{Again, Book, Entry, Life, Wish, matches};
use crate::envelope::{Gap, Message, Position};
use crate::payload::Payload;

pub(crate) type BookId = usize;

/// The fate of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Unknown so far: it may have taken effect or not.
    Open,
    Accepted {
        id: Position,
        at: u64,
    },
    /// Accepted, by an answer without a position.
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
    /// Some client got it, so it did take effect.
    pub(crate) seen: bool,
}

#[derive(Default)]
pub(crate) struct Oracle {
    pub(crate) publishes: Vec<Publish>,
    pub(crate) books: Vec<Book>,
    /// The message at each position, once some client has seen it, by epoch and number.
    pub(crate) places: BTreeMap<String, BTreeMap<u64, usize>>,
    pub(crate) violations: Vec<String>,
    /// Logs are so large that a gap has no excuse.
    pub(crate) roomy: bool,
    pub(crate) gaps: u64,
    pub(crate) deliveries: u64,
    pub(crate) resumed: u64,
    pub(crate) replaced: u64,
    /// Responses that got `recycle`.
    pub(crate) recycled: u64,
    /// Commands that were answered on their socket.
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
    /// Events of Bayeux clients, their connections that lost messages, and their sessions that the
    /// server ended.
    pub(crate) events: u64,
    pub(crate) cuts: u64,
    pub(crate) sessions_lost: u64,
    /// Connects that were answered because there are several clients in the browser.
    pub(crate) crowded: u64,
    /// Sessions that changed their connection type.
    pub(crate) changed: u64,
    /// Strings of SockJS clients that the network lost behind the server's back, answers that came
    /// again since they had not been written, second responses that were refused, and sessions
    /// that ended.
    pub(crate) strings_lost: u64,
    pub(crate) strings_again: u64,
    pub(crate) second_refused: u64,
    pub(crate) pipes_over: u64,
    /// When connects were answered as the node drained.
    pub(crate) sent_away: Vec<u64>,
    /// When all shards died and new ones started empty.
    pub(crate) restarts: Vec<u64>,
    /// The clients that got a session's id as their own.
    pub(crate) holders: BTreeMap<String, BTreeSet<BookId>>,
    /// When a shard last had a turn with the knowledge that some mailbox is over its bound.
    pub(crate) pressed_at: Option<u64>,
}

/// The cause of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Dropped messages.
    Logs,
    /// Another explanation.
    Excused,
    /// A subscription with a position, which may be older than any log.
    Asked,
}

/// The code of a publish that a congested shard refuses.
pub(crate) const BUSY: &str = "busy";

/// Within this time a message must have reached all clients that are well.
pub(crate) const PROMPT: u64 = 1_500;

impl Oracle {
    pub(crate) fn fail(&mut self, what: String) {
        self.violations.push(what);
    }

    // ---- publishers ----

    /// The number of the next publish, which its payload carries.
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
            // It was repeated with its key.
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

    /// A publish was refused: it has no effect, and never will. `code` gives the reason.
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

    /// It may resume by its position alone.
    pub(crate) fn names_no_session(&mut self, id: BookId) {
        self.books[id].names_no_session = true;
    }

    /// Whether a client may have the session of another page of its user, whose commands have
    /// subscribed it to this channel.
    fn may_share(&self, id: BookId, channel: &str, sent: u64) -> bool {
        let Book { native: Some((user, _)), names_no_session: true, .. } = &self.books[id] else {
            return false;
        };
        let is_theirs = |book: &Book| book.native.as_ref().is_some_and(|(other, _)| other == user);
        let covers = |wish: &Wish| {
            wish.is_late && matches(&wish.pattern, channel) && wish.left.is_none_or(|left| sent <= left)
        };
        let others = self.books.iter().enumerate().filter(|(other, _)| *other != id).map(|(_, book)| book);
        others.filter(|book| is_theirs(book)).any(|book| book.wishes.iter().any(covers))
    }

    /// Whether a client that sends its position alone, and `listed`, may be taken for another page
    /// of its user, to which another session has promised history: then it gets a gap.
    pub(crate) fn may_be_another(&self, id: BookId, listed: &[String]) -> bool {
        let Some((user, last)) = &self.books[id].native else { return false };
        // A session that continues from a position requests no recent messages.
        let is_alike = |native: &(String, usize)| native.0 == *user && (native.1 == *last || *last == 0);
        let others = self.books.iter().enumerate().filter(|(other, _)| *other != id).map(|(_, book)| book);
        others.filter(|book| book.native.as_ref().is_some_and(is_alike)).any(|book| book.may_be_meant(listed))
    }

    /// A client starts without a position: its earlier state is forgotten.
    pub(crate) fn begin_life(&mut self, id: BookId) {
        let book = &mut self.books[id];
        book.lives.push(Life::default());
        book.well_since = None;
    }

    /// A client subscribes to a channel. Returns the wish.
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

    /// A client subscribes by a command, while its stream is under way.
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

    /// A subscription is requested again, from a position: the client's session is another one
    /// without it.
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

    /// The client unsubscribes.
    pub(crate) fn leaving(&mut self, now: u64, id: BookId, wish: usize) {
        self.books[id].wishes[wish].leaving.get_or_insert(now);
    }

    /// The unsubscription is confirmed, also for those from the same pattern that were in vain.
    pub(crate) fn left(&mut self, now: u64, id: BookId, wish: usize) {
        self.leaving(now, id, wish);
        let wishes = &mut self.books[id].wishes;
        wishes[wish].left = Some(now);
        let (life, pattern) = (wishes[wish].life, wishes[wish].pattern.clone());
        let is_vain = |wish: &&mut Wish| wish.sure.is_some() && wish.leaving.is_some();
        let same = |wish: &&mut Wish| wish.life == life && wish.pattern == pattern;
        for wish in wishes.iter_mut().filter(same).filter(is_vain) {
            wish.left.get_or_insert(now);
        }
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

    /// A client's session has ended, and it continues in another one from its position. History
    /// that it had requested was that session's alone.
    pub(crate) fn session_over(&mut self, id: BookId) {
        let book = &mut self.books[id];
        let current = book.lives.len() - 1;
        let entries = book.lives[current].entries.len();
        // Messages that the other session has missed may arrive, including those that this one must
        // not get.
        book.forbidden.clear();
        for wish in book.wishes.iter_mut().filter(|wish| wish.life == current && wish.asks_for_history()) {
            wish.over = Some(entries);
        }
    }

    /// A client got this session as its own.
    pub(crate) fn holds(&mut self, id: BookId, session: &str) {
        self.holders.entry(session.to_owned()).or_default().insert(id);
        self.books[id].session = Some(session.to_owned());
    }

    /// Whether another client got the same session: one that sends a position alone gets a session
    /// whose own client has not resumed it by its id yet. Both may name it from then on.
    pub(crate) fn is_shared(&self, id: BookId, session: &str) -> bool {
        self.others(id, session).next().is_some()
    }

    /// Whether another client got the same session, and has got no other one since.
    pub(crate) fn is_still_shared(&self, id: BookId, session: &str) -> bool {
        self.others(id, session).any(|other| self.books[other].session.as_deref() == Some(session))
    }

    /// The other clients that got this session as their own.
    fn others(&self, id: BookId, session: &str) -> impl Iterator<Item = BookId> {
        self.holders.get(session).into_iter().flatten().copied().filter(move |holder| *holder != id)
    }

    /// The client goes back to an earlier position: later messages never arrived.
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

    /// The client gets a gap.
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

    /// A client gets a message; returns when it was sent.
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
        let Position { epoch, n } = &message.id;
        if !self.places.contains_key(epoch) {
            self.places.insert(epoch.clone(), BTreeMap::new());
        }
        let place = self.places.get_mut(epoch).map(|places| places.entry(*n).or_insert(number));
        if place.is_some_and(|place| *place != number) {
            return Err("its position stands for another message too".to_owned());
        }
        self.judge_content(now, id, message)
    }

    /// Checks everything of a message but its position.
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
        let may_share = self.may_share(id, &message.channel, sent);
        let book = &mut self.books[id];
        let current = book.lives.len() - 1;
        let wishes = || {
            book.wishes.iter().filter(|wish| wish.life == current && matches(&wish.pattern, &message.channel))
        };
        if !may_share && !wishes().any(|wish| wish.left.is_none_or(|left| sent <= left)) {
            return Err("nobody wished for it any more, or ever".to_owned());
        }
        if book.forbids(number, &message.channel) {
            return Err("its publish was sent while nothing subscribed to it".to_owned());
        }
        let times = book.lives[current].times(number);
        // A client that requests history during its life gets it, even if another subscription has
        // delivered it already.
        if times > wishes().filter(|wish| wish.replays()).count() {
            return Err("it came twice".to_owned());
        }
        book.lives[current].push(Entry::Message { n: message.id.n, number, at: now });
        Ok(sent)
    }

    /// Every client that was well when `number` was published, and since, must have it by now.
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
