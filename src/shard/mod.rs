//! The server without I/O: a shard is a value that takes inputs and returns effects.
//!
//! It holds no socket, clock, thread or lock, and draws its randomness from a given seed, so
//! several of them run in one test thread. It has all state of the users and channels whose home it
//! is; it reaches other shards by mail alone.
//!
//! The shard's state has two owners. [`Core`](core) has the state below all protocols: connections,
//! sessions, channels. Each front has what only its protocol knows; fronts get the core as an
//! argument and do not see each other. [`Shard`] itself has the turn: which front an input is for,
//! and which answer comes next.

mod admission;
mod dispatch;
mod fronts;
mod greeting;
mod invariants;
mod limits;
mod pending;
pub mod pipeline;
pub(crate) mod receive;
mod sockets;
mod time;
mod todos;

use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::base::hash::Keyed;
use crate::base::outbox::Outbox;
use crate::base::position::Epoch;
use crate::base::slab::{ConnKey, StreamKey};
use crate::base::ticks::Tick;
use crate::config::Config;
use crate::core::Core;
use crate::shard::fronts::Fronts;
use crate::turn::cx::Cx;
use crate::turn::steps::Spent;

pub use crate::auth::gate::Keys;
pub use crate::base::ids::{ListenerKind, ShardId};
pub use crate::shard::invariants::Counts;
pub use crate::turn::input::{Effect, Identity, Input, Parcel};
pub use crate::turn::mail::Mail;

/// All state of the users and channels whose home it is: the core and the fronts.
pub struct Shard {
    core: Core,
    fronts: Fronts,
}

impl Shard {
    /// A shard without users.
    pub fn new(now: Tick, config: Arc<Config>, keys: Arc<Keys>, identity: Identity) -> Self {
        let mut rng = ChaCha12Rng::from_seed(identity.seed);
        let keyed = Keyed::new((rng.next_u64(), rng.next_u64()));
        let digest_key = (rng.next_u64(), rng.next_u64());
        let epoch = Epoch::new(rng.next_u64());
        let cx = Cx::new(now, config, keys, identity, (rng, epoch));
        let fronts = Fronts::new(&cx.config, keyed, cx.identity.shards);
        Self { core: Core::new(cx, epoch, keyed, digest_key), fronts }
    }

    /// Its id.
    pub fn id(&self) -> ShardId {
        self.core.cx.identity.id
    }

    /// Answers some polls, whose responses are best written now. A driver calls it before
    /// [`Input::EndTurn`] until it returns `false`; polls that remain are answered at the end of
    /// the turn.
    pub fn wake_some(&mut self, now: Tick) -> bool {
        self.core.cx.now = now;
        let some = self.core.answer_some();
        self.run_todos();
        some
    }

    /// Handles an input.
    pub fn handle(&mut self, now: Tick, input: Input<'_>) {
        self.core.cx.now = now;
        match input {
            Input::Bytes { conn, bytes } => self.received(conn, bytes),
            Input::End { conn } => self.core.ended(conn),
            Input::Broken { conn } => self.core.broken(conn),
            Input::Written { conn, bytes } => self.core.on_written(conn, bytes),
            Input::Mail { from, mail } => self.mail(from, mail),
            Input::Hooked { pending, answer } => self.on_hook_answer(pending, &answer),
            Input::Stream { stream, report } => self.fronts.tcp.reported(&mut self.core, stream, report),
            Input::Expire => self.expire(),
            Input::EndTurn => self.end_turn(),
            Input::Congestion { shards } => self.core.cx.congested = shards,
            Input::Turn { micros } => self.core.cx.metrics.turn(micros),
            Input::Gauges { mailbox, refused, log_dropped } => {
                (self.core.cx.metrics.mailbox, self.core.cx.metrics.unaccepted) = (mailbox, refused);
                self.core.cx.metrics.log_dropped = log_dropped;
            }
            Input::Wall { unix_ms_at_zero } => self.core.set_wall(unix_ms_at_zero),
            Input::Leave => self.core.fail_health_checks(),
            Input::Drain { by } => self.core.drain(by),
            Input::Reload { keys } => {
                self.core.cx.keys = keys;
                self.core.cx.key_watch.keys_arrived(now);
            }
        }
        // Usually empty.
        if !self.core.cx.todos.is_empty() {
            self.run_todos();
        }
    }

    /// The work so far, and what justifies it.
    pub fn spent(&self) -> Spent {
        self.core.cx.steps.spent()
    }

    /// The next effect, if any.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.core.cx.effects.pop_front()
    }

    /// The outbox of a connection.
    pub fn outbox(&self, conn: ConnKey) -> Option<&Outbox> {
        self.core.conns.get(conn).map(|conn| &conn.outbox)
    }

    /// The outbox of a stream to a server.
    pub fn stream_outbox(&self, stream: StreamKey) -> Option<&Outbox> {
        self.fronts.tcp.outbox(stream)
    }

    /// Bytes that may be read from a connection in one turn, beyond what each may send.
    pub fn read_bytes_granted(&self, conn: ConnKey) -> usize {
        self.core.conns.read_bytes_granted(conn)
    }

    /// The same of a stream's server.
    pub fn stream_read_bytes_granted(&self, stream: StreamKey) -> usize {
        self.fronts.tcp.read_bytes_granted(stream)
    }

    /// When [`Input::Expire`] is due.
    pub fn next_deadline(&self) -> Option<Tick> {
        let is_behind = !self.core.backlog.is_empty() || self.fronts.api.is_behind();
        if !self.core.waking.is_empty() || self.core.presence.is_pending() || is_behind {
            // A request that waited for its predecessor's last byte has published: its polls want
            // the next turn now. So does the rest of presence from this turn, and a batch that has
            // yielded.
            return Some(Tick::ZERO);
        }
        self.core.cx.wheel.next_deadline()
    }

    fn mail(&mut self, from: ShardId, mail: Mail) {
        match mail {
            Mail::Publish { pending, batch } => {
                let results = self.core.sequence(batch);
                self.core.cx.post(from, Mail::Published { pending, results });
            }
            Mail::Published { pending, results } => {
                self.core.published(pending, results);
                self.complete_if_answered(pending);
            }
            Mail::Forward { messages } => self.core.forwarded(messages),
            Mail::Interest { channel } => self.core.interested(from, &channel),
            Mail::Disinterest { channel } => self.core.disinterested(from, &channel),
            Mail::Snapshot { channel, messages } => self.core.snapshot(&channel, messages),
            Mail::Recall { pending, pattern, last } => {
                let messages = self.core.recall(&pattern, last);
                self.core.cx.post(from, Mail::Recalled { pending, messages });
            }
            Mail::Recalled { pending, messages } => self.core.recalled(pending, messages),
            Mail::Watch { channel, watch } => self.core.keep_local_members(&channel, watch),
            Mail::Unwatch { channel } => self.core.drop_local_members(&channel),
            Mail::LocalMembers { channel, watch, report } => {
                self.core.on_members_reported(from, &channel, watch, report);
            }
            Mail::Who { channel, session } => self.core.on_members_asked(from, &channel, session),
            Mail::There { session, list } => self.core.on_member_list(session, list),
            Mail::Ask { pending, question } => {
                let answer = self.fronts.api.answer(&mut self.core, question);
                self.core.cx.post(from, Mail::Answered { pending, answer });
            }
            Mail::Answered { pending, answer } => {
                self.core.on_inquiry_answer(pending, answer);
                self.complete_if_answered(pending);
            }
        }
    }
}
