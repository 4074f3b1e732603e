//! One request for strings and its response; and what the server has written of a lost one.

use encke::base::ids::ListenerKind;

use super::super::Ctx;
use super::super::http_conn::{HttpConn, Reply};
use super::frames::{CALLBACK, Carrier, Decoder, Frame};
use super::session::Via;
use crate::http::{Piece, Reader};
use crate::net::{LinkId, Net, Style};
use crate::request::{Request, Spelling};

/// A request for strings.
#[derive(Debug)]
pub(super) struct Receive {
    pub(super) conn: HttpConn,
    pub(super) carrier: Carrier,
    pub(super) decoder: Decoder,
    status: u16,
    asked: u64,
    pub(super) arrives: u64,
    /// When the last byte came.
    pub(super) heard: u64,
    /// Frames so far.
    pub(super) frames: usize,
    /// Bytes of the connection so far, and after how many the client cuts it.
    bytes: usize,
    pub(super) cut_after: Option<usize>,
    /// It may be the first of a session.
    pub(super) may_begin: bool,
    /// It was requested beside another one, which has ended since.
    pub(super) is_second: bool,
    pub(super) done: bool,
}

/// What HTTP adds to a chunk at most.
const CHUNK_BYTES: usize = 8;

/// Which response, from where, over what.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) path: &'a str,
    pub(super) listed: &'a [String],
    pub(super) carrier: Carrier,
    pub(super) style: Style,
}

/// What the server had written of a response that did not arrive.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) frames: Vec<Frame>,
    /// All of the response.
    pub(super) is_whole: bool,
    /// Some of it.
    pub(super) has_begun: bool,
    /// When the last byte was written.
    pub(super) at: u64,
}

impl Receive {
    /// Sends the request, on the spare connection if that can be used.
    pub(super) fn ask(ctx: &mut Ctx<'_>, asked: &Asked<'_>, spare: Option<HttpConn>) -> Self {
        let carrier = asked.carrier;
        let path = format!("{}/{}", asked.path, carrier.leaf());
        let mut request = if carrier.posts() { Request::post(path, "") } else { Request::get(path) };
        if carrier.calls() {
            request = request.query("c", CALLBACK);
        }
        if !asked.listed.is_empty() {
            request = request.query("channels", asked.listed.join(","));
        }
        // A client's own names do not disturb.
        if ctx.rng.chance(30) {
            request = request.query("t", ctx.rng.below(1_000_000).to_string());
        }
        let mut conn = match spare {
            Some(conn) if conn.is_open(ctx) && conn.is_idle() => conn,
            _ => HttpConn::connect(ctx, ListenerKind::Public, asked.style),
        };
        // The end of a stream for HTTP/1.0 is that of its connection, which says less.
        let spelling = Spelling::any(ctx.rng);
        let spelling = Spelling { old: spelling.old && carrier.polls(), expect: false, ..spelling };
        let hold = ctx.phase.heartbeat;
        let limit = if carrier.polls() { hold + hold / 4 } else { 0 };
        ctx.net.record(conn.link);
        conn.ask(ctx, &request, spelling, limit, 0);
        let (now, arrives) = (ctx.now(), conn.arrives);
        Self {
            conn,
            carrier,
            decoder: Decoder::new(carrier),
            status: 0,
            asked: now,
            arrives,
            heard: now,
            frames: 0,
            bytes: 0,
            cut_after: None,
            may_begin: false,
            is_second: false,
            done: false,
        }
    }

    /// Takes bytes; returns the frames that they complete.
    pub(super) fn bytes(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) -> Vec<Frame> {
        self.bytes += bytes.len();
        self.heard = ctx.now();
        let replies = self.conn.feed(ctx, bytes);
        let frames = self.replies(ctx, replies);
        if !self.done && self.cut_after.is_some_and(|after| self.bytes >= after) {
            ctx.note(format_args!("l{} is cut after {} bytes", self.conn.link, self.bytes));
            self.cut_after = None;
            ctx.net.cut(self.conn.link);
        }
        frames
    }

    pub(super) fn replies(&mut self, ctx: &mut Ctx<'_>, replies: Vec<Reply>) -> Vec<Frame> {
        let mut frames = Vec::new();
        for reply in replies {
            match reply {
                Reply::Head { status, .. } => {
                    self.status = status;
                    if status != 200 && !ctx.phase.over {
                        ctx.fail(format!("l{}: a request for strings is answered {status}", self.conn.link));
                    }
                }
                Reply::Body { bytes } if self.status == 200 => match self.decoder.feed(&bytes) {
                    Ok(some) => frames.extend(some),
                    Err(why) => ctx.fail(why),
                },
                Reply::Body { .. } => {}
                Reply::Done { .. } => self.done = true,
            }
        }
        frames
    }

    /// A response is complete.
    pub(super) fn check_end(&self, ctx: &mut Ctx<'_>, response_bytes: usize, is_over: bool) {
        if self.status != 200 {
            return;
        }
        let has_ended = is_over || ctx.phase.over;
        // The server counts the chunks of several messages as though they were one.
        let counted = self.decoder.size + CHUNK_BYTES * self.frames;
        let is_full = self.carrier.polls() || counted >= response_bytes || has_ended;
        let one = !self.carrier.polls() || self.frames == 1;
        if !self.decoder.is_clean() || !is_full || !one {
            ctx.fail(format!("l{}: a response ends too early, or too late: {self:?}", self.conn.link));
        }
    }

    /// How its frames came.
    pub(super) fn via(&self) -> Via {
        Via { name: self.carrier.name(), asked: self.asked, arrives: self.arrives, is_lost: false }
    }
}

impl Remains {
    /// Of the response to the last request on a link.
    pub(super) fn of(net: &Net, link: LinkId, carrier: Carrier) -> Self {
        let none = Self { frames: Vec::new(), is_whole: false, has_begun: false, at: 0 };
        let Some(written) = &net.link(link).written else { return none };
        let (mut reader, mut decoder) = (Reader::default(), Decoder::new(carrier));
        let pieces = reader.feed(&written.bytes, true).unwrap_or_default();
        let mut remains = Self { has_begun: !written.bytes.is_empty(), at: written.at, ..none };
        for piece in pieces {
            match piece {
                Piece::Head { .. } => {}
                Piece::Body(bytes) => remains.frames.extend(decoder.feed(&bytes).unwrap_or_default()),
                Piece::Done => remains.is_whole = true,
            }
        }
        remains
    }
}
