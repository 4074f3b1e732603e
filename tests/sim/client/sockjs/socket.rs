//! A page's WebSocket, with frames or without: a session of its own.

use encke::base::ids::ListenerKind;
use serde_json::json;

use super::super::Ctx;
use super::super::bayeux::socket::next;
use super::super::http_conn::{HttpConn, Reply};
use super::super::subscriber::socket::{frame, message};
use super::session::Via;
use crate::net::{How, Style};
use crate::request::{Request, Spelling};

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) conn: HttpConn,
    /// Each message is a string.
    pub(super) is_raw: bool,
    pub(super) is_open: bool,
    /// The server has sent its close frame.
    pub(super) is_closed: bool,
    rest: Vec<u8>,
    asked: u64,
    /// When something came last.
    pub(super) heard: u64,
}

/// What a socket brings.
#[derive(Debug)]
pub(super) enum Heard {
    Open,
    Text(String),
    Ping,
    Close(u16),
    Refused(u16),
}

impl Socket {
    /// Opens one, below a session's path or below the service's.
    pub(super) fn open(ctx: &mut Ctx<'_>, path: &str, listed: &[String], style: Style, is_raw: bool) -> Self {
        let mut request = Request::get(format!("{path}/websocket"))
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        if !listed.is_empty() {
            request = request.query("channels", listed.join(","));
        }
        let mut conn = HttpConn::connect(ctx, ListenerKind::Public, style);
        let spelling = Spelling { old: false, close: false, expect: false, ..Spelling::any(ctx.rng) };
        conn.ask(ctx, &request, spelling, 0, 0);
        let (asked, heard) = (ctx.now(), ctx.now());
        Self { conn, is_raw, is_open: false, is_closed: false, rest: Vec::new(), asked, heard }
    }

    pub(super) fn via(&self) -> Via {
        let name = if self.is_raw { "sockjs-raw" } else { "sockjs-websocket" };
        Via { name, asked: self.asked, arrives: self.asked, is_lost: false }
    }

    /// Sends strings up.
    pub(super) fn send(&mut self, ctx: &mut Ctx<'_>, strings: &[String]) {
        let texts = match strings {
            _ if self.is_raw => strings.to_vec(),
            [one] if ctx.rng.chance(50) => vec![json!(one).to_string()],
            _ if ctx.rng.chance(40) => strings.iter().map(|one| json!([one]).to_string()).collect(),
            _ => vec![json!(strings).to_string()],
        };
        for text in texts {
            ctx.note(format_args!("l{} asks {text}", self.conn.link));
            let bytes = message(ctx, text.as_bytes());
            self.conn.push(ctx, &bytes);
        }
    }

    pub(super) fn bytes(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) -> Vec<Heard> {
        self.heard = ctx.now();
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
                Reply::Head { status: 101, .. } => {
                    self.is_open = true;
                    heard.push(Heard::Open);
                }
                Reply::Head { status, .. } => heard.push(Heard::Refused(status)),
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
                    self.is_closed = true;
                    heard.push(Heard::Close(code));
                }
                other => ctx.fail(format!("a frame that begins with {other:x}")),
            }
        }
        heard
    }
}
