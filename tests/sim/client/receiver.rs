//! What a client knows of its session: its id, its position, and what it has been told.
//!
//! The rules of a stream of envelopes are checked here, the same for every transport.

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
    /// When it began from nothing.
    pub(crate) began: u64,
    /// All that it has had since it began may be history that it asked for, or have come before
    /// that.
    pub(crate) in_history: bool,
    /// When the position was this client's own, last.
    pub(crate) level_at: u64,
    /// How long the last message took from its publisher to here, in milliseconds.
    pub(crate) lag: u64,
    /// The last response may be lost: the next request must name the position.
    pub(crate) doubtful: bool,
    pub(crate) pages: Pages,
}

/// What was asked, and how far the answer has come.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) via: &'static str,
    pub(crate) session: Option<String>,
    pub(crate) since: Option<Position>,
    /// The channels that the request lists.
    pub(crate) listed: Vec<String>,
    /// Those whose presence it asks for.
    pub(crate) watched: Vec<String>,
    pub(crate) streams: bool,
    pub(crate) count: u32,
    pub(crate) opened: bool,
    pub(crate) owed_gap: bool,
    /// The gap has a reason besides what logs have forgotten.
    pub(crate) gap_excused: bool,
    pub(crate) closed: Option<(String, bool, u64)>,
    /// When it was told to make room.
    pub(crate) recycled: Option<u64>,
    /// It was given a session of its own: the one that it named is another client's, and goes on.
    pub(crate) apart: bool,
    /// Only the value of what comes counts.
    pub(crate) is_script: bool,
    /// Whether commands go up the same connection.
    pub(crate) is_duplex: bool,
    pub(crate) answers: u32,
}

/// What an envelope means to the client besides messages.
#[derive(Debug)]
pub(crate) enum Meaning {
    Nothing,
    /// The session is another than before; it goes on from the position that was named.
    NewSession,
    /// The session is another, and what was before is forgotten.
    NewLife,
    Closed,
    /// The next response is to be opened.
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

    /// Begins from nothing, with these channels.
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

    /// Takes one envelope. `id` is the event id that came with it, on a transport that has one.
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
                // Other shards are asked for it, and a message may come before their answers.
                self.in_history &= sent.is_none_or(|sent| sent <= self.began + PROMPT);
                Meaning::Nothing
            }
            Envelope::Presence(position, said) => {
                self.advance(ctx, &position, true);
                if id.is_some_and(|id| id != position.to_string()) {
                    ctx.fail(format!("the event's id is {id:?}: {text}"));
                }
                if let Err(why) = self.pages.hear(said) {
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
                let is_due = ctx.mood.recycles && pending.streams && !pending.is_duplex;
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
        let told = (open.heartbeat, open.grace);
        if open.transport != pending.via || told != (ctx.mood.heartbeat, ctx.mood.grace) {
            ctx.fail(format!("open says {open:?} to {}", pending.via));
        }
        if id.is_some_and(|id| id != open.position) {
            ctx.fail(format!("open's event id is {id:?}, its position {}", open.position));
        }
        if let Some(instead) = &open.instead {
            // It came again so often, and so soon, that it was taken for two. Without a position it may have missed something.
            let named = pending.session.as_deref() == instead["session"].as_str();
            if !named || instead["code"] != "shared" || pending.session.is_none() {
                ctx.fail(format!("told of a session that it did not name: {instead}"));
            }
            pending.gap_excused = pending.since.is_none();
            pending.apart = true;
        }
        // A page that knows no session shows in the history that it asked for where it is, and not since when.
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
                // It named no position and finds another session: what was between is lost, and it knows.
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
            // It is where the session is, and not where the client was before.
            self.level_at = now;
        }
        self.doubtful = false;
        meaning
    }

    /// A heartbeat or a response's header names where the client is.
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
    /// A stream's first envelope has come.
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
