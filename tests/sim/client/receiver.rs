//! A client's view of its session: its id, its position, and its envelopes so far.
//!
//! The rules for a sequence of envelopes are checked here, the same for every transport.

use super::Ctx;
use super::pages::Pages;
use crate::envelope::{Close, Envelope, Open, Position};
use crate::oracle::{BookId, Cause, PROMPT};

/// A session as its client sees it.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) book: BookId,
    pub(crate) user: String,
    pub(crate) session: Option<String>,
    pub(crate) position: Option<Position>,
    /// When it began without a position.
    pub(crate) began: u64,
    /// Everything since it began may be requested history, or have been published before it began.
    pub(crate) in_history: bool,
    /// When the position was last this client's own.
    pub(crate) level_at: u64,
    /// The time from the publisher to here of the last message, in milliseconds.
    pub(crate) lag: u64,
    /// The last response may be lost: the next request must send the position.
    pub(crate) doubtful: bool,
    pub(crate) pages: Pages,
}

/// A request, and the progress of its response.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) via: &'static str,
    pub(crate) session: Option<String>,
    pub(crate) since: Option<Position>,
    /// The channels that the request lists.
    pub(crate) listed: Vec<String>,
    /// The channels whose presence it requests.
    pub(crate) watched: Vec<String>,
    pub(crate) streams: bool,
    pub(crate) count: u32,
    pub(crate) opened: bool,
    pub(crate) owed_gap: bool,
    /// The gap has a reason besides dropped messages.
    pub(crate) gap_excused: bool,
    pub(crate) closed: Option<(String, bool, u64)>,
    /// When it got `recycle`.
    pub(crate) recycled: Option<u64>,
    /// It got a session of its own: the one that it named is another client's, and continues.
    pub(crate) apart: bool,
    /// The stream begins before the client's position.
    pub(crate) falls_back: bool,
    /// Only the value of an envelope counts, not its bytes.
    pub(crate) is_script: bool,
    /// Whether commands use the same connection.
    pub(crate) is_duplex: bool,
    pub(crate) answers: u32,
}

/// The meaning of an envelope other than a message.
#[derive(Debug)]
pub(crate) enum Meaning {
    Nothing,
    /// The session is another one, and continues from the position that was sent.
    NewSession,
    /// The session is another one without earlier state.
    NewLife,
    Closed,
    /// The client must open the next response.
    Recycled,
    Answer(Result<serde_json::Value, String>),
}

impl Receiver {
    pub(crate) fn new(book: BookId, user: String) -> Self {
        Self {
            book,
            user,
            session: None,
            position: None,
            in_history: false,
            began: 0,
            level_at: 0,
            lag: 0,
            doubtful: false,
            pages: Pages::default(),
        }
    }

    /// Begins without a position, with these channels.
    pub(crate) fn begin(&mut self, ctx: &mut Ctx<'_>, channels: &[String], last: usize) {
        (self.session, self.position, self.doubtful) = (None, None, false);
        self.in_history = last > 0;
        self.pages.forget();
        let now = ctx.now();
        self.began = now;
        ctx.oracle.begin_life(self.book);
        let personal = personal(&self.user);
        ctx.oracle.wish(now, self.book, &personal, 0, None);
        for channel in channels {
            ctx.oracle.wish(now, self.book, channel, last, None);
        }
    }

    /// Goes back to `position`: everything later was lost.
    pub(crate) fn rewind(&mut self, ctx: &mut Ctx<'_>, position: Position) {
        ctx.note(format_args!("rewinds to {position}"));
        ctx.oracle.rewind(self.book, position.n);
        self.position = Some(position);
        self.doubtful = true;
    }

    /// Takes one envelope. `id` is its event id, if the transport has one.
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of envelope")]
    pub(crate) fn envelope(
        &mut self,
        ctx: &mut Ctx<'_>,
        pending: &mut Pending,
        text: &str,
        id: Option<&str>,
    ) -> Meaning {
        ctx.note(format_args!("{} gets {text}", self.user));
        let envelope = match Envelope::parse(text) {
            Ok(envelope) => envelope,
            Err(why) => {
                ctx.fail(why);
                return Meaning::Nothing;
            }
        };
        let answer = matches!(envelope, Envelope::Ok(_) | Envelope::Error(_));
        if pending.closed.is_some() {
            ctx.fail(format!("an envelope after the close: {text}"));
        }
        if pending.owed_gap && !matches!(envelope, Envelope::Gap(_) | Envelope::Close(_)) && !answer {
            ctx.fail(format!("a position was not honoured, and no gap follows: {text}"));
            pending.owed_gap = false;
        }
        let first = pending.count == 0;
        pending.count += u32::from(!answer);
        if pending.streams && first && !matches!(envelope, Envelope::Open(_) | Envelope::Close(_)) {
            ctx.fail(format!("a stream begins with {text}"));
        }
        match envelope {
            Envelope::Open(open) => self.open(ctx, pending, &open, first, id),
            Envelope::Message(mut message) => {
                message.is_exact = !pending.is_script;
                self.advance(ctx, &message.id, true);
                if id.is_some_and(|id| id != message.id.to_string()) {
                    ctx.fail(format!("the event's id is {id:?}: {text}"));
                }
                let now = ctx.now();
                let sent = ctx.oracle.message(now, self.book, &message);
                self.lag = now - sent.unwrap_or(now);
                // The shard requests it from other shards, and a message may arrive before their
                // answers.
                self.in_history &= sent.is_none_or(|sent| sent <= self.began + PROMPT);
                Meaning::Nothing
            }
            Envelope::Presence(position, presence) => {
                self.advance(ctx, &position, true);
                if id.is_some_and(|id| id != position.to_string()) {
                    ctx.fail(format!("the event's id is {id:?}: {text}"));
                }
                if let Err(why) = self.pages.hear(presence) {
                    ctx.fail(why);
                }
                Meaning::Nothing
            }
            Envelope::Gap(gap) => {
                pending.owed_gap = false;
                if id.is_some()
                    && let Some(Ok(id)) = id.map(Position::parse)
                {
                    self.advance(ctx, &id, false);
                }
                let now = ctx.now();
                let excused = std::mem::take(&mut pending.gap_excused);
                let cause = if excused { Cause::Excused } else { Cause::Logs };
                ctx.oracle.gap(now, self.book, &gap, cause);
                Meaning::Nothing
            }
            Envelope::Close(Close { code, reconnect, after }) if code == "recycle" => {
                let is_due = ctx.phase.recycles && pending.streams && !pending.is_duplex;
                if !is_due || !reconnect || after > 0 || pending.recycled.is_some() {
                    ctx.fail(format!("told to make room: {text}"));
                }
                pending.recycled = Some(ctx.now());
                ctx.oracle.recycled += 1;
                Meaning::Recycled
            }
            Envelope::Close(Close { code, reconnect, after }) => {
                pending.closed = Some((code, reconnect, after));
                Meaning::Closed
            }
            Envelope::Ok(value) => {
                pending.answers += 1;
                Meaning::Answer(Ok(value))
            }
            Envelope::Error(fault) => {
                pending.answers += 1;
                if fault.reason.is_empty() {
                    ctx.fail(format!("an error without a reason: {text}"));
                }
                Meaning::Answer(Err(fault.code))
            }
            Envelope::Advice | Envelope::Nothing => Meaning::Nothing,
        }
    }

    fn open(
        &mut self,
        ctx: &mut Ctx<'_>,
        pending: &mut Pending,
        open: &Open,
        first: bool,
        id: Option<&str>,
    ) -> Meaning {
        if !first || pending.opened {
            ctx.fail("an open that is not the first envelope");
        }
        pending.opened = true;
        let Ok(position) = Position::parse(&open.position) else {
            ctx.fail(format!("open's position: {}", open.position));
            return Meaning::Nothing;
        };
        let got = (open.heartbeat, open.grace);
        if open.transport != pending.via || got != (ctx.phase.heartbeat, ctx.phase.grace) {
            ctx.fail(format!("open says {open:?} to {}", pending.via));
        }
        if id.is_some_and(|id| id != open.position) {
            ctx.fail(format!("open's event id is {id:?}, its position {}", open.position));
        }
        if let Some(instead) = &open.instead {
            // It reconnected so often, and so quickly, that the server took it for two clients.
            // Without a position it may have missed messages.
            let named = pending.session.as_deref() == instead["session"].as_str();
            if !named || instead["code"] != "shared" || pending.session.is_none() {
                ctx.fail(format!("told of a session that it did not name: {instead}"));
            }
            pending.gap_excused = pending.since.is_none();
            pending.apart = true;
        }
        if pending.falls_back && !pending.apart {
            ctx.fail(format!("the session that it named alone goes back to {position}"));
        }
        // The history that a page without a session requested shows its position, but not since
        // when.
        pending.gap_excused |= self.in_history && pending.since.is_some() && pending.since == self.position;
        let same = pending.session.as_ref() == Some(&open.session);
        match &pending.since {
            Some(since) if open.resumed => {
                ctx.oracle.resumed += 1;
                if *since != position {
                    ctx.fail(format!("resumed at {position} instead of {since}"));
                }
            }
            Some(_) => pending.owed_gap = true,
            None => {}
        }
        let now = ctx.now();
        let moved = self.session.as_ref().is_some_and(|known| *known != open.session);
        let meaning = match (moved, &pending.since) {
            (false, _) => Meaning::Nothing,
            (true, Some(_)) => {
                self.pages.attend_only(&pending.watched);
                Meaning::NewSession
            }
            (true, None) => {
                self.pages.forget();
                // It sent no position and got another session: messages in between are lost, and it
                // knows.
                ctx.oracle.begin_life(self.book);
                ctx.oracle.wish(now, self.book, &personal(&self.user), 0, None);
                Meaning::NewLife
            }
        };
        self.pages.attend(&std::mem::take(&mut pending.watched));
        if !same {
            ctx.oracle.confirm(now, self.book, &pending.listed);
        }
        self.session = Some(open.session.clone());
        ctx.oracle.holds(self.book, &open.session);
        self.position = Some(position);
        if pending.since.is_none() {
            // Its position is the session's, and not the client's earlier one.
            self.level_at = now;
        }
        self.doubtful = false;
        meaning
    }

    /// An event with an id alone: a heartbeat, or, before `open`, the position at which the stream
    /// begins. That may be before the client's own position, if it sent only its session and gets
    /// another one.
    pub(crate) fn at_id(&mut self, ctx: &mut Ctx<'_>, pending: &mut Pending, text: &str) {
        let begins = !pending.opened && pending.since.is_none() && pending.session.is_some();
        match (Position::parse(text), &self.position) {
            (Ok(to), Some(from)) if begins && to.epoch == from.epoch && to.n < from.n => {
                pending.falls_back = true;
                self.in_history = false;
                self.rewind(ctx, to);
            }
            _ => {
                // Where the stream begins says nothing about the history that follows.
                let is_in_history = self.in_history && !pending.opened;
                self.at(ctx, text);
                self.in_history = is_in_history;
            }
        }
    }

    /// A heartbeat or a response header gives the client's position.
    pub(crate) fn at(&mut self, ctx: &mut Ctx<'_>, text: &str) {
        self.in_history = false;
        match Position::parse(text) {
            Ok(position) => self.advance(ctx, &position, false),
            Err(why) => ctx.fail(why),
        }
    }

    fn advance(&mut self, ctx: &mut Ctx<'_>, to: &Position, strictly: bool) {
        if let Some(from) = &self.position {
            let rises = if strictly { to.n > from.n } else { to.n >= from.n };
            if !rises || to.epoch != from.epoch {
                ctx.fail(format!("{}: from {from} to {to}", self.user));
            }
        }
        self.position = Some(to.clone());
        self.level_at = ctx.now();
    }
}

impl Pending {
    /// A stream's first envelope has arrived.
    pub(crate) fn is_open(&self) -> bool {
        self.opened
    }

    pub(crate) fn end(&self, ctx: &mut Ctx<'_>) {
        if self.owed_gap {
            ctx.fail("a position was not honoured, and no gap follows");
        }
    }
}

/// A user's personal channel.
pub(crate) fn personal(user: &str) -> String {
    let mut out = String::from("/u/");
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
