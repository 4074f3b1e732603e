//! A browser: fetches its messages in its manner, loses connections and responses, and comes back.

mod ask;
mod events;
mod old;
pub(crate) mod socket;

use encke::base::ids::Door;

use super::exchange::{Exchange, Item};
use super::line::{Line, Reply, SLACK};
use super::manner::{Manner, Via};
use super::receiver::{Meaning, Pending, Receiver};
use super::side::{Answer, Command, Side};
use super::wants::Wants;
use super::{Client, Ctx};
use crate::envelope::{Envelope, Position};
use crate::net::{How, LinkId, Reading};
use crate::oracle::PROMPT;
use crate::request::{Request, Spelling};

#[derive(Debug)]
pub(crate) struct Subscriber {
    manner: Manner,
    receiver: Receiver,
    wants: Wants,
    /// The channels that it begins with.
    first: Vec<String>,
    current: Option<Exchange>,
    /// Responses that another one has superseded.
    old: Vec<Exchange>,
    /// A connection that can be used again.
    spare: Option<Line>,
    side: Side,
    /// Positions that it had, in case it loses its memory.
    trail: Vec<Position>,
    generation: u64,
    /// So many of the next responses are lost.
    drowsy: u64,
    /// When it last abandoned something, which may still reach the server.
    abandoned: Option<u64>,
    gone: bool,
}

// Alarms: the kind, and the exchange that it is for.
const BEGIN: u64 = 0;
const COMMAND: u64 = 1;
const SUPERSEDE: u64 = 2;
const ABANDON: u64 = 3;
const WATCH: u64 = 4;
const OLD: u64 = 5;
const RECYCLED: u64 = 6;
const UNANSWERED: u64 = 7;
const KINDS: u64 = 8;

/// Clients sleep where sessions do not live longer, in milliseconds: the world does not last for ever.
const GRACE_SHORT: u64 = 10_000;

/// Whether something that happens so many times in a hundred does. What never does takes no chance from anything else.
fn by_chance(ctx: &mut Ctx<'_>, percent: u64) -> bool {
    percent > 0 && ctx.rng.chance(percent)
}

impl Subscriber {
    pub(crate) fn new(manner: Manner, receiver: Receiver, pool: Vec<String>, first: Vec<String>) -> Self {
        Self {
            manner,
            receiver,
            wants: Wants::new(pool),
            first,
            current: None,
            old: Vec::new(),
            spare: None,
            side: Side::default(),
            trail: Vec::new(),
            generation: 0,
            drowsy: 0,
            abandoned: None,
            gone: false,
        }
    }

    fn begin_in(&mut self, ctx: &mut Ctx<'_>, after: u64) {
        self.generation += 1;
        ctx.alarm(after, BEGIN + KINDS * self.generation);
    }

    fn begin(&mut self, ctx: &mut Ctx<'_>) {
        if self.gone || self.current.is_some() || ctx.mood.over {
            return;
        }
        let via = *ctx.rng.pick(&self.manner.vias);
        let fresh = self.receiver.position.is_none();
        if fresh {
            self.trail.clear();
            let (first, last) = (self.first.clone(), self.manner.last);
            self.wants.begin(ctx, &mut self.receiver, &first, last);
        }
        let careful = self.manner.careful || self.receiver.doubtful;
        // What it takes over it has to name.
        let free = self.receiver.position.is_some() && self.old.is_empty();
        let nameless = free && by_chance(ctx, self.manner.anonymous);
        let mut pending = Pending {
            via: via.name(),
            session: self.receiver.session.clone().filter(|_| !self.manner.plain && !nameless),
            since: self.receiver.position.clone().filter(|_| careful),
            streams: via.streams(),
            is_script: via.is_script(),
            is_duplex: via.is_duplex(),
            ..Pending::default()
        };
        let commands = self.commands_to_carry(ctx, via, &pending);
        // Always, in case the session is gone; what the commands change is left out.
        pending.listed = self.wants.patterns();
        // Also what the commands leave: what the query says comes first.
        for command in &commands {
            if let Command::Unsubscribe { pattern, .. } = command {
                pending.listed.push(pattern.clone());
            }
        }
        pending.gap_excused = self.may_be_mistaken(ctx, &pending);
        if self.manner.watches && !pending.listed.iter().any(|name| name.ends_with('*')) {
            pending.watched.clone_from(&pending.listed);
        }
        let mut line = self.ask(ctx, via, &pending, fresh, &commands);
        if ctx.rng.chance(self.manner.halves) {
            line.half_close(ctx);
            ctx.oracle.well(self.receiver.book, None);
        }
        let last_id = pending.since.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut exchange = Exchange::new(line, via, pending, &last_id, ctx.now());
        exchange.commands = commands;
        exchange.lose = !via.streams() && ctx.rng.chance(self.manner.loses);
        if self.drowsy > 0 && exchange.pending.since.is_some() {
            self.drowsy -= 1;
            exchange.lose = true;
        }
        if exchange.lose {
            ctx.oracle.well(self.receiver.book, None);
        }
        let cut = exchange.lose && via.streams();
        self.current = Some(exchange);
        self.plan(ctx, via);
        if cut {
            ctx.alarm(2_500, ABANDON + KINDS * self.generation);
        }
    }

    /// Is it away for longer than its session lives? Then what comes first after that is lost.
    fn sleep(&mut self, ctx: &mut Ctx<'_>) -> Option<u64> {
        let short = ctx.mood.grace <= GRACE_SHORT && !ctx.mood.calm && !ctx.mood.over;
        let sleeps = short && by_chance(ctx, self.manner.sleeps);
        sleeps.then(|| {
            ctx.note(format_args!("{} goes to sleep", self.receiver.user));
            ctx.oracle.well(self.receiver.book, None);
            self.receiver.doubtful = true;
            self.drowsy = ctx.rng.range(1, 3);
            2 * ctx.mood.grace + ctx.rng.range(500, 3_000)
        })
    }

    /// What may befall this exchange.
    fn plan(&mut self, ctx: &mut Ctx<'_>, via: Via) {
        self.generation += 1;
        let generation = KINDS * self.generation;
        if ctx.rng.chance(self.manner.impatient) && via != Via::Poll {
            let after = ctx.rng.range(500, 8_000);
            let kind = if ctx.rng.chance(50) { SUPERSEDE } else { ABANDON };
            ctx.alarm(after, kind + generation);
        }
        let patience = if via.streams() { ctx.mood.heartbeat } else { ctx.mood.poll_hold * 5 / 4 };
        ctx.alarm(patience + 3 * SLACK, WATCH + generation);
    }

    fn commands_to_carry(&mut self, ctx: &mut Ctx<'_>, via: Via, pending: &Pending) -> Vec<Command> {
        let carries = via.carries_commands() && self.manner.commands;
        let is_own = pending.session.is_some() && !self.shares(ctx, pending.session.as_deref());
        if !carries || !is_own || !self.side.is_free() || ctx.rng.chance(70) {
            return Vec::new();
        }
        self.wants.commands(ctx, &self.receiver)
    }

    /// Whether another client, which named a position alone, was given this session, too. Commands
    /// would change that one's channels as well (docs/PROTOCOL.md).
    fn shares(&self, ctx: &Ctx<'_>, session: Option<&str>) -> bool {
        session.is_some_and(|session| ctx.oracle.is_shared(self.receiver.book, session))
    }

    // ---- what comes ----

    fn replies(&mut self, ctx: &mut Ctx<'_>, mut exchange: Exchange, replies: Vec<Reply>) -> Exchange {
        for reply in replies {
            match reply {
                Reply::Head { status, headers } => self.head(ctx, &mut exchange, status, headers),
                Reply::Body { bytes } => {
                    exchange.size += bytes.len();
                    if exchange.lose && exchange.via.streams() {
                        continue;
                    }
                    match exchange.decoder.feed(&bytes) {
                        Ok(items) => self.items(ctx, &mut exchange, items),
                        Err(why) => ctx.fail(why),
                    }
                }
                Reply::Done { .. } => {
                    exchange.done = true;
                    self.complete(ctx, &mut exchange);
                }
            }
        }
        exchange
    }

    fn head(
        &mut self,
        ctx: &mut Ctx<'_>,
        exchange: &mut Exchange,
        status: u16,
        headers: crate::http::Headers,
    ) {
        let expected = if exchange.via.is_websocket() { 101 } else { 200 };
        if status != expected && !ctx.mood.over {
            ctx.fail(format!("{} is answered {status}", exchange.via.name()));
        }
        let named = headers.one("encke-session").is_some();
        let position = headers.one("encke-position").is_some();
        if !ctx.mood.over && (!named || position == exchange.via.streams()) {
            ctx.fail(format!(
                "{}: session or position are not named as they should be: {headers:?}",
                exchange.via.name()
            ));
        }
        (exchange.status, exchange.headers) = (status, headers);
    }

    fn items(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange, items: Vec<Item>) {
        // Streams say `open` first, and only then whose session it is.
        if !exchange.via.streams() && exchange.pending.count == 0 && exchange.pending.session.is_some() {
            self.receiver.pages.attend(&exchange.pending.watched);
        }
        for item in items {
            match item {
                Item::Beat => exchange.level |= exchange.pending.is_open(),
                Item::Ping(payload) => {
                    exchange.level |= exchange.pending.is_open();
                    self.pinged(ctx, exchange, &payload);
                }
                Item::Id(id) => {
                    self.receiver.at(ctx, &id);
                    exchange.level |= exchange.pending.is_open();
                }
                Item::Envelope(text, id) => {
                    self.receiver.lag = u64::MAX;
                    let meaning = self.receiver.envelope(ctx, &mut exchange.pending, &text, id.as_deref());
                    // Messages come in their order, so behind a young one there is no backlog.
                    exchange.level |= self.receiver.lag < PROMPT / 2;
                    self.act(ctx, exchange, meaning);
                }
            }
            self.trail.extend(self.receiver.position.clone());
        }
        if exchange.via.streams() && exchange.pending.is_open() {
            self.is_well(ctx, exchange);
        }
    }

    fn is_well(&mut self, ctx: &mut Ctx<'_>, exchange: &Exchange) {
        let style = self.manner.style;
        // A response that is as large as it may be is followed by more: the client is not level yet.
        let level =
            if exchange.via.streams() { exchange.level } else { exchange.size < ctx.mood.outbox_bytes };
        let sound = ctx.net.is_sound(exchange.line.link) && !exchange.line.is_halved();
        // Behind `close` nothing comes, though the connection may stay for a while.
        let goes_on = exchange.pending.closed.is_none();
        let well = sound && style.capacity >= 4096 && level && goes_on;
        let since = ctx.now();
        ctx.oracle
            .well(self.receiver.book, (well && self.wants.is_settled() && !exchange.lose).then_some(since));
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange, meaning: Meaning) {
        match meaning {
            Meaning::Nothing | Meaning::Closed => {}
            Meaning::Recycled => self.make_room(ctx),
            Meaning::NewLife => {
                self.trail.clear();
                self.wants.new_life(ctx, &self.receiver, &exchange.pending.listed);
            }
            Meaning::NewSession => {
                if let Some(since) = &exchange.pending.since {
                    ctx.oracle.session_over(self.receiver.book);
                    self.wants.new_session(since, &exchange.pending.listed, &exchange.commands);
                }
            }
            Meaning::Answer(answer) => {
                let at = exchange.pending.answers as usize - 1;
                ctx.oracle.by_socket += u64::from(exchange.via.is_duplex());
                match exchange.commands.get(at) {
                    Some(command) => {
                        let command = command.clone();
                        exchange.level &= !command.asks_for_past();
                        self.wants.answered(ctx, &self.receiver, &command, &Some(answer));
                        self.leave_page(&command);
                    }
                    None => ctx.fail(format!("an answer to no command: {answer:?}")),
                }
            }
        }
    }

    /// A response is complete.
    fn complete(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange) {
        if exchange.lose && !exchange.via.streams() {
            ctx.note(format_args!("loses the response"));
            self.receiver.doubtful = true;
            return self.forget_commands(ctx, exchange);
        }
        // What is cut as deaf has no end, nor has the stream of a client that closed its half.
        let endless = exchange.unanswered > 0 || exchange.via.streams() && exchange.line.is_halved();
        let ended = if endless { Ok(Vec::new()) } else { exchange.decoder.end() };
        match ended {
            Ok(items) => self.items(ctx, exchange, items),
            Err(why) => ctx.fail(why),
        }
        exchange.pending.end(ctx);
        if exchange.via.streams() {
            self.check_end(ctx, exchange);
            self.forget_commands(ctx, exchange);
            return ctx.oracle.well(self.receiver.book, None);
        }
        self.forget_commands(ctx, exchange);
        if exchange.pending.closed.is_none()
            && let Some(position) = exchange.headers.one("encke-position")
        {
            let position = position.to_owned();
            self.receiver.at(ctx, &position);
            self.receiver.doubtful = false;
            self.adopt(ctx, exchange);
            self.is_well(ctx, exchange);
        }
    }

    /// Without an `open`, a response is of the session that was named, or of one with the same channels that was found by the position.
    fn adopt(&mut self, ctx: &mut Ctx<'_>, exchange: &Exchange) {
        let named = exchange.headers.one("encke-session").map(str::to_owned);
        if named == self.receiver.session || self.manner.plain {
            return;
        }
        match &exchange.pending.since {
            Some(since) => {
                ctx.oracle.session_over(self.receiver.book);
                self.wants.new_session(since, &exchange.pending.listed, &exchange.commands);
            }
            None => ctx.fail("a session's name is not the one in open"),
        }
        ctx.oracle.holds(self.receiver.book, named.as_deref().unwrap_or_default());
        self.receiver.session = named;
    }

    /// Commands whose answers will never come.
    fn forget_commands(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange) {
        let had = exchange.pending.answers as usize;
        if !exchange.lose
            && exchange.done
            && exchange.commands.len() != had
            && exchange.pending.closed.is_none()
        {
            ctx.fail(format!("{} commands got {had} answers", exchange.commands.len()));
        }
        let rest: Vec<_> = exchange.commands.drain(..).skip(had).collect();
        for command in rest {
            self.wants.answered(ctx, &self.receiver, &command, &None);
            self.leave_page(&command);
        }
    }

    /// The exchange is over: what next?
    fn after(&mut self, ctx: &mut Ctx<'_>, exchange: Exchange) {
        let Exchange { line, via, pending, size, headers, .. } = exchange;
        // A response that is as large as it may be is followed by more.
        let idles = via == Via::Poll && size < ctx.mood.outbox_bytes;
        let mut wait = if idles { self.manner.interval } else { ctx.rng.below(30) };
        match &pending.closed {
            Some((code, reconnect, after)) => {
                ctx.oracle.well(self.receiver.book, None);
                self.receiver.doubtful = true;
                wait = *after + 200;
                let expected = match code.as_str() {
                    "replaced" => {
                        let session = headers.one("encke-session").or(self.receiver.session.as_deref());
                        self.shares(ctx, session) || self.abandoned.is_some_and(|at| at + 3_000 > ctx.now())
                    }
                    "drain" => ctx.mood.over && *reconnect,
                    "closed" => self.gone,
                    _ => false,
                };
                if !expected {
                    ctx.fail(format!("closed with {code}"));
                }
            }
            None if via.streams() => self.receiver.doubtful = true,
            None => {}
        }
        wait = self.sleep(ctx).unwrap_or(wait);
        if line.is_open(ctx) && line.is_idle() {
            self.spare = Some(line);
        } else {
            let mut line = line;
            if line.closes() { ctx.net.close(line.link) } else { line.abandon(ctx) }
        }
        self.begin_in(ctx, wait);
    }

    /// The connection is gone in the middle of an exchange.
    fn broke(&mut self, ctx: &mut Ctx<'_>, mut exchange: Exchange) {
        ctx.oracle.well(self.receiver.book, None);
        self.receiver.doubtful = true;
        self.forget_commands(ctx, &mut exchange);
        if ctx.rng.chance(self.manner.loses) && !self.trail.is_empty() {
            let back = self.trail.len().saturating_sub(ctx.rng.size(1, 8));
            let position = self.trail[back].clone();
            self.trail.truncate(back);
            self.receiver.rewind(ctx, position);
        }
        let wait = if ctx.rng.chance(70) { ctx.rng.range(20, 500) } else { ctx.rng.range(500, 9_000) };
        let wait = self.sleep(ctx).unwrap_or(wait);
        self.begin_in(ctx, wait);
    }

    // ---- superseding ----

    fn command(&mut self, ctx: &mut Ctx<'_>) {
        if !self.manner.commands || self.gone || ctx.mood.over {
            return;
        }
        let every = if ctx.mood.calm { 500 } else { 3_000 };
        let after = ctx.rng.range(200, every);
        ctx.alarm(after, COMMAND);
        let session = self.receiver.session.as_deref();
        if session.is_none() || !self.side.is_free() || self.is_asking() || self.shares(ctx, session) {
            return;
        }
        // A request under way lists channels.
        let carries = self.current.as_ref().is_some_and(|exchange| !exchange.commands.is_empty());
        if carries || !self.is_uncrossed(ctx) {
            return;
        }
        let commands = self.wants.commands(ctx, &self.receiver);
        if commands.is_empty() {
            return;
        }
        let commands = self.by_socket(ctx, commands);
        if !commands.is_empty() {
            let (user, session) = (self.receiver.user.clone(), self.receiver.session.clone());
            self.side.send(ctx, &user, session.as_deref(), self.manner.style, commands);
        }
    }

    /// Whether a command that is sent now crosses no request under way.
    fn is_uncrossed(&self, ctx: &Ctx<'_>) -> bool {
        self.current.as_ref().is_none_or(|exchange| ctx.now() > exchange.line.arrives + 300)
    }

    fn answered(&mut self, ctx: &mut Ctx<'_>, answers: Vec<(Command, Answer)>) {
        for (command, answer) in answers {
            if let Some(exchange) = self.current.as_mut().filter(|_| command.asks_for_past()) {
                exchange.level = false;
                ctx.oracle.well(self.receiver.book, None);
            }
            self.wants.answered(ctx, &self.receiver, &command, &answer);
            self.leave_page(&command);
            if matches!((&command, &answer), (Command::Close, Some(Err(_)) | None)) {
                // The goodbye was perhaps not heard, and nobody stays on account of that.
                self.walk_away(ctx);
            }
        }
    }

    /// A channel that it wanted to leave is, perhaps, not watched any more.
    fn leave_page(&mut self, command: &Command) {
        if let Command::Unsubscribe { pattern, .. } = command {
            self.receiver.pages.leave(pattern);
            // A request that has waited all the while listed it.
            for exchange in self.current.iter_mut().chain(&mut self.old) {
                exchange.pending.watched.retain(|channel| channel != pattern);
            }
        }
    }

    /// Goes without a word; now and then without even a FIN.
    fn walk_away(&mut self, ctx: &mut Ctx<'_>) {
        let exchanges =
            self.current.take().into_iter().chain(self.old.drain(..)).map(|exchange| exchange.line);
        for mut line in exchanges.chain(self.spare.take()) {
            if ctx.rng.chance(20) { ctx.net.silence(line.link) } else { line.abandon(ctx) }
        }
        self.side.leave(ctx);
    }
}
