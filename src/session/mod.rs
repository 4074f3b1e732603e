//! One client of a user: its subscriptions, its cursor, and its link to a connection.
//!
//! A session holds no messages, only a cursor into its channels' logs. It outlives its connections
//! by the grace. What it missed meanwhile is in the logs, or becomes a gap.

pub mod addresses;
pub mod admissions;
pub mod conflated;
pub(crate) mod limits;
pub mod moves;
pub mod private;
pub mod subscriptions;

use std::rc::Rc;

use crate::auth::Grant;
use crate::base::alarm::Alarm;
use crate::base::slab::{AddressKey, ConnKey};
use crate::base::ticks::Tick;
use crate::call::protocol::ClientState;
use crate::hub::channel::{SessionStage, Subscription};
use crate::request::session_id::Nonce;
use crate::session::conflated::Conflations;
use crate::session::moves::Moves;
use crate::session::private::Private;
use crate::session::subscriptions::Subscriptions;
use crate::transport::TransportId;
use crate::turn::todo::Leaving;

/// One client of a user.
#[derive(Debug)]
pub struct Session {
    /// The number at which it was created. Only history that was requested with it may lie before.
    pub start: u64,
    /// Whether its client named a position here when it was created. Such a client may have missed
    /// messages before the session's logs began; any other has missed none.
    pub resumes: bool,
    /// Every message of its subscriptions at or below this number was delivered.
    pub cursor: u64,
    /// The number up to which a gap was sent. It counts until the client names a position: then the
    /// gap may have been lost.
    pub gap_sent: u64,
    /// How it is reached.
    pub link: Link,
    /// How its client finds it.
    pub found: FoundBy,
    /// The distance from the start to the cursor when a position alone first continued the session,
    /// or [`NEVER`]. Four bytes are enough: a smaller distance repeats more, and loses nothing.
    pub lent_after: i32,
    /// How often it moved between connections lately.
    pub hands: Moves,
    /// The user's personal channel first, then those that were asked for, and the private log if
    /// there is one.
    pub subscriptions: Subscriptions,
    /// The number of recent messages of each channel that were requested with it.
    pub last: u16,
    /// Requests for recent messages that other shards have not answered yet.
    pub recalls: u16,
    /// The number of subscriptions that are not pushed, because they wait for other shards' answers
    /// or are conflated.
    pub unpushed: u32,
    /// Its conflated subscriptions; boxed, because few sessions have any.
    pub conflated: Option<Box<Conflations>>,
    /// The transport of its last response.
    pub transport: TransportId,
    /// When it was created.
    pub since: Tick,
    /// When it ends, unless a client continues it.
    pub alarm: Alarm,
    /// What its client may do.
    pub grant: Rc<Grant>,
    /// The unguessable part of its id.
    pub nonce: Nonce,
    /// Its private log.
    pub private: Option<Box<Private>>,
    /// The number of its subscriptions to hidden channels, which do not count against
    /// `ENCKE_SUBSCRIPTIONS`.
    pub attended: u32,
    /// The protocol's data about the client.
    pub client: ClientState,
    /// Whether a front wants to know when it can take more, and when it ends.
    pub front: FrontInterest,
    /// The address of its creation, if that is counted.
    pub address: Option<AddressKey>,
}

impl Session {
    /// A detached session that begins at `start`, without subscriptions.
    pub fn new(start: u64, now: Tick, transport: TransportId, grant: Rc<Grant>, nonce: Nonce) -> Self {
        Self {
            start,
            resumes: false,
            cursor: start,
            gap_sent: 0,
            link: Link::Detached,
            found: FoundBy::Position,
            lent_after: NEVER,
            hands: Moves::default(),
            subscriptions: Subscriptions::with_capacity(1),
            last: 0,
            recalls: 0,
            unpushed: 0,
            conflated: None,
            transport,
            since: now,
            alarm: Alarm::default(),
            grant,
            nonce,
            private: None,
            attended: 0,
            client: ClientState::Native,
            front: FrontInterest::None,
            address: None,
        }
    }

    /// The cursor when a position alone first continued the session, perhaps for another client
    /// than the one that knows its id. Bytes written since then may not have reached the latter.
    pub fn lent_at(&self) -> Option<u64> {
        (self.lent_after != NEVER).then(|| self.start.saturating_add_signed(self.lent_after.into()))
    }

    /// A position alone continues the session.
    pub fn lend(&mut self) {
        // Below the start lies requested history that was not written yet.
        let after = self.cursor.wrapping_sub(self.start).cast_signed();
        let after = after.clamp(i32::MIN.into(), i64::from(NEVER) - 1) as i32;
        self.lent_after = self.lent_after.min(after);
    }

    /// Whether a client at position `n` can have been this session's. A client at an older position
    /// would silently miss what came before the session began.
    pub fn reaches_back_to(&self, n: u64) -> bool {
        let mut first =
            self.subscriptions.iter().filter(|subscription| subscription.stage == SessionStage::Opening);
        first.any(|subscription| subscription.has_all_since(n))
    }

    /// Whether a front wants to know of its detachment and its end.
    pub fn concerns_front(&self) -> bool {
        self.front == FrontInterest::Told || !self.client.is_native()
    }

    /// Whether a client that says its last on a connection is gone for good.
    pub fn ends_with_connection(&self) -> bool {
        !self.client.outlives(Leaving::Lost)
    }

    /// Whether each of its subscriptions brings all that came after `n`. One whose home had to be
    /// asked begins with the answer, but misses nothing since the session began.
    pub fn has_all_since(&self, n: u64) -> bool {
        let private = self.private.as_deref().map(|private| private.channel);
        let mut asked_for =
            self.subscriptions.iter().filter(|subscription| Some(subscription.channel) != private);
        let from_start =
            |subscription: &Subscription| subscription.stage == SessionStage::Opening && self.start <= n;
        asked_for.all(|subscription| subscription.has_all_since(n) || from_start(subscription))
    }
}

/// Whether a front keeps something for a session besides what its protocol's client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontInterest {
    /// No.
    None,
    /// Yes: it is told when the session can take more, loses its response, and ends.
    Told,
}

/// No position alone has continued the session.
pub const NEVER: i32 = i32::MAX;

/// How the client of a session finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// By its position, as far as is known.
    Position,
    /// By the session's id. Then no other client gets it for a position: two clients that
    /// alternated in one session would each miss what the other received.
    Id,
}

/// How a session is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not now.
    Detached,
    /// By a held long poll.
    Parked(ConnKey),
    /// By a long poll that is answered at the end of this turn.
    Waking(ConnKey),
    /// By a stream that has received everything: messages are pushed to it.
    Level(ConnKey),
    /// By a stream that reads too slowly: it catches up from the logs when its outbox has room.
    Behind(ConnKey),
}

impl Link {
    /// Whether messages wait in the logs until the outbox has room.
    pub fn is_behind(self) -> bool {
        matches!(self, Self::Behind(_))
    }

    /// The connection, if there is one.
    pub fn conn(self) -> Option<ConnKey> {
        match self {
            Self::Detached => None,
            Self::Parked(conn) | Self::Waking(conn) | Self::Level(conn) | Self::Behind(conn) => Some(conn),
        }
    }
}

// The budget of an idle stream is 1 KiB with its connection and subscriptions.
const _: () = assert!(std::mem::size_of::<Session>() <= 168);

#[cfg(test)]
mod tests;
