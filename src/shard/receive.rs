//! From bytes to requests, and from responses to the next request.
//!
//! A connection has one request at a time; after its answer the next may begin before the answer is
//! written. Bytes that arrive meanwhile wait in its tail, and the driver pauses reading, so a
//! pipelining client costs one read at most. A request that is refused here is answered, if the
//! peer can still read, and the connection closes.

use crate::base::frame::Frame;
use crate::base::ids::{ListenerKind, ShardId};
use crate::base::slab::ConnKey;
use crate::conn::access::AccessEntry;
use crate::conn::phase::{Conn, Phase, Receiving, Step, Then};
use crate::core::Core;
use crate::request::reply::{BodyWanted, Reply};
use crate::request::router::Routed;
use crate::request::{RawRequest, Request, router};
use crate::shard::Shard;
use crate::turn::timer::{NodePhase, Timer};
use crate::wire::http::body::{BodyDecoder, Progress, Void};
use crate::wire::http::head::{Head, KeepAlive, Parsed};
use crate::wire::http::response::CONTINUE;
use crate::wire::http::{HeadLimits, Scanned, head};

impl Core {
    /// The request of a head and how to answer it; or its home.
    pub(super) fn route_head(&self, key: ConnKey, head: &Head<'_>) -> Result<(Request, Reply), ShardId> {
        let listener = self.conns[key].listener;
        let context = self.context();
        let mut reply = Reply::to(head, &self.cx.config);
        if self.cx.life != NodePhase::Serving {
            reply.keep_alive = KeepAlive::Close;
        }
        if listener == ListenerKind::Public {
            reply.refusals = router::refusals(head);
            match router::origin(head, &self.cx.keys) {
                Ok(origin) => reply.origin = origin.map(Into::into),
                Err(refusal) => {
                    self.cx.keys.origins.tell(&refusal);
                    return Ok((Request::Refused(refusal), reply));
                }
            }
        }
        match router::route(&context, listener, head) {
            Routed::Here(request) => Ok((request, reply)),
            Routed::There(to) => Err(to),
        }
    }
}

impl Shard {
    /// Handles bytes.
    pub(super) fn received(&mut self, key: ConnKey, bytes: &[u8]) {
        self.core.cx.metrics.bytes[0] += bytes.len() as u64;
        let Some(conn) = self.core.conns.get_mut(key) else { return };
        if matches!(conn.phase, Phase::Lingering) {
            return;
        }
        if conn.tail.is_empty() {
            let used = self.consume(key, bytes);
            if let Some(conn) = self.core.conns.get_mut(key) {
                conn.tail.append(&bytes[used..]);
            }
            self.core.conns.count_input(&mut self.core.cx, key);
        } else {
            conn.tail.append(bytes);
            self.consume_tail(key);
        }
        self.core.conns.hold_back(&mut self.core.cx, key);
    }

    /// Parses the buffered bytes.
    pub(super) fn consume_tail(&mut self, key: ConnKey) {
        let Some(conn) = self.core.conns.get_mut(key) else { return };
        let mut tail = std::mem::take(&mut conn.tail);
        let used = self.consume(key, &tail);
        tail.advance(used);
        if let Some(conn) = self.core.conns.get_mut(key) {
            conn.tail = tail;
        }
        self.core.conns.count_input(&mut self.core.cx, key);
    }

    fn consume(&mut self, key: ConnKey, input: &[u8]) -> usize {
        let now = self.core.cx.now;
        let mut used = 0;
        while used < input.len() {
            let Some(conn) = self.core.conns.get_mut(key) else { return input.len() };
            let step = match &mut conn.phase {
                Phase::Silent { .. } => {
                    self.core.conns.first_byte(&mut self.core.cx, key);
                    Step::Used(0)
                }
                Phase::Preface(header) => {
                    let header = *header;
                    self.core.conns.preface(&mut self.core.cx, key, &input[used..], header)
                }
                // Answers to a pipelining client may gather, to be written together.
                Phase::Flushing(Then::Next) if conn.outbox.len() >= self.core.cx.config.outbox_bytes => {
                    Step::Stop
                }
                Phase::Greeting { scanned } => {
                    let scanned = *scanned;
                    self.greeting(key, &input[used..], scanned)
                }
                Phase::Streaming(exchange) if exchange.socket().is_some() => {
                    self.on_socket_bytes(key, &input[used..])
                }
                Phase::Unbound(_) => self.on_socket_bytes(key, &input[used..]),
                Phase::Echo(_) => self.core.conns.echo(&mut self.core.cx, key, &input[used..]),
                Phase::Closing(_) => {
                    self.core.conns.on_bytes_after_close(&mut self.core.cx, key, &input[used..])
                }
                Phase::Idle | Phase::Flushing(Then::Next) => {
                    conn.phase = Phase::Head { scanned: Scanned::default() };
                    conn.alarm.set(
                        &mut self.core.cx.wheel,
                        now + self.core.cx.config.head_timeout,
                        Timer::Conn(key),
                    );
                    Step::Used(0)
                }
                Phase::Head { scanned } => {
                    let scanned = *scanned;
                    self.head(key, &input[used..], scanned)
                }
                Phase::Body(_) => self.body(key, &input[used..]),
                Phase::Waiting(_) => self.ahead(key, &input[used..]),
                Phase::Withheld(_)
                | Phase::Parked(_)
                | Phase::Behind(_)
                | Phase::Streaming(_)
                | Phase::Finishing { .. }
                | Phase::Flushing(Then::Close) => Step::Stop,
                Phase::Lingering => Step::Used(input.len() - used),
            };
            match step {
                Step::Used(count) => used += count,
                Step::Stop => break,
            }
        }
        used
    }

    fn head(&mut self, key: ConnKey, input: &[u8], scanned: Scanned) -> Step {
        let now = self.core.cx.now;
        let limits = HeadLimits {
            bytes_max: self.core.cx.config.head_bytes,
            headers_max: self.core.cx.config.headers,
        };
        let (head, len) = match head::parse(input, scanned, &limits) {
            Ok(Parsed::Complete { head, len }) => (head, len),
            Ok(Parsed::Partial(scanned)) => {
                self.core.conns[key].phase = Phase::Head { scanned };
                return Step::Stop;
            }
            Err(reject) => {
                return self.core.conns.reject(&mut self.core.cx, key, reject, BodyWanted::by(input));
            }
        };
        let (mut request, mut reply) = match self.core.route_head(key, &head) {
            Ok(understood) => understood,
            // Pending responses are written from here first; then the head is parsed again.
            Err(_) if !self.core.conns[key].outbox.is_empty() => {
                self.core.conns.flush(&mut self.core.cx, key, Then::Next);
                return Step::Stop;
            }
            Err(to) => {
                self.core.conns.hand_off(&mut self.core.cx, key, to, input.to_vec());
                return Step::Used(input.len());
            }
        };
        self.core.conns[key].access = AccessEntry::begin(now, &head);
        let decoder = match BodyDecoder::new(head.body, self.core.cx.config.body_bytes) {
            Ok(decoder) => decoder,
            Err(reject) => return self.core.conns.reject(&mut self.core.cx, key, reject, reply.body),
        };
        if decoder.progress() == Progress::Done {
            self.dispatch(key, request, reply, &RawRequest { raw: &input[..len], body: b"" });
            return Step::Used(len);
        }
        if head.expect_continue {
            if matches!(request, Request::Refused(_)) {
                // The client may or may not send the body, so the start of the next request is
                // unknown.
                reply.keep_alive = KeepAlive::Close;
                self.dispatch(key, request, reply, &RawRequest { raw: &input[..len], body: b"" });
                return Step::Used(len);
            }
            self.core.conns.push(&mut self.core.cx, key, Frame::from(CONTINUE));
        }
        if let Some(body) = decoder.whole(&input[len..]) {
            let used = len + body.len();
            self.dispatch(key, request, reply, &RawRequest { raw: &input[..used], body });
            return Step::Used(used);
        }
        // The complete request may name its home.
        if let Some(raw) = request.raw_mut()
            && self.core.cx.identity.shards > 1
        {
            *raw = input[..len].to_vec();
        }
        let conn = &mut self.core.conns[key];
        conn.phase = Phase::Body(Box::new(Receiving { request, reply, decoder, body: Vec::new() }));
        conn.alarm.set(&mut self.core.cx.wheel, now + self.core.cx.config.body_timeout, Timer::Conn(key));
        Step::Used(len)
    }

    fn body(&mut self, key: ConnKey, input: &[u8]) -> Step {
        let Phase::Body(receiving) = &mut self.core.conns[key].phase else { return Step::Stop };
        let decoded = if receiving.request.reads_body() {
            receiving.decoder.decode(input, &mut receiving.body)
        } else {
            receiving.decoder.decode(input, &mut Void)
        };
        if let (Some(raw), Ok((used, _))) = (receiving.request.raw_mut(), &decoded)
            && !raw.is_empty()
        {
            raw.extend_from_slice(&input[..*used]);
        }
        match decoded {
            Err(reject) => {
                let wanted = receiving.reply.body;
                self.core.conns.reject(&mut self.core.cx, key, reject, wanted)
            }
            Ok((used, Progress::More)) => Step::Used(used),
            Ok((used, Progress::Done)) => {
                let phase = std::mem::replace(&mut self.core.conns[key].phase, Phase::Idle);
                if let Phase::Body(receiving) = phase {
                    let Receiving { request, reply, body, .. } = *receiving;
                    self.dispatch(key, request, reply, &RawRequest { raw: b"", body: &body });
                }
                Step::Used(used)
            }
        }
    }

    /// Parses the buffered bytes, and then reads more.
    pub(super) fn reread(&mut self, key: ConnKey) {
        self.consume_tail(key);
        // Bytes in a socket's tail mean that it is blocked again: more must not be read on top of
        // them, and the end of the input must wait.
        let is_held_up = |conn: &Conn| conn.takes_messages() && !conn.tail.is_empty();
        if !self.core.conns.get(key).is_some_and(is_held_up) {
            self.core.conns.next_input(&mut self.core.cx, key);
        }
    }
}
