//! Messages to a page, and its reaction to them.

use serde_json::json;

use super::super::Ctx;
use super::super::http_conn::SLACK;
use super::super::uplink::watch;
use super::Shared;
use super::pipe::{Done, Mode};
use super::server_message::{Advice, Answer, ServerMessage};
use super::socket::Heard;
use super::tab::{Ask, Stage, Tab, What};
use crate::envelope::Envelope;
use crate::net::{How, LinkId};
use crate::oracle::{BUSY, PROMPT};

/// Whether the page continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    On,
    /// The next connect is due after this many milliseconds.
    Next(u64),
    /// The session has ended.
    Over,
}

/// The interval of a client when there are several in the browser.
const CROWD_INTERVAL: u64 = 2_000;

impl Tab {
    pub(super) fn bytes(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, link: LinkId, bytes: &[u8]) {
        if self.main.owns(link) {
            let done = self.main.bytes(ctx, bytes);
            self.done(ctx, shared, done, true);
        } else if self.second.owns(link) {
            let done = self.second.bytes(ctx, bytes);
            self.done(ctx, shared, done, false);
        } else if let Some(socket) = &mut self.socket {
            let heard = socket.bytes(ctx, bytes);
            self.heard(ctx, shared, heard);
        }
    }

    pub(super) fn ended(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, link: LinkId, how: How) {
        if self.main.owns(link) {
            let done = self.main.ended(ctx, how);
            self.done(ctx, shared, done, true);
            if let Some(out) = self.main.out.take() {
                self.lost(ctx, &out);
                let after = ctx.rng.range(20, 1_500);
                self.next_in(ctx, after);
            }
        } else if self.second.owns(link) {
            let done = self.second.ended(ctx, how);
            self.done(ctx, shared, done, false);
            if let Some(out) = self.second.out.take() {
                self.lost_aside(ctx, &out);
            }
        } else if let Some(socket) = &mut self.socket {
            let heard = socket.ended(ctx, how);
            self.heard(ctx, shared, heard);
            if self.socket.is_some() {
                self.drop_socket(ctx);
                let after = ctx.rng.range(20, 1_500);
                self.next_in(ctx, after);
            }
        }
    }

    /// A request should have been answered by now.
    pub(super) fn late(&mut self, ctx: &mut Ctx<'_>, link: LinkId, ask: u32) {
        let pipe = if self.main.owns(link) { &mut self.main } else { &mut self.second };
        if let Some(conn) = pipe.conn.as_mut().filter(|conn| conn.link == link) {
            let waits = conn.is_owed(ask);
            conn.late(ctx, ask);
            if !waits || ctx.net.is_sound(link) {
                return;
            }
            let is_main = self.main.owns(link);
            let pipe = if is_main { &mut self.main } else { &mut self.second };
            match pipe.abandon(ctx) {
                Some(out) if is_main => self.lost(ctx, &out),
                Some(out) => self.lost_aside(ctx, &out),
                None => {}
            }
            if is_main {
                self.next_in(ctx, 50);
            }
        } else if let Some(socket) = self.socket.as_mut().filter(|socket| socket.conn.link == link) {
            socket.conn.late(ctx, ask);
            if !socket.is_open && !ctx.net.is_sound(link) {
                self.drop_socket(ctx);
                self.next_in(ctx, 50);
            }
        }
    }

    /// A message that was sent on a socket should have been answered by now.
    pub(super) fn check_due(&mut self, ctx: &mut Ctx<'_>, number: u64) {
        let id = format!("{}-{number}", self.index);
        // It may have been sent again meanwhile.
        let is_due = self.asks.get(&id).is_some_and(|ask| ask.due <= ctx.now());
        let Some(socket) = self.socket.as_ref().filter(|_| is_due) else { return };
        let by_request = self.main.out.iter().chain(&self.second.out).any(|out| out.ids.contains(&id));
        if by_request || self.carry.contains(&id) || ctx.phase.over {
            return;
        }
        let link = socket.conn.link;
        let since = ctx.net.link(link).prompt_since + 3 * SLACK;
        if ctx.net.is_sound(link) && ctx.now() < since {
            super::ring(ctx, self.index, since - ctx.now(), super::Alarm::Due, number);
        } else if ctx.net.is_sound(link) && ctx.net.is_unhindered(self.behaviour.style) {
            ctx.fail(format!("l{link}: no answer in time to {:?}", self.asks[&id].text));
        } else {
            self.drop_socket(ctx);
            self.next_in(ctx, 50);
        }
    }

    // ---- responses and frames ----

    fn done(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, done: Option<Done>, is_main: bool) {
        let Some(Done { out, messages, cookie, size, status }) = done else { return };
        if out.lose {
            ctx.note(format_args!("tab {} loses the response", self.index));
            self.lost(ctx, &out);
            return self.next_in(ctx, 100);
        }
        if status != 200 {
            if !ctx.phase.over || status != 503 {
                ctx.fail(format!("Bayeux is answered {status}"));
            }
            return;
        }
        shared.take_cookie(cookie);
        let parsed = self.read(ctx, &messages, out.mode != Mode::Callback);
        let answers = parsed.iter().filter(|message| matches!(message, ServerMessage::Answer(_))).count();
        if answers != out.ids.len() || out.ids.iter().any(|id| !says(&parsed, id)) {
            ctx.fail(format!("{:?} are answered by {messages:?}", out.ids));
        }
        let connected = parsed.iter().any(
            |message| matches!(message, ServerMessage::Answer(answer) if answer.channel == "/meta/connect" && answer.outcome.is_ok()),
        );
        if answers != parsed.len() && (!connected || !in_order(&parsed, self.behaviour.ack)) {
            ctx.fail(format!("events where none belong: {messages:?}"));
        }
        match self.take_in(ctx, shared, parsed) {
            Goes::Over => return self.over(ctx),
            Goes::Next(after) => self.next_in(ctx, after),
            Goes::On => {}
        }
        if is_main && out.connects {
            self.level = size < ctx.phase.outbox_bytes;
            self.check_well(ctx);
        }
    }

    fn heard(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, heard: Vec<Heard>) {
        for heard in heard {
            match heard {
                Heard::Open { cookie } => shared.take_cookie(cookie),
                Heard::Ping => {
                    self.level |=
                        self.socket.as_ref().is_some_and(|socket| socket.is_bound) && !self.behaviour.ack;
                    self.check_well(ctx);
                }
                Heard::Text(text) => {
                    if self.text(ctx, shared, &text) == Goes::Over {
                        return self.over(ctx);
                    }
                }
                Heard::Close(1000) => {}
                Heard::Close(1001) | Heard::Refused { status: 503 } if ctx.phase.over => {}
                other => ctx.fail(format!("a socket brings {other:?}")),
            }
        }
    }

    fn text(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, text: &str) -> Goes {
        let messages = Envelope::array(text.as_bytes()).unwrap_or_else(|why| {
            ctx.fail(why);
            Vec::new()
        });
        ctx.note(format_args!("tab {} hears {text}", self.index));
        let parsed = self.read(ctx, &messages, true);
        let answers = parsed.iter().filter(|message| matches!(message, ServerMessage::Answer(_))).count();
        let connected = parsed.iter().any(
            |message| matches!(message, ServerMessage::Answer(answer) if answer.channel == "/meta/connect" && answer.outcome.is_ok()),
        );
        let events = parsed.len() - answers;
        let well_formed = match (events, self.behaviour.ack) {
            (0, _) => true,
            (_, true) => connected && in_order(&parsed, true),
            (_, false) => answers == 0 && events == 1,
        };
        if !well_formed {
            ctx.fail(format!("events where none belong: {text}"));
        }
        let (large, acks) = (text.len() >= ctx.phase.outbox_bytes, self.behaviour.ack);
        let goes = self.take_in(ctx, shared, parsed);
        if let Goes::Next(after) = goes {
            self.next_in(ctx, after);
        }
        if connected && acks {
            self.level = !large;
        } else if connected {
            self.level |= self.is_quiet(ctx);
        }
        self.check_well(ctx);
        goes
    }

    fn read(&mut self, ctx: &mut Ctx<'_>, messages: &[String], is_exact: bool) -> Vec<ServerMessage> {
        let mut parsed = Vec::new();
        for message in messages {
            match ServerMessage::parse(message, is_exact) {
                Ok(one) => parsed.push(one),
                Err(why) => ctx.fail(why),
            }
        }
        parsed
    }

    // ---- messages ----

    fn take_in(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, parsed: Vec<ServerMessage>) -> Goes {
        let mut goes = Goes::On;
        for message in parsed {
            match message {
                ServerMessage::Event(message) => {
                    let now = ctx.now();
                    let sent = ctx.oracle.event(now, self.book, message);
                    self.quiet_since = now;
                    // Messages arrive in order, so behind a recent one there is no backlog.
                    let young = sent.is_some_and(|sent| now - sent < PROMPT / 2);
                    self.level |= young && self.mode == Mode::Socket && !self.behaviour.ack;
                }
                ServerMessage::Answer(answer) => match (self.answer(ctx, shared, &answer), goes) {
                    (_, Goes::Over) | (Goes::Over, _) => goes = Goes::Over,
                    (next @ Goes::Next(_), _) => goes = next,
                    (Goes::On, _) => {}
                },
            }
        }
        goes
    }

    fn answer(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, answer: &Answer) -> Goes {
        let Some(ask) = self.asks.remove(&answer.id) else {
            ctx.fail(format!("an answer to nothing: {answer:?}"));
            return Goes::On;
        };
        self.carry.retain(|id| *id != answer.id);
        if answer.channel != ask.channel {
            ctx.fail(format!("{answer:?} answers {ask:?}"));
        }
        if answer.outcome == Err(402) {
            return self.on_handshake_advice(ctx, answer);
        }
        self.answered(ctx, shared, &ask, answer)
    }

    /// The session is reported as ended. With large logs and long sessions, only a restart explains
    /// that.
    fn on_handshake_advice(&mut self, ctx: &mut Ctx<'_>, answer: &Answer) -> Goes {
        let shakes = |advice: &Advice| advice.reconnect == "handshake" && advice.interval == Some(0);
        if !answer.advice.as_ref().is_some_and(shakes) {
            ctx.fail(format!("not told to handshake: {answer:?}"));
        }
        let restarted = ctx.oracle.restarts.iter().any(|restart| *restart >= self.since);
        if ctx.oracle.roomy && !restarted && !self.leaving && !self.gone {
            ctx.fail(format!("a session is over for no reason: {answer:?}"));
        }
        ctx.oracle.sessions_lost += 1;
        if self.gone { Goes::On } else { Goes::Over }
    }

    fn answered(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, ask: &Ask, answer: &Answer) -> Goes {
        let book = self.book;
        match (&ask.what, answer.outcome) {
            (What::Handshake, Ok(())) => self.has_session(ctx, shared, answer),
            (What::Connect, Ok(())) => self.connected(ctx, shared, answer),
            (What::Disconnect, Ok(())) if self.gone => Goes::On,
            (What::Disconnect, Ok(())) => Goes::Over,
            (What::Subscribe(patterns), Ok(())) => {
                let list = if let [one] = &patterns[..] { json!(one) } else { json!(patterns) };
                if answer.subscription.as_ref() != Some(&list) {
                    ctx.fail(format!("{answer:?} answers {ask:?}"));
                }
                self.subs.subscribed(ctx, book, patterns);
                self.check_well(ctx);
                Goes::On
            }
            (What::Unsubscribe(pattern), Ok(())) => {
                self.subs.left(ctx, book, pattern);
                self.check_well(ctx);
                Goes::On
            }
            (What::Publish(number), Ok(())) => {
                let now = ctx.now();
                ctx.oracle.taken(now, *number);
                ctx.oracle.repeated += u64::from(ask.again);
                watch(ctx, *number);
                Goes::On
            }
            // An earlier send of it may have been accepted.
            (What::Publish(_), Err(503)) if ask.again => Goes::On,
            (What::Publish(number), Err(503)) => {
                ctx.oracle.refused(*number, BUSY);
                Goes::On
            }
            (What::Service, Ok(())) => Goes::On,
            (_, Err(code)) => {
                ctx.fail(format!("{ask:?} is answered with {code}: {answer:?}"));
                Goes::On
            }
        }
    }

    fn has_session(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, answer: &Answer) -> Goes {
        self.check_advice(ctx, shared, answer);
        if (answer.ext["ack"] == json!(true)) != self.behaviour.ack {
            ctx.fail(format!("acknowledgement is not agreed on: {answer:?}"));
        }
        let Some(id) = answer.client.clone().filter(|_| self.stage == Stage::Out) else {
            ctx.fail(format!("a session that nobody asked for: {answer:?}"));
            return Goes::On;
        };
        self.stage = Stage::On { id, cookie: shared.cookie.clone() };
        self.on_handshake(ctx, shared);
        Goes::Next(ctx.rng.below(60))
    }

    fn connected(&mut self, ctx: &mut Ctx<'_>, shared: &Shared, answer: &Answer) -> Goes {
        if self.gone || answer.advice.as_ref().is_some_and(|advice| advice.reconnect == "none") {
            // Its own disconnect was overtaken.
            if !self.leaving && !self.gone {
                ctx.fail(format!("told to do nothing: {answer:?}"));
            }
            self.dismissed = !self.gone;
            return if self.is_over() { Goes::Over } else { Goes::On };
        }
        let interval = self.check_advice(ctx, shared, answer);
        match (self.behaviour.ack, answer.ext["ack"].as_u64()) {
            (true, Some(batch)) if batch > self.ack => self.ack = batch,
            (false, None) => {}
            _ => ctx.fail(format!("batch {} was the last one, and then {answer:?}", self.ack)),
        }
        if ctx.phase.over {
            let now = ctx.now();
            ctx.oracle.sent_away.push(now);
        }
        Goes::Next(interval + ctx.rng.below(30))
    }

    /// Checks that an advice is complete; returns its interval.
    fn check_advice(&self, ctx: &mut Ctx<'_>, shared: &Shared, answer: &Answer) -> u64 {
        let Some(advice) = &answer.advice else {
            ctx.fail(format!("no advice: {answer:?}"));
            return 0;
        };
        let got = (advice.timeout, advice.max_interval);
        let interval = advice.interval.unwrap_or(u64::MAX);
        let expected = if advice.multiple_clients { CROWD_INTERVAL } else { 0 };
        let several = shared.sessions > 1;
        let sound = advice.reconnect == "retry"
            && got == (Some(ctx.phase.poll_hold), Some(ctx.phase.grace))
            && interval == expected
            && (several || !advice.multiple_clients);
        if !sound {
            ctx.fail(format!("an advice that is none: {answer:?}"));
        }
        ctx.oracle.crowded += u64::from(advice.multiple_clients);
        interval.min(CROWD_INTERVAL)
    }
}

/// Whether there is an answer with this id.
fn says(parsed: &[ServerMessage], id: &str) -> bool {
    parsed.iter().any(|message| matches!(message, ServerMessage::Answer(answer) if answer.id == id))
}

/// Whether all events come before the answers, with the connect's own last; with acknowledgement,
/// whether they come after them, with the connect's own first.
fn in_order(parsed: &[ServerMessage], acks: bool) -> bool {
    let is_event = |message: &ServerMessage| matches!(message, ServerMessage::Event(_));
    let own = parsed.iter().position(
        |message| matches!(message, ServerMessage::Answer(answer) if answer.channel == "/meta/connect"),
    );
    if acks {
        own == Some(0) && parsed.is_sorted_by_key(is_event)
    } else {
        own == parsed.len().checked_sub(1) && parsed.is_sorted_by_key(|message| !is_event(message))
    }
}
