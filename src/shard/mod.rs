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
mod deliver;
mod detached;
mod direct;
pub mod echo;
mod eviction;
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

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::auth::Grant;
pub use crate::auth::gate::Keys;
use crate::auth::key_watch::KeyWatch;
use crate::base::base32;
use crate::base::frame::Frame;
use crate::base::hash::Keyed;
pub use crate::base::ids::{Door, ShardId};
use crate::base::outbox::Outbox;
use crate::base::position::Epoch;
use crate::base::slab::{ChannelKey, ConnKey, SessionKey, Slab, TicketKey, TimerKey};
use crate::base::ticks::{Span, Tick};
use crate::base::wheel::Wheel;
use crate::config::Config;
use crate::hub::{Bounds, Hub, census};
use crate::shard::conn::Conn;
pub use crate::shard::input::{Effect, Identity, Input, Parcel};
pub use crate::shard::invariants::Counts;
pub use crate::shard::mail::Mail;
use crate::shard::metrics::Metrics;
use crate::shard::session::Session;
use crate::shard::ticket::Ticket;
use crate::shard::todo::Todo;
use crate::wire::channel_name;
use crate::wire::deflate::Inflater;

/// All state of the users and channels whose home it is.
pub struct Shard {
    identity: Identity,
    config: Arc<Config>,
    keys: Arc<Keys>,
    key_watch: KeyWatch,
    open_grant: Rc<Grant>,
    rng: ChaCha12Rng,
    conns: Slab<ConnKey, Conn>,
    sessions: Slab<SessionKey, Session>,
    hub: Hub,
    tickets: Slab<TicketKey, Ticket>,
    wheel: Wheel<Timer>,
    /// Input that is not whole yet.
    unfinished: unfinished::Unfinished,
    /// Who is in channels that are watched.
    presence: presence::Presence,
    /// Sessions by where they were made from.
    addresses: addresses::Addresses,
    /// Bayeux clients by their browsers.
    browsers: bayeux::Browsers,
    /// Connections that have said nothing yet, by network.
    silent: silent::Silent,
    /// When each warning may be logged again.
    warnings: warnings::Warnings,
    /// Wrong API keys that are still to be refused.
    withheld: withheld::Line,
    /// Bayeux messages to services that came again before they were answered.
    repeats: bayeux::Repeats,
    /// Publishes that may come again.
    once: once::Once,
    /// Whether a timer is on the oldest of them.
    once_timer: Option<TimerKey>,
    /// The body that was compressed last, and what came of it.
    last_batch: Option<(Vec<u8>, Frame)>,
    /// Where heads of responses are put together.
    scratch: Vec<u8>,
    /// Made when the first compressed message comes up.
    inflater: Option<Inflater>,
    /// Long polls that are answered at the end of this turn.
    waking: Vec<SessionKey>,
    effects: VecDeque<Effect>,
    /// What is left to do once the method under way has returned.
    todos: VecDeque<Todo>,
    /// Tickets of queues of commands that go on in the next turn.
    backlog: VecDeque<TicketKey>,
    /// Batches that wait for an earlier one of their session.
    lines: lines::Lines,
    /// Sessions that an operator wants ended, and that are not yet.
    ending: Vec<SessionKey>,
    /// Shards whose mailboxes are over their bound, a bit for each.
    congested: u64,
    life: Life,
    /// Whether sessions are still to learn what time of day it is.
    sweep: wall::Sweep,
    /// The timer on the oldest message.
    ledger_timer: Option<TimerKey>,
    metrics: Metrics,
    /// Work that was done, for the simulation's bound.
    steps: steps::Steps,
    #[cfg(feature = "mutations")]
    mutation: Option<mutation::Mutation>,
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
        let share = |total| Config::share(total, usize::from(identity.shards));
        let bounds = Bounds {
            channels: census::Bounds {
                channels_max: share(config.channels),
                subscribed_max: config.user_channels,
                published_max: share(config.user_channels),
                memory_max: share(config.memory),
            },
            log_len_max: config.channel_messages,
            log_bytes_max: config.channel_bytes,
            age_max: config.channel_age,
            grace: config.session_grace,
        };
        let (publish_keys, grace) = (share(config.publish_keys), config.session_grace);
        let hub = Hub::new(Epoch::new(rng.next_u64()), keyed, bounds);
        let unfinished = unfinished::Unfinished::new(&config, usize::from(identity.shards));
        let mut wheel = Wheel::default();
        let _ = wheel.expire(now);
        let addresses = addresses::Addresses::new(keyed, &config, identity.shards);
        Self {
            identity,
            config,
            keys,
            key_watch: KeyWatch::default(),
            open_grant: Rc::new(Grant::open()),
            rng,
            conns: Slab::default(),
            sessions: Slab::default(),
            hub,
            tickets: Slab::default(),
            wheel,
            unfinished,
            presence: presence::Presence::default(),
            addresses,
            browsers: bayeux::Browsers::new(keyed),
            silent: silent::Silent::default(),
            warnings: warnings::Warnings::default(),
            withheld: withheld::Line::new(),
            repeats: bayeux::Repeats::new(keyed),
            once: once::Once::new(publish_keys, grace, once_key),
            once_timer: None,
            last_batch: None,
            scratch: Vec::new(),
            inflater: None,
            waking: Vec::new(),
            effects: VecDeque::new(),
            todos: VecDeque::new(),
            backlog: VecDeque::new(),
            lines: lines::Lines::new(keyed),
            ending: Vec::new(),
            congested: 0,
            life: Life::Serving,
            sweep: wall::Sweep::Done,
            ledger_timer: None,
            metrics: Metrics::default(),
            steps: steps::Steps::default(),
            #[cfg(feature = "mutations")]
            mutation: None,
        }
    }

    /// Which shard it is.
    pub fn id(&self) -> ShardId {
        self.identity.id
    }

    /// Before [`Input::EndTurn`], as often as it says so: some polls were answered, and are best written now. What a driver does not ask for
    /// is done when the turn ends.
    pub fn wake_some(&mut self, now: Tick) -> bool {
        let some = self.answer_some(now);
        self.carry_out_todos(now);
        some
    }

    /// Something happened.
    pub fn handle(&mut self, now: Tick, input: Input<'_>) {
        match input {
            Input::Bytes { conn, bytes } => self.received(now, conn, bytes),
            Input::End { conn } => self.ended(now, conn),
            Input::Broken { conn } => self.broken(now, conn),
            Input::Written { conn, bytes } => self.written(now, conn, bytes),
            Input::Mail { from, mail } => self.mail(now, from, mail),
            Input::Hooked { ticket, answer } => self.hooked(now, ticket, &answer),
            Input::Expire => self.expire(now),
            Input::EndTurn => self.end_turn(now),
            Input::Congestion { shards } => self.congested = shards,
            Input::Turn { micros } => self.metrics.turn(micros),
            Input::Gauges { mailbox, refused, log_dropped } => {
                (self.metrics.mailbox, self.metrics.unaccepted) = (mailbox, refused);
                self.metrics.log_dropped = log_dropped;
            }
            Input::Wall { unix_ms_at_zero } => self.set_wall(unix_ms_at_zero),
            Input::Leave => self.fail_health_checks(),
            Input::Drain { by } => self.drain(now, by),
            Input::Reload { keys } => {
                self.keys = keys;
                self.key_watch.came(now);
            }
        }
        self.carry_out_todos(now);
    }

    /// Whether clients are taken, and answered as ever.
    fn takes_clients(&self) -> bool {
        match self.life {
            Life::Serving | Life::Leaving => true,
            Life::Draining { .. } | Life::Drained => false,
        }
    }

    /// The next thing to be done, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What waits for a connection's socket.
    pub fn outbox(&self, conn: ConnKey) -> Option<&Outbox> {
        self.conns.get(conn).map(|conn| &conn.outbox)
    }

    /// When [`Input::Expire`] is due.
    pub fn next_deadline(&self) -> Option<Tick> {
        let is_behind = !self.backlog.is_empty() || !self.ending.is_empty();
        if !self.waking.is_empty() || self.presence.is_pending() || is_behind {
            // A request that waited for its predecessor's last byte has published: those polls want the next turn now.
            // So does what presence has left over from this one, and a batch that has yielded.
            return Some(Tick::ZERO);
        }
        self.wheel.next_deadline()
    }

    fn mail(&mut self, now: Tick, from: ShardId, mail: Mail) {
        match mail {
            Mail::Publish { ticket, batch } => {
                let results = self.sequence(now, batch);
                self.post(from, Mail::Published { ticket, results });
            }
            Mail::Published { ticket, results } => self.published(now, ticket, results),
            Mail::Forward { messages } => self.forwarded(now, messages),
            Mail::Interest { channel } => self.interested(from, &channel),
            Mail::Disinterest { channel } => self.disinterested(from, &channel),
            Mail::Snapshot { channel, messages } => self.snapshot(now, &channel, messages),
            Mail::Recall { ticket, pattern, last } => {
                let messages = self.recall(&pattern, last);
                self.post(from, Mail::Recalled { ticket, messages });
            }
            Mail::Recalled { ticket, messages } => self.recalled(now, ticket, messages),
            Mail::Watch { channel, watch } => self.keep_roll(&channel, watch),
            Mail::Unwatch { channel } => self.drop_roll(&channel),
            Mail::Roll { channel, watch, report } => self.reported(from, &channel, watch, report),
            Mail::Who { channel, session } => self.asked_who(from, &channel, session),
            Mail::There { session, list } => self.listed(now, session, list),
            Mail::Ask { ticket, question } => {
                let answer = self.answer(now, question);
                self.post(from, Mail::Told { ticket, answer });
            }
            Mail::Told { ticket, answer } => self.told(now, ticket, answer),
        }
    }

    fn post(&mut self, to: ShardId, mail: Mail) {
        debug_assert_ne!(to, self.identity.id, "a letter to itself");
        let barred = self.congested & to.bit() != 0 && self.broken_by(mutation::Mutation::BarControlMail);
        if barred && !matches!(mail, Mail::Publish { .. } | Mail::Forward { .. }) {
            return;
        }
        self.effects.push_back(Effect::Mail { to, mail });
    }

    /// All shards but this one.
    fn others(&self) -> impl Iterator<Item = ShardId> + use<> {
        let own = self.identity.id;
        (0..self.identity.shards).map(ShardId).filter(move |id| *id != own)
    }

    /// The shard that gives a channel its order: the user's, for a personal one; the channel's, for one that carries its presence.
    fn home(&self, channel: &str) -> ShardId {
        let channel = channel_name::presence_of(channel).unwrap_or(channel);
        let homes = self.identity.homes();
        ShardId(match channel_name::user_of(channel) {
            Some(user) => homes.of(&user),
            None => homes.of(channel),
        })
    }

    /// Between `part/8` of the span and all of it.
    fn jittered(&mut self, span: Span, part: u64) -> Span {
        let least = span.part(part, 8);
        let room = span.as_millis() - least.as_millis();
        least + Span::from_millis(if room == 0 { 0 } else { self.rng.next_u64() % (room + 1) })
    }

    /// A word that nobody can guess.
    fn nonce(&mut self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        let mut text = String::with_capacity(28);
        base32::encode(&bytes, &mut text);
        text
    }
}
