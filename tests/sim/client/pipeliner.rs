//! A kind of reverse proxy: one connection for several users' requests, many of them pipelined.
//!
//! Each request names another user, so the connection moves between shards in the middle of its
//! pipeline.

use std::collections::VecDeque;

use encke::base::ids::ListenerKind;
use serde_json::{Value, json};

use super::http_conn::{HttpConn, Reply};
use super::receiver::{Meaning, Pending, Receiver};
use super::{Client, Ctx};
use crate::envelope::Envelope;
use crate::http::Headers;
use crate::net::{How, LinkId, Reading, Style};
use crate::request::{Request, Spelling};

#[derive(Debug)]
enum What {
    Poll {
        user: usize,
        pending: Pending,
    },
    Ping(u64),
    /// Something that has one fixed status.
    Other(u16),
}

#[derive(Debug)]
pub(crate) struct Pipeliner {
    style: Style,
    users: Vec<Receiver>,
    channels: Vec<String>,
    conn: Option<HttpConn>,
    out: VecDeque<What>,
    head: (u16, Headers),
    body: Vec<u8>,
    /// A response to the last volley was full: more follows.
    is_behind: bool,
    /// The same for the volley that is being answered.
    is_full: bool,
    gone: bool,
}

impl Pipeliner {
    pub(crate) fn new(style: Style, users: Vec<Receiver>, channels: Vec<String>) -> Self {
        let style = Style { reading: Reading::Prompt, capacity: 64 * 1024, ..style };
        Self {
            style,
            users,
            channels,
            conn: None,
            out: VecDeque::new(),
            head: (0, Headers::default()),
            body: Vec::new(),
            is_behind: false,
            is_full: false,
            gone: false,
        }
    }

    fn volley(&mut self, ctx: &mut Ctx<'_>) {
        if !self.conn.as_ref().is_some_and(|conn| conn.is_open(ctx)) {
            self.conn = Some(HttpConn::connect(ctx, ListenerKind::Public, self.style));
        }
        // Every user once, with other requests in between.
        let polls = (0..self.users.len()).map(|user| (true, user));
        let extras = ctx.rng.size(0, 4);
        let mut volley: Vec<_> = polls.chain((0..extras).map(|at| (false, at % self.users.len()))).collect();
        ctx.rng.shuffle(&mut volley);
        for (polls, user) in volley {
            let (request, what) = if polls { self.poll(ctx, user) } else { self.extra(ctx, user) };
            let mut spelling = Spelling::any(ctx.rng);
            (spelling.close, spelling.old) = (false, false);
            let tag = self.out.len() as u32;
            if let Some(conn) = &mut self.conn {
                conn.ask(ctx, &request, spelling, 0, tag);
            }
            self.out.push_back(what);
        }
        if ctx.rng.chance(8)
            && let Some(conn) = &mut self.conn
        {
            conn.half_close(ctx);
        }
    }

    fn extra(&self, ctx: &mut Ctx<'_>, user: usize) -> (Request, What) {
        let path = |ctx: &mut Ctx<'_>, rest: &str| format!("/u/{}/{rest}", self.name(ctx, user));
        match ctx.rng.below(5) {
            0 => (
                Request { method: "HEAD", path: "/health".to_owned(), ..Request::default() },
                What::Other(200),
            ),
            1 => (Request::get(path(ctx, "nothing")), What::Other(404)),
            2 => (
                Request { method: "OPTIONS", path: path(ctx, "send"), ..Request::default() },
                What::Other(204),
            ),
            _ => {
                let token = ctx.rng.below(1 << 40);
                (Request::post(path(ctx, "send"), json!({ "ping": token }).to_string()), What::Ping(token))
            }
        }
    }

    fn name(&self, ctx: &mut Ctx<'_>, user: usize) -> String {
        crate::request::segment(&self.users[user].user, ctx.rng)
    }

    fn poll(&mut self, ctx: &mut Ctx<'_>, user: usize) -> (Request, What) {
        let channels = self.channels.clone();
        let path = format!("/u/{}/poll", self.name(ctx, user));
        let receiver = &mut self.users[user];
        if receiver.position.is_none() {
            receiver.begin(ctx, &channels, 0);
        }
        let pending = Pending {
            via: "poll",
            session: receiver.session.clone(),
            since: receiver.position.clone(),
            listed: channels.clone(),
            ..Pending::default()
        };
        let mut request = Request::get(path).query("channels", channels.join(","));
        if let Some(session) = &pending.session {
            request = request.query("session", session.clone());
        }
        if let Some(since) = &pending.since {
            request = request.query("since", since.to_string());
        }
        (request, What::Poll { user, pending })
    }

    fn replies(&mut self, ctx: &mut Ctx<'_>, replies: Vec<Reply>) {
        for reply in replies {
            match reply {
                Reply::Head { status, headers } => self.head = (status, headers),
                Reply::Body { bytes } => self.body.extend(bytes),
                Reply::Done { .. } => self.answered(ctx),
            }
        }
    }

    fn answered(&mut self, ctx: &mut Ctx<'_>) {
        let body = std::mem::take(&mut self.body);
        let status = self.head.0;
        match self.out.pop_front() {
            None => ctx.fail("an answer to nothing"),
            Some(What::Poll { .. }) if ctx.phase.over => {}
            Some(What::Poll { user, pending }) => self.polled(ctx, user, pending, &body),
            Some(What::Ping(token)) => {
                let value: Value = serde_json::from_slice(&body).unwrap_or_default();
                if status != 200 || value["ok"]["ping"] != json!(token) {
                    ctx.fail(format!("ping {token} is answered {status} {value}"));
                }
            }
            Some(What::Other(expected)) if expected == status || ctx.phase.over => {}
            Some(What::Other(expected)) => ctx.fail(format!("{status} instead of {expected}")),
        }
        if self.out.is_empty() {
            self.is_behind = std::mem::take(&mut self.is_full);
        }
    }

    fn polled(&mut self, ctx: &mut Ctx<'_>, user: usize, mut pending: Pending, body: &[u8]) {
        let receiver = &mut self.users[user];
        let texts = match Envelope::array(body) {
            Ok(texts) if self.head.0 == 200 => texts,
            other => return ctx.fail(format!("a poll is answered {} {other:?}", self.head.0)),
        };
        for text in texts {
            match receiver.envelope(ctx, &mut pending, &text, None) {
                Meaning::Nothing | Meaning::NewSession => {}
                // It always sends its position once it has one.
                Meaning::NewLife | Meaning::Answer(_) | Meaning::Closed | Meaning::Recycled => {
                    ctx.fail(format!("a poll's {text}"));
                }
            }
        }
        pending.end(ctx);
        match self.head.1.one("encke-position") {
            Some(position) => receiver.at(ctx, position),
            None => ctx.fail("a poll without a position"),
        }
        let is_full = body.len() >= ctx.phase.outbox_bytes;
        self.is_full |= is_full;
        ctx.oracle.well(receiver.book, (!is_full).then_some(ctx.net.now));
    }

    fn forget(&mut self, ctx: &mut Ctx<'_>) {
        self.out.clear();
        self.body.clear();
        for receiver in &self.users {
            ctx.oracle.well(receiver.book, None);
        }
    }
}

impl Client for Pipeliner {
    fn start(&mut self, ctx: &mut Ctx<'_>) {
        ctx.alarm(10, 0);
    }

    fn bytes(&mut self, ctx: &mut Ctx<'_>, link: LinkId, bytes: &[u8]) {
        let Some(mut conn) = self.conn.take_if(|conn| conn.link == link) else { return };
        let replies = conn.feed(ctx, bytes);
        self.conn = Some(conn);
        self.replies(ctx, replies);
    }

    fn ended(&mut self, ctx: &mut Ctx<'_>, link: LinkId, how: How) {
        let Some(mut conn) = self.conn.take_if(|conn| conn.link == link) else { return };
        let halved = conn.is_halved() && self.out.is_empty();
        let replies = conn.end(ctx, how);
        self.replies(ctx, replies);
        if !halved || !self.out.is_empty() {
            self.forget(ctx);
        }
    }

    fn woken(&mut self, ctx: &mut Ctx<'_>, _: u64) {
        if self.gone || ctx.phase.over {
            return;
        }
        if self.out.is_empty() {
            self.volley(ctx);
        }
        // Small responses carry less than is published, unless it polls again at once.
        let hurries =
            self.is_behind && ctx.phase.calm || ctx.phase.silent && ctx.phase.outbox_bytes < 16 * 1024;
        let after = ctx.rng.range(20, if hurries { 60 } else { 900 });
        ctx.alarm(after, 0);
    }

    fn late(&mut self, ctx: &mut Ctx<'_>, link: LinkId, ask: u32) {
        let Some(mut conn) = self.conn.take_if(|conn| conn.link == link) else { return };
        conn.late(ctx, ask);
        if ctx.net.is_sound(link) || self.out.is_empty() {
            self.conn = Some(conn);
        } else {
            conn.abandon(ctx);
            self.forget(ctx);
        }
    }

    fn disturbed(&mut self, ctx: &mut Ctx<'_>) {
        for receiver in &self.users {
            ctx.oracle.well(receiver.book, None);
        }
    }

    fn leave(&mut self, ctx: &mut Ctx<'_>) {
        self.gone = true;
        if let Some(mut conn) = self.conn.take() {
            conn.abandon(ctx);
        }
    }
}
