//! All connections of a shard: writing, reading on, closing, moving to another shard.
//!
//! Connections know no sessions, channels or protocols. What concerns a session becomes a to-do in
//! `Cx::todos`: that a connection was detached, or can be read again.

pub mod access;
pub mod admission;
pub mod batch;
pub mod echo;
pub mod incoming;
pub(crate) mod limits;
pub mod overlap;
pub mod phase;
pub mod pipeline;
pub mod policy;
pub mod silent;
pub mod socket;
pub mod stream;
pub mod tail;
pub mod unfinished;
pub mod withheld;

use std::ops::{Index, IndexMut};

use crate::base::frame::Frame;
use crate::base::ids::ShardId;
use crate::base::slab::{ConnKey, SessionKey, Slab};
use crate::call::protocol::Subprotocol;
use crate::config::Config;
use crate::conn::limits::{BULK_READ_BYTES, LINGER};
use crate::conn::phase::{Conn, Intake, Phase, Step, Then};
use crate::conn::silent::Silent;
use crate::conn::unfinished::Unfinished;
use crate::request::Upgraded;
use crate::request::reply::{BodyWanted, Reply};
use crate::transport::Encoded;
use crate::turn::cx::Cx;
use crate::turn::input::{Effect, Parcel};
use crate::turn::mutation::Mutation;
use crate::turn::timer::Timer;
use crate::turn::todo::{Leaving, Todo};
use crate::wire::deflate::Inflater;
use crate::wire::http::Reject;
use crate::wire::http::head::KeepAlive;
use crate::wire::refusal::Refusal;

/// The connections of a shard.
pub(crate) struct Conns {
    pub(crate) slab: Slab<ConnKey, Conn>,
    /// Memory of unfinished input.
    pub(crate) unfinished: Unfinished,
    /// Connections that have sent nothing yet, by network.
    pub(crate) silent: Silent,
    /// Refusals of wrong API keys that wait.
    pub(crate) withheld: withheld::WithheldQueue,
    /// The last compressed body, before and after.
    pub(crate) last_batch: Option<(Vec<u8>, Frame)>,
    /// A buffer for heads of responses.
    pub(crate) scratch: Vec<u8>,
    /// Created for the first compressed message from a client.
    pub(crate) inflater: Option<Inflater>,
}

impl Conns {
    /// No connections, for one of `shards` shards.
    pub(crate) fn new(config: &Config, shards: u8) -> Self {
        Self {
            slab: Slab::default(),
            unfinished: Unfinished::new(config, usize::from(shards)),
            silent: Silent::default(),
            withheld: withheld::WithheldQueue::new(),
            last_batch: None,
            scratch: Vec::new(),
            inflater: None,
        }
    }

    /// A connection, if it still exists.
    pub(crate) fn get(&self, key: ConnKey) -> Option<&Conn> {
        self.slab.get(key)
    }

    /// A connection, if it still exists.
    pub(crate) fn get_mut(&mut self, key: ConnKey) -> Option<&mut Conn> {
        self.slab.get_mut(key)
    }

    /// Adds a connection.
    pub(crate) fn insert(&mut self, cx: &mut Cx, conn: Conn) -> ConnKey {
        cx.metrics.open[conn.listener as usize] += 1;
        self.slab.insert(conn)
    }

    /// The number of connections.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// The keys of all connections.
    pub(crate) fn keys(&self) -> Vec<ConnKey> {
        self.slab.keys()
    }

    /// All connections.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnKey, &Conn)> {
        self.slab.iter()
    }
}

impl Conns {
    /// Bytes that may be read from a connection in one turn, beyond what each may send.
    pub(crate) fn read_bytes_granted(&self, key: ConnKey) -> usize {
        let is_bulk = self.slab.get(key).and_then(Conn::subprotocol).is_some_and(Subprotocol::is_byte_stream);
        if is_bulk { BULK_READ_BYTES } else { 0 }
    }

    /// Pauses a connection that cannot use its bytes now.
    pub(crate) fn hold_back(&mut self, cx: &mut Cx, key: ConnKey) {
        let drops = cx.broken_by(Mutation::DropPipelined);
        let Some(conn) = self.slab.get_mut(key) else { return };
        if drops && !conn.reads() {
            conn.tail.clear();
        }
        // A socket uses all complete messages, so a rest means that it is blocked.
        let is_held_up =
            !conn.reads() || matches!(conn.phase, Phase::Streaming(_) | Phase::Unbound(_) | Phase::Echo(_));
        if is_held_up && !conn.tail.is_empty() && conn.intake == Intake::Open {
            conn.intake = Intake::Paused;
            cx.effects.push_back(Effect::Pause(key));
        }
    }

    /// Answers bytes that are no request, and closes.
    pub(crate) fn reject(&mut self, cx: &mut Cx, key: ConnKey, reject: Reject, wanted: BodyWanted) -> Step {
        cx.metrics.refused(reject.code().text());
        log::debug!("refused: {}", reject.reason());
        self.push(cx, key, Frame::from(Reply::reject(reject, wanted)));
        self.flush(cx, key, Then::Close);
        Step::Stop
    }

    /// Hands a connection off to its user's home, with all bytes that are not answered yet.
    pub(crate) fn hand_off(&mut self, cx: &mut Cx, key: ConnKey, to: ShardId, unparsed: Vec<u8>) {
        self.send_away(cx, key, to, unparsed, None);
    }

    /// The same for a WebSocket whose session is on another shard, with the data of its opening.
    pub(crate) fn hand_off_upgraded(
        &mut self,
        cx: &mut Cx,
        key: ConnKey,
        to: ShardId,
        unparsed: Vec<u8>,
        upgraded: Box<Upgraded>,
    ) {
        self.send_away(cx, key, to, unparsed, Some(upgraded));
    }

    fn send_away(
        &mut self,
        cx: &mut Cx,
        key: ConnKey,
        to: ShardId,
        unparsed: Vec<u8>,
        upgraded: Option<Box<Upgraded>>,
    ) {
        let Some(mut conn) = self.slab.remove(key) else { return };
        self.uncount_input(&conn);
        debug_assert!(conn.outbox.is_empty(), "a connection moves in the middle of a response");
        conn.alarm.disarm(&mut cx.wheel);
        cx.metrics.hand_offs += 1;
        cx.metrics.open[conn.listener as usize] -= 1;
        let ended = conn.intake == Intake::Ended;
        let unparsed = if cx.broken_by(Mutation::EmptyParcel) { Vec::new() } else { unparsed };
        let parcel = Parcel { listener: conn.listener, peer: conn.peer(), unparsed, ended, upgraded };
        cx.effects.push_back(Effect::HandOff { conn: key, to, parcel });
    }

    /// Appends a frame to a connection's outbox.
    pub(crate) fn push(&mut self, cx: &mut Cx, key: ConnKey, frame: Frame) {
        let now = cx.now;
        if frame.is_empty() {
            return;
        }
        let Some(conn) = self.slab.get_mut(key) else { return };
        if conn.outbox.is_empty() {
            if let Phase::Streaming(exchange) = &mut conn.phase {
                exchange.moved = now;
            }
            cx.effects.push_back(Effect::Write(key));
        }
        cx.steps.bytes(frame.len());
        if let Some(access) = &mut conn.access {
            access.sent(&frame);
        }
        conn.outbox.push(frame);
    }

    /// Appends a piece of its stream to a connection's outbox.
    pub(crate) fn stream(&mut self, cx: &mut Cx, key: ConnKey, encoded: Encoded) {
        if let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.slab.get_mut(key)
            && exchange.count(&encoded.frame, encoded.sum)
        {
            cx.todos.push_back(Todo::EndStream(key));
        }
        self.push(cx, key, encoded.frame);
    }

    /// Sends a complete response.
    pub(crate) fn respond(&mut self, cx: &mut Cx, key: ConnKey, (bytes, keep): (Vec<u8>, KeepAlive)) {
        self.push(cx, key, Frame::from(bytes));
        self.flush(cx, key, Then::from(keep));
    }

    /// Sends a refusal.
    pub(crate) fn refuse(&mut self, cx: &mut Cx, key: ConnKey, reply: &Reply, refusal: &Refusal) {
        cx.metrics.refused(refusal.code.text());
        log::debug!("refused: {}: {}", refusal.code.text(), refusal.reason);
        self.respond(cx, key, reply.refusal(refusal));
    }

    /// Marks the response as complete; once it is written, `then` follows.
    pub(crate) fn flush(&mut self, cx: &mut Cx, key: ConnKey, then: Then) {
        let now = cx.now;
        let Some(conn) = self.slab.get_mut(key) else { return };
        if let Some(access) = conn.access.take() {
            access.finish(now, conn);
        }
        if matches!(conn.phase, Phase::Waiting(_)) {
            // More pipelined answers follow.
            return;
        }
        conn.phase = Phase::Flushing(then);
        if conn.kept > 0 {
            self.free_input(key);
        }
        let Some(conn) = self.slab.get_mut(key) else { return };
        if conn.outbox.is_empty() {
            self.flushed(cx, key);
        } else {
            conn.alarm.set(&mut cx.wheel, now + cx.config.write_timeout, Timer::Conn(key));
        }
    }

    /// Marks the response of a session as complete. Unlike after [`Self::flush`], the session has
    /// no other response until it is written, and learns if it is not.
    pub(crate) fn finish(&mut self, cx: &mut Cx, key: ConnKey, session: SessionKey, then: Then) {
        self.flush(cx, key, then);
        if let Some(phase @ Phase::Flushing(_)) = self.slab.get_mut(key).map(|conn| &mut conn.phase) {
            *phase = Phase::Finishing { session, then };
        } else {
            // It was written at once, or other answers follow it.
            let leaving = Leaving::Ended;
            cx.todos.push_back(Todo::Left { conn: key, session, behind: None, leaving });
        }
    }

    /// The session of a complete response can have another.
    pub(crate) fn let_go(&mut self, cx: &mut Cx, key: ConnKey) {
        let Some(Conn { phase: Phase::Finishing { then, .. }, .. }) = self.slab.get(key) else { return };
        let then = *then;
        self.detach(cx, key, Leaving::Ended);
        self.slab[key].phase = Phase::Flushing(then);
    }

    /// A flushing connection has written its outbox.
    pub(crate) fn flushed(&mut self, cx: &mut Cx, key: ConnKey) {
        let now = cx.now;
        let Some(Conn { phase: Phase::Flushing(then), intake, tail, .. }) = self.slab.get(key) else {
            return;
        };
        match (then, intake) {
            (Then::Close, Intake::Ended) => self.close(cx, key),
            (Then::Close, Intake::Open | Intake::Paused) => {
                let conn = &mut self.slab[key];
                conn.phase = Phase::Lingering;
                conn.tail.clear();
                conn.alarm.set(&mut cx.wheel, now + LINGER, Timer::Conn(key));
                cx.effects.push_back(Effect::ShutdownWrite(key));
                self.resume(cx, key);
            }
            (Then::Next, Intake::Ended) if tail.is_empty() => self.close(cx, key),
            (Then::Next, Intake::Open | Intake::Paused | Intake::Ended) => {
                let conn = &mut self.slab[key];
                conn.phase = Phase::Idle;
                conn.alarm.set(&mut cx.wheel, now + cx.config.idle_timeout, Timer::Conn(key));
                cx.todos.push_back(Todo::Reread(key));
            }
        }
    }

    /// After the buffered bytes were parsed: reads on, or notices that no more will come.
    pub(crate) fn next_input(&mut self, cx: &mut Cx, key: ConnKey) {
        let Some(conn) = self.slab.get(key) else { return };
        if !conn.reads() {
            return;
        }
        match conn.intake {
            Intake::Ended => self.close_after_answers(cx, key),
            Intake::Paused => self.resume(cx, key),
            Intake::Open => {}
        }
    }

    /// No further request will come: sends the pending answers, then closes.
    pub(crate) fn close_after_answers(&mut self, cx: &mut Cx, key: ConnKey) {
        match self.slab.get(key) {
            Some(Conn { phase: Phase::Streaming(_), .. }) => self.end_stream(cx, key),
            Some(Conn { phase: Phase::Finishing { .. }, .. }) => {}
            Some(conn) if !conn.outbox.is_empty() => self.flush(cx, key, Then::Close),
            Some(_) | None => self.close(cx, key),
        }
    }

    fn resume(&mut self, cx: &mut Cx, key: ConnKey) {
        let Some(conn) = self.slab.get_mut(key) else { return };
        if conn.intake == Intake::Paused {
            conn.intake = Intake::Open;
            cx.effects.push_back(Effect::Resume(key));
        }
    }

    /// A connection is about to have no session any more, for its response ends or it goes itself.
    pub(crate) fn detach(&mut self, cx: &mut Cx, key: ConnKey, leaving: Leaving) {
        let left = self.slab.get(key).and_then(Conn::session);
        cx.todos.extend(left.map(|(session, behind)| Todo::Left { conn: key, session, behind, leaving }));
    }

    /// Closes a connection now.
    pub(crate) fn close(&mut self, cx: &mut Cx, key: ConnKey) {
        self.forget(cx, key);
        cx.effects.push_back(Effect::Close(key));
    }

    /// Removes a connection whose socket is gone, or is closed next.
    pub(crate) fn forget(&mut self, cx: &mut Cx, key: ConnKey) {
        let now = cx.now;
        self.detach(cx, key, Leaving::Lost);
        self.no_longer_silent(key);
        self.no_longer_withheld(key);
        if let Some(mut conn) = self.slab.remove(key) {
            self.uncount_input(&conn);
            conn.alarm.disarm(&mut cx.wheel);
            cx.metrics.open[conn.listener as usize] -= 1;
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

/// Panics if the connection is gone.
impl Index<ConnKey> for Conns {
    type Output = Conn;

    fn index(&self, key: ConnKey) -> &Conn {
        &self.slab[key]
    }
}

/// Panics if the connection is gone.
impl IndexMut<ConnKey> for Conns {
    fn index_mut(&mut self, key: ConnKey) -> &mut Conn {
        &mut self.slab[key]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand_chacha::ChaCha12Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::auth::gate::Keys;
    use crate::base::ids::{ListenerKind, ShardId};
    use crate::base::position::Epoch;
    use crate::base::ticks::Tick;
    use crate::conn::phase::{Exchange, Recycle};
    use crate::protocol::Protocol;
    use crate::transport::{Coding, Dialect, Form, Framing, TransportId};
    use crate::turn::input::Identity;

    fn owners() -> (Cx, Conns) {
        let identity =
            Identity { id: ShardId(0), shards: 1, home_key: (1, 2), seed: [3; 32], unix_ms_at_zero: 0 };
        let random = (ChaCha12Rng::from_seed(identity.seed), Epoch::new(1));
        let cx = Cx::new(Tick::ZERO, Arc::new(Config::default()), Arc::new(Keys::open()), identity, random);
        let conns = Conns::new(&cx.config, 1);
        (cx, conns)
    }

    fn opened(cx: &mut Cx, conns: &mut Conns, phase: Phase) -> ConnKey {
        conns.insert(cx, Conn::new(ListenerKind::Public, None, phase))
    }

    fn streaming(session: SessionKey) -> Phase {
        let form = Form {
            transport: TransportId::sse(),
            dialect: Dialect::default(),
            protocol: Protocol::Native,
            coding: Coding::Identity,
            framing: Framing::Chunked,
        };
        let recycle = Recycle::Unscheduled;
        let then = Then::Next;
        Phase::Streaming(Exchange { session, form, then, moved: Tick::ZERO, sent: 0, recycle, extra: None })
    }

    #[test]
    fn a_written_response_makes_way_for_the_next_request() {
        let (mut cx, mut conns) = owners();
        let key = opened(&mut cx, &mut conns, Phase::Idle);
        conns.respond(&mut cx, key, (b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), KeepAlive::Keep));
        assert!(matches!(conns[key].phase, Phase::Flushing(Then::Next)));
        assert!(matches!(cx.effects.pop_front(), Some(Effect::Write(written)) if written == key));
        assert!(cx.todos.is_empty(), "nothing is written yet");
        let bytes = conns[key].outbox.len();
        conns[key].outbox.advance(bytes);
        conns.flushed(&mut cx, key);
        assert!(matches!(conns[key].phase, Phase::Idle));
        assert_eq!(cx.todos.pop_front(), Some(Todo::Reread(key)));
    }

    #[test]
    fn a_stream_that_goes_says_which_session_it_leaves() {
        let (mut cx, mut conns) = owners();
        let session: SessionKey = Slab::default().insert(());
        let key = opened(&mut cx, &mut conns, streaming(session));
        conns.close(&mut cx, key);
        assert_eq!(
            cx.todos.pop_front(),
            Some(Todo::Left { conn: key, session, behind: None, leaving: Leaving::Lost })
        );
        assert!(matches!(cx.effects.pop_front(), Some(Effect::Close(closed)) if closed == key));
        assert!(conns.get(key).is_none());
        assert_eq!(cx.metrics.open, [0; 3]);
    }

    #[test]
    fn the_last_response_is_followed_by_fin_and_a_moment_to_read_it() {
        let (mut cx, mut conns) = owners();
        let key = opened(&mut cx, &mut conns, Phase::Idle);
        conns.flush(&mut cx, key, Then::Close);
        assert!(matches!(conns[key].phase, Phase::Lingering));
        assert!(matches!(cx.effects.pop_front(), Some(Effect::ShutdownWrite(shut)) if shut == key));
        assert_eq!(conns[key].alarm.due(), Some(Tick::ZERO + LINGER));
    }

    #[test]
    fn nothing_is_sent_to_a_connection_that_is_gone() {
        let (mut cx, mut conns) = owners();
        let key = opened(&mut cx, &mut conns, Phase::Idle);
        conns.close(&mut cx, key);
        cx.effects.clear();
        conns.push(&mut cx, key, Frame::from(b"late".to_vec()));
        conns.flush(&mut cx, key, Then::Next);
        assert!(cx.effects.is_empty() && cx.todos.is_empty());
    }
}
