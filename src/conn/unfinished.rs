//! Unfinished input: how much of it a shard buffers, and until when.
//!
//! Connections buffer heads, bodies, socket messages, and bytes behind a request without an answer,
//! beyond the one read buffer. All of it together is bounded by the shard's part of
//! `ENCKE_INPUT_MEMORY`. At the bound the connection that has just received more loses its input;
//! that of the others remains. A part is reserved for the private listener, so that clients that
//! fill the rest do not keep backends from publishing.
//!
//! It does not count what moves between two shards, which takes a turn, nor complete input, which
//! is being executed.

use crate::base::ids::ListenerKind;
use crate::base::slab::ConnKey;
use crate::base::ticks::Tick;
use crate::config::Config;
use crate::conn::Conns;
use crate::conn::limits::{PRIVATE_INPUT_PART, UNFINISHED_BODIES_MIN};
use crate::conn::phase::{Conn, Phase, Then};
use crate::conn::socket::SocketRefusal;
use crate::request::Request;
use crate::request::reply::Reply;
use crate::turn::cx::Cx;
use crate::turn::timer::Timer;
use crate::wire::refusal::{ErrorCode, Refusal, Refused};

/// The size of a shard's unfinished input, and its bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unfinished {
    held: usize,
    max: usize,
}

impl Unfinished {
    /// For one of `shards` shards.
    pub(crate) fn new(config: &Config, shards: usize) -> Self {
        let least = config.body_bytes.saturating_mul(UNFINISHED_BODIES_MIN);
        Self { held: 0, max: Config::share(config.input_memory, shards).max(least) }
    }

    /// Bytes that are buffered now.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    fn is_full(&self, listener: ListenerKind) -> bool {
        self.held
            > match listener {
                ListenerKind::Public | ListenerKind::XmlSocket => self.max - self.max / PRIVATE_INPUT_PART,
                ListenerKind::Private => self.max,
            }
    }
}

/// The deadline of a socket's message. It counts from the first byte; control frames between its
/// fragments change nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deadline(Option<Tick>);

/// How a socket's unfinished message changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// A message has begun.
    Begun(Tick),
    /// It is complete.
    Done,
}

impl Deadline {
    /// Its time.
    pub(crate) fn due(self) -> Option<Tick> {
        self.0
    }

    /// Whether it has passed.
    pub(crate) fn is_over(self, now: Tick) -> bool {
        self.0.is_some_and(|due| due <= now)
    }

    /// Bytes were consumed; a message that begins now is due at `due`.
    pub(crate) fn look(&mut self, is_idle: bool, due: Tick) -> Change {
        match (self.0, is_idle) {
            (None, true) | (Some(_), false) => Change::None,
            (None, false) => {
                self.0 = Some(due);
                Change::Begun(due)
            }
            (Some(_), true) => {
                self.0 = None;
                Change::Done
            }
        }
    }
}

impl Conns {
    /// Updates the count of a connection's unfinished input, which is mostly empty before and
    /// after.
    pub(crate) fn count_input(&mut self, cx: &mut Cx, key: ConnKey) {
        let Some(conn) = self.slab.get_mut(key) else { return };
        let (before, kept) = (conn.kept, kept_by(conn));
        if before == kept {
            return;
        }
        conn.kept = kept;
        self.unfinished.held = self.unfinished.held - before as usize + kept as usize;
        if kept > before && self.unfinished.is_full(conn.listener) {
            self.shed(cx, key);
        }
    }

    /// The same when a connection may have freed input.
    pub(crate) fn free_input(&mut self, key: ConnKey) {
        let Some(conn) = self.slab.get_mut(key) else { return };
        let kept = kept_by(conn);
        self.unfinished.held = self.unfinished.held - conn.kept as usize + kept as usize;
        conn.kept = kept;
    }

    /// Removes a connection's part from the count.
    pub(crate) fn uncount_input(&mut self, conn: &Conn) {
        self.unfinished.held -= conn.kept as usize;
    }

    /// Drops the input of a connection that exceeds the bound.
    fn shed(&mut self, cx: &mut Cx, key: ConnKey) {
        log::debug!("a connection's unfinished input is dropped: {}", Refused::Input);
        let conn = &mut self.slab[key];
        match &mut conn.phase {
            // The rest of the body is discarded, then the client gets the refusal: the connection
            // stays in step.
            Phase::Body(receiving) => {
                (receiving.request, receiving.body) = (Request::Refused(input_full()), Vec::new());
            }
            Phase::Idle | Phase::Head { .. } => self.refuse(cx, key, &Reply::closing(), &input_full()),
            Phase::Greeting { .. } => self.refuse(cx, key, &Reply::xmlsocket(), &input_full()),
            Phase::Silent { .. } | Phase::Preface(_) | Phase::Lingering => {
                cx.metrics.refused(ErrorCode::InputFull.text());
                self.close(cx, key);
            }
            Phase::Closing(_) | Phase::Flushing(_) => {
                cx.metrics.refused(ErrorCode::InputFull.text());
                self.flush(cx, key, Then::Close);
            }
            // The requests behind the current one are lost. The client notices, because its answer
            // closes the connection.
            Phase::Waiting(_) | Phase::Parked(_) | Phase::Behind(_) | Phase::Withheld(_) => {
                conn.phase.answer_and_close();
                conn.tail.clear();
                cx.metrics.refused(ErrorCode::InputFull.text());
            }
            Phase::Finishing { then, .. } => {
                *then = Then::Close;
                conn.tail.clear();
                cx.metrics.refused(ErrorCode::InputFull.text());
            }
            Phase::Streaming(exchange) if exchange.socket().is_none() => {
                exchange.then = Then::Close;
                conn.tail.clear();
                cx.metrics.refused(ErrorCode::InputFull.text());
            }
            Phase::Streaming(_) | Phase::Unbound(_) | Phase::Echo(_) => {
                let broken = SocketRefusal::refused(TRY_AGAIN_LATER, Refused::Input);
                self.break_off(cx, key, broken);
            }
        }
        if let Some(conn) = self.slab.get_mut(key).filter(|conn| !conn.reads()) {
            conn.tail.clear();
        }
        self.free_input(key);
    }

    /// Moves a socket's alarm forward to the deadline of an unfinished message, or back if the
    /// message is complete.
    pub(crate) fn message_changed(&mut self, cx: &mut Cx, key: ConnKey, change: Change) {
        let now = cx.now;
        let Some(conn) = self.slab.get_mut(key) else { return };
        match change {
            Change::Begun(due) if conn.alarm.due().is_none_or(|other| due < other) => {
                conn.alarm.set(&mut cx.wheel, due, Timer::Conn(key));
            }
            // A stream's alarm is armed again when it fires.
            Change::Done if matches!(conn.phase, Phase::Unbound(_)) => {
                conn.alarm.set(&mut cx.wheel, now + cx.config.idle_timeout, Timer::Conn(key));
            }
            Change::Begun(_) | Change::Done | Change::None => {}
        }
    }

    /// A socket's message missed its deadline.
    pub(crate) fn message_late(&mut self, cx: &mut Cx, key: ConnKey) {
        self.break_off(cx, key, SocketRefusal::refused(crate::conn::socket::POLICY, Refused::MessageLate));
    }
}

fn kept_by(conn: &Conn) -> u32 {
    u32::try_from(conn.input_bytes()).unwrap_or(u32::MAX)
}

/// RFC 6455 registry: the server is overloaded, and the client may reconnect.
const TRY_AGAIN_LATER: u16 = 1013;

fn input_full() -> Refusal {
    Refused::Input.into()
}
