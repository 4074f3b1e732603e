//! A browser: fetches messages according to its profile, loses connections, and reconnects.

mod ask;
mod commands;
mod events;
mod old;
pub(crate) mod socket;

use encke::base::ids::ListenerKind;

use super::exchange::{Exchange, Item};
use super::http_conn::{HttpConn, Reply, SLACK};
use super::profile::{Profile, Via};
use super::receiver::{Meaning, Pending, Receiver};
use super::subscriptions::Subscriptions;
use super::uplink::{Answer, Command, Uplink};
use super::{Client, Ctx};
use crate::envelope::{Envelope, Position};
use crate::net::{How, LinkId, Reading};
use crate::oracle::PROMPT;
use crate::request::{Request, Spelling};

#[derive(Debug)]
pub(crate) struct Subscriber {
    profile: Profile,
    receiver: Receiver,
    subs: Subscriptions,
    /// The channels of its first request.
    first: Vec<String>,
    current: Option<Exchange>,
    /// Responses that another one has superseded.
    old: Vec<Exchange>,
    /// A connection that can be used again.
    spare: Option<HttpConn>,
    uplink: Uplink,
    /// Earlier positions, to which it may go back.
    trail: Vec<Position>,
    generation: u64,
    /// This many of the next responses are lost.
    drowsy: u64,
    /// When it last abandoned a request, which may still reach the server.
    abandoned: Option<u64>,
    gone: bool,
}

// Alarms: the kind, and the exchange.
const BEGIN: u64 = 0;
const COMMAND: u64 = 1;
const SUPERSEDE: u64 = 2;
const ABANDON: u64 = 3;
const WATCH: u64 = 4;
const OLD: u64 = 5;
const RECYCLED: u64 = 6;
const UNANSWERED: u64 = 7;
const KINDS: u64 = 8;

/// Clients sleep only if sessions live no longer than this, in milliseconds: a run is finite.
const GRACE_SHORT: u64 = 10_000;

/// True with this probability in percent. At zero it draws nothing.
fn by_chance(ctx: &mut Ctx<'_>, percent: u64) -> bool {
    percent > 0 && ctx.rng.chance(percent)
}

impl Subscriber {
    pub(crate) fn new(profile: Profile, receiver: Receiver, pool: Vec<String>, first: Vec<String>) -> Self {
        Self {
            profile,
            receiver,
            subs: Subscriptions::new(pool),
            first,
            current: None,
            old: Vec::new(),
            spare: None,
            uplink: Uplink::default(),
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
        if self.gone || self.current.is_some() || ctx.phase.over {
            return;
        }
        let via = *ctx.rng.pick(&self.profile.vias);
        let fresh = self.receiver.position.is_none();
        if fresh {
            self.trail.clear();
            let (first, last) = (self.first.clone(), self.profile.last);
            self.subs.begin(ctx, &mut self.receiver, &first, last);
        }
        let careful = self.profile.careful || self.receiver.doubtful;
        // It must name what it takes over.
        let free = self.receiver.position.is_some() && self.old.is_empty();
        let nameless = free && by_chance(ctx, self.profile.anonymous);
        let mut pending = Pending {
            via: via.name(),
            session: self.receiver.session.clone().filter(|_| !self.profile.plain && !nameless),
            since: self.receiver.position.clone().filter(|_| careful),
            streams: via.streams(),
            is_script: via.is_script(),
            is_duplex: via.is_duplex(),
            ..Pending::default()
        };
        let commands = self.commands_to_carry(ctx, via, &pending);
        // Always, in case the session has ended, except channels that the commands change.
        pending.listed = self.subs.patterns();
        // Including channels that the commands unsubscribe: the query applies first.
        for command in &commands {
            if let Command::Unsubscribe { pattern, .. } = command {
                pending.listed.push(pattern.clone());
            }
        }
        pending.gap_excused = self.may_be_mistaken(ctx, &pending);
        if self.profile.watches && !pending.listed.iter().any(|name| name.ends_with('*')) {
            pending.watched.clone_from(&pending.listed);
        }
        let mut conn = self.ask(ctx, via, &pending, fresh, &commands);
        if ctx.rng.chance(self.profile.halves) {
            conn.half_close(ctx);
            ctx.oracle.well(self.receiver.book, None);
        }
        let last_id = pending.since.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut exchange = Exchange::new(conn, via, pending, &last_id, ctx.now());
        exchange.commands = commands;
        exchange.lose = !via.streams() && ctx.rng.chance(self.profile.loses);
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

    /// Decides whether it is away for longer than its session lives; the first answers are then
    /// lost.
    fn sleep(&mut self, ctx: &mut Ctx<'_>) -> Option<u64> {
        let short = ctx.phase.grace <= GRACE_SHORT && !ctx.phase.calm && !ctx.phase.over;
        let sleeps = short && by_chance(ctx, self.profile.sleeps);
        sleeps.then(|| {
            ctx.note(format_args!("{} goes to sleep", self.receiver.user));
            ctx.oracle.well(self.receiver.book, None);
            self.receiver.doubtful = true;
            self.drowsy = ctx.rng.range(1, 3);
            2 * ctx.phase.grace + ctx.rng.range(500, 3_000)
        })
    }

    /// Plans the faults of this exchange.
    fn plan(&mut self, ctx: &mut Ctx<'_>, via: Via) {
        self.generation += 1;
        let generation = KINDS * self.generation;
        if ctx.rng.chance(self.profile.impatient) && via != Via::Poll {
            let after = ctx.rng.range(500, 8_000);
            let kind = if ctx.rng.chance(50) { SUPERSEDE } else { ABANDON };
            ctx.alarm(after, kind + generation);
        }
        let patience = if via.streams() { ctx.phase.heartbeat } else { ctx.phase.poll_hold * 5 / 4 };
        ctx.alarm(patience + 3 * SLACK, WATCH + generation);
    }

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
        if status != expected && !ctx.phase.over {
            ctx.fail(format!("{} is answered {status}", exchange.via.name()));
        }
        let named = headers.one("encke-session").is_some();
        let position = headers.one("encke-position").is_some();
        if !ctx.phase.over && (!named || position == exchange.via.streams()) {
            ctx.fail(format!(
                "{}: session or position are not named as they should be: {headers:?}",
                exchange.via.name()
            ));
        }
        (exchange.status, exchange.headers) = (status, headers);
    }

    fn items(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange, items: Vec<Item>) {
        // Streams send `open` first, which names the session.
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
                    self.receiver.at_id(ctx, &mut exchange.pending, &id);
                    exchange.level |= exchange.pending.is_open();
                }
                Item::Envelope(text, id) => {
                    self.receiver.lag = u64::MAX;
                    let meaning = self.receiver.envelope(ctx, &mut exchange.pending, &text, id.as_deref());
                    // Messages arrive in order, so behind a recent one there is no backlog.
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
        let style = self.profile.style;
        // A full response is followed by more: the client is not level yet.
        let level =
            if exchange.via.streams() { exchange.level } else { exchange.size < ctx.phase.outbox_bytes };
        let sound = ctx.net.is_sound(exchange.conn.link) && !exchange.conn.is_halved();
        // Nothing follows `close`, though the connection may stay for a while.
        let goes_on = exchange.pending.closed.is_none();
        let well = sound && style.capacity >= 4096 && level && goes_on;
        let since = ctx.now();
        ctx.oracle
            .well(self.receiver.book, (well && self.subs.is_settled() && !exchange.lose).then_some(since));
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange, meaning: Meaning) {
        match meaning {
            Meaning::Nothing | Meaning::Closed => {}
            Meaning::Recycled => self.make_room(ctx),
            Meaning::NewLife => {
                self.trail.clear();
                let listed = &exchange.pending.listed;
                self.subs.new_life(ctx, &self.receiver, listed, &exchange.commands);
            }
            Meaning::NewSession => {
                if let Some(since) = &exchange.pending.since {
                    ctx.oracle.session_over(self.receiver.book);
                    self.subs.new_session(since, &exchange.pending.listed, &exchange.commands);
                }
            }
            Meaning::Answer(answer) => {
                let at = exchange.pending.answers as usize - 1;
                ctx.oracle.by_socket += u64::from(exchange.via.is_duplex());
                match exchange.commands.get(at) {
                    Some(command) => {
                        let command = command.clone();
                        exchange.level &= !command.asks_for_past();
                        self.subs.answered(ctx, &self.receiver, &command, &Some(answer));
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
        // A socket cut for a missing pong has no end, nor has a lost stream or a half-closed one.
        let endless = socket::is_cut(ctx, exchange)
            || exchange.via.streams() && (exchange.lose || exchange.conn.is_halved());
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

    /// Without an `open`, the response is of the session that was named, or of one found by
    /// position.
    fn adopt(&mut self, ctx: &mut Ctx<'_>, exchange: &Exchange) {
        let named = exchange.headers.one("encke-session").map(str::to_owned);
        if named == self.receiver.session || self.profile.plain {
            return;
        }
        match &exchange.pending.since {
            Some(since) => {
                ctx.oracle.session_over(self.receiver.book);
                self.subs.new_session(since, &exchange.pending.listed, &exchange.commands);
            }
            None => ctx.fail("a session's name is not the one in open"),
        }
        ctx.oracle.holds(self.receiver.book, named.as_deref().unwrap_or_default());
        self.receiver.session = named;
    }

    /// The exchange has ended: the client decides what follows.
    fn after(&mut self, ctx: &mut Ctx<'_>, exchange: Exchange) {
        let Exchange { conn, via, pending, size, headers, .. } = exchange;
        let idles = via == Via::Poll && size < ctx.phase.outbox_bytes;
        let mut wait = if idles { self.profile.interval } else { ctx.rng.below(30) };
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
                    "drain" => ctx.phase.over && *reconnect,
                    "moved" => ctx.phase.guests && *reconnect && via.streams(),
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
        if conn.is_open(ctx) && conn.is_idle() {
            self.spare = Some(conn);
        } else {
            let mut conn = conn;
            if conn.closes() { ctx.net.close(conn.link) } else { conn.abandon(ctx) }
        }
        self.begin_in(ctx, wait);
    }

    /// The connection broke in the middle of an exchange.
    fn broke(&mut self, ctx: &mut Ctx<'_>, mut exchange: Exchange) {
        ctx.oracle.well(self.receiver.book, None);
        self.receiver.doubtful = true;
        self.forget_commands(ctx, &mut exchange);
        if ctx.rng.chance(self.profile.loses) && !self.trail.is_empty() {
            let back = self.trail.len().saturating_sub(ctx.rng.size(1, 8));
            let position = self.trail[back].clone();
            self.trail.truncate(back);
            self.receiver.rewind(ctx, position);
        }
        let wait = if ctx.rng.chance(70) { ctx.rng.range(20, 500) } else { ctx.rng.range(500, 9_000) };
        let wait = self.sleep(ctx).unwrap_or(wait);
        self.begin_in(ctx, wait);
    }

    /// Leaves without a message, sometimes even without a FIN.
    fn walk_away(&mut self, ctx: &mut Ctx<'_>) {
        let exchanges =
            self.current.take().into_iter().chain(self.old.drain(..)).map(|exchange| exchange.conn);
        for mut conn in exchanges.chain(self.spare.take()) {
            if ctx.rng.chance(20) { ctx.net.silence(conn.link) } else { conn.abandon(ctx) }
        }
        self.uplink.leave(ctx);
    }
}
