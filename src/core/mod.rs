//! The state below all protocols: connections, sessions, channels, pending requests.
//!
//! `Core` creates, subscribes, detaches and ends sessions, delivers to them, and gives messages
//! their positions. It cannot reach the fronts or the `Shard`: what these have to do is a to-do.

pub mod batch_queues;
pub mod conflate;
pub mod deliver;
pub mod direct;
pub mod interest;
pub(crate) mod limits;
pub mod presence;
pub mod publish;
pub mod queue;
pub mod recall;
pub mod replay;
pub mod resubscribe;
pub mod takeover;
pub mod wall;

use crate::call::protocol::ClientState;
use std::collections::VecDeque;

use crate::base::hash::Keyed;
use crate::base::position::Epoch;
use crate::base::slab::{ConnKey, PendingKey, SessionKey, Slab, TimerKey};
use crate::call::pending::{ItemAnswer, PendingRequest};
use crate::call::queue::Since;
use crate::config::Config;
use crate::config::place::ANONYMOUS;
use crate::conn::Conns;
use crate::core::batch_queues::BatchQueues;
use crate::core::interest::SubscriptionStart;
use crate::core::limits::LEDGER_PAUSE_MIN;
use crate::core::presence::Presence;
use crate::core::recall::Recall;
use crate::core::wall::Sweep;
use crate::hub::channel::SessionStage;
use crate::hub::{Hub, HubBounds, census};
use crate::protocol::native::envelope::CloseCode;
use crate::protocol::tcp::command::StreamCommand;
use crate::request::router::Context;
use crate::request::session_id::SessionId;
use crate::request::{Open, User};
use crate::session::addresses::Addresses;
use crate::session::admissions::Admissions;
use crate::session::{Link, Session};
use crate::transport::TransportId;
use crate::turn::cx::Cx;
use crate::turn::idempotency::IdempotencyKeys;
use crate::turn::timer::Timer;
use crate::turn::todo::Todo;
use crate::wire::channel_name::{ChannelName, user_of};
use crate::wire::refusal::Refusal;

/// A command for a TCP stream.
#[derive(Debug)]
pub(crate) struct StreamAsk {
    /// The request that waits for its answer, and the command's place in it.
    pub(crate) item: (PendingKey, u32),
    /// The connection that brought it, which may be gone.
    pub(crate) conn: ConnKey,
    pub(crate) session: SessionKey,
    pub(crate) command: StreamCommand,
}

/// What a session whose client speaks text asks of its TCP stream.
#[derive(Debug)]
pub(crate) enum TextAsk {
    /// Open it.
    Open {
        session: SessionKey,
        /// The connection that asks for it.
        conn: ConnKey,
        /// The target's place in the configuration.
        target: u16,
        /// The origin of the page.
        page: Option<Box<str>>,
    },
    /// Send this. The request is answered once the server has room for more.
    Send { session: SessionKey, pending: PendingKey, bytes: Vec<u8> },
    /// Answer a request that has waited.
    Answer(PendingKey),
}

/// The state below all protocols.
pub(crate) struct Core {
    pub(crate) cx: Cx,
    pub(crate) conns: Conns,
    pub(crate) sessions: Slab<SessionKey, Session>,
    pub(crate) hub: Hub,
    pub(crate) pending: Slab<PendingKey, PendingRequest>,
    /// Questions to other shards for recent messages of patterns.
    pub(crate) recalls: Slab<PendingKey, Recall>,
    /// The members of watched channels.
    pub(crate) presence: Presence,
    /// How many sessions were created lately.
    pub(crate) admissions: Admissions,
    /// The number of sessions of each address.
    pub(crate) addresses: Addresses,
    /// Keys of recent publishes.
    pub(crate) idempotency_keys: IdempotencyKeys,
    /// The timer on the oldest of them.
    pub(crate) idempotency_timer: Option<TimerKey>,
    /// Ended sessions that their fronts still know, with the protocol's data about the client.
    pub(crate) departed: VecDeque<(SessionKey, ClientState, CloseCode)>,
    /// Commands for TCP streams, which their front executes.
    pub(crate) stream_commands: VecDeque<StreamAsk>,
    /// What sessions of text ask of their streams.
    pub(crate) text_asks: VecDeque<TextAsk>,
    /// Long polls to answer at the end of this turn.
    pub(crate) waking: Vec<SessionKey>,
    /// Pending requests of command queues that continue in the next turn.
    pub(crate) backlog: VecDeque<PendingKey>,
    /// Batches that wait for an earlier one of their session.
    pub(crate) batch_queues: BatchQueues,
    /// Whether sessions must still be checked against a new wall clock.
    pub(crate) sweep: Sweep,
    /// The timer on the oldest message.
    pub(crate) ledger_timer: Option<TimerKey>,
}

impl Core {
    /// No connections, sessions and channels. The keys are for its tables.
    pub(crate) fn new(cx: Cx, epoch: Epoch, keyed: Keyed, digest_key: (u64, u64)) -> Self {
        let config = &cx.config;
        let share = |total| Config::share(total, usize::from(cx.identity.shards));
        let bounds = HubBounds {
            channels: census::ChannelBounds {
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
            admissions: Admissions::new(config, cx.identity.shards),
            sessions: Slab::default(),
            hub: Hub::new(epoch, keyed, bounds),
            pending: Slab::default(),
            recalls: Slab::default(),
            presence: Presence::default(),
            addresses: Addresses::of_sessions(keyed, config, cx.identity.shards),
            idempotency_keys: IdempotencyKeys::new(
                share(config.publish_keys),
                config.session_grace,
                digest_key,
            ),
            idempotency_timer: None,
            departed: VecDeque::new(),
            stream_commands: VecDeque::new(),
            text_asks: VecDeque::new(),
            waking: Vec::new(),
            backlog: VecDeque::new(),
            batch_queues: BatchQueues::new(keyed),
            sweep: Sweep::Done,
            ledger_timer: None,
            cx,
        }
    }

    /// Whether a session has ended, or will before the turn does.
    pub(crate) fn is_over(&self, key: SessionKey) -> bool {
        let ends = |todo: &Todo| matches!(todo, Todo::End { session, .. } if *session == key);
        self.sessions.get(key).is_none() || self.cx.todos.iter().any(ends)
    }

    /// A session is reached by a response of this transport from now on.
    pub(crate) fn attach_session(&mut self, key: SessionKey, link: Link, transport: TransportId) {
        let session = &mut self.sessions[key];
        debug_assert_eq!(session.link, Link::Detached, "a session has two responses");
        (session.link, session.transport) = (link, transport);
        self.cx.metrics.attached[transport.index()] += 1;
        self.arm_session(key);
    }

    pub(crate) fn detach_session(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.link == Link::Detached {
            return;
        }
        if matches!(session.link, Link::Level(_)) {
            session.cursor = self.hub.head();
        }
        session.link = Link::Detached;
        self.cx.metrics.attached[session.transport.index()] -= 1;
        if session.concerns_front() {
            self.cx.todos.push_back(Todo::Detached(key));
        }
        self.arm_session(key);
    }

    /// A session's public name.
    pub(crate) fn session_id(&self, key: SessionKey) -> SessionId {
        let user = self.user_of(key).unwrap_or_default();
        SessionId { home: self.cx.identity.homes().hash(&user), key, nonce: self.sessions[key].nonce }
    }

    /// Subscribes an existing session to those channels of a query that it does not have.
    pub(crate) fn subscribe_to_named(&mut self, key: SessionKey, open: &Open) -> Result<(), Refusal> {
        let start = SubscriptionStart {
            since: &Since::Unspecified,
            last: open.last,
            stage: SessionStage::Later,
            conflate: open.conflate,
        };
        for name in &open.channels {
            self.subscribe(key, name, &start)?;
            if open.presence {
                self.attend(key, name, SessionStage::Later)?;
            }
        }
        Ok(())
    }

    /// Keeps a timer on the oldest idempotency key, while there is one.
    pub(crate) fn arm_idempotency_timer(&mut self) {
        let now = self.cx.now;
        if self.idempotency_timer.is_none()
            && let Some(due) = self.idempotency_keys.forget(now)
        {
            self.idempotency_timer = Some(self.cx.wheel.arm(due, Timer::IdempotencyKeys));
        }
    }

    /// Keeps a timer on the oldest message, while there is one.
    pub(crate) fn arm_ledger(&mut self) {
        let now = self.cx.now;
        if self.ledger_timer.is_none()
            && let Some(due) = self.hub.expires()
        {
            self.ledger_timer = Some(self.cx.wheel.arm(due.max(now + LEDGER_PAUSE_MIN), Timer::Ledger));
        }
    }

    pub(crate) fn user_of_session(&self, session: SessionKey) -> Option<User> {
        let name = self.user_of(session)?;
        let channel = ChannelName::personal(&name).ok()?;
        Some(User { name: name.into(), channel })
    }

    /// The name of a session's user.
    pub(crate) fn user_of(&self, key: SessionKey) -> Option<String> {
        user_of(self.personal_channel(self.sessions.get(key)?)?)
    }

    /// The name of the channel of a session's user: its first subscription is to that.
    pub(crate) fn personal_channel(&self, session: &Session) -> Option<&str> {
        let own = session.subscriptions.first()?.channel;
        Some(&self.hub.channel(own)?.name)
    }

    /// A user for a client that has none, at home here.
    pub(crate) fn anonymous_user(&mut self) -> User {
        loop {
            let name = format!("{ANONYMOUS}{}", &self.cx.nonce()[..16]);
            if self.cx.identity.homes().of(&name) == self.cx.identity.id
                && let Ok(channel) = crate::wire::channel_name::ChannelName::personal(&name)
            {
                return User { name: name.into(), channel };
            }
        }
    }

    /// What the router must know of this shard.
    pub(crate) fn context(&self) -> Context<'_> {
        let now = self.cx.now;
        Context {
            here: self.cx.identity.id,
            homes: self.cx.identity.homes(),
            keys: &self.cx.keys,
            watch: &self.cx.key_watch,
            now,
            config: &self.cx.config,
            open_grant: &self.cx.open_grant,
            unix_now: self.cx.unix(),
        }
    }

    pub(crate) fn push_answer(&mut self, pending: PendingKey, answer: ItemAnswer) {
        if let Some(pending) = self.pending.get_mut(pending) {
            pending.kind.push_answer(answer);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
