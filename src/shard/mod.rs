//! The server without I/O: one shard is a value that takes inputs and gives effects.
//!
//! It holds no socket, clock, thread or lock, and draws its randomness from the seed it was given, so a whole cluster of them runs in
//! one test thread. All state of the users and channels whose home it is lives here; other shards are reached by mail alone.
//!
//! The parts: `receive` turns bytes into requests, `router` finds out what they ask, `exchange` opens and ends responses,
//! `stream`, `poll` and `socket` write them and read what comes up, `deliver` moves messages from the hub to them, `interest` keeps subscriptions (and other shards informed), `presence` tells who is there, `commands`, `publish` and `inspect` do
//! what clients, backends and operators ask for.

pub mod access;
mod addresses;
mod admission;
pub mod bayeux;
mod commands;
mod conflate;
pub mod conn;
mod conns;
mod core;
mod cx;
mod deliver;
mod detached;
mod direct;
pub mod echo;
mod exchange;
mod exposition;
mod greeting;
pub mod hook;
mod incoming;
pub mod input;
pub mod inspect;
mod interest;
mod invariants;
mod lifecycle;
mod lifespan;
mod lines;
pub mod mail;
pub mod metrics;
pub mod mutation;
pub mod once;
mod overlap;
pub mod pipeline;
mod poll;
pub mod presence;
pub mod publish;
pub mod queue;
mod recall;
mod receive;
mod replay;
pub mod reply;
pub mod request;
mod resubscribe;
pub mod router;
pub mod session;
pub mod silent;
pub mod socket;
pub mod steps;
mod stream;
pub mod subscriptions;
mod takeover;
mod ticket;
mod todo;
mod unfinished;
mod wall;
mod warnings;
pub mod withheld;

use std::rc::Rc;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::auth::Grant;
pub use crate::auth::gate::Keys;
use crate::base::hash::Keyed;
pub use crate::base::ids::{Door, ShardId};
use crate::base::outbox::Outbox;
use crate::base::position::Epoch;
use crate::base::slab::{ChannelKey, ConnKey, SessionKey};
use crate::base::ticks::Tick;
use crate::config::Config;
use crate::shard::core::Core;
use crate::shard::cx::Cx;
pub use crate::shard::input::{Effect, Identity, Input, Parcel};
pub use crate::shard::invariants::Counts;
pub use crate::shard::mail::Mail;

/// All state of the users and channels whose home it is.
pub struct Shard {
    core: Core,
    open_grant: Rc<Grant>,
    /// Bayeux clients by their browsers.
    browsers: bayeux::Browsers,
    /// Bayeux messages to services that came again before they were answered.
    repeats: bayeux::Repeats,
    /// Sessions that an operator wants ended, and that are not yet.
    ending: Vec<SessionKey>,
}

/// Whether the node goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Serving,
    /// It serves as ever, and tells balancers to send nobody here.
    Leaving,
    Draining {
        /// When the node will be gone.
        by: Tick,
    },
    Drained,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    Conn(ConnKey),
    Session(SessionKey),
    /// A channel of another shard that no session here wants any more.
    Linger(ChannelKey),
    /// A subscription that wants the newest value now and then.
    Conflated(SessionKey, ChannelKey),
    /// Old messages.
    Ledger,
    /// Old keys of publishes.
    Once,
    /// A hidden channel whose room has rested.
    Room(ChannelKey),
}

impl Shard {
    /// A shard without users.
    pub fn new(now: Tick, config: Arc<Config>, keys: Arc<Keys>, identity: Identity) -> Self {
        let mut rng = ChaCha12Rng::from_seed(identity.seed);
        let keyed = Keyed::new((rng.next_u64(), rng.next_u64()));
        let once_key = (rng.next_u64(), rng.next_u64());
        let epoch = Epoch::new(rng.next_u64());
        let cx = Cx::new(now, config, keys, identity, (rng, epoch));
        Self {
            core: Core::new(cx, epoch, keyed, once_key),
            open_grant: Rc::new(Grant::open()),
            browsers: bayeux::Browsers::new(keyed),
            repeats: bayeux::Repeats::new(keyed),
            ending: Vec::new(),
        }
    }

    /// Which shard it is.
    pub fn id(&self) -> ShardId {
        self.core.cx.identity.id
    }

    /// Before [`Input::EndTurn`], as often as it says so: some polls were answered, and are best written now. What a driver does not ask for
    /// is done when the turn ends.
    pub fn wake_some(&mut self, now: Tick) -> bool {
        self.core.cx.now = now;
        let some = self.answer_some();
        self.carry_out_todos();
        some
    }

    /// Something happened.
    pub fn handle(&mut self, now: Tick, input: Input<'_>) {
        self.core.cx.now = now;
        match input {
            Input::Bytes { conn, bytes } => self.received(conn, bytes),
            Input::End { conn } => self.ended(conn),
            Input::Broken { conn } => self.broken(conn),
            Input::Written { conn, bytes } => self.written(conn, bytes),
            Input::Mail { from, mail } => self.mail(from, mail),
            Input::Hooked { ticket, answer } => self.hooked(ticket, &answer),
            Input::Expire => self.expire(),
            Input::EndTurn => self.end_turn(),
            Input::Congestion { shards } => self.core.cx.congested = shards,
            Input::Turn { micros } => self.core.cx.metrics.turn(micros),
            Input::Gauges { mailbox, refused, log_dropped } => {
                (self.core.cx.metrics.mailbox, self.core.cx.metrics.unaccepted) = (mailbox, refused);
                self.core.cx.metrics.log_dropped = log_dropped;
            }
            Input::Wall { unix_ms_at_zero } => self.core.set_wall(unix_ms_at_zero),
            Input::Leave => self.fail_health_checks(),
            Input::Drain { by } => self.drain(by),
            Input::Reload { keys } => {
                self.core.cx.keys = keys;
                self.core.cx.key_watch.came(now);
            }
        }
        // Mostly there is nothing.
        if !self.core.cx.todos.is_empty() {
            self.carry_out_todos();
        }
    }

    /// How much work was done, and what for.
    pub fn spent(&self) -> steps::Spent {
        self.core.cx.steps.spent()
    }

    /// The next thing to be done, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.core.cx.effects.pop_front()
    }

    /// What waits for a connection's socket.
    pub fn outbox(&self, conn: ConnKey) -> Option<&Outbox> {
        self.core.conns.get(conn).map(|conn| &conn.outbox)
    }

    /// When [`Input::Expire`] is due.
    pub fn next_deadline(&self) -> Option<Tick> {
        let is_behind = !self.core.backlog.is_empty() || !self.ending.is_empty();
        if !self.core.waking.is_empty() || self.core.presence.is_pending() || is_behind {
            // A request that waited for its predecessor's last byte has published: those polls want the next turn now.
            // So does what presence has left over from this one, and a batch that has yielded.
            return Some(Tick::ZERO);
        }
        self.core.cx.wheel.next_deadline()
    }

    fn mail(&mut self, from: ShardId, mail: Mail) {
        match mail {
            Mail::Publish { ticket, batch } => {
                let results = self.core.sequence(batch);
                self.core.cx.post(from, Mail::Published { ticket, results });
            }
            Mail::Published { ticket, results } => self.published(ticket, results),
            Mail::Forward { messages } => self.core.forwarded(messages),
            Mail::Interest { channel } => self.core.interested(from, &channel),
            Mail::Disinterest { channel } => self.core.disinterested(from, &channel),
            Mail::Snapshot { channel, messages } => self.core.snapshot(&channel, messages),
            Mail::Recall { ticket, pattern, last } => {
                let messages = self.core.recall(&pattern, last);
                self.core.cx.post(from, Mail::Recalled { ticket, messages });
            }
            Mail::Recalled { ticket, messages } => self.core.recalled(ticket, messages),
            Mail::Watch { channel, watch } => self.core.keep_roll(&channel, watch),
            Mail::Unwatch { channel } => self.core.drop_roll(&channel),
            Mail::Roll { channel, watch, report } => self.core.reported(from, &channel, watch, report),
            Mail::Who { channel, session } => self.core.asked_who(from, &channel, session),
            Mail::There { session, list } => self.core.listed(session, list),
            Mail::Ask { ticket, question } => {
                let answer = self.answer(question);
                self.core.cx.post(from, Mail::Told { ticket, answer });
            }
            Mail::Told { ticket, answer } => self.told(ticket, answer),
        }
    }
}
