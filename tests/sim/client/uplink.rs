//! The uplink: a second connection for commands while the first one waits for messages.

use std::collections::VecDeque;

use encke::base::ids::ListenerKind;
use serde_json::{Value, json};

use super::Ctx;
use super::http_conn::{HttpConn, Reply};
use crate::envelope::Position;
use crate::net::{Event, How, LinkId, Style};
use crate::oracle::PROMPT;
use crate::payload::Payload;
use crate::request::{Request, Spelling};

/// One command, and what its client needs to understand the answer.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Subscribe { pattern: String, wish: usize, last: usize, since: Option<Position> },
    Unsubscribe { pattern: String, wish: usize, at: Option<Position>, asked: u64 },
    Publish { channel: String, number: usize, data: String },
    Ping { token: u64 },
    Ack { position: String },
    Close,
}

/// The answer to one command; `None` if it will never be known.
pub(crate) type Answer = Option<Result<Value, String>>;

impl Command {
    /// The command as JSON, with its payload unchanged.
    pub(crate) fn spell(&self) -> String {
        match self {
            Self::Subscribe { pattern, last, since, .. } => {
                let mut command = json!({ "subscribe": pattern });
                if *last > 0 {
                    command["last"] = json!(last);
                }
                if let Some(since) = since {
                    command["since"] = json!(since.to_string());
                }
                command.to_string()
            }
            Self::Unsubscribe { pattern, .. } => json!({ "unsubscribe": pattern }).to_string(),
            Self::Publish { channel, data, .. } => format!("{{\"publish\":\"{channel}\",\"data\":{data}}}"),
            Self::Ping { token } => json!({ "ping": token }).to_string(),
            Self::Ack { position } => json!({ "ack": position }).to_string(),
            Self::Close => json!({ "close": true }).to_string(),
        }
    }

    /// Whether it requests everything since some position, which may be much: later messages arrive
    /// after that.
    pub(crate) fn asks_for_past(&self) -> bool {
        matches!(self, Self::Subscribe { since: Some(_), .. })
    }

    /// A publish, registered with the oracle.
    pub(crate) fn publish(ctx: &mut Ctx<'_>, channel: &str) -> Self {
        let number = ctx.oracle.next_number();
        let payload = Payload::json(number, ctx.rng);
        let Payload::Json(data) = payload.clone() else { unreachable!("json makes JSON") };
        let now = ctx.now();
        ctx.oracle.publish(now, channel, payload);
        Self::Publish { channel: channel.to_owned(), number, data }
    }

    /// Checks that an answer fits this command, and reports to the oracle what only concerns it.
    pub(crate) fn answered(&self, ctx: &mut Ctx<'_>, answer: &Answer) {
        let now = ctx.now();
        match (self, answer) {
            (Self::Publish { number, .. }, Some(Err(code))) => ctx.oracle.refused(*number, code),
            (Self::Publish { number, channel, .. }, Some(Ok(value))) => {
                if value["publish"] != json!(channel) {
                    return ctx.fail(format!("{value} answers {self:?}"));
                }
                let id = value["id"].as_str().unwrap_or_default();
                ctx.oracle.accepted(now, *number, id);
                watch(ctx, *number);
            }
            (Self::Ping { token }, Some(Ok(value))) if value["ping"] == json!(token) => {}
            (Self::Ack { position }, Some(Ok(value))) if value["ack"] == json!(position) => {}
            (Self::Subscribe { pattern, .. }, Some(Ok(value))) if value["subscribe"] == json!(pattern) => {}
            (Self::Unsubscribe { pattern, .. }, Some(Ok(value)))
                if value["unsubscribe"] == json!(pattern) => {}
            (Self::Close, Some(Ok(value))) if value["close"] == json!(true) => {}
            (_, Some(Ok(value))) => ctx.fail(format!("{value} answers {self:?}")),
            // A session may have ended meanwhile.
            (_, Some(Err(_)) | None) => {}
        }
    }
}

/// A publish was accepted: it must arrive soon.
pub(crate) fn watch(ctx: &mut Ctx<'_>, number: usize) {
    let now = ctx.now();
    for wait in [PROMPT, PROMPT + 2_500] {
        ctx.net.schedule(now + wait, Event::Prompt(number as u64, wait));
    }
}

/// The connection for commands.
#[derive(Debug, Default)]
pub(crate) struct Uplink {
    conn: Option<HttpConn>,
    out: VecDeque<Command>,
    array: bool,
    status: u16,
    body: Vec<u8>,
}

impl Uplink {
    pub(crate) fn is_free(&self) -> bool {
        self.out.is_empty()
    }

    pub(crate) fn owns(&self, link: LinkId) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.link == link)
    }

    /// A request should have been answered by now. Stops waiting if the connection is the cause.
    pub(crate) fn late(&mut self, ctx: &mut Ctx<'_>, ask: u32) -> Vec<(Command, Answer)> {
        let Some(conn) = &mut self.conn else { return Vec::new() };
        let waits = conn.is_owed(ask);
        conn.late(ctx, ask);
        if waits && !ctx.net.is_sound(conn.link) { self.give_up(ctx) } else { Vec::new() }
    }

    /// Sends commands; one request at a time.
    pub(crate) fn send(
        &mut self,
        ctx: &mut Ctx<'_>,
        user: &str,
        session: Option<&str>,
        style: Style,
        commands: Vec<Command>,
    ) {
        let array = commands.len() != 1 || ctx.rng.chance(30);
        let body = commands.iter().map(Command::spell).collect::<Vec<_>>().join(",");
        let body = if array { format!("[{body}]") } else { body };
        let mut request = Request::post(format!("/u/{}/send", crate::request::segment(user, ctx.rng)), body);
        if let Some(session) = session {
            request = if ctx.rng.chance(50) {
                request.query("session", session)
            } else {
                request.header("Encke-Session", session)
            };
        }
        let usable = self.conn.as_ref().is_some_and(|conn| conn.is_open(ctx) && ctx.rng.clone().chance(70));
        if !usable {
            if let Some(mut conn) = self.conn.take() {
                conn.abandon(ctx);
            }
            self.conn = Some(HttpConn::connect(ctx, ListenerKind::Public, style));
        }
        (self.out, self.array, self.status) = (commands.into(), array, 0);
        self.body.clear();
        let spelling = Spelling::any(ctx.rng);
        if let Some(conn) = &mut self.conn {
            conn.ask(ctx, &request, spelling, 0, 0);
        }
    }

    pub(crate) fn bytes(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) -> Vec<(Command, Answer)> {
        let Some(conn) = &mut self.conn else { return Vec::new() };
        let replies = conn.feed(ctx, bytes);
        self.replies(ctx, replies)
    }

    fn replies(&mut self, ctx: &mut Ctx<'_>, replies: Vec<Reply>) -> Vec<(Command, Answer)> {
        let mut answers = Vec::new();
        for reply in replies {
            match reply {
                Reply::Head { status, .. } => self.status = status,
                Reply::Body { bytes } => self.body.extend(bytes),
                Reply::Done { .. } => answers.extend(self.done(ctx)),
            }
        }
        answers
    }

    fn done(&mut self, ctx: &mut Ctx<'_>) -> Vec<(Command, Answer)> {
        let body = std::mem::take(&mut self.body);
        let text = String::from_utf8_lossy(&body).into_owned();
        ctx.note(format_args!("is answered {} {}", self.status, text.trim_end()));
        let answers: Vec<Value> = match serde_json::from_slice(&body) {
            Ok(Value::Array(list)) if self.array => list,
            Ok(one @ Value::Object(_)) => vec![one],
            _ => Vec::new(),
        };
        let commands: Vec<_> = self.out.drain(..).collect();
        let whole = self.status != 200 && answers.len() == 1;
        if answers.len() != commands.len() && !whole {
            ctx.fail(format!("{} commands are answered by {text:?}", commands.len()));
            return commands.into_iter().map(|command| (command, None)).collect();
        }
        let answer = |index: usize| {
            let answer = &answers[if whole { 0 } else { index }];
            match &answer["ok"] {
                Value::Null => Err(answer["error"]["code"].as_str().unwrap_or("?").to_owned()),
                value => Ok(value.clone()),
            }
        };
        commands.into_iter().enumerate().map(|(index, command)| (command, Some(answer(index)))).collect()
    }

    pub(crate) fn ended(&mut self, ctx: &mut Ctx<'_>, how: How) -> Vec<(Command, Answer)> {
        let Some(mut conn) = self.conn.take() else { return Vec::new() };
        let replies = conn.end(ctx, how);
        let mut answers = self.replies(ctx, replies);
        answers.extend(self.out.drain(..).map(|command| (command, None)));
        answers
    }

    pub(crate) fn leave(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(mut conn) = self.conn.take() {
            conn.abandon(ctx);
        }
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) -> Vec<(Command, Answer)> {
        self.leave(ctx);
        self.out.drain(..).map(|command| (command, None)).collect()
    }

    pub(crate) fn calm(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(conn) = &self.conn {
            ctx.net.read_promptly(conn.link);
        }
    }
}
