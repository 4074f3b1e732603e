//! One of a tab's two connections over HTTP: one request at a time, each with all its messages.

use encke::base::ids::ListenerKind;

use super::super::Ctx;
use super::super::http_conn::{HttpConn, Reply};
use crate::envelope::Envelope;
use crate::http::Headers;
use crate::net::{How, LinkId, Style};
use crate::request::{Request, Spelling, escaped};

/// The connection type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Json,
    Form,
    Callback,
    Socket,
}

impl Mode {
    pub(super) const ALL: [Self; 4] = [Self::Json, Self::Form, Self::Callback, Self::Socket];

    /// Its name in the protocol.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json | Self::Form => "long-polling",
            Self::Callback => "callback-polling",
            Self::Socket => "websocket",
        }
    }
}

/// The name of the function that callback polling calls.
const CALLBACK: &str = "cometd._jsonp_0";

/// A pending request.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) ids: Vec<String>,
    pub(super) mode: Mode,
    /// Whether it contains a connect.
    pub(super) connects: bool,
    /// The client will behave as if the response had never arrived.
    pub(super) lose: bool,
    /// When all of it will have arrived.
    pub(super) arrives: u64,
    status: u16,
    headers: Headers,
    body: Vec<u8>,
}

/// A response that is complete.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) out: Out,
    /// Its messages, unparsed.
    pub(super) messages: Vec<String>,
    pub(super) cookie: Option<String>,
    pub(super) size: usize,
    pub(super) status: u16,
}

#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) conn: Option<HttpConn>,
    pub(super) out: Option<Out>,
}

impl Pipe {
    pub(super) fn owns(&self, link: LinkId) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.link == link)
    }

    /// Whether a request is pending on a working connection, and arrived `for_long` ago.
    pub(super) fn waits(&self, ctx: &Ctx<'_>, for_long: u64) -> bool {
        let sound = self.conn.as_ref().is_some_and(|conn| ctx.net.is_sound(conn.link) && !conn.is_halved());
        sound && self.out.as_ref().is_some_and(|out| out.connects && ctx.now() > out.arrives + for_long)
    }

    /// Sends messages, whose answers are due `limit` milliseconds after they have arrived.
    pub(super) fn send(
        &mut self,
        ctx: &mut Ctx<'_>,
        style: Style,
        (path, cookie): (&str, Option<&str>),
        (messages, mut out): (&[String], Out),
        limit: u64,
    ) {
        let mut request = spelled(ctx, path, out.mode, messages);
        if let Some(cookie) = cookie {
            let others = *ctx.rng.pick(&["", "", "theme=dark; ", "x=\"y\"; "]);
            // A client with cookies is a browser, and names the page's origin.
            request = request.header("Cookie", format!("{others}{cookie}"));
            request = request.header("Sec-Fetch-Site", "same-origin");
        }
        let usable = self.conn.as_ref().is_some_and(|conn| conn.is_open(ctx) && conn.is_idle());
        if !usable {
            if let Some(mut conn) = self.conn.take() {
                conn.abandon(ctx);
            }
            self.conn = Some(HttpConn::connect(ctx, ListenerKind::Public, style));
        }
        let spelling = Spelling::any(ctx.rng);
        if let Some(conn) = &mut self.conn {
            conn.ask(ctx, &request, spelling, limit, 0);
            out.arrives = conn.arrives;
        }
        self.out = Some(out);
    }

    pub(super) fn half_close(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(conn) = &mut self.conn {
            conn.half_close(ctx);
        }
    }

    /// Takes bytes; returns the response that they complete.
    pub(super) fn bytes(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) -> Option<Done> {
        let replies = self.conn.as_mut()?.feed(ctx, bytes);
        self.replies(ctx, replies)
    }

    /// The connection has ended. A pending request that stays without an answer is kept.
    pub(super) fn ended(&mut self, ctx: &mut Ctx<'_>, how: How) -> Option<Done> {
        let replies = self.conn.take()?.end(ctx, how);
        self.replies(ctx, replies)
    }

    /// The client no longer waits for its pending request.
    pub(super) fn abandon(&mut self, ctx: &mut Ctx<'_>) -> Option<Out> {
        if let Some(mut conn) = self.conn.take() {
            conn.abandon(ctx);
        }
        self.out.take()
    }

    fn replies(&mut self, ctx: &mut Ctx<'_>, replies: Vec<Reply>) -> Option<Done> {
        let mut done = None;
        for reply in replies {
            let Some(out) = &mut self.out else {
                ctx.fail("a response that nobody asked for");
                return None;
            };
            match reply {
                Reply::Head { status, headers } => (out.status, out.headers) = (status, headers),
                Reply::Body { bytes } => out.body.extend(bytes),
                Reply::Done { .. } => done = self.out.take(),
            }
        }
        done.map(|out| read(ctx, out))
    }
}

impl Out {
    pub(super) fn new(mode: Mode, ids: Vec<String>, connects: bool) -> Self {
        Self {
            ids,
            mode,
            connects,
            lose: false,
            arrives: 0,
            status: 0,
            headers: Headers::default(),
            body: Vec::new(),
        }
    }
}

/// The request that carries messages over a connection type.
fn spelled(ctx: &mut Ctx<'_>, path: &str, mode: Mode, messages: &[String]) -> Request {
    let bare = messages.len() == 1 && ctx.rng.chance(20);
    let array = if bare { messages[0].clone() } else { format!("[{}]", messages.join(",")) };
    let path = format!("{path}{}", ctx.rng.pick(&["", "", "/connect", "/"]));
    match mode {
        Mode::Json => {
            let kinds = ["application/json;charset=UTF-8", "application/json", "text/json; charset=utf-8"];
            Request::post(path, array).header("Content-Type", *ctx.rng.pick(&kinds))
        }
        Mode::Form => {
            let split = ctx.rng.chance(30);
            let fields = if split { messages.to_vec() } else { vec![array] };
            let fields = fields.iter().map(|field| format!("message={}", escaped(field, ctx.rng)));
            let body = fields.collect::<Vec<_>>().join("&");
            Request::post(path, body).header("Content-Type", "application/x-www-form-urlencoded")
        }
        Mode::Callback => Request::get(path).query("jsonp", CALLBACK).query("message", array),
        Mode::Socket => unreachable!("a socket's messages are no requests"),
    }
}

fn read(ctx: &mut Ctx<'_>, mut out: Out) -> Done {
    let (body, status) = (std::mem::take(&mut out.body), out.status);
    let kind = out.headers.one("content-type").unwrap_or_default().to_owned();
    let cookie = out.headers.one("set-cookie").and_then(cookie_of);
    let expected = if out.mode == Mode::Callback { "text/javascript" } else { "application/json" };
    if status == 200 && !kind.starts_with(expected) {
        ctx.fail(format!("an answer of type {kind:?}"));
    }
    let mut messages = match (status, out.mode) {
        (200, Mode::Callback) => array(ctx, &call(&body).unwrap_or_default()),
        (200, _) => array(ctx, &body),
        _ => Vec::new(),
    };
    let mut status = status;
    if let (Mode::Callback, [refusal]) = (out.mode, &messages[..])
        && refusal.starts_with("{\"error\":")
    {
        // A script always has status 200, or the page would not see the reason.
        status = if refusal.contains("\"busy\"") { 503 } else { 400 };
        messages.clear();
    }
    ctx.note(format_args!("is answered {status} {}", String::from_utf8_lossy(&body).trim_end()));
    Done { out, messages, cookie, size: body.len(), status }
}

fn array(ctx: &mut Ctx<'_>, body: &[u8]) -> Vec<String> {
    Envelope::array(body).unwrap_or_else(|why| {
        ctx.fail(why);
        Vec::new()
    })
}

/// The argument with which a script calls its function, if no part of it could end the script or a
/// line of it.
fn call(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let inner = text.strip_prefix("/**/")?.strip_prefix(CALLBACK)?.strip_prefix('(')?.strip_suffix(");\n")?;
    let sound = !inner.contains(['\u{2028}', '\u{2029}']) && !inner.contains("</") && !inner.contains("<!--");
    sound.then(|| inner.as_bytes().to_vec())
}

/// A browser's cookie from `Set-Cookie`, with its name: a handshake sets one, the opening of a
/// socket another.
pub(super) fn cookie_of(header: &str) -> Option<String> {
    let cookie = header.split(';').next()?;
    (cookie.starts_with("BAYEUX_BROWSER=") || cookie.starts_with("BAYEUX_SOCKET=")).then(|| cookie.to_owned())
}
