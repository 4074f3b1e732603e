//! A client's connection: what was asked on it, and what was answered.
//!
//! It keeps the rules of HTTP: one response per request, in order, within the time that is due, and no byte that nobody asked for.

use std::collections::VecDeque;

use encke::base::ids::Door;

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
    /// The line had been idle for so long before.
    idle: u64,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) link: LinkId,
    reader: Reader,
    asked: VecDeque<Ask>,
    next: u32,
    /// No response comes after the one that said so.
    closing: bool,
    /// We have sent FIN.
    halved: bool,
    used: u64,
    /// When all that was sent will have arrived.
    pub(crate) arrives: u64,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Reply {
    Head { status: u16, headers: Headers },
    Body { bytes: Vec<u8> },
    Done { tag: u32 },
}

/// Network, turns and mail, both ways: what a healthy exchange may take besides waiting.
pub(crate) const SLACK: u64 = 1_500;

impl Line {
    pub(crate) fn connect(ctx: &mut Ctx<'_>, door: Door, style: Style) -> Self {
        let link = ctx.net.connect(ctx.me, door, style);
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
        let what = String::from_utf8_lossy(&bytes).split(" HTTP/").next().unwrap_or_default().to_owned();
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

    /// A connection that carries no HTTP, and begins with these bytes; what they ask for is due at once.
    pub(crate) fn connect_raw(ctx: &mut Ctx<'_>, style: Style, bytes: &[u8]) -> Self {
        let mut line = Self::connect(ctx, Door::XmlSocket, style);
        line.reader = Reader::raw();
        line.push(ctx, bytes);
        let (sent, what) = (ctx.now(), String::from_utf8_lossy(bytes).into_owned());
        line.asked.push_back(Ask { id: 0, tag: 0, what, head: false, begun: false, sent, idle: 0 });
        line.next = 1;
        ctx.net.schedule(line.arrives + SLACK, Event::Late(ctx.me, line.link, 0));
        line
    }

    /// Sends bytes up a connection that carries no HTTP, or no longer.
    pub(crate) fn push(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) {
        self.arrives = ctx.net.send(self.link, bytes);
        self.used = ctx.now();
    }

    /// Sends FIN: nothing more will be asked.
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

    /// Whether we have sent FIN.
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

    /// The connection is at its end. What was asked and not answered is no one's fault only if the connection broke or was said to close.
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
            // A request may cross the FIN of a connection that was idle for too long. Whoever reads late learns late of the
            // response that it was idle after.
            let idle = ask.idle * 10 >= ctx.mood.idle_timeout * 8 || ctx.net.link(self.link).lame;
            let crossed = idle || ctx.now() < ask.sent + 400 && ctx.mood.over;
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

    /// Whether that response is not complete.
    pub(crate) fn is_owed(&self, id: u32) -> bool {
        self.asked.iter().any(|ask| ask.id == id)
    }

    /// Whether a response in one piece is under way; a stream always is.
    pub(crate) fn is_amid_batch(&self, streams: bool) -> bool {
        !streams && self.reader.is_amid()
    }
}
