//! Input that is not whole yet: how much of it a shard keeps, and until when.
//!
//! Heads, bodies, messages up a socket, and what came behind a request that is not answered yet are kept by their connections, beyond the
//! one read buffer. All of it together has a bound, the shard's part of `ENCKE_INPUT_MEMORY`. At the bound the connection that has just
//! brought more loses what it brought; what others have begun goes on. A part is kept for the private listener, so that strangers who fill
//! the rest do not keep backends from publishing.
//!
//! It does not count what is on its way between two shards, which is there for a turn, nor what is whole: that is being carried out.

use crate::base::ids::Door;
use crate::base::slab::ConnKey;
use crate::base::ticks::Tick;
use crate::config::Config;
use crate::shard::Timer;
use crate::shard::conn::{Conn, Phase, Then};
use crate::shard::conns::Conns;
use crate::shard::cx::Cx;
use crate::shard::reply::Reply;
use crate::shard::request::Request;
use crate::shard::socket::Broken;
use crate::wire::refusal::Refusal;

/// What a shard keeps of unfinished input, and how much it may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unfinished {
    held: usize,
    max: usize,
}

impl Unfinished {
    /// For one shard of so many.
    pub(super) fn new(config: &Config, shards: usize) -> Self {
        let least = config.body_bytes.saturating_mul(BODIES_MIN);
        Self { held: 0, max: Config::share(config.input_memory, shards).max(least) }
    }

    /// Bytes that are kept now.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    fn is_full(&self, door: Door) -> bool {
        self.held
            > match door {
                Door::Public | Door::XmlSocket => self.max - self.max / PRIVATE_PART,
                Door::Private => self.max,
            }
    }
}

/// However small the bound, a shard keeps so many bodies: one body takes up to twice its bytes while it grows, and a quarter is
/// not for the public.
const BODIES_MIN: usize = 4;

/// One part in so many is kept for the private listener.
const PRIVATE_PART: usize = 4;

/// By when a message up a socket must be whole. It counts from the first byte; control frames between its fragments change nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deadline(Option<Tick>);

/// What a look at a socket's unfinished message has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// A message has begun.
    Begun(Tick),
    /// The one that had begun is whole.
    Done,
}

impl Deadline {
    /// When it is.
    pub(super) fn due(self) -> Option<Tick> {
        self.0
    }

    /// Whether it is over.
    pub(super) fn is_over(self, now: Tick) -> bool {
        self.0.is_some_and(|due| due <= now)
    }

    /// Bytes were taken; one that begins now is due then.
    pub(super) fn look(&mut self, is_idle: bool, due: Tick) -> Change {
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
    /// Bytes were given to a connection, or taken from it: counts what it keeps. Mostly that is nothing, before and after.
    pub(super) fn count_input(&mut self, cx: &mut Cx, key: ConnKey) {
        let Some(conn) = self.slab.get_mut(key) else { return };
        let (before, kept) = (conn.kept, kept_by(conn));
        if before == kept {
            return;
        }
        conn.kept = kept;
        self.unfinished.held = self.unfinished.held - before as usize + kept as usize;
        if kept > before && self.unfinished.is_full(conn.door) {
            self.shed(cx, key);
        }
    }

    /// A connection may have let go of what it kept.
    pub(super) fn free_input(&mut self, key: ConnKey) {
        let Some(conn) = self.slab.get_mut(key) else { return };
        let kept = kept_by(conn);
        self.unfinished.held = self.unfinished.held - conn.kept as usize + kept as usize;
        conn.kept = kept;
    }

    /// A connection goes, with what it keeps.
    pub(super) fn uncount_input(&mut self, conn: &Conn) {
        self.unfinished.held -= conn.kept as usize;
    }

    /// A connection has brought more than can be kept.
    fn shed(&mut self, cx: &mut Cx, key: ConnKey) {
        log::debug!("a connection's unfinished input is dropped: {REASON}");
        let conn = &mut self.slab[key];
        match &mut conn.phase {
            // What is still to come is thrown away as it comes, and then the answer is given: the connection stays in step.
            Phase::Body(receiving) => {
                (receiving.request, receiving.body) = (Request::Refused(input_full()), Vec::new());
            }
            Phase::Idle | Phase::Head { .. } => self.refuse(cx, key, &Reply::closing(), &input_full()),
            Phase::Greeting { .. } => self.refuse(cx, key, &Reply::xmlsocket(), &input_full()),
            Phase::Silent { .. } | Phase::Preface(_) | Phase::Lingering => {
                cx.metrics.refused(CODE);
                self.close(cx, key);
            }
            Phase::Closing(_) | Phase::Flushing(_) => {
                cx.metrics.refused(CODE);
                self.flush(cx, key, Then::Close);
            }
            // The requests behind the one that is being answered are lost, and the client sees that they are: it answered last.
            Phase::Waiting(_) | Phase::Parked(_) | Phase::Behind(_) | Phase::Withheld(_) => {
                conn.phase.answer_and_close();
                conn.tail = Vec::new();
                cx.metrics.refused(CODE);
            }
            Phase::Streaming(exchange) if exchange.socket().is_none() => {
                exchange.then = Then::Close;
                conn.tail = Vec::new();
                cx.metrics.refused(CODE);
            }
            Phase::Streaming(_) | Phase::Unbound(_) | Phase::Echo(_) => {
                let broken = Broken::new(TRY_AGAIN_LATER, CODE, REASON.to_owned());
                self.break_off(cx, key, broken);
            }
        }
        if let Some(conn) = self.slab.get_mut(key).filter(|conn| !conn.reads()) {
            conn.tail = Vec::new();
        }
        self.free_input(key);
    }

    /// A socket's message is unfinished, or was until now: its deadline is looked at no later than it rings.
    pub(super) fn message_changed(&mut self, cx: &mut Cx, key: ConnKey, change: Change) {
        let now = cx.now;
        let Some(conn) = self.slab.get_mut(key) else { return };
        match change {
            Change::Begun(due) if conn.alarm.due().is_none_or(|other| due < other) => {
                conn.alarm.set(&mut cx.wheel, due, Timer::Conn(key));
            }
            // A stream's alarm is set anew when it rings.
            Change::Done if matches!(conn.phase, Phase::Unbound(_)) => {
                conn.alarm.set(&mut cx.wheel, now + cx.config.idle_timeout, Timer::Conn(key));
            }
            Change::Begun(_) | Change::Done | Change::None => {}
        }
    }

    /// A socket's message was not whole in time.
    pub(super) fn message_late(&mut self, cx: &mut Cx, key: ConnKey) {
        let reason = "a message up took longer than ENCKE_BODY_TIMEOUT".to_owned();
        self.break_off(cx, key, Broken::new(crate::shard::socket::POLICY, "timeout", reason));
    }
}

fn kept_by(conn: &Conn) -> u32 {
    u32::try_from(conn.input_bytes()).unwrap_or(u32::MAX)
}

/// The code of everything that is dropped at the bound.
const CODE: &str = "input-full";

const REASON: &str = "the node holds all the unfinished input that ENCKE_INPUT_MEMORY allows; try again";

/// RFC 6455 registry: the server is overloaded, and the client may come again.
const TRY_AGAIN_LATER: u16 = 1013;

fn input_full() -> Refusal {
    Refusal::new(503, "input-full", REASON).with_header("Retry-After", "1")
}
