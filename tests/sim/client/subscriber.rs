//! A browser: fetches its messages in its manner, loses connections and responses, and comes back.

use encke::shard::input::Door;

use super::exchange::{Exchange, Item};
use super::line::{Line, Reply, SLACK};
use super::manner::{Manner, Via};
use super::receiver::{Meaning, Pending, Receiver};
use super::side::{Answer, Command, Side};
use super::wants::Wants;
use super::{Client, Ctx};
use crate::envelope::{Envelope, Position};
use crate::net::{How, LinkId, Reading};
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
    /// It abandoned something lately, which may still reach the server.
    abandoned: u64,
    gone: bool,
}

// Alarms: the kind, and the exchange that it is for.
const BEGIN: u64 = 0;
const COMMAND: u64 = 1;
const SUPERSEDE: u64 = 2;
const ABANDON: u64 = 3;
const WATCH: u64 = 4;
const OLD: u64 = 5;
const KINDS: u64 = 8;

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
            abandoned: 0,
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
        let mut pending = Pending {
            via: via.name(),
            session: self.receiver.session.clone().filter(|_| !self.manner.plain),
            since: self.receiver.position.clone().filter(|_| careful),
            streams: via.streams(),
            ..Pending::default()
        };
        let commands = self.commands_to_carry(ctx, via, &pending);
        // Always, in case the session is gone; what the commands change is left out.
        pending.listed = self.wants.patterns();
        let request = self.request(ctx, via, &pending, fresh, &commands);
        let mut line = self.line(ctx);
        let limit = match via {
            Via::Longpoll | Via::LongpollJson | Via::LongpollForm => {
                ctx.mood.poll_hold + ctx.mood.poll_hold / 4
            }
            Via::Poll | Via::Stream | Via::Sse => 0,
        };
        let mut spelling = Spelling::any(ctx.rng);
        spelling.close |= self.manner.fresh;
        line.ask(ctx, &request, spelling, limit, 0);
        if ctx.rng.chance(self.manner.halves) {
            line.half_close(ctx);
            ctx.oracle.well(self.receiver.book, None);
        }
        let last_id = pending.since.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut exchange = Exchange::new(line, via, pending, &last_id, ctx.now());
        exchange.commands = commands;
        exchange.lose = !via.streams() && ctx.rng.chance(self.manner.loses);
        if exchange.lose {
            ctx.oracle.well(self.receiver.book, None);
        }
        self.current = Some(exchange);
        self.plan(ctx, via);
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

    fn request(
        &mut self,
        ctx: &mut Ctx<'_>,
        via: Via,
        pending: &Pending,
        fresh: bool,
        commands: &[Command],
    ) -> Request {
        let path = format!("/u/{}/{}", crate::request::segment(&self.receiver.user, ctx.rng), via.name());
        let body = commands.iter().map(Command::spell).collect::<Vec<_>>().join(",");
        let mut request = match via {
            Via::Poll | Via::Longpoll | Via::Stream | Via::Sse => Request::get(path),
            Via::LongpollJson => {
                Request::post(path, if commands.is_empty() { String::new() } else { format!("[{body}]") })
                    .header("Content-Type", "application/json")
            }
            Via::LongpollForm if commands.is_empty() => Request::post(path, ""),
            Via::LongpollForm => Request::post(
                path,
                format!("a=b&message={}", crate::request::escaped(&format!("[{body}]"), ctx.rng)),
            )
            .header("Content-Type", "application/x-www-form-urlencoded"),
        };
        if !pending.listed.is_empty() {
            request = request.query("channels", pending.listed.join(","));
        }
        if fresh && self.manner.last > 0 {
            request = request.query("last", self.manner.last.to_string());
        }
        if let Some(session) = &pending.session {
            request = if ctx.rng.chance(50) {
                request.query("session", session.clone())
            } else {
                request.header("Encke-Session", session.clone())
            };
        }
        match &pending.since {
            Some(since) if self.manner.plain || ctx.rng.chance(30) => {
                request.header("Last-Event-ID", since.to_string())
            }
            Some(since) => request.query("since", since.to_string()),
            None => request,
        }
    }

    fn commands_to_carry(&mut self, ctx: &mut Ctx<'_>, via: Via, pending: &Pending) -> Vec<Command> {
        let carries = matches!(via, Via::LongpollJson | Via::LongpollForm) && self.manner.commands;
        if !carries || pending.session.is_none() || !self.side.is_free() || ctx.rng.chance(70) {
            return Vec::new();
        }
        self.wants.commands(ctx, &self.receiver)
    }

    fn line(&mut self, ctx: &mut Ctx<'_>) -> Line {
        match self.spare.take() {
            Some(line) if line.is_open(ctx) && line.is_idle() => line,
            spare => {
                if let Some(mut line) = spare {
                    line.abandon(ctx);
                }
                Line::connect(ctx, Door::Public, self.manner.style)
            }
        }
    }

    // ---- what comes ----

    fn replies(&mut self, ctx: &mut Ctx<'_>, mut exchange: Exchange, replies: Vec<Reply>) -> Exchange {
        for reply in replies {
            match reply {
                Reply::Head { status, headers } => self.head(ctx, &mut exchange, status, headers),
                Reply::Body { bytes } => {
                    exchange.size += bytes.len();
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
        if status != 200 && !ctx.mood.over {
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
        for item in items {
            match item {
                Item::Id(id) => self.receiver.at(ctx, &id),
                Item::Envelope(text, id) => {
                    let meaning = self.receiver.envelope(ctx, &mut exchange.pending, &text, id.as_deref());
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
        let level = exchange.via.streams() || exchange.size < ctx.mood.outbox_bytes;
        let sound = ctx.net.is_sound(exchange.line.link) && !exchange.line.is_halved();
        let well = sound && style.capacity >= 4096 && level;
        let since = ctx.now();
        ctx.oracle
            .well(self.receiver.book, (well && self.wants.is_settled() && !exchange.lose).then_some(since));
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange, meaning: Meaning) {
        match meaning {
            Meaning::Nothing | Meaning::Closed => {}
            Meaning::NewLife => {
                self.trail.clear();
                self.wants.new_life(ctx, &self.receiver, &exchange.pending.listed);
            }
            Meaning::NewSession => {
                if let Some(since) = &exchange.pending.since {
                    self.wants.new_session(since, &exchange.pending.listed);
                }
            }
            Meaning::Answer(answer) => {
                let at = exchange.pending.answers as usize - 1;
                match exchange.commands.get(at) {
                    Some(command) => {
                        self.wants.answered(ctx, &self.receiver, &command.clone(), &Some(answer))
                    }
                    None => ctx.fail(format!("an answer to no command: {answer:?}")),
                }
            }
        }
    }

    /// A response is complete.
    fn complete(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange) {
        if exchange.lose {
            ctx.note(format_args!("loses the response"));
            self.receiver.doubtful = true;
            return self.forget_commands(ctx, exchange);
        }
        match exchange.decoder.end() {
            Ok(items) => self.items(ctx, exchange, items),
            Err(why) => ctx.fail(why),
        }
        exchange.pending.end(ctx);
        if exchange.via.streams() {
            if exchange.pending.closed.is_none() && !exchange.line.is_halved() {
                ctx.fail(format!("a stream ended without a close, {:?}", exchange.line));
            }
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
            Some(since) => self.wants.new_session(since, &exchange.pending.listed),
            None => ctx.fail("a session's name is not the one in open"),
        }
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
        }
    }

    /// The exchange is over: what next?
    fn after(&mut self, ctx: &mut Ctx<'_>, exchange: Exchange) {
        let Exchange { line, via, pending, size, .. } = exchange;
        // A response that is as large as it may be is followed by more.
        let idles = via == Via::Poll && size < ctx.mood.outbox_bytes;
        let mut wait = if idles { self.manner.interval } else { ctx.rng.below(30) };
        match &pending.closed {
            Some((code, reconnect, after)) => {
                ctx.oracle.well(self.receiver.book, None);
                self.receiver.doubtful = true;
                wait = *after + 200;
                let expected = match code.as_str() {
                    "replaced" => self.manner.plain || self.abandoned + 3_000 > ctx.now(),
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
        self.begin_in(ctx, wait);
    }

    // ---- superseding ----

    fn supersede(&mut self, ctx: &mut Ctx<'_>) {
        let ready = self.current.as_ref().is_some_and(|exchange| {
            let settled = if exchange.via.streams() {
                exchange.pending.is_open()
            } else {
                ctx.now() > exchange.line.arrives + 500
            };
            settled
                && !exchange.done
                && !exchange.line.is_halved()
                && !exchange.line.is_amid_batch(exchange.via.streams())
        });
        if !ready || self.manner.plain || self.receiver.session.is_none() || ctx.mood.over {
            return;
        }
        let Some(mut exchange) = self.current.take() else { return };
        ctx.note(format_args!("l{} is superseded", exchange.line.link));
        ctx.oracle.well(self.receiver.book, None);
        ctx.oracle.replaced += 1;
        self.receiver.doubtful = true;
        self.forget_superseded(ctx, &mut exchange);
        self.old.push(exchange);
        self.begin(ctx);
        let arrives = self.current.as_ref().map_or(0, |exchange| exchange.line.arrives);
        let after = arrives.saturating_sub(ctx.now()) + 2 * SLACK;
        ctx.alarm(after, OLD + KINDS * self.generation);
    }

    fn forget_superseded(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange) {
        exchange.lose = true;
        self.forget_commands(ctx, exchange);
    }

    /// Something comes on a superseded response: only its form matters, and that it is told why it ends.
    fn old_replies(&mut self, ctx: &mut Ctx<'_>, at: usize, replies: Vec<Reply>) {
        let exchange = &mut self.old[at];
        let mut items = Vec::new();
        for reply in replies {
            match reply {
                Reply::Head { .. } => {}
                Reply::Body { bytes } => items.extend(exchange.decoder.feed(&bytes)),
                Reply::Done { .. } => {
                    items.extend(exchange.decoder.end());
                    exchange.done = true;
                }
            }
        }
        for item in items.into_iter().flatten() {
            match item {
                Item::Id(_) => {}
                Item::Envelope(text, _) => match Envelope::parse(&text) {
                    Ok(Envelope::Close(close)) => {
                        exchange.pending.closed = Some((close.code, close.reconnect, close.after))
                    }
                    Ok(_) => {}
                    Err(why) => ctx.fail(why),
                },
            }
        }
        if exchange.done {
            let told = matches!(&exchange.pending.closed, Some((code, false, 0)) if code == "replaced");
            if exchange.via.streams() && !told && !ctx.mood.over {
                ctx.fail(format!("a superseded stream ends with {:?}", exchange.pending.closed));
            }
            let mut exchange = self.old.remove(at);
            exchange.line.abandon(ctx);
        }
    }

    fn check_old(&mut self, ctx: &mut Ctx<'_>) {
        let attached = self.current.as_ref().is_some_and(|exchange| {
            ctx.net.is_sound(exchange.line.link)
                && (exchange.pending.is_open() || !exchange.via.streams())
                && ctx.now() > exchange.line.arrives + SLACK
        });
        for exchange in std::mem::take(&mut self.old) {
            if attached && ctx.net.is_sound(exchange.line.link) && self.manner.style.capacity >= 4096 {
                ctx.fail(format!("l{} was superseded and goes on", exchange.line.link));
            }
            let mut line = exchange.line;
            line.abandon(ctx);
        }
    }

    fn watch(&mut self, ctx: &mut Ctx<'_>) {
        let Some(exchange) = &self.current else { return };
        let (link, streams) = (exchange.line.link, exchange.via.streams());
        let patience = if streams { ctx.mood.heartbeat } else { ctx.mood.poll_hold * 5 / 4 } + 2 * SLACK;
        let since = exchange.heard.max(exchange.line.arrives);
        if ctx.now() < since + patience {
            return ctx.alarm(since + patience - ctx.now() + 1, WATCH + KINDS * self.generation);
        }
        if ctx.net.is_sound(link) {
            ctx.fail(format!("l{link}: silent for too long"));
        }
        if self.manner.style.reading == Reading::Prompt || ctx.rng.chance(30) {
            self.give_up(ctx);
        } else {
            ctx.alarm(patience, WATCH + KINDS * self.generation);
        }
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(mut exchange) = self.current.take() {
            exchange.line.abandon(ctx);
            self.abandoned = ctx.now();
            self.broke(ctx, exchange);
        }
    }

    fn command(&mut self, ctx: &mut Ctx<'_>) {
        if !self.manner.commands || self.gone || ctx.mood.over {
            return;
        }
        let every = if ctx.mood.calm { 500 } else { 3_000 };
        let after = ctx.rng.range(200, every);
        ctx.alarm(after, COMMAND);
        if self.receiver.session.is_none() || !self.side.is_free() {
            return;
        }
        // A request under way lists channels: a command must not cross it.
        let settled =
            |exchange: &Exchange| ctx.now() > exchange.line.arrives + 300 && exchange.commands.is_empty();
        if !self.current.as_ref().is_none_or(settled) {
            return;
        }
        let commands = self.wants.commands(ctx, &self.receiver);
        if !commands.is_empty() {
            let (user, session) = (self.receiver.user.clone(), self.receiver.session.clone());
            self.side.send(ctx, &user, session.as_deref(), self.manner.style, commands);
        }
    }

    fn answered(&mut self, ctx: &mut Ctx<'_>, answers: Vec<(Command, Answer)>) {
        for (command, answer) in answers {
            self.wants.answered(ctx, &self.receiver, &command, &answer);
        }
    }
}

impl Client for Subscriber {
    fn start(&mut self, ctx: &mut Ctx<'_>) {
        self.begin(ctx);
        ctx.alarm(1_000, COMMAND);
    }

    fn bytes(&mut self, ctx: &mut Ctx<'_>, link: LinkId, bytes: &[u8]) {
        if self.side.owns(link) {
            let answers = self.side.bytes(ctx, bytes);
            return self.answered(ctx, answers);
        }
        if let Some(at) = self.old.iter().position(|exchange| exchange.line.link == link) {
            let replies = self.old[at].line.feed(ctx, bytes);
            return self.old_replies(ctx, at, replies);
        }
        let Some(mut exchange) = self.current.take_if(|exchange| exchange.line.link == link) else {
            if let Some(line) = self.spare.as_mut().filter(|line| line.link == link) {
                let _ = line.feed(ctx, bytes);
            }
            return;
        };
        exchange.heard = ctx.now();
        let replies = exchange.line.feed(ctx, bytes);
        let exchange = self.replies(ctx, exchange, replies);
        if exchange.done {
            self.after(ctx, exchange);
        } else {
            self.current = Some(exchange);
        }
    }

    fn ended(&mut self, ctx: &mut Ctx<'_>, link: LinkId, how: How) {
        if self.side.owns(link) {
            let answers = self.side.ended(ctx, how);
            return self.answered(ctx, answers);
        }
        if let Some(at) = self.old.iter().position(|exchange| exchange.line.link == link) {
            let replies = self.old[at].line.end(ctx, how);
            self.old_replies(ctx, at, replies);
            self.old.retain(|exchange| exchange.line.link != link);
            return;
        }
        if let Some(mut exchange) = self.current.take_if(|exchange| exchange.line.link == link) {
            let replies = exchange.line.end(ctx, how);
            let exchange = self.replies(ctx, exchange, replies);
            if exchange.done { self.after(ctx, exchange) } else { self.broke(ctx, exchange) }
        } else if let Some(mut line) = self.spare.take_if(|line| line.link == link) {
            line.end(ctx, how);
        }
    }

    fn woken(&mut self, ctx: &mut Ctx<'_>, token: u64) {
        let (kind, generation) = (token % KINDS, token / KINDS);
        if kind == COMMAND {
            return self.command(ctx);
        }
        if kind == OLD {
            return self.check_old(ctx);
        }
        if generation != self.generation {
            return;
        }
        match kind {
            BEGIN => self.begin(ctx),
            SUPERSEDE => self.supersede(ctx),
            ABANDON => {
                let settled =
                    self.current.as_ref().is_some_and(|exchange| ctx.now() > exchange.line.arrives + 500);
                if settled {
                    self.give_up(ctx);
                }
            }
            _ => self.watch(ctx),
        }
    }

    fn late(&mut self, ctx: &mut Ctx<'_>, link: LinkId, ask: u32) {
        if self.side.owns(link) {
            self.side.late(ctx, ask);
            if !ctx.net.is_sound(link) && !self.side.is_free() {
                let answers = self.side.give_up(ctx);
                self.answered(ctx, answers);
            }
        } else if let Some(exchange) = self.current.as_mut().filter(|exchange| exchange.line.link == link) {
            exchange.line.late(ctx, ask);
        }
    }

    fn disturbed(&mut self, ctx: &mut Ctx<'_>) {
        ctx.oracle.well(self.receiver.book, None);
    }

    fn calm(&mut self, ctx: &mut Ctx<'_>) {
        self.manner.loses = 0;
        self.manner.impatient = 0;
        self.manner.halves = 0;
        self.manner.style.reading = Reading::Prompt;
        self.manner.style.capacity = self.manner.style.capacity.max(4096);
        let lines = self.current.iter().chain(&self.old).map(|exchange| &exchange.line).chain(&self.spare);
        for link in lines.map(|line| line.link).collect::<Vec<_>>() {
            ctx.net.read_promptly(link);
        }
        self.side.calm(ctx);
    }

    fn leave(&mut self, ctx: &mut Ctx<'_>) {
        self.gone = true;
        if self.receiver.session.is_some() && self.side.is_free() && ctx.rng.chance(30) {
            let (user, session) = (self.receiver.user.clone(), self.receiver.session.clone());
            self.side.send(ctx, &user, session.as_deref(), self.manner.style, vec![Command::Close]);
            return;
        }
        let exchanges =
            self.current.take().into_iter().chain(self.old.drain(..)).map(|exchange| exchange.line);
        for mut line in exchanges.chain(self.spare.take()) {
            if ctx.rng.chance(20) { ctx.net.silence(line.link) } else { line.abandon(ctx) }
        }
        self.side.leave(ctx);
    }
}
