//! One page: a session, its connects, and the messages beside them.

mod losses;
mod mixed;

use std::collections::BTreeMap;

use serde_json::json;

use super::super::Ctx;
use super::super::http_conn::{HttpConn, SLACK};
use super::super::receiver::personal;
use super::pipe::{Mode, Out, Pipe};
use super::socket::Socket;
use super::subscriptions::Subscriptions;
use encke::base::ids::ListenerKind;

use super::{Alarm, Behaviour, HELD_AFTER, Shared, ring};
use crate::net::{LinkId, Reading};
use crate::oracle::BookId;
use crate::oracle::book::matches;
use crate::payload::Payload;
use crate::request::{Request, Spelling};

/// The purpose of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Handshake,
    Connect,
    Disconnect,
    Subscribe(Vec<String>),
    Unsubscribe(String),
    Publish(usize),
    Service,
}

/// A message without an answer yet.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) what: What,
    pub(super) channel: String,
    pub(super) text: String,
    /// When it should have been answered, if it was sent on a socket.
    pub(super) due: u64,
    /// It was sent more than once.
    pub(super) again: bool,
}

/// The phase of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has no session.
    Out,
    /// It has this session, created under this cookie.
    On { id: String, cookie: Option<String> },
}

#[derive(Debug)]
pub(super) struct Tab {
    pub(super) index: usize,
    pub(super) book: BookId,
    pub(super) behaviour: Behaviour,
    user: Option<String>,
    first: Vec<String>,
    pub(super) stage: Stage,
    /// When its handshake was sent.
    pub(super) since: u64,
    /// A life has begun in its book, and none of its sessions has ended.
    pub(super) lives: bool,
    pub(super) mode: Mode,
    pub(super) main: Pipe,
    pub(super) second: Pipe,
    /// A connect that it has given up, and that arrives late.
    ghost: Option<HttpConn>,
    pub(super) socket: Option<Socket>,
    pub(super) asks: BTreeMap<String, Ask>,
    /// Messages to send with the next connect.
    pub(super) carry: Vec<String>,
    /// A connect whose answer was lost.
    unanswered: Option<String>,
    pub(super) subs: Subscriptions,
    /// It has sent a disconnect for its session.
    pub(super) leaving: bool,
    /// It is told to stop: its disconnect has arrived, and only the answer is to come.
    pub(super) dismissed: bool,
    /// The newest batch that it has seen.
    pub(super) ack: u64,
    /// As far as it can tell, it has everything that was published before.
    pub(super) level: bool,
    /// When the last event arrived, or another sign that more may follow.
    pub(super) quiet_since: u64,
    pub(super) generation: u64,
    ids: u64,
    pub(super) gone: bool,
}

impl Tab {
    pub(super) fn new(
        index: usize,
        book: BookId,
        behaviour: Behaviour,
        user: Option<String>,
        first: Vec<String>,
    ) -> Self {
        Self {
            index,
            book,
            mode: behaviour.modes[0],
            behaviour,
            user,
            first,
            stage: Stage::Out,
            since: 0,
            lives: false,
            main: Pipe::default(),
            second: Pipe::default(),
            ghost: None,
            socket: None,
            asks: BTreeMap::new(),
            carry: Vec::new(),
            unanswered: None,
            subs: Subscriptions::default(),
            leaving: false,
            dismissed: false,
            ack: 0,
            level: false,
            quiet_since: 0,
            generation: 0,
            ids: 0,
            gone: false,
        }
    }

    pub(super) fn owns(&self, link: LinkId) -> bool {
        self.main.owns(link)
            || self.second.owns(link)
            || self.socket.as_ref().is_some_and(|socket| socket.conn.link == link)
    }

    /// Whether a request holds its connect, under the browser's cookie.
    pub(super) fn holds(&self, ctx: &Ctx<'_>, cookie: Option<&str>) -> bool {
        let here = matches!(&self.stage, Stage::On { cookie: Some(own), .. } if Some(&**own) == cookie);
        here && self.main.waits(ctx, HELD_AFTER) && ctx.net.is_unhindered(self.behaviour.style)
    }

    // ---- what comes next ----

    pub(super) fn next_in(&mut self, ctx: &mut Ctx<'_>, after: u64) {
        self.generation += 1;
        ring(ctx, self.index, after, Alarm::Next, self.generation);
    }

    pub(super) fn next(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared) {
        if self.gone || ctx.phase.over || self.main.out.is_some() {
            return;
        }
        self.generation += 1;
        match self.stage.clone() {
            // The first tab's handshake brings the cookie; two at once would bring two.
            Stage::Out if self.index > 0 && shared.keeps && shared.cookie.is_none() => self.next_in(ctx, 400),
            Stage::Out => self.send_handshake(ctx, shared),
            Stage::On { id, .. } => self.connect(ctx, shared, &id),
        }
    }

    fn send_handshake(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared) {
        if !std::mem::replace(&mut self.lives, true) {
            ctx.oracle.begin_life(self.book);
            if let Some(user) = &self.user {
                let now = ctx.now();
                ctx.oracle.wish(now, self.book, &personal(user), 0, None);
            }
        }
        self.since = ctx.now();
        self.mode = *ctx.rng.pick(&self.behaviour.modes);
        if self.mode != Mode::Socket {
            self.drop_socket(ctx);
        }
        let types: Vec<_> = self.behaviour.modes.iter().map(|mode| mode.name()).collect();
        let mut more = json!({ "version": "1.0", "supportedConnectionTypes": types });
        if self.behaviour.ack {
            more["ext"] = json!({ "ack": true });
        }
        let id = self.message(What::Handshake, "/meta/handshake", None, &more);
        self.send_main(ctx, shared, vec![id], false);
    }

    /// The handshake has been answered.
    pub(super) fn on_handshake(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared) {
        shared.sessions += 1;
        let now = ctx.now();
        ctx.oracle.confirm(now, self.book, &[]);
        (self.ack, self.level) = (0, true);
        let patterns = std::mem::take(&mut self.first);
        let several = ctx.rng.chance(50);
        let lists: Vec<Vec<String>> =
            if several { vec![patterns] } else { patterns.into_iter().map(|name| vec![name]).collect() };
        let ids: Vec<String> =
            lists.iter().filter(|list| !list.is_empty()).map(|list| self.subscribe(ctx, list)).collect();
        if ctx.rng.chance(50) { self.carry.extend(ids) } else { self.send_aside(ctx, shared, ids) }
    }

    fn connect(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, session: &str) {
        if ctx.rng.chance(self.behaviour.changes) {
            let mode = *ctx.rng.pick(&self.behaviour.modes);
            ctx.oracle.changed += u64::from(mode.name() != self.mode.name());
            self.mode = mode;
        }
        if self.mode != Mode::Socket {
            self.drop_socket(ctx);
        }
        self.send_ghost(ctx, shared, session);
        let id = self.connect_message(ctx, session);
        let mut ids = std::mem::take(&mut self.carry);
        let at = ctx.rng.size(0, ids.len());
        ids.insert(at, id);
        self.send_main(ctx, shared, ids, true);
        if let Some(out) = &mut self.main.out {
            out.lose = ctx.rng.chance(self.behaviour.loses);
            let arrives = out.arrives;
            if out.lose {
                ctx.oracle.well(self.book, None);
            }
            if ctx.rng.chance(self.behaviour.halves) {
                self.main.half_close(ctx);
                self.check_well(ctx);
            }
            let after = arrives.saturating_sub(ctx.now()) + HELD_AFTER + 1;
            ring(ctx, self.index, after, Alarm::Crowd, 0);
        }
        if ctx.rng.chance(self.behaviour.repeats) {
            let after = ctx.rng.range(300, 6_000);
            ring(ctx, self.index, after, Alarm::Repeat, self.generation);
        }
    }

    /// A connect that it gave up before arrives only now, with its old number. The client does not
    /// read the answer.
    fn send_ghost(&mut self, ctx: &mut Ctx<'_>, shared: &Shared, session: &str) {
        if let Some(mut conn) = self.ghost.take() {
            conn.abandon(ctx);
        }
        let comes = self.behaviour.ghosts > 0 && ctx.rng.chance(self.behaviour.ghosts) && !ctx.phase.calm;
        if !comes || self.mode == Mode::Socket || self.unanswered.is_some() || !self.carry.is_empty() {
            return;
        }
        let seen = ctx.rng.below(self.ack + 1);
        let seen = if seen == 0 && ctx.rng.chance(30) { json!(-1) } else { json!(seen) };
        let connect = json!({
            "id": "late", "channel": "/meta/connect", "clientId": session, "connectionType": self.mode.name(),
            "advice": { "timeout": 0 }, "ext": { "ack": seen },
        });
        ctx.note(format_args!("tab {}: a connect with {seen} arrives late", self.index));
        let mut conn = HttpConn::connect(ctx, ListenerKind::Public, self.behaviour.style);
        let mut request = Request::post(shared.path.clone(), connect.to_string())
            .header("Content-Type", "application/json");
        if let Some(cookie) = &shared.cookie {
            request = request.header("Cookie", cookie.clone());
        }
        conn.ask(ctx, &request, Spelling::default(), 0, 0);
        self.ghost = Some(conn);
    }

    /// A connect; if one got no answer, the same one again.
    fn connect_message(&mut self, ctx: &mut Ctx<'_>, session: &str) -> String {
        if let Some(id) = self.unanswered.take() {
            if ctx.rng.chance(60) {
                return id;
            }
            self.asks.remove(&id);
        }
        let mut more = json!({ "connectionType": self.mode.name() });
        if self.behaviour.ack {
            more["ext"] = json!({ "ack": self.ack });
        }
        if ctx.rng.chance(10) {
            more["advice"] = json!({ "timeout": 0 });
        }
        self.message(What::Connect, "/meta/connect", Some(session), &more)
    }

    /// It stops waiting for its connect and sends it again unchanged.
    pub(super) fn repeat(&mut self, ctx: &mut Ctx<'_>) {
        if self.gone || ctx.phase.over || self.stage == Stage::Out {
            return;
        }
        ctx.note(format_args!("tab {} loses patience", self.index));
        if let Some(out) = self.main.abandon(ctx) {
            self.lost(ctx, &out);
        } else if self.mode == Mode::Socket {
            self.drop_socket(ctx);
        }
        let after = ctx.rng.below(300);
        self.next_in(ctx, after);
    }

    // ---- messages ----

    /// A message to be sent, by its id.
    fn message(
        &mut self,
        what: What,
        channel: &str,
        session: Option<&str>,
        more: &serde_json::Value,
    ) -> String {
        let mut message = json!({ "channel": channel });
        if let Some(session) = session {
            message["clientId"] = json!(session);
        }
        for (key, value) in more.as_object().into_iter().flatten() {
            message[key] = value.clone();
        }
        let text = message.to_string();
        self.enter(what, channel, &text)
    }

    /// Gives a message its id, and keeps it until it is answered.
    fn enter(&mut self, what: What, channel: &str, text: &str) -> String {
        self.ids += 1;
        let id = format!("{}-{}", self.index, self.ids);
        let text = format!("{{\"id\":\"{id}\",{}", &text[1..]);
        self.asks.insert(id.clone(), Ask { what, channel: channel.to_owned(), text, due: 0, again: false });
        id
    }

    fn subscribe(&mut self, ctx: &mut Ctx<'_>, patterns: &[String]) -> String {
        self.subs.ask(ctx, self.book, patterns);
        let what = What::Subscribe(patterns.to_vec());
        let list = if let [one] = patterns { json!(one) } else { json!(patterns) };
        self.for_session(what, "/meta/subscribe", &json!({ "subscription": list }))
    }

    fn for_session(&mut self, what: What, channel: &str, more: &serde_json::Value) -> String {
        let Stage::On { id, .. } = self.stage.clone() else { return String::new() };
        self.message(what, channel, Some(&id), more)
    }

    fn publish(&mut self, ctx: &mut Ctx<'_>, channel: &str) -> String {
        let Stage::On { id, .. } = self.stage.clone() else { return String::new() };
        let number = ctx.oracle.next_number();
        let payload = Payload::json(number, ctx.rng);
        let Payload::Json(data) = payload.clone() else { unreachable!("json makes JSON") };
        let now = ctx.now();
        ctx.oracle.publish(now, channel, payload);
        let text = format!("{{\"channel\":\"{channel}\",\"clientId\":\"{id}\",\"data\":{data}}}");
        self.enter(What::Publish(number), channel, &text)
    }

    /// Sends messages other than connects.
    pub(super) fn command(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared) {
        if !self.behaviour.commands || self.gone || ctx.phase.silent || ctx.phase.over {
            return;
        }
        let every = if ctx.phase.calm { 1_500 } else { 3_000 };
        let after = ctx.rng.range(300, every);
        ring(ctx, self.index, after, Alarm::Command, 0);
        let free = self.second.out.is_none() && self.carry.is_empty() && self.subs.is_settled();
        if self.stage == Stage::Out || !free {
            return;
        }
        let mut ids = if ctx.phase.mixes && !ctx.phase.calm && ctx.rng.chance(25) {
            self.mixed(ctx, shared)
        } else {
            Vec::new()
        };
        match ctx.rng.below(12) {
            _ if !ids.is_empty() => {}
            0..=2 => {
                let some = self.subs.some(ctx, &shared.pool);
                if !some.is_empty() {
                    ids.push(self.subscribe(ctx, &some));
                }
            }
            3..=4 => {
                if let Some(pattern) = self.subs.leave(ctx, self.book) {
                    let more = json!({ "subscription": pattern });
                    ids.push(self.for_session(What::Unsubscribe(pattern), "/meta/unsubscribe", &more));
                }
            }
            5 => {
                let more = json!({ "subscription": "/service/x" });
                ids.push(self.for_session(What::Service, "/meta/subscribe", &more));
            }
            6 if ctx.rng.chance(30) => {
                self.leaving = true;
                ids.push(self.for_session(What::Disconnect, "/meta/disconnect", &json!({})));
            }
            _ => {
                for _ in 0..ctx.rng.size(1, 3) {
                    let channel = ctx.rng.pick(&shared.channels).clone();
                    ids.push(self.publish(ctx, &channel));
                }
            }
        }
        self.check_well(ctx);
        // A client that must wait sends late: its messages would arrive after the final checks.
        let carries = ctx.rng.chance(20) && !ctx.phase.calm;
        if carries { self.carry.extend(ids) } else { self.send_aside(ctx, shared, ids) }
    }

    // ---- sending ----

    fn texts(&self, ids: &[String]) -> Vec<String> {
        ids.iter().filter_map(|id| self.asks.get(id)).map(|ask| ask.text.clone()).collect()
    }

    fn send_main(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, ids: Vec<String>, connects: bool) {
        if self.mode == Mode::Socket {
            return self.send_by_socket(ctx, shared, &ids, connects);
        }
        let texts = self.texts(&ids);
        let limit = if connects { ctx.phase.poll_hold + ctx.phase.poll_hold / 4 } else { 0 };
        let out = Out::new(self.mode, ids, connects);
        let place = (&*shared.path, shared.cookie.as_deref());
        self.main.send(ctx, self.behaviour.style, place, (&texts, out), limit);
    }

    fn send_aside(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, ids: Vec<String>) {
        if ids.is_empty() {
            return;
        }
        if self.mode == Mode::Socket && self.socket.is_some() {
            return self.send_by_socket(ctx, shared, &ids, false);
        }
        let mode = if self.mode == Mode::Socket { Mode::Json } else { self.mode };
        let texts = self.texts(&ids);
        let out = Out::new(mode, ids, false);
        let place = (&*shared.path, shared.cookie.as_deref());
        self.second.send(ctx, self.behaviour.style, place, (&texts, out), 0);
    }

    fn send_by_socket(&mut self, ctx: &mut Ctx<'_>, shared: &Shared, ids: &[String], connects: bool) {
        let texts = self.texts(ids);
        let (style, path, cookie) = (self.behaviour.style, &shared.path, shared.cookie.as_deref());
        let socket = self.socket.get_or_insert_with(|| Socket::open(ctx, style, path, cookie));
        socket.send(ctx, &texts);
        if connects && !std::mem::replace(&mut socket.is_bound, true) && self.since + SLACK < ctx.now() {
            // Messages published meanwhile are still to arrive.
            self.level = self.behaviour.ack && self.level;
            self.quiet_since = ctx.now();
            self.check_well(ctx);
        }
        let limit = if connects { ctx.phase.poll_hold + ctx.phase.poll_hold / 4 } else { 0 };
        let after = limit + 3 * SLACK;
        // Each by itself: on a socket that went silent, the last may have been answered, and an
        // earlier connect not.
        for id in ids {
            if let Some(ask) = self.asks.get_mut(id) {
                ask.due = ctx.now() + after;
            }
            let number = id.split('-').nth(1).and_then(|number| number.parse().ok());
            ring(ctx, self.index, after, Alarm::Due, number.unwrap_or_default());
        }
    }
}
