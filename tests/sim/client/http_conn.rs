//! A client's connection: its requests and their responses.
//!
//! It checks the rules of HTTP: one response per request, in order, in time, and no other byte.

use std::collections::VecDeque;

use encke::base::ids::ListenerKind;

use super::Ctx;
use crate::http::{Headers, Piece, Reader};
use crate::net::{Event, How, LinkId, Style};
use crate::request::{Request, Spelling};

/// One request that waits for its response.
#[derive(Debug)]
struct Ask {
    id: u32,
    tag: u32,
    what: String,
    head: bool,
    begun: bool,
    sent: u64,
    /// How long the connection had been idle before.
    idle: u64,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct HttpConn {
    pub(crate) link: LinkId,
    reader: Reader,
    asked: VecDeque<Ask>,
    next: u32,
    /// The last response announced the end of the connection.
    closing: bool,
    /// The client has sent FIN.
    halved: bool,
    used: u64,
    /// When everything that was sent will have arrived.
    pub(crate) arrives: u64,
}

/// A received item.
#[derive(Debug)]
pub(crate) enum Reply {
    Head { status: u16, headers: Headers },
    Body { bytes: Vec<u8> },
    Done { tag: u32 },
}

/// Network, turns and mail in both directions: the most that a healthy exchange takes besides
/// waiting.
pub(crate) const SLACK: u64 = 1_500;

impl HttpConn {
    pub(crate) fn connect(ctx: &mut Ctx<'_>, listener: ListenerKind, style: Style) -> Self {
        let link = ctx.net.connect(ctx.me, listener, style);
        ctx.note(format_args!("connects l{link}"));
        let used = ctx.now();
        Self {
            link,
            reader: Reader::default(),
            asked: VecDeque::new(),
            next: 0,
            closing: false,
            halved: false,
            used,
            arrives: used,
        }
    }

    /// Sends a request; its response is due `limit` milliseconds after it has arrived.
    pub(crate) fn ask(
        &mut self,
        ctx: &mut Ctx<'_>,
        request: &Request,
        spelling: Spelling,
        limit: u64,
        tag: u32,
    ) {
        let bytes = request.bytes(spelling, ctx.rng);
        let first = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let what = String::from_utf8_lossy(first).split(" HTTP/").next().unwrap_or_default().to_owned();
        ctx.note(format_args!("l{} asks {request}", self.link));
        self.arrives = ctx.net.send(self.link, &bytes);
        let (id, now) = (self.next, ctx.now());
        self.next += 1;
        let idle = if self.asked.is_empty() { now - self.used } else { 0 };
        let head = request.method == "HEAD";
        self.asked.push_back(Ask { id, tag, what, head, begun: false, sent: now, idle });
        ctx.net.schedule(self.arrives + limit + SLACK, Event::Late(ctx.me, self.link, id));
        self.used = now;
    }

    /// A connection without HTTP that begins with these bytes; the response to them is due at once.
    pub(crate) fn connect_raw(ctx: &mut Ctx<'_>, style: Style, bytes: &[u8]) -> Self {
        let mut conn = Self::connect(ctx, ListenerKind::XmlSocket, style);
        conn.reader = Reader::raw();
        conn.push(ctx, bytes);
        let (sent, what) = (ctx.now(), String::from_utf8_lossy(bytes).into_owned());
        conn.asked.push_back(Ask { id: 0, tag: 0, what, head: false, begun: false, sent, idle: 0 });
        conn.next = 1;
        ctx.net.schedule(conn.arrives + SLACK, Event::Late(ctx.me, conn.link, 0));
        conn
    }

    /// Sends bytes on a connection without HTTP, or after an upgrade.
    pub(crate) fn push(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) {
        self.arrives = ctx.net.send(self.link, bytes);
        self.used = ctx.now();
    }

    /// Sends FIN: no more requests follow.
    pub(crate) fn half_close(&mut self, ctx: &mut Ctx<'_>) {
        ctx.note(format_args!("l{} half-closes", self.link));
        self.halved = true;
        ctx.net.half_close(self.link);
    }

    pub(crate) fn abandon(&mut self, ctx: &mut Ctx<'_>) {
        ctx.note(format_args!("l{} is abandoned", self.link));
        ctx.net.close(self.link);
    }

    /// Whether another request may be sent.
    pub(crate) fn is_open(&self, ctx: &Ctx<'_>) -> bool {
        !self.closing && !self.halved && ctx.net.link(self.link).client == crate::net::ClientEnd::Open
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    pub(crate) fn closes(&self) -> bool {
        self.closing
    }

    /// Whether the client has sent FIN.
    pub(crate) fn is_halved(&self) -> bool {
        self.halved
    }

    pub(crate) fn feed(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) -> Vec<Reply> {
        self.used = ctx.now();
        let mut replies = Vec::new();
        let mut bytes = bytes;
        loop {
            let wants_body = self.asked.front().is_none_or(|ask| !ask.head);
            let pieces = match self.reader.feed(bytes, wants_body) {
                Ok(pieces) => pieces,
                Err(why) => {
                    ctx.fail(format!("l{}: a broken response: {why}", self.link));
                    return replies;
                }
            };
            bytes = &[];
            let done = matches!(pieces.last(), Some(Piece::Done));
            for piece in pieces {
                self.piece(ctx, piece, &mut replies);
            }
            if !done || !self.reader.has_rest() {
                return replies;
            }
        }
    }

    fn piece(&mut self, ctx: &mut Ctx<'_>, piece: Piece, replies: &mut Vec<Reply>) {
        let Some(ask) = self.asked.front_mut() else {
            return ctx.fail(format!("l{}: a response that nobody asked for: {piece:?}", self.link));
        };
        let tag = ask.tag;
        match piece {
            Piece::Head { status, headers } => {
                ask.begun = true;
                if self.closing {
                    ctx.fail(format!("l{}: a response after the last one", self.link));
                }
                self.closing = headers.closes();
                ctx.note(format_args!("l{} hears {status}", self.link));
                replies.push(Reply::Head { status, headers });
            }
            Piece::Body(bytes) => {
                ask.begun = true;
                replies.push(Reply::Body { bytes });
            }
            Piece::Done => {
                self.asked.pop_front();
                replies.push(Reply::Done { tag });
            }
        }
    }

    /// The connection has ended. A request may be left without an answer only if the connection
    /// broke, or announced its end.
    pub(crate) fn end(&mut self, ctx: &mut Ctx<'_>, how: How) -> Vec<Reply> {
        ctx.note(format_args!("l{} ends by {how:?}", self.link));
        ctx.net.close(self.link);
        // A server may give up on a client that does not read.
        if how == How::Reset || (ctx.net.link(self.link).lame && self.reader.is_amid()) {
            return Vec::new();
        }
        let mut replies = Vec::new();
        match self.reader.end(self.halved) {
            Ok(Some(piece)) => self.piece(ctx, piece, &mut replies),
            Ok(None) => {}
            Err(why) => ctx.fail(format!("l{}: {why}", self.link)),
        }
        if let Some(ask) = self.asked.front()
            && !self.closing
        {
            // A request may cross the FIN of a connection that was idle for too long. A client that
            // reads late learns late of the response after which the connection was idle.
            let idle = ask.idle * 10 >= ctx.phase.idle_timeout * 8 || ctx.net.link(self.link).lame;
            let crossed = idle || ctx.now() < ask.sent + 400 && ctx.phase.over;
            if !crossed {
                ctx.fail(format!("l{}: closed without an answer to {}", self.link, ask.what));
            }
        }
        replies
    }

    /// A request should have been answered by now.
    pub(crate) fn late(&mut self, ctx: &mut Ctx<'_>, id: u32) {
        let waits = self.asked.iter().any(|ask| ask.id == id && !ask.begun);
        let sound_at = ctx.net.link(self.link).prompt_since + SLACK;
        if waits && ctx.now() < sound_at {
            ctx.net.schedule(sound_at, Event::Late(ctx.me, self.link, id));
        } else if waits && !self.closing && ctx.net.is_sound(self.link) {
            let what = self.asked.iter().find(|ask| ask.id == id).map(|ask| ask.what.clone());
            ctx.fail(format!("l{}: no answer in time to {}", self.link, what.unwrap_or_default()));
        }
    }

    /// Whether that response is incomplete.
    pub(crate) fn is_owed(&self, id: u32) -> bool {
        self.asked.iter().any(|ask| ask.id == id)
    }

    /// Whether a response with one batch is under way; a stream always is.
    pub(crate) fn is_amid_batch(&self, streams: bool) -> bool {
        !streams && self.reader.is_amid()
    }
}
