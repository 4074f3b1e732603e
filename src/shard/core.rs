//! What every protocol of a shard stands on: connections, sessions, channels, and the requests that
//! wait for answers.
//!
//! [`Core`] knows how a session is subscribed, fed and left, and how a message gets its place. It
//! does not know what a client of one protocol is told: that is the [`Shard`](super::Shard)'s, which
//! cannot be reached from here.

use std::collections::VecDeque;

use crate::base::hash::Keyed;
use crate::base::position::Epoch;
use crate::base::slab::{SessionKey, Slab, TicketKey, TimerKey};
use crate::config::Config;
use crate::hub::{Bounds, Hub, census};
use crate::shard::addresses::Addresses;
use crate::shard::conns::Conns;
use crate::shard::cx::Cx;
use crate::shard::lines::Lines;
use crate::shard::once::Once;
use crate::shard::presence::Presence;
use crate::shard::recall::Recall;
use crate::shard::session::Session;
use crate::shard::ticket::Ticket;
use crate::shard::wall::Sweep;

/// What every protocol stands on.
pub(super) struct Core {
    pub(super) cx: Cx,
    pub(super) conns: Conns,
    pub(super) sessions: Slab<SessionKey, Session>,
    pub(super) hub: Hub,
    pub(super) tickets: Slab<TicketKey, Ticket>,
    /// Questions for recent messages of patterns that are out.
    pub(super) recalls: Slab<TicketKey, Recall>,
    /// Who is in channels that are watched.
    pub(super) presence: Presence,
    /// Sessions by where they were made from.
    pub(super) addresses: Addresses,
    /// Publishes that may come again.
    pub(super) once: Once,
    /// Whether a timer is on the oldest of them.
    pub(super) once_timer: Option<TimerKey>,
    /// Long polls that are answered at the end of this turn.
    pub(super) waking: Vec<SessionKey>,
    /// Tickets of queues of commands that go on in the next turn.
    pub(super) backlog: VecDeque<TicketKey>,
    /// Batches that wait for an earlier one of their session.
    pub(super) lines: Lines,
    /// Whether sessions are still to learn what time of day it is.
    pub(super) sweep: Sweep,
    /// The timer on the oldest message.
    pub(super) ledger_timer: Option<TimerKey>,
}

impl Core {
    /// Without connections, sessions and channels. The keys are for its tables.
    pub(super) fn new(cx: Cx, epoch: Epoch, keyed: Keyed, once_key: (u64, u64)) -> Self {
        let config = &cx.config;
        let share = |total| Config::share(total, usize::from(cx.identity.shards));
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
        Self {
            conns: Conns::new(config, cx.identity.shards),
            sessions: Slab::default(),
            hub: Hub::new(epoch, keyed, bounds),
            tickets: Slab::default(),
            recalls: Slab::default(),
            presence: Presence::default(),
            addresses: Addresses::new(keyed, config, cx.identity.shards),
            once: Once::new(share(config.publish_keys), config.session_grace, once_key),
            once_timer: None,
            waking: Vec::new(),
            backlog: VecDeque::new(),
            lines: Lines::new(keyed),
            sweep: Sweep::Done,
            ledger_timer: None,
            cx,
        }
    }
}
