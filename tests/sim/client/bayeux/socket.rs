//! A tab's WebSocket: arrays of messages in frames, in both directions.

use std::collections::VecDeque;

use encke::base::ids::ListenerKind;

use super::super::Ctx;
use super::super::http_conn::{HttpConn, Reply};
use super::super::subscriber::socket::{frame, message};
use super::pipe::cookie_of;
use crate::net::{How, Style};
use crate::request::{Request, Spelling};

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) conn: HttpConn,
    /// The server has accepted the upgrade.
    pub(super) is_open: bool,
    /// Messages that wait for that.
    queue: VecDeque<String>,
    rest: Vec<u8>,
    /// The client sent a connect on it, so it may get events.
    pub(super) is_bound: bool,
}

/// Frames that a socket receives.
#[derive(Debug)]
pub(super) enum Heard {
    Open { cookie: Option<String> },
    Refused { status: u16 },
    Text(String),
    Ping,
    Close(u16),
}

impl Socket {
    pub(super) fn open(ctx: &mut Ctx<'_>, style: Style, path: &str, cookie: Option<&str>) -> Self {
        let mut request = Request::get(path)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        if let Some(cookie) = cookie {
            request = request.header("Cookie", cookie);
        }
        let mut conn = HttpConn::connect(ctx, ListenerKind::Public, style);
        let spelling = Spelling { old: false, close: false, expect: false, ..Spelling::any(ctx.rng) };
        conn.ask(ctx, &request, spelling, 0, 0);
        Self { conn, is_open: false, queue: VecDeque::new(), rest: Vec::new(), is_bound: false }
    }

    /// Sends messages, in one frame or in several.
    pub(super) fn send(&mut self, ctx: &mut Ctx<'_>, messages: &[String]) {
        let texts = match messages {
            [one] if ctx.rng.chance(20) => vec![one.clone()],
            _ if ctx.rng.chance(30) => messages.iter().map(|one| format!("[{one}]")).collect(),
            _ => vec![format!("[{}]", messages.join(","))],
        };
        self.queue.extend(texts);
        self.flush(ctx);
    }

    fn flush(&mut self, ctx: &mut Ctx<'_>) {
        while self.is_open
            && let Some(text) = self.queue.pop_front()
        {
            ctx.note(format_args!("l{} asks {text}", self.conn.link));
            let bytes = message(ctx, text.as_bytes());
            self.conn.push(ctx, &bytes);
        }
    }

    pub(super) fn bytes(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) -> Vec<Heard> {
        let replies = self.conn.feed(ctx, bytes);
        self.replies(ctx, replies)
    }

    pub(super) fn ended(&mut self, ctx: &mut Ctx<'_>, how: How) -> Vec<Heard> {
        let replies = self.conn.end(ctx, how);
        self.replies(ctx, replies)
    }

    fn replies(&mut self, ctx: &mut Ctx<'_>, replies: Vec<Reply>) -> Vec<Heard> {
        let mut heard = Vec::new();
        for reply in replies {
            match reply {
                Reply::Head { status: 101, headers } => {
                    self.is_open = true;
                    heard.push(Heard::Open { cookie: headers.one("set-cookie").and_then(cookie_of) });
                    self.flush(ctx);
                }
                Reply::Head { status, .. } => heard.push(Heard::Refused { status }),
                Reply::Body { bytes } if self.is_open => self.rest.extend(bytes),
                Reply::Body { .. } | Reply::Done { .. } => {}
            }
        }
        while let Some((opcode, payload)) = next(&mut self.rest) {
            match opcode {
                0x81 => match String::from_utf8(payload) {
                    Ok(text) => heard.push(Heard::Text(text)),
                    Err(error) => ctx.fail(error.to_string()),
                },
                0x89 => {
                    let pong = frame(ctx, 0x8a, &payload);
                    self.conn.push(ctx, &pong);
                    heard.push(Heard::Ping);
                }
                0x8a => {}
                0x88 => {
                    let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
                    let close = frame(ctx, 0x88, &payload);
                    self.conn.push(ctx, &close);
                    heard.push(Heard::Close(code));
                }
                other => ctx.fail(format!("a frame that begins with {other:x}")),
            }
        }
        heard
    }
}

/// Takes the first complete frame (RFC 6455, 5.2): its first byte and its payload.
pub(crate) fn next(rest: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let [first, second, more @ ..] = &rest[..] else { return None };
    let (len, head) = match second {
        126 => (usize::from(u16::from_be_bytes(*more.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*more.first_chunk()?)).ok()?, 10),
        len => (usize::from(*len), 2),
    };
    let (first, payload) = (*first, rest.get(head..head + len)?.to_vec());
    rest.drain(..head + len);
    Some((first, payload))
}
