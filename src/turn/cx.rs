//! The state that all parts of a shard share: the time, the settings, the wheel, and the effects.
//!
//! `Cx` owns no connection, session or channel. Their owners get it as an argument.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::RngCore;

use crate::auth::Grant;
use crate::auth::gate::Keys;
use crate::auth::key_watch::KeyWatch;
use crate::base::base32;
use crate::base::ids::ShardId;
use crate::base::position::Epoch;
use crate::base::ticks::{Span, Tick};
use crate::base::wheel::Wheel;
use crate::config::Config;
use crate::transport::Encoder;
use crate::turn::input::{Effect, Identity};
use crate::turn::mail::Mail;
use crate::turn::metrics::Metrics;
use crate::turn::mutation;
use crate::turn::steps::Steps;
use crate::turn::timer::{NodePhase, Timer};
use crate::turn::todo::Todo;
use crate::turn::warnings::Warnings;
use crate::wire::channel_name;

/// The state that all parts of a shard share.
pub(crate) struct Cx {
    /// The time of the current input.
    pub(crate) now: Tick,
    pub(crate) identity: Identity,
    pub(crate) config: Arc<Config>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) key_watch: KeyWatch,
    /// What a client without a token may do, if no tokens are needed.
    pub(crate) open_grant: Rc<Grant>,
    pub(crate) rng: ChaCha12Rng,
    /// Encodes messages.
    pub(crate) encoder: Encoder,
    pub(crate) wheel: Wheel<Timer>,
    pub(crate) effects: VecDeque<Effect>,
    /// Actions for the end of `handle`.
    pub(crate) todos: VecDeque<Todo>,
    pub(crate) metrics: Metrics,
    pub(crate) life: NodePhase,
    /// Shards whose mailboxes are over their bound, one bit each.
    pub(crate) congested: u64,
    /// When each warning may be logged again.
    pub(crate) warnings: Warnings,
    /// Units of work, for the simulation's bound.
    pub(crate) steps: Steps,
    #[cfg(feature = "mutations")]
    pub(crate) mutation: Option<mutation::Mutation>,
}

impl Cx {
    /// The state of a new shard.
    pub(crate) fn new(
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
            encoder: Encoder::new(epoch),
            identity,
            config,
            keys,
            key_watch: KeyWatch::default(),
            open_grant: Rc::new(Grant::open()),
            wheel,
            effects: VecDeque::new(),
            todos: VecDeque::new(),
            metrics: Metrics::default(),
            life: NodePhase::Serving,
            congested: 0,
            warnings: Warnings::default(),
            steps: Steps::default(),
            #[cfg(feature = "mutations")]
            mutation: None,
        }
    }

    /// Whether the shard accepts clients and answers them as usual.
    pub(crate) fn takes_clients(&self) -> bool {
        match self.life {
            NodePhase::Serving | NodePhase::Leaving => true,
            NodePhase::Draining { .. } | NodePhase::Drained => false,
        }
    }

    /// Sends a letter to another shard.
    pub(crate) fn post(&mut self, to: ShardId, mail: Mail) {
        debug_assert_ne!(to, self.identity.id, "a letter to itself");
        let barred = self.congested & to.bit() != 0 && self.broken_by(mutation::Mutation::BarControlMail);
        if barred && !matches!(mail, Mail::Publish { .. } | Mail::Forward { .. }) {
            return;
        }
        self.effects.push_back(Effect::Mail { to, mail });
    }

    /// All shards but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = ShardId> + use<> {
        let own = self.identity.id;
        (0..self.identity.shards).map(ShardId).filter(move |id| *id != own)
    }

    /// The shard that gives a channel its order: for a personal channel the user's home; for a
    /// presence channel the home of the channel itself.
    pub(crate) fn home(&self, channel: &str) -> ShardId {
        let channel = channel_name::presence_of(channel).unwrap_or(channel);
        let homes = self.identity.homes();
        match channel_name::user_of(channel) {
            Some(user) => homes.of(&user),
            None => homes.of(channel),
        }
    }

    /// A random span between `part/8` of `span` and all of it.
    pub(crate) fn jittered(&mut self, span: Span, part: u64) -> Span {
        let least = span.part(part, 8);
        let room = span.as_millis() - least.as_millis();
        least + Span::from_millis(if room == 0 { 0 } else { self.rng.next_u64() % (room + 1) })
    }

    /// An unguessable word.
    pub(crate) fn nonce(&mut self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        let mut text = String::with_capacity(28);
        base32::encode(&bytes, &mut text);
        text
    }

    /// Seconds since 1970.
    pub(crate) fn unix(&self) -> u64 {
        self.unix_ms() / 1000
    }

    /// Milliseconds since 1970.
    pub(crate) fn unix_ms(&self) -> u64 {
        self.unix_ms_at(self.now)
    }

    /// Milliseconds since 1970 at another time.
    pub(crate) fn unix_ms_at(&self, at: Tick) -> u64 {
        self.identity.unix_ms_at_zero.saturating_add(at.as_millis())
    }

    /// The tick of a token's expiry in seconds since 1970; now, if that has passed.
    pub(crate) fn tick_of(&self, unix: u64) -> Tick {
        Tick::from_millis(unix.saturating_mul(1000).saturating_sub(self.identity.unix_ms_at_zero))
    }

    /// When a client that is sent away should reconnect.
    pub(crate) fn come_back(&mut self) -> Span {
        match self.life {
            NodePhase::Serving | NodePhase::Leaving => Span::ZERO,
            NodePhase::Draining { .. } | NodePhase::Drained => self.jittered(self.config.drain, 0),
        }
    }
}
