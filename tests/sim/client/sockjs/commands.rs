//! Commands of a page: which it sends, and the connection that brings them.

use encke::base::ids::ListenerKind;
use serde_json::json;

use super::super::Ctx;
use super::super::http_conn::{HttpConn, Reply};
use super::super::uplink::Command;
use crate::net::{How, LinkId, Style};
use crate::oracle::BookId;
use crate::request::{Request, Spelling};

/// Commands that were sent together. The first is a ping by whose answer the page knows them again.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) token: u64,
    pub(super) commands: Vec<Command>,
    /// Its request may not have arrived, or ends the session.
    pub(super) is_doubtful: bool,
    /// When the server accepted it.
    pub(super) taken: Option<u64>,
}

impl Batch {
    /// The strings that carry it.
    pub(super) fn strings(&self, ctx: &mut Ctx<'_>) -> Vec<String> {
        let (mut strings, mut rest) = (Vec::new(), &self.commands[..]);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(ctx.rng.size(1, rest.len()));
            let texts: Vec<_> = now.iter().map(Command::spell).collect();
            let is_array = texts.len() > 1 || ctx.rng.chance(20);
            strings.push(if is_array { format!("[{}]", texts.join(",")) } else { texts[0].clone() });
            rest = later;
        }
        strings
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asking,
    Sure,
    Leaving,
}

#[derive(Debug)]
struct Want {
    pattern: String,
    wish: usize,
    state: State,
}

/// The subscriptions of a session.
#[derive(Debug, Default)]
pub(super) struct Wants(Vec<Want>);

/// At a time.
const WANTS_MAX: usize = 5;

impl Wants {
    /// The session began with this one.
    pub(super) fn has(&mut self, pattern: &str, wish: usize) {
        self.0.push(Want { pattern: pattern.to_owned(), wish, state: State::Sure });
    }

    /// A command that subscribes or unsubscribes, if one is possible.
    pub(super) fn change(&mut self, ctx: &mut Ctx<'_>, book: BookId, pool: &[String]) -> Option<Command> {
        let now = ctx.now();
        let pattern = ctx.rng.pick(pool).clone();
        if let Some(want) = self.0.iter_mut().find(|want| want.pattern == pattern) {
            if want.state != State::Sure {
                return None;
            }
            want.state = State::Leaving;
            ctx.oracle.leaving(now, book, want.wish);
            return Some(Command::Unsubscribe { pattern, wish: want.wish, at: None, asked: now });
        }
        if self.0.len() >= WANTS_MAX {
            return None;
        }
        let wish = ctx.oracle.late_wish(now, book, &pattern, 0, None);
        self.0.push(Want { pattern: pattern.clone(), wish, state: State::Asking });
        Some(Command::Subscribe { pattern, wish, last: 0, since: None })
    }

    /// A command has been answered.
    pub(super) fn answered(&mut self, ctx: &mut Ctx<'_>, book: BookId, command: &Command, is_ok: bool) {
        let now = ctx.now();
        match command {
            Command::Subscribe { wish, .. } => {
                let Some(at) = self.0.iter().position(|want| want.wish == *wish) else { return };
                if is_ok {
                    self.0[at].state = State::Sure;
                    ctx.oracle.sure(now, book, *wish);
                } else {
                    self.0.remove(at);
                    ctx.oracle.unanswered(now, book, *wish);
                }
            }
            Command::Unsubscribe { wish, .. } if is_ok => {
                self.0.retain(|want| want.wish != *wish);
                ctx.oracle.left(now, book, *wish);
            }
            Command::Unsubscribe { .. }
            | Command::Publish { .. }
            | Command::Ping { .. }
            | Command::Ack { .. }
            | Command::Close => {}
        }
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// This batch, for a session in this life.
    Batch { token: u64, life: u64 },
    /// A body that no list of strings has.
    Malformed,
    /// Strings for a session that nobody has opened.
    Unknown,
}

/// A request without an answer yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    pub(super) what: What,
    by_form: bool,
    pub(super) sent: u64,
}

/// The connection for strings that go up.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    conn: Option<HttpConn>,
    pub(super) out: Option<Out>,
    status: u16,
    body: Vec<u8>,
}

/// Bodies without a list of strings.
const MALFORMED: [&str; 5] = ["[\"x", "{\"a\":1}", "[1]", "\"x\"", "no JSON"];

impl Uplink {
    pub(super) fn owns(&self, link: LinkId) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.link == link)
    }

    /// Sends strings, or something else, to the session at a path.
    pub(super) fn send(
        &mut self,
        ctx: &mut Ctx<'_>,
        (path, style): (&str, Style),
        what: What,
        strings: &[String],
    ) {
        let body = match what {
            What::Batch { .. } | What::Unknown => json!(strings).to_string(),
            What::Malformed => (*ctx.rng.pick(&MALFORMED)).to_owned(),
        };
        let by_form = ctx.rng.chance(40);
        let leaf = if by_form { "jsonp_send" } else { "xhr_send" };
        let request = if by_form && ctx.rng.chance(70) {
            let form = format!("d={}", crate::request::segment(&body, ctx.rng));
            Request::post(format!("{path}/{leaf}"), form)
                .header("Content-Type", "application/x-www-form-urlencoded")
        } else {
            Request::post(format!("{path}/{leaf}"), body).header("Content-Type", "text/plain;charset=UTF-8")
        };
        let usable = self.conn.as_ref().is_some_and(|conn| conn.is_open(ctx) && conn.is_idle());
        if !usable || ctx.rng.chance(20) {
            self.leave(ctx);
            self.conn = Some(HttpConn::connect(ctx, ListenerKind::Public, style));
        }
        self.status = 0;
        self.body.clear();
        let spelling = Spelling::any(ctx.rng);
        if let Some(conn) = &mut self.conn {
            conn.ask(ctx, &request, spelling, 0, 0);
        }
        self.out = Some(Out { what, by_form, sent: ctx.now() });
    }

    /// Takes bytes; returns the request that they answer, with the status.
    pub(super) fn bytes(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) -> Option<(Out, u16)> {
        let replies = self.conn.as_mut()?.feed(ctx, bytes);
        self.replies(ctx, replies)
    }

    /// The connection has ended.
    pub(super) fn ended(&mut self, ctx: &mut Ctx<'_>, how: How) -> Option<(Out, u16)> {
        let replies = self.conn.take()?.end(ctx, how);
        self.replies(ctx, replies)
    }

    /// A request should have been answered by now. Says whether it never will be.
    pub(super) fn late(&mut self, ctx: &mut Ctx<'_>, ask: u32) -> bool {
        let Some(conn) = &mut self.conn else { return false };
        let waits = conn.is_owed(ask);
        conn.late(ctx, ask);
        waits && !ctx.net.is_sound(conn.link)
    }

    pub(super) fn leave(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(mut conn) = self.conn.take() {
            conn.abandon(ctx);
        }
    }

    pub(super) fn calm(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(conn) = &self.conn {
            ctx.net.read_promptly(conn.link);
        }
    }

    fn replies(&mut self, ctx: &mut Ctx<'_>, replies: Vec<Reply>) -> Option<(Out, u16)> {
        let mut answered = None;
        for reply in replies {
            match reply {
                Reply::Head { status, .. } => self.status = status,
                Reply::Body { bytes } => self.body.extend(bytes),
                Reply::Done { .. } => answered = self.done(ctx),
            }
        }
        answered
    }

    fn done(&mut self, ctx: &mut Ctx<'_>) -> Option<(Out, u16)> {
        let out = self.out.take()?;
        let text = String::from_utf8_lossy(&self.body).into_owned();
        ctx.note(format_args!("is answered {} {text}", self.status));
        let taken: (u16, &str) = if out.by_form { (200, "ok") } else { (204, "") };
        let is_right = match (out.what, self.status) {
            (What::Batch { .. }, 404) => text == "404 Error: Page not found\n",
            (What::Batch { .. }, status) => (status, &*text) == taken,
            (What::Malformed, status) => status == 500,
            (What::Unknown, status) => status == 404,
        };
        if !is_right && !ctx.phase.over {
            ctx.fail(format!("{out:?} is answered {} {text:?}", self.status));
        }
        Some((out, self.status))
    }
}

/// The next commands of a page, for these patterns and channels.
pub(super) fn some(
    ctx: &mut Ctx<'_>,
    wants: &mut Wants,
    book: BookId,
    (pool, channels): (&[String], &[String]),
) -> Vec<Command> {
    let mut commands = Vec::new();
    for _ in 0..ctx.rng.size(1, 3) {
        if ctx.rng.chance(50) {
            let channel = ctx.rng.pick(channels).clone();
            commands.push(Command::publish(ctx, &channel));
        } else if let Some(change) = wants.change(ctx, book, pool) {
            commands.push(change);
        }
    }
    commands
}
