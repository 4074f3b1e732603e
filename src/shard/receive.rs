//! From bytes to requests, and from responses back to the next request.
//!
//! A connection does one request at a time; once it is answered, the next may begin before the answer is written. Bytes that come
//! meanwhile wait in its tail, and the driver is asked to hold back the rest, so a pipelining client costs one read at most. Whatever is refused here is answered, if there is anyone to answer, and closed.

use crate::base::frame::Frame;
use crate::base::ids::Door;
use crate::base::slab::ConnKey;
use crate::base::ticks::Span;
use crate::shard::access::Access;
use crate::shard::conn::{Conn, Intake, Phase, Receiving, Then};
use crate::shard::input::{Effect, Parcel, Upgraded};
use crate::shard::mutation::Mutation;
use crate::shard::reply::{Gzip, Refusals, Reply, Wanted};
use crate::shard::request::Request;
use crate::shard::router::{Context, Routed};
use crate::shard::todo::Todo;
use crate::shard::{Life, Shard, Timer, router};
use crate::transport::Encoded;
use crate::wire::http::body::{BodyDecoder, Progress, Void};
use crate::wire::http::head::{Head, KeepAlive, Parsed};
use crate::wire::http::response::CONTINUE;
use crate::wire::http::{HeadLimits, Method, Reject, Scanned, head};
use crate::wire::refusal::Refusal;

/// After FIN: long enough for the other end to read what was said, short enough not to matter.
pub(super) const LINGER: Span = Span::from_secs(2);

/// What came of a request.
pub(super) struct Came<'a> {
    /// All its bytes, if they came together.
    pub(super) raw: &'a [u8],
    /// Its body, decoded.
    pub(super) body: &'a [u8],
}

/// What a step made of the bytes at hand.
pub(super) enum Step {
    /// It used so many; look again.
    Used(usize),
    /// It needs more, or must wait, or the connection is gone.
    Stop,
}

impl Shard {
    /// Bytes came.
    pub(super) fn received(&mut self, key: ConnKey, bytes: &[u8]) {
        self.cx.metrics.bytes[0] += bytes.len() as u64;
        let Some(conn) = self.conns.get_mut(key) else { return };
        if matches!(conn.phase, Phase::Lingering) {
            return;
        }
        if conn.tail.is_empty() {
            let used = self.consume(key, bytes);
            if let Some(conn) = self.conns.get_mut(key) {
                conn.tail.extend_from_slice(&bytes[used..]);
            }
            self.count_input(key);
        } else {
            conn.tail.extend_from_slice(bytes);
            self.consume_tail(key);
        }
        self.hold_back(key);
    }

    /// Looks at the bytes that waited.
    pub(super) fn consume_tail(&mut self, key: ConnKey) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let mut tail = std::mem::take(&mut conn.tail);
        let used = self.consume(key, &tail);
        tail.drain(..used);
        if let Some(conn) = self.conns.get_mut(key)
            && !tail.is_empty()
        {
            conn.tail = tail;
        }
        self.count_input(key);
    }

    /// A connection that cannot use what it has wants no more.
    fn hold_back(&mut self, key: ConnKey) {
        let drops = self.cx.broken_by(Mutation::DropPipelined);
        let Some(conn) = self.conns.get_mut(key) else { return };
        if drops && !conn.reads() {
            conn.tail.clear();
        }
        // A socket takes whatever it can use: what is left means that it is held up.
        let is_held_up =
            !conn.reads() || matches!(conn.phase, Phase::Streaming(_) | Phase::Unbound(_) | Phase::Echo(_));
        if is_held_up && !conn.tail.is_empty() && conn.intake == Intake::Open {
            conn.intake = Intake::Paused;
            self.cx.effects.push_back(Effect::Pause(key));
        }
    }

    fn consume(&mut self, key: ConnKey, input: &[u8]) -> usize {
        let now = self.cx.now;
        let mut used = 0;
        while used < input.len() {
            let Some(conn) = self.conns.get_mut(key) else { return input.len() };
            let step = match &mut conn.phase {
                Phase::Silent { .. } => {
                    self.first_byte(key);
                    Step::Used(0)
                }
                Phase::Preface(header) => {
                    let header = *header;
                    self.preface(key, &input[used..], header)
                }
                // Answers that a pipelining client is owed may gather, to go out together.
                Phase::Flushing(Then::Next) if conn.outbox.len() >= self.cx.config.outbox_bytes => Step::Stop,
                Phase::Greeting { scanned } => {
                    let scanned = *scanned;
                    self.greeting(key, &input[used..], scanned)
                }
                Phase::Streaming(exchange) if exchange.socket().is_some() => {
                    self.hear_socket(key, &input[used..])
                }
                Phase::Unbound(_) => self.hear_socket(key, &input[used..]),
                Phase::Echo(_) => self.echo(key, &input[used..]),
                Phase::Closing(_) => self.hear_close(key, &input[used..]),
                Phase::Idle | Phase::Flushing(Then::Next) => {
                    conn.phase = Phase::Head { scanned: Scanned::default() };
                    conn.alarm.set(&mut self.cx.wheel, now + self.cx.config.head_timeout, Timer::Conn(key));
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
        let now = self.cx.now;
        let limits = HeadLimits { bytes_max: self.cx.config.head_bytes, headers_max: self.cx.config.headers };
        let (head, len) = match head::parse(input, scanned, &limits) {
            Ok(Parsed::Complete { head, len }) => (head, len),
            Ok(Parsed::Partial(scanned)) => {
                self.conns[key].phase = Phase::Head { scanned };
                return Step::Stop;
            }
            Err(reject) => return self.reject(key, reject, Wanted::by(input)),
        };
        let (mut request, mut reply) = match self.understand(key, &head) {
            Ok(understood) => understood,
            // What is owed goes out from here first; then the head is looked at again.
            Err(_) if !self.conns[key].outbox.is_empty() => {
                self.flush(key, Then::Next);
                return Step::Stop;
            }
            Err(to) => {
                self.hand_off(key, to, input.to_vec());
                return Step::Used(input.len());
            }
        };
        self.conns[key].access = Access::begin(now, &head);
        let decoder = match BodyDecoder::new(head.body, self.cx.config.body_bytes) {
            Ok(decoder) => decoder,
            Err(reject) => return self.reject(key, reject, reply.body),
        };
        if decoder.progress() == Progress::Done {
            self.dispatch(key, request, reply, &Came { raw: &input[..len], body: b"" });
            return Step::Used(len);
        }
        if head.expect_continue {
            if matches!(request, Request::Refused(_)) {
                // The body will not be sent, or it will: where the next request begins is not known.
                reply.keep_alive = KeepAlive::Close;
                self.dispatch(key, request, reply, &Came { raw: &input[..len], body: b"" });
                return Step::Used(len);
            }
            self.push(key, Frame::from(CONTINUE));
        }
        if let Some(body) = decoder.whole(&input[len..]) {
            let used = len + body.len();
            self.dispatch(key, request, reply, &Came { raw: &input[..used], body });
            return Step::Used(used);
        }
        // Whose it is may be known when it is there as a whole.
        if let Request::Bayeux(asked) = &mut request
            && self.cx.identity.shards > 1
        {
            asked.raw = input[..len].to_vec();
        }
        let conn = &mut self.conns[key];
        conn.phase = Phase::Body(Box::new(Receiving { request, reply, decoder, body: Vec::new() }));
        conn.alarm.set(&mut self.cx.wheel, now + self.cx.config.body_timeout, Timer::Conn(key));
        Step::Used(len)
    }

    /// What a head asks for and how it is to be answered; or whose it is.
    pub(super) fn understand(
        &self,
        key: ConnKey,
        head: &Head<'_>,
    ) -> Result<(Request, Reply), crate::base::ids::ShardId> {
        let door = self.conns[key].door;
        let context = self.context();
        let draining = self.cx.life != Life::Serving;
        let mut reply = Reply {
            version: head.version,
            keep_alive: if draining { KeepAlive::Close } else { head.keep_alive },
            body: if head.method == Method::Head { Wanted::Head } else { Wanted::Body },
            origin: None,
            refusals: Refusals::Status,
            gzip: if self.cx.config.gzip {
                Gzip::accepted(head.header("accept-encoding"))
            } else {
                Gzip::Unasked
            },
        };
        if door == Door::Public {
            reply.refusals = router::refusals(head);
            match router::origin(head, &self.cx.keys) {
                Ok(origin) => reply.origin = origin.map(Into::into),
                Err(refusal) => {
                    self.cx.keys.origins.tell(&refusal);
                    return Ok((Request::Refused(refusal), reply));
                }
            }
        }
        match router::route(&context, door, head) {
            Routed::Here(request) => Ok((request, reply)),
            Routed::There(to) => Err(to),
        }
    }

    pub(super) fn context(&self) -> Context<'_> {
        let now = self.cx.now;
        Context {
            here: self.cx.identity.id,
            homes: self.cx.identity.homes(),
            keys: &self.cx.keys,
            watch: &self.cx.key_watch,
            now,
            config: &self.cx.config,
            open_grant: &self.open_grant,
            unix_now: self.cx.unix(),
        }
    }

    fn body(&mut self, key: ConnKey, input: &[u8]) -> Step {
        let Phase::Body(receiving) = &mut self.conns[key].phase else { return Step::Stop };
        let decoded = if receiving.request.reads_body() {
            receiving.decoder.decode(input, &mut receiving.body)
        } else {
            receiving.decoder.decode(input, &mut Void)
        };
        if let (Request::Bayeux(asked), Ok((used, _))) = (&mut receiving.request, &decoded)
            && !asked.raw.is_empty()
        {
            asked.raw.extend_from_slice(&input[..*used]);
        }
        match decoded {
            Err(reject) => {
                let wanted = receiving.reply.body;
                self.reject(key, reject, wanted)
            }
            Ok((used, Progress::More)) => Step::Used(used),
            Ok((used, Progress::Done)) => {
                let phase = std::mem::replace(&mut self.conns[key].phase, Phase::Idle);
                if let Phase::Body(receiving) = phase {
                    let Receiving { request, reply, body, .. } = *receiving;
                    self.dispatch(key, request, reply, &Came { raw: b"", body: &body });
                }
                Step::Used(used)
            }
        }
    }

    /// Answers bytes that are no request, and closes.
    fn reject(&mut self, key: ConnKey, reject: Reject, wanted: Wanted) -> Step {
        self.cx.metrics.refused(reject.code());
        log::debug!("refused: {}", reject.reason());
        self.push(key, Frame::from(Reply::reject(reject, wanted)));
        self.flush(key, Then::Close);
        Step::Stop
    }

    /// Sends a connection to the shard whose it is, with all that it has not answered yet.
    pub(super) fn hand_off(&mut self, key: ConnKey, to: crate::base::ids::ShardId, unparsed: Vec<u8>) {
        self.send_away(key, to, unparsed, None);
    }

    /// The same for a WebSocket that speaks Bayeux, with what it was opened as.
    pub(super) fn hand_off_upgraded(
        &mut self,
        key: ConnKey,
        to: crate::base::ids::ShardId,
        unparsed: Vec<u8>,
        upgraded: Box<Upgraded>,
    ) {
        self.send_away(key, to, unparsed, Some(upgraded));
    }

    fn send_away(
        &mut self,
        key: ConnKey,
        to: crate::base::ids::ShardId,
        unparsed: Vec<u8>,
        upgraded: Option<Box<Upgraded>>,
    ) {
        let Some(mut conn) = self.conns.remove(key) else { return };
        self.uncount_input(&conn);
        debug_assert!(conn.outbox.is_empty(), "a connection moves in the middle of a response");
        conn.alarm.disarm(&mut self.cx.wheel);
        self.cx.metrics.hand_offs += 1;
        self.cx.metrics.open[conn.door as usize] -= 1;
        let ended = conn.intake == Intake::Ended;
        let unparsed = if self.cx.broken_by(Mutation::EmptyParcel) { Vec::new() } else { unparsed };
        let parcel = Parcel { door: conn.door, peer: conn.peer, unparsed, ended, upgraded };
        self.cx.effects.push_back(Effect::HandOff { conn: key, to, parcel });
    }

    /// Puts a frame in a connection's outbox.
    pub(super) fn push(&mut self, key: ConnKey, frame: Frame) {
        let now = self.cx.now;
        if frame.is_empty() {
            return;
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.outbox.is_empty() {
            if let Phase::Streaming(exchange) = &mut conn.phase {
                exchange.moved = now;
            }
            self.cx.effects.push_back(Effect::Write(key));
        }
        self.cx.steps.bytes(frame.len());
        if let Some(access) = &mut conn.access {
            access.sent(&frame);
        }
        conn.outbox.push(frame);
    }

    /// Puts a piece of its stream in a connection's outbox.
    pub(super) fn stream(&mut self, key: ConnKey, encoded: Encoded) {
        if let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.conns.get_mut(key) {
            exchange.count(encoded.sum);
        }
        self.push(key, encoded.frame);
    }

    /// Answers with a whole response.
    pub(super) fn respond(&mut self, key: ConnKey, (bytes, keep): (Vec<u8>, KeepAlive)) {
        self.push(key, Frame::from(bytes));
        self.flush(key, Then::from(keep));
    }

    /// Answers with a refusal.
    pub(super) fn refuse(&mut self, key: ConnKey, reply: &Reply, refusal: &Refusal) {
        self.cx.metrics.refused(refusal.code);
        log::debug!("refused: {}: {}", refusal.code, refusal.reason);
        self.respond(key, reply.refusal(refusal));
    }

    /// The response is complete; once it is written, `then` follows.
    pub(super) fn flush(&mut self, key: ConnKey, then: Then) {
        let now = self.cx.now;
        let Some(conn) = self.conns.get_mut(key) else { return };
        if let Some(access) = conn.access.take() {
            access.finish(now, conn);
        }
        if matches!(conn.phase, Phase::Waiting(_)) {
            // More answers follow.
            return;
        }
        conn.phase = Phase::Flushing(then);
        if conn.kept > 0 {
            self.free_input(key);
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.outbox.is_empty() {
            self.flushed(key);
        } else {
            conn.alarm.set(&mut self.cx.wheel, now + self.cx.config.write_timeout, Timer::Conn(key));
        }
    }

    /// The outbox of a flushing connection is empty.
    pub(super) fn flushed(&mut self, key: ConnKey) {
        let now = self.cx.now;
        let Some(Conn { phase: Phase::Flushing(then), intake, tail, .. }) = self.conns.get(key) else {
            return;
        };
        match (then, intake) {
            (Then::Close, Intake::Ended) => self.close(key),
            (Then::Close, Intake::Open | Intake::Paused) => {
                let conn = &mut self.conns[key];
                conn.phase = Phase::Lingering;
                conn.tail = Vec::new();
                conn.alarm.set(&mut self.cx.wheel, now + LINGER, Timer::Conn(key));
                self.cx.effects.push_back(Effect::ShutdownWrite(key));
                self.resume(key);
            }
            (Then::Next, Intake::Ended) if tail.is_empty() => self.close(key),
            (Then::Next, Intake::Open | Intake::Paused | Intake::Ended) => {
                let conn = &mut self.conns[key];
                conn.phase = Phase::Idle;
                conn.alarm.set(&mut self.cx.wheel, now + self.cx.config.idle_timeout, Timer::Conn(key));
                self.cx.todos.push_back(Todo::Reread(key));
            }
        }
    }

    /// Looks at the bytes that waited, and then for more.
    pub(super) fn reread(&mut self, key: ConnKey) {
        self.consume_tail(key);
        // What a socket leaves means that it is held up again: more must not be read on top of it,
        // and the end of what the client sends has not come to be looked at.
        let is_held_up = |conn: &Conn| conn.takes_messages() && !conn.tail.is_empty();
        if !self.conns.get(key).is_some_and(is_held_up) {
            self.next_input(key);
        }
    }

    /// After the waiting bytes were looked at: read on, or find that nothing more will come.
    fn next_input(&mut self, key: ConnKey) {
        let Some(conn) = self.conns.get(key) else { return };
        if !conn.reads() {
            return;
        }
        match conn.intake {
            Intake::Ended => self.part(key),
            Intake::Paused => self.resume(key),
            Intake::Open => {}
        }
    }

    /// No further request will come: what is owed is sent, and then the connection goes.
    pub(super) fn part(&mut self, key: ConnKey) {
        match self.conns.get(key) {
            Some(Conn { phase: Phase::Streaming(_), .. }) => self.end_stream(key),
            Some(conn) if !conn.outbox.is_empty() => self.flush(key, Then::Close),
            Some(_) | None => self.close(key),
        }
    }

    fn resume(&mut self, key: ConnKey) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.intake == Intake::Paused {
            conn.intake = Intake::Open;
            self.cx.effects.push_back(Effect::Resume(key));
        }
    }

    /// A connection is about to go, or to have no session any more.
    pub(super) fn detach(&mut self, key: ConnKey) {
        let left = self.conns.get(key).and_then(Conn::session);
        self.cx.todos.extend(left.map(|(session, behind)| Todo::Left { conn: key, session, behind }));
    }

    /// Drops a connection now.
    pub(super) fn close(&mut self, key: ConnKey) {
        self.forget(key);
        self.cx.effects.push_back(Effect::Close(key));
    }

    /// Removes a connection whose socket is gone, or about to be.
    pub(super) fn forget(&mut self, key: ConnKey) {
        let now = self.cx.now;
        self.detach(key);
        self.no_longer_silent(key);
        self.no_longer_withheld(key);
        if let Some(mut conn) = self.conns.remove(key) {
            self.uncount_input(&conn);
            conn.alarm.disarm(&mut self.cx.wheel);
            self.cx.metrics.open[conn.door as usize] -= 1;
            if let Phase::Waiting(queue) = &mut conn.phase {
                for access in std::mem::take(queue).into_iter().filter_map(|asked| asked.access) {
                    access.finish(now, &conn);
                }
            }
            if let Some(access) = conn.access.take() {
                access.finish(now, &conn);
            }
        }
    }
}

impl From<KeepAlive> for Then {
    fn from(keep: KeepAlive) -> Self {
        match keep {
            KeepAlive::Keep => Self::Next,
            KeepAlive::Close => Self::Close,
        }
    }
}
