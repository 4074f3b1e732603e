//! What every part of a shard shares: the time, the settings, the wheel, and what goes out.
//!
//! [`Cx`] owns no connection, session or channel. Owners of those get it as an argument.

use std::collections::VecDeque;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::RngCore;

use crate::auth::gate::Keys;
use crate::auth::key_watch::KeyWatch;
use crate::base::base32;
use crate::base::ids::ShardId;
use crate::base::position::Epoch;
use crate::base::ticks::{Span, Tick};
use crate::base::wheel::Wheel;
use crate::config::Config;
use crate::shard::input::{Effect, Identity};
use crate::shard::mail::Mail;
use crate::shard::metrics::Metrics;
use crate::shard::mutation;
use crate::shard::steps::Steps;
use crate::shard::todo::Todo;
use crate::shard::warnings::Warnings;
use crate::shard::{Life, Timer};
use crate::transport::Press;
use crate::wire::channel_name;

/// What every part of a shard shares.
pub(super) struct Cx {
    /// When the input under way came.
    pub(super) now: Tick,
    pub(super) identity: Identity,
    pub(super) config: Arc<Config>,
    pub(super) keys: Arc<Keys>,
    pub(super) key_watch: KeyWatch,
    pub(super) rng: ChaCha12Rng,
    /// What messages are encoded with.
    pub(super) press: Press,
    pub(super) wheel: Wheel<Timer>,
    pub(super) effects: VecDeque<Effect>,
    /// What is left to do once the method under way has returned.
    pub(super) todos: VecDeque<Todo>,
    pub(super) metrics: Metrics,
    pub(super) life: Life,
    /// Shards whose mailboxes are over their bound, a bit for each.
    pub(super) congested: u64,
    /// When each warning may be logged again.
    pub(super) warnings: Warnings,
    /// Work that was done, for the simulation's bound.
    pub(super) steps: Steps,
    #[cfg(feature = "mutations")]
    pub(super) mutation: Option<mutation::Mutation>,
}

impl Cx {
    /// That of a shard which begins now.
    pub(super) fn new(
        now: Tick,
        config: Arc<Config>,
        keys: Arc<Keys>,
        identity: Identity,
        (rng, epoch): (ChaCha12Rng, Epoch),
    ) -> Self {
        let mut wheel = Wheel::default();
        let _ = wheel.expire(now);
        Self {
            now,
            rng,
            press: Press::new(epoch),
            identity,
            config,
            keys,
            key_watch: KeyWatch::default(),
            wheel,
            effects: VecDeque::new(),
            todos: VecDeque::new(),
            metrics: Metrics::default(),
            life: Life::Serving,
            congested: 0,
            warnings: Warnings::default(),
            steps: Steps::default(),
            #[cfg(feature = "mutations")]
            mutation: None,
        }
    }

    /// Whether clients are taken, and answered as ever.
    pub(super) fn takes_clients(&self) -> bool {
        match self.life {
            Life::Serving | Life::Leaving => true,
            Life::Draining { .. } | Life::Drained => false,
        }
    }

    /// Sends a letter to another shard.
    pub(super) fn post(&mut self, to: ShardId, mail: Mail) {
        debug_assert_ne!(to, self.identity.id, "a letter to itself");
        let barred = self.congested & to.bit() != 0 && self.broken_by(mutation::Mutation::BarControlMail);
        if barred && !matches!(mail, Mail::Publish { .. } | Mail::Forward { .. }) {
            return;
        }
        self.effects.push_back(Effect::Mail { to, mail });
    }

    /// All shards but this one.
    pub(super) fn others(&self) -> impl Iterator<Item = ShardId> + use<> {
        let own = self.identity.id;
        (0..self.identity.shards).map(ShardId).filter(move |id| *id != own)
    }

    /// The shard that gives a channel its order: the user's, for a personal one; the channel's, for one that carries its presence.
    pub(super) fn home(&self, channel: &str) -> ShardId {
        let channel = channel_name::presence_of(channel).unwrap_or(channel);
        let homes = self.identity.homes();
        ShardId(match channel_name::user_of(channel) {
            Some(user) => homes.of(&user),
            None => homes.of(channel),
        })
    }

    /// Between `part/8` of the span and all of it.
    pub(super) fn jittered(&mut self, span: Span, part: u64) -> Span {
        let least = span.part(part, 8);
        let room = span.as_millis() - least.as_millis();
        least + Span::from_millis(if room == 0 { 0 } else { self.rng.next_u64() % (room + 1) })
    }

    /// A word that nobody can guess.
    pub(super) fn nonce(&mut self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        let mut text = String::with_capacity(28);
        base32::encode(&bytes, &mut text);
        text
    }

    /// Seconds since 1970.
    pub(super) fn unix(&self) -> u64 {
        self.unix_ms() / 1000
    }

    /// Milliseconds since 1970.
    pub(super) fn unix_ms(&self) -> u64 {
        self.unix_ms_at(self.now)
    }

    /// The same of another moment.
    pub(super) fn unix_ms_at(&self, at: Tick) -> u64 {
        self.identity.unix_ms_at_zero.saturating_add(at.as_millis())
    }

    /// When a token ends that names this second; now, if that has passed.
    pub(super) fn tick_of(&self, unix: u64) -> Tick {
        Tick::from_millis(unix.saturating_mul(1000).saturating_sub(self.identity.unix_ms_at_zero))
    }

    /// When a client that is told to go should come back.
    pub(super) fn come_back(&mut self) -> Span {
        match self.life {
            Life::Serving | Life::Leaving => Span::ZERO,
            Life::Draining { .. } | Life::Drained => self.jittered(self.config.drain, 0),
        }
    }
}
