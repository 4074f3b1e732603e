//! Responses that stay open, over HTTP and over what a connection was upgraded to: how they begin, make room for another, and end.

use crate::base::frame::Frame;
use crate::base::position::Position;
use crate::base::slab::ConnKey;
use crate::base::ticks::Span;
use crate::config::Config;
use crate::protocol::native::envelope;
use crate::protocol::native::envelope::CloseCode;
use crate::shard::Shard;
use crate::shard::conn::{Conn, Exchange, Extra, Intake, Phase, Recycle, Then};
use crate::shard::conns::Conns;
use crate::shard::cx::Cx;
use crate::shard::exchange::{Found, Made};
use crate::shard::mutation::Mutation;
use crate::shard::reply::{CONTENT_ENCODING, Gzip, Reply};
use crate::shard::request::{Open, Upgrade};
use crate::shard::session::Link;
use crate::shard::socket::{Socket, Speaks};
use crate::transport::{
    Asked, Coding, Delivery, Dialect, Encoded, Envelope, Form, Framing, Opening, Protocol, Retry, Through,
    TransportId, gzip, ws,
};
use crate::wire::http::head::KeepAlive;
use crate::wire::http::response::ResponseFraming;
use crate::wire::refusal::Refusal;
use crate::wire::websocket::Past;

/// Bytes that a response says around its first envelope, or somewhat more.
const OPENING_BYTES: usize = 128;

/// How long a client that was told to recycle may take to open its next response.
const RECYCLE_PATIENCE: Span = Span::from_secs(10);

impl Conns {
    /// Ends a stream as its transport ends it. A client that will send no more is as good as gone: what it was sent is still
    /// written, but where all of that is, the end alone is not, since our FIN tells the same.
    pub(super) fn end_stream(&mut self, cx: &mut Cx, key: ConnKey) {
        let Some(conn) = self.slab.get(key) else { return };
        let Phase::Streaming(exchange) = &conn.phase else { return };
        let still_there = conn.intake != Intake::Ended;
        if !still_there && conn.outbox.is_empty() && conn.tail.is_empty() {
            return self.close(cx, key);
        }
        let (form, then, sum) = (exchange.form, exchange.then, exchange.sum());
        self.detach(cx, key);
        self.push(cx, key, form.end(sum, &cx.press));
        let is_websocket = form.transport.transport().delivery() == Delivery::Duplex(Through::Upgrade);
        if is_websocket && still_there {
            return self.await_close(cx, key);
        }
        let then = if cx.takes_clients() { then } else { Then::Close };
        self.flush(cx, key, then);
    }
}

impl Shard {
    /// How a response for this request begins, with the padding that was asked for. Nothing is opened by it.
    pub(super) fn opening(&mut self, open: &Open) -> Result<(Opening, Vec<u8>), Refusal> {
        let transport = open.transport.transport();
        let nonce =
            if transport.delivery() == Delivery::Stream { self.core.cx.nonce() } else { String::new() };
        let host = &*open.host;
        let may_receive = |origin: &str| self.core.cx.keys.origins.may_receive(origin, host);
        let asked = Asked {
            query: &open.query,
            accept: &open.accept,
            host,
            nonce: &nonce,
            may_receive: &may_receive,
        };
        let mut opening = transport.open(&asked)?;
        if let Some(upgrade) = &open.upgrade {
            opening.dialect = ws::compressing(opening.dialect, upgrade.window_bits());
        }
        let mut pad = Vec::new();
        match asked.padding()? {
            0 => {}
            bytes => transport.pad(opening.dialect, bytes, &mut pad),
        }
        Ok((opening, pad))
    }

    /// The form in which a transport speaks on a connection.
    pub(super) fn form(&self, transport: TransportId, dialect: Dialect, reply: &Reply) -> Form {
        let framing = match transport.transport().delivery() {
            Delivery::Once | Delivery::Held => Framing::Length,
            Delivery::Stream => reply.stream_framing(),
            Delivery::Duplex(_) => Framing::UntilClose,
        };
        let streams = matches!(framing, Framing::Chunked);
        let coding = if streams && compresses(&self.core.cx.config, transport, reply) {
            Coding::Gzip
        } else {
            Coding::Identity
        };
        Form { transport, dialect, protocol: Protocol::Native, coding, framing }
    }

    pub(super) fn open_stream(
        &mut self,
        conn: ConnKey,
        open: &Open,
        reply: &Reply,
        (opening, pad): (Opening, Vec<u8>),
        found: Found,
    ) {
        let now = self.core.cx.now;
        let form = self.form(open.transport, opening.dialect, reply);
        let id = self.core.session_id(found.key).to_string();
        let mut out = Vec::with_capacity(512);
        let keep = stream_head(open, reply, &opening, (Some(&id), form.coding), &mut out);
        let (position, json) = self.open_envelope(&found, &id, form);
        let mut body = opening.preamble.into_owned();
        body.reserve(pad.len() + json.len() + OPENING_BYTES);
        let transport = form.transport.transport();
        transport.begin(form.dialect, position, &mut body);
        body.extend_from_slice(&pad);
        let envelope = Envelope { position: Some(position), ..Envelope::plain(&json) };
        transport.encode(form.dialect, &envelope, &self.core.cx.press, &mut body);
        let Encoded { frame, sum } = form.frame(body, &self.core.cx.press);
        if form.coding == Coding::Gzip {
            out.extend_from_slice(&form.chunk(gzip::HEADER.to_vec()));
        }
        out.extend_from_slice(&frame);
        let (extra, recycle) = match transport.delivery() {
            Delivery::Duplex(through) => {
                let past = open.upgrade.as_deref().map_or(Past::None, Upgrade::past);
                let socket = Socket::new(through, form.dialect, past, Speaks::Native);
                (Some(Extra::Socket(socket)), Recycle::Unscheduled)
            }
            Delivery::Once | Delivery::Held | Delivery::Stream => {
                ((form.coding == Coding::Gzip).then_some(Extra::Gzip(sum)), self.recycling())
            }
        };
        let then = if matches!(extra, Some(Extra::Socket(_))) { Then::Close } else { Then::from(keep) };
        let extra = extra.map(Box::new);
        let exchange = Exchange { session: found.key, form, then, moved: now, sent: 0, recycle, extra };
        self.core.conns[conn].phase = Phase::Streaming(exchange);
        self.core.conns.push(&mut self.core.cx, conn, Frame::from(out));
        if let Some(gap) = &found.gap {
            let encoded = self.core.gap_encoded(found.key, form, gap);
            self.core.conns.stream(&mut self.core.cx, conn, encoded);
        }
        self.core.conns.arm_heartbeat(&mut self.core.cx, conn, now);
        self.catch_up(found.key);
    }

    /// The `open` envelope as JSON, with the position that it names.
    pub(super) fn open_envelope(&self, found: &Found, id: &str, form: Form) -> (Position, Vec<u8>) {
        let position = self.core.hub.position(self.core.sessions[found.key].cursor);
        let instead = match found.made {
            Made::Apart(other) => Some(other.to_string()),
            Made::New | Made::Before => None,
        };
        let (resumed, instead) = (found.resumed, instead.as_deref());
        let mut json = Vec::new();
        let transport = form.transport.transport().name();
        let (heartbeat, grace) = (self.core.cx.config.heartbeat, self.core.cx.config.session_grace);
        let open = envelope::Open { session: id, position, resumed, heartbeat, grace, transport, instead };
        envelope::open(&open, &mut json);
        (position, json)
    }

    /// The `close` envelope, and when to come back.
    pub(super) fn close_envelope(&mut self, code: CloseCode) -> (Vec<u8>, Span) {
        let after = self.core.cx.come_back();
        let mut json = Vec::new();
        envelope::close(code, after, &mut json);
        (json, after)
    }

    /// Ends a stream with a reason, as its last envelope.
    pub(super) fn close_stream(&mut self, conn: ConnKey, code: CloseCode) {
        if self.core.conns.get(conn).is_some_and(Conn::speaks_bayeux) {
            return self.close_talk(conn, code);
        }
        if self.say_close(conn, code) {
            self.core.conns.end_stream(&mut self.core.cx, conn);
        }
    }

    /// Says `close` on a stream; whether there is one.
    fn say_close(&mut self, conn: ConnKey, code: CloseCode) -> bool {
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.core.conns.get(conn) else {
            return false;
        };
        let form = exchange.form;
        let (json, after) = self.close_envelope(code);
        let retry = if code.reconnect() { Retry::After(after) } else { Retry::Never };
        let encoded = form.encode(&Envelope { retry, ..Envelope::plain(&json) }, &self.core.cx.press);
        self.core.conns.stream(&mut self.core.cx, conn, encoded);
        true
    }

    /// A response has become long or old: its client is told, and goes on getting messages until its next response takes over, or
    /// until it has had its time.
    pub(super) fn recycle(&mut self, conn: ConnKey) {
        let now = self.core.cx.now;
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.core.conns.get_mut(conn) else {
            return;
        };
        match exchange.recycle {
            Recycle::Told(_) => self.core.conns.end_stream(&mut self.core.cx, conn),
            Recycle::Unscheduled | Recycle::Due(_) => {
                exchange.recycle = Recycle::told(now, RECYCLE_PATIENCE);
                let session = exchange.session;
                self.core.cx.metrics.recycled += 1;
                self.say_close(conn, CloseCode::Recycle);
                self.core.conns.arm_heartbeat(&mut self.core.cx, conn, now);
                if self.core.cx.broken_by(Mutation::RecycleLosesCursor) {
                    self.core.sessions[session].cursor = self.core.hub.head();
                    self.core.sessions[session].link = Link::Level(conn);
                }
            }
        }
    }

    fn recycling(&mut self) -> Recycle {
        let now = self.core.cx.now;
        let after = self.core.cx.config.recycle_after.map(|span| self.core.cx.jittered(span, RECYCLE_PART));
        Recycle::after(now, after)
    }

    /// While the node drains, no session is made: the client is told when to come back. As a 200, for an `EventSource` gives up on anything else.
    pub(super) fn turn_away(&mut self, conn: ConnKey, open: &Open, reply: &Reply) {
        let transport = open.transport.transport();
        let (opening, _) = match self.opening(open) {
            Ok(opening) => opening,
            Err(refusal) => return self.core.conns.refuse(&mut self.core.cx, conn, reply, &refusal),
        };
        let (json, after) = self.close_envelope(CloseCode::Drain);
        let dialect = opening.dialect;
        let mut body = opening.preamble.to_vec();
        if transport.delivery() != Delivery::Once && transport.delivery() != Delivery::Held {
            transport.begin(dialect, self.core.hub.position(self.core.hub.head()), &mut body);
        }
        let envelope = Envelope { retry: Retry::After(after), ..Envelope::plain(&json) };
        transport.encode(dialect, &envelope, &self.core.cx.press, &mut body);
        body.extend_from_slice(transport.epilogue(dialect));
        let reply = Reply { keep_alive: KeepAlive::Close, ..reply.clone() };
        let mut out = Vec::new();
        match transport.delivery() {
            Delivery::Duplex(_) => {
                _ = stream_head(open, &reply, &opening, (None, Coding::Identity), &mut out);
            }
            Delivery::Once | Delivery::Held | Delivery::Stream => {
                reply.transport_head(&opening, &[], ResponseFraming::Length(body.len()), &mut out);
            }
        }
        out.extend_from_slice(&body);
        self.core.conns.respond(&mut self.core.cx, conn, (out, KeepAlive::Close));
    }
}

/// Whether a response is to be compressed: asked for, allowed, and readable so as it comes.
pub(super) fn compresses(config: &Config, transport: TransportId, reply: &Reply) -> bool {
    config.gzip && reply.gzip == Gzip::Accepted && transport.transport().may_compress()
}

/// The head of a stream's response; none, where there is no HTTP.
fn stream_head(
    open: &Open,
    reply: &Reply,
    opening: &Opening,
    (session, coding): (Option<&str>, Coding),
    out: &mut Vec<u8>,
) -> KeepAlive {
    let session = session.map(|id| ("Encke-Session", id));
    match open.transport.transport().delivery() {
        Delivery::Duplex(Through::Listener) => KeepAlive::Close,
        Delivery::Duplex(Through::Upgrade) => {
            let headers = open.upgrade.as_deref().map(Upgrade::headers).unwrap_or_default();
            let headers = headers.iter().map(|(name, value)| (*name, &**value));
            reply.switch("websocket", &headers.chain(session).collect::<Vec<_>>(), out);
            KeepAlive::Close
        }
        Delivery::Once | Delivery::Held | Delivery::Stream => {
            let coding = (coding == Coding::Gzip).then_some(CONTENT_ENCODING);
            let headers: Vec<_> = session.into_iter().chain(coding).collect();
            reply.transport_head(opening, &headers, ResponseFraming::stream(reply.version), out)
        }
    }
}

/// Responses that opened together are not recycled together: after 6/8 to 8/8 of `ENCKE_RECYCLE_AFTER`.
const RECYCLE_PART: u64 = 6;
