//! Responses that carry one batch: polls, answered at once, and long polls, held until there is something.

use crate::base::frame::Frame;
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::Span;
use crate::protocol::native::envelope;
use crate::protocol::native::envelope::CloseCode;
use crate::shard::bayeux::{Gives, Turn};
use crate::shard::conn::{Phase, Poll, Then};
use crate::shard::conns::Conns;
use crate::shard::cx::Cx;
use crate::shard::exchange::{Found, Made};
use crate::shard::reply::{Body, CONTENT_ENCODING, COPY_MAX, Reply};
use crate::shard::session::Link;
use crate::shard::stream::compresses;
use crate::shard::todo::Todo;
use crate::shard::{Shard, Timer};
use crate::transport::{Delivery, Encoded, Envelope, Form, Opening, Press, gzip};
use crate::wire::http::response::ResponseFraming;

/// A response that carries envelopes, before it is written.
pub(super) struct Batch<'a> {
    pub(super) form: Form,
    pub(super) reply: &'a Reply,
    pub(super) opening: &'a Opening,
    /// Envelopes as JSON, before the messages.
    pub(super) first: &'a [Vec<u8>],
    pub(super) messages: &'a [Encoded],
    /// Envelopes as JSON, after them.
    pub(super) last: &'a [Vec<u8>],
}

impl Conns {
    /// Writes a whole response that carries envelopes.
    pub(super) fn send_poll(
        &mut self,
        cx: &mut Cx,
        conn: ConnKey,
        batch: &Batch<'_>,
        mut headers: Vec<(&'static str, &str)>,
    ) {
        let Batch { form, reply, opening, .. } = batch;
        let mut body = body_of(batch, &cx.press);
        headers.extend(self.compressed(cx, *form, reply, &mut body));
        let mut head = std::mem::take(&mut self.scratch);
        head.clear();
        let keep = reply.transport_head(opening, &headers, ResponseFraming::Length(body.bytes()), &mut head);
        body.send_behind(&mut head, |frame| self.push(cx, conn, frame));
        if head.capacity() <= SCRATCH_MAX {
            self.scratch = head;
        }
        self.flush(cx, conn, Then::from(keep));
    }

    /// Compresses a body where that is asked for and makes it smaller. Those who are answered together mostly get the same one.
    fn compressed(
        &mut self,
        cx: &Cx,
        form: Form,
        reply: &Reply,
        body: &mut Body,
    ) -> Option<(&'static str, &'static str)> {
        if body.bytes() < COMPRESS_MIN || !compresses(&cx.config, form.transport, reply) {
            return None;
        }
        let plain = body.to_vec();
        if self.last_batch.as_ref().is_none_or(|(known, _)| *known != plain) {
            let packed = gzip::whole(&plain, &cx.press)?;
            self.last_batch = Some((plain, Frame::from(packed)));
        }
        let (_, packed) = self.last_batch.as_ref()?;
        *body = Body::default();
        body.push(packed);
        Some(CONTENT_ENCODING)
    }
}

impl Shard {
    pub(super) fn open_poll(
        &mut self,
        conn: ConnKey,
        poll: Poll,
        found: Found,
        waits: bool,
        answers: &[Vec<u8>],
    ) {
        let now = self.core.cx.now;
        let key = found.key;
        let mut first: Vec<Vec<u8>> = Vec::new();
        if found.made != Made::Before {
            let id = self.core.session_id(key).to_string();
            first.push(self.open_envelope(&found, &id, poll.form).1);
        }
        if let Some(gap) = &found.gap {
            first.push(self.core.gap_json(key, gap).0);
        }
        first.extend_from_slice(answers);
        let session = &self.core.sessions[key];
        if waits && first.is_empty() && !self.core.hub.has_more(session.cursor, &session.subscriptions) {
            self.core.sessions[key].link = Link::Parked(conn);
            let hold = self.core.cx.jittered(self.core.cx.config.poll_hold, 7);
            let at = &mut self.core.conns[conn];
            at.phase = Phase::Parked(Box::new(poll));
            at.alarm.set(&mut self.core.cx.wheel, now + hold, Timer::Conn(conn));
            return;
        }
        self.write_poll(conn, poll, first, None);
    }

    /// Answers a parked poll with what there is, which may be nothing; `close` is said last.
    pub(super) fn answer_poll(&mut self, conn: ConnKey, close: Option<CloseCode>) {
        let Some(at) = self.core.conns.get_mut(conn) else { return };
        if at.speaks_bayeux() {
            return match close {
                Some(code) => self.close_talk(conn, code),
                None => self.answer_held(conn, Turn::after(None), Gives::Messages),
            };
        }
        if !matches!(at.phase, Phase::Parked(_)) {
            return;
        }
        let Phase::Parked(poll) = std::mem::replace(&mut at.phase, Phase::Idle) else { return };
        if poll.connect.is_some() {
            return self.answer_connect(conn, *poll, Turn::after(close), close.is_none(), Vec::new());
        }
        let mut first = Vec::new();
        if let Some(gap) = self.core.owed(poll.session) {
            first.push(self.core.gap_json(poll.session, &gap).0);
        }
        let last = close.map(|code| self.close_envelope(code).0);
        self.write_poll(conn, *poll, first, last);
    }

    /// Writes a poll's whole response: `first`, then all messages that fit, then `last`.
    fn write_poll(&mut self, conn: ConnKey, poll: Poll, first: Vec<Vec<u8>>, last: Option<Vec<u8>>) {
        let Poll { session: key, form, reply, opening, behind, connect: _ } = poll;
        let (frames, cursor) = self.core.collect(key, form, self.core.cx.config.outbox_bytes);
        self.core.cx.metrics.messages_out += frames.len() as u64;
        let session = &mut self.core.sessions[key];
        session.cursor = cursor;
        let has_more = self.core.hub.has_more(cursor, &session.subscriptions);
        if !has_more {
            session.cursor = self.core.hub.head();
        }
        let position = self.core.hub.position(session.cursor).to_string();
        let transport = form.transport.transport();
        let advice = (transport.delivery() == Delivery::Once).then(|| self.poll_advice(key, has_more));
        let last: Vec<_> = last.into_iter().chain(advice).collect();
        let id = self.core.session_id(key).to_string();
        let headers = vec![("Encke-Session", &*id), ("Encke-Position", &*position)];
        self.core.detach_session(key);
        let (reply, opening) = (&reply, &opening);
        let batch = Batch { form, reply, opening, first: &first, messages: &frames, last: &last };
        self.core.conns.send_poll(&mut self.core.cx, conn, &batch, headers);
        self.core.cx.todos.extend(behind.map(|conn| Todo::MoveUp { session: key, conn }));
    }

    /// When the next poll is worth while: as soon as may be if this answer did not hold all
    /// messages; else soon after a message, later the longer nothing came, later still under load.
    /// Always within `ENCKE_POLL_MIN` and `ENCKE_POLL_MAX`.
    fn poll_advice(&self, key: SessionKey, has_more: bool) -> Vec<u8> {
        let now = self.core.cx.now;
        let least = self.core.cx.config.poll_min;
        let most = self.core.cx.config.poll_max.min(self.core.cx.config.session_grace.part(1, 2)).max(least);
        let session = &self.core.sessions[key];
        let logs = session.subscriptions.iter().filter_map(|at| self.core.hub.channel(at.channel));
        let newest = logs.filter_map(|channel| channel.log.newest_at()).max();
        let newest = if has_more { now } else { newest.unwrap_or(session.since).min(now) };
        let silence = now.since(newest);
        // Whoever waits a third as long again as nothing came is late by no more than that.
        let wait = silence.part(1, 3).as_millis() * self.strain();
        let wait = Span::from_millis(wait).max(least).min(most);
        let mut json = Vec::new();
        envelope::advice(wait, &mut json);
        json
    }

    /// By how much clients are to be asked less often than else: 1 as long as turns are short and little mail waits.
    fn strain(&self) -> u64 {
        /// A turn of so many microseconds keeps others waiting.
        const TURN_MICROS: u64 = 10_000;
        let turn = u64::from(self.core.cx.metrics.last_turn) / TURN_MICROS;
        let mail = (self.core.cx.metrics.mailbox * 8 / self.core.cx.config.mailbox.max(1)) as u64;
        (1 + turn + mail).min(STRAIN_MAX)
    }
}

/// The body of a response: its envelopes, and what stands around and between them.
fn body_of(batch: &Batch<'_>, press: &Press) -> Body {
    let Batch { form, opening, first, messages, last, .. } = batch;
    let transport = form.transport.transport();
    let (between, end) = (transport.separator(), transport.epilogue(form.dialect));
    let encode = |json: &[u8], out: &mut Vec<u8>| {
        transport.encode(form.dialect, &Envelope::plain(json), press, out);
    };
    let mut body = Body::default();
    let jsons = first.iter().chain(*last).map(Vec::len);
    let frames = messages.iter().map(|message| message.frame.len()).filter(|len| *len < COPY_MAX);
    let each: usize = jsons.chain(frames).map(|len| len + between.len()).sum();
    body.reserve(opening.preamble.len() + each + end.len());
    body.push_bytes(&opening.preamble);
    let mut separator: &[u8] = b"";
    for json in *first {
        body.push_bytes(std::mem::replace(&mut separator, between));
        body.push_with(|out| encode(json, out));
    }
    for message in *messages {
        body.push_bytes(std::mem::replace(&mut separator, between));
        body.push(&message.frame);
    }
    for json in *last {
        body.push_bytes(std::mem::replace(&mut separator, between));
        body.push_with(|out| encode(json, out));
    }
    body.push_bytes(end);
    body
}

/// Bytes that are kept for the next response's head and body: most fit, and one that was large does not stay.
const SCRATCH_MAX: usize = 64 * 1024;

/// Below this many bytes, a response's head is most of it.
const COMPRESS_MIN: usize = 256;

/// Beyond this, clients would be sent away rather than slowed down.
const STRAIN_MAX: u64 = 16;
