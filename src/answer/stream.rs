//! Responses that stay open, over HTTP or on a socket: start, recycling, end.

use crate::answer::Found;
use crate::answer::limits::{
    ELSEWHERE_EIGHTHS_MIN, ELSEWHERE_RETRY_MAX, GUEST_EIGHTHS_MIN, OPENING_BYTES, RECYCLE_EIGHTHS_MIN,
};
use crate::base::frame::Frame;
use crate::base::position::Position;
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::Span;
use crate::call::protocol::Subprotocol;
use crate::call::queue::Made;
use crate::conn::batch::compresses;
use crate::conn::phase::{Conn, Exchange, Extra, Phase, Recycle, Then};
use crate::conn::socket::Socket;
use crate::core::Core;
use crate::protocol::Protocol;
use crate::protocol::native::envelope;
use crate::protocol::native::envelope::CloseCode;
use crate::request::reply::{CONTENT_ENCODING, Reply};
use crate::request::{Open, Upgrade};
use crate::session::Link;
use crate::transport::{
    Coding, Delivery, Dialect, Encoded, Envelope, Form, Framing, Opening, Retry, Through, TransportId,
    TransportRequest, gzip, ws,
};
use crate::turn::mutation::Mutation;
use crate::wire::http::head::KeepAlive;
use crate::wire::http::response::ResponseFraming;
use crate::wire::refusal::{ErrorCode, Refusal, Refused};
use crate::wire::websocket::Past;

impl Core {
    /// How a response to this request opens, with the requested padding. Opens nothing yet.
    pub(crate) fn opening(&mut self, open: &Open) -> Result<(Opening, Vec<u8>), Refusal> {
        let transport = open.transport.transport();
        let nonce = if transport.delivery() == Delivery::Stream { self.cx.nonce() } else { String::new() };
        let host = &*open.host;
        let may_receive = |origin: &str| self.cx.keys.origins.may_receive(origin, host);
        let asked = TransportRequest {
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

    /// The wire format of a transport on a connection.
    pub(crate) fn form(&self, transport: TransportId, dialect: Dialect, reply: &Reply) -> Form {
        let framing = match transport.transport().delivery() {
            Delivery::Once | Delivery::Held => Framing::Length,
            Delivery::Stream => reply.stream_framing(),
            Delivery::Duplex(_) => Framing::UntilClose,
        };
        let streams = matches!(framing, Framing::Chunked);
        let coding = if streams && compresses(&self.cx.config, transport, reply) {
            Coding::Gzip
        } else {
            Coding::Identity
        };
        Form { transport, dialect, protocol: Protocol::Native, coding, framing }
    }

    pub(crate) fn open_stream(
        &mut self,
        conn: ConnKey,
        open: &Open,
        reply: &Reply,
        (opening, pad): (Opening, Vec<u8>),
        found: Found,
    ) {
        let now = self.cx.now;
        let form = self.form(open.transport, opening.dialect, reply);
        let id = self.session_id(found.key).to_string();
        let mut out = Vec::with_capacity(512);
        let keep = stream_head(open, reply, &opening, (Some(&id), form.coding), &mut out);
        let (position, json) = self.open_envelope(&found, &id, form);
        let mut body = opening.preamble.into_owned();
        body.reserve(pad.len() + json.len() + OPENING_BYTES);
        let transport = form.transport.transport();
        transport.begin(form.dialect, position, &mut body);
        body.extend_from_slice(&pad);
        let envelope = Envelope { position: Some(position), ..Envelope::plain(&json) };
        transport.encode(form.dialect, &envelope, &self.cx.encoder, &mut body);
        let Encoded { frame, sum } = form.frame(body, &self.cx.encoder);
        if form.coding == Coding::Gzip {
            out.extend_from_slice(&form.chunk(gzip::HEADER.to_vec()));
        }
        out.extend_from_slice(&frame);
        let (extra, recycle) = match transport.delivery() {
            Delivery::Duplex(through) => {
                let past = open.upgrade.as_deref().map_or(Past::None, Upgrade::past);
                let socket = Socket::new(through, form.dialect, past, Subprotocol::Native).of_page(reply);
                (Some(Extra::Socket(socket)), self.stay(found.key))
            }
            Delivery::Once | Delivery::Held | Delivery::Stream => {
                ((form.coding == Coding::Gzip).then_some(Extra::Gzip(sum)), self.recycling(found.key))
            }
        };
        let then = if matches!(extra, Some(Extra::Socket(_))) { Then::Close } else { Then::from(keep) };
        let extra = extra.map(Box::new);
        let exchange = Exchange { session: found.key, form, then, moved: now, sent: 0, recycle, extra };
        self.conns[conn].phase = Phase::Streaming(exchange);
        self.conns.push(&mut self.cx, conn, Frame::from(out));
        if let Some(gap) = &found.gap {
            let encoded = self.gap_encoded(found.key, form, gap);
            self.conns.stream(&mut self.cx, conn, encoded);
        }
        self.conns.arm_heartbeat(&mut self.cx, conn, now);
        self.catch_up(found.key);
    }

    /// The `open` envelope as JSON, and the position that it names.
    pub(crate) fn open_envelope(&self, found: &Found, id: &str, form: Form) -> (Position, Vec<u8>) {
        let position = self.hub.position(self.sessions[found.key].cursor);
        let instead = match found.made {
            Made::Apart(other) => Some(other.to_string()),
            Made::New | Made::Before => None,
        };
        let (resumed, instead) = (found.resumed, instead.as_deref());
        let mut json = Vec::new();
        let transport = form.transport.transport().name();
        let (heartbeat, grace) = (self.cx.config.heartbeat, self.cx.config.session_grace);
        let open =
            envelope::OpenEnvelope { session: id, position, resumed, heartbeat, grace, transport, instead };
        envelope::open(&open, &mut json);
        (position, json)
    }

    /// The `close` envelope, and when to reconnect.
    pub(crate) fn close_envelope(&mut self, code: CloseCode) -> (Vec<u8>, Span) {
        let after = self.cx.come_back();
        let mut json = Vec::new();
        envelope::close(code, after, None, &mut json);
        (json, after)
    }

    /// Sends `close` on a stream; returns whether there is one.
    pub(crate) fn say_close(&mut self, conn: ConnKey, code: CloseCode) -> bool {
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.conns.get(conn) else {
            return false;
        };
        let form = exchange.form;
        let (json, after) = self.close_envelope(code);
        let retry = if code.reconnect() { Retry::After(after) } else { Retry::Never };
        let encoded = form.encode(&Envelope { retry, ..Envelope::plain(&json) }, &self.cx.encoder);
        self.conns.stream(&mut self.cx, conn, encoded);
        true
    }

    /// Recycles a response that has become long or old: its client is told, and still gets messages
    /// until its next response takes over, or until the patience is over.
    pub(crate) fn recycle(&mut self, conn: ConnKey) {
        let now = self.cx.now;
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.conns.get_mut(conn) else {
            return;
        };
        let session = exchange.session;
        if self.is_guest(session) {
            return self.move_guest(conn, session);
        }
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.conns.get_mut(conn) else {
            return;
        };
        match exchange.recycle {
            Recycle::Announced(_) => self.conns.end_stream(&mut self.cx, conn),
            Recycle::Unscheduled | Recycle::Due(_) => {
                exchange.recycle = Recycle::announced(now, self.cx.config.recycle_patience);
                self.cx.metrics.recycled += 1;
                self.say_close(conn, CloseCode::Recycle);
                self.conns.arm_heartbeat(&mut self.cx, conn, now);
                if self.cx.broken_by(Mutation::RecycleLosesCursor) {
                    self.sessions[session].cursor = self.hub.head();
                    self.sessions[session].link = Link::Level(conn);
                }
            }
        }
    }

    /// Ends the response of a guest, who is served at home from now on; the session stays for a
    /// while, since the home may still be away.
    fn move_guest(&mut self, conn: ConnKey, session: SessionKey) {
        self.cx.metrics.moved += 1;
        self.close_stream(conn, CloseCode::Moved);
        if self.sessions.get(session).is_some_and(|session| session.link.conn() == Some(conn)) {
            self.detach_session(session);
        }
    }

    /// Whether the user of a session is a guest, whose home is another node.
    pub(crate) fn is_guest(&self, key: SessionKey) -> bool {
        let Some(place) = &self.cx.config.place else { return false };
        self.user_of(key).is_some_and(|user| place.is_guest(&user))
    }

    /// When a response of a session ends that would last for ever: those of guests do, so that they
    /// go home.
    pub(crate) fn stay(&mut self, key: SessionKey) -> Recycle {
        if !self.is_guest(key) {
            return Recycle::Unscheduled;
        }
        let span = self.cx.jittered(self.cx.config.guest_stay, GUEST_EIGHTHS_MIN);
        Recycle::after(self.cx.now, Some(span))
    }

    fn recycling(&mut self, key: SessionKey) -> Recycle {
        let now = self.cx.now;
        let stay = self.stay(key);
        if stay != Recycle::Unscheduled {
            return stay;
        }
        let after = self.cx.config.recycle_after.map(|span| self.cx.jittered(span, RECYCLE_EIGHTHS_MIN));
        Recycle::after(now, after)
    }

    /// While the node drains it creates no session: the client is told when to reconnect.
    pub(crate) fn turn_away(&mut self, conn: ConnKey, open: &Open, reply: &Reply) {
        let close = self.close_envelope(CloseCode::Drain);
        self.respond_with_close(conn, open, reply, close);
    }

    /// Sends a client to the node that serves its user: by `close` where the page sees no status.
    pub(crate) fn send_elsewhere(&mut self, conn: ConnKey, open: &Open, reply: &Reply, node: &str) {
        if open.transport.transport().shows_status() {
            let refusal = Refused::Elsewhere { node }.into();
            return self.conns.refuse(&mut self.cx, conn, reply, &refusal);
        }
        let code = CloseCode::Elsewhere;
        self.cx.metrics.refused(code.name());
        let after = self.cx.jittered(ELSEWHERE_RETRY_MAX, ELSEWHERE_EIGHTHS_MIN);
        let mut json = Vec::new();
        envelope::close(code, after, Some(node), &mut json);
        self.respond_with_close(conn, open, reply, (json, after));
    }

    /// A request for messages is refused. A client that may come back for a session gets `close`,
    /// as an `EventSource` would give up.
    pub(crate) fn refuse_open(&mut self, conn: ConnKey, open: &Open, reply: &Reply, refusal: &Refusal) {
        let (ErrorCode::NotAdmitted, Some(after)) = (refusal.code, refusal.after) else {
            return self.conns.refuse(&mut self.cx, conn, reply, refusal);
        };
        self.cx.metrics.refused(refusal.code.text());
        let mut json = Vec::new();
        envelope::close(CloseCode::Busy, after, None, &mut json);
        self.respond_with_close(conn, open, reply, (json, after));
    }

    /// A response with nothing but `close`. The status is 200, because an `EventSource` gives up on
    /// any other.
    fn respond_with_close(
        &mut self,
        conn: ConnKey,
        open: &Open,
        reply: &Reply,
        (json, after): (Vec<u8>, Span),
    ) {
        let transport = open.transport.transport();
        let (opening, _) = match self.opening(open) {
            Ok(opening) => opening,
            Err(refusal) => return self.conns.refuse(&mut self.cx, conn, reply, &refusal),
        };
        let dialect = opening.dialect;
        let mut body = opening.preamble.to_vec();
        if transport.delivery() != Delivery::Once && transport.delivery() != Delivery::Held {
            transport.begin(dialect, self.hub.position(self.hub.head()), &mut body);
        }
        let envelope = Envelope { retry: Retry::After(after), ..Envelope::plain(&json) };
        transport.encode(dialect, &envelope, &self.cx.encoder, &mut body);
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
        self.conns.respond(&mut self.cx, conn, (out, KeepAlive::Close));
    }
}

/// The head of a stream's response; empty if there is no HTTP.
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
