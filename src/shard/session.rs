//! One client of a user: what it has subscribed to, how far it has been served, and over which connection.
//!
//! A session holds no messages, only a cursor into its channels' logs. It outlives its connections by the grace; whatever it
//! missed meanwhile, the logs have, or a gap says so.

use std::fmt;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::str::FromStr;

use crate::auth::Grant;
use crate::base::alarm::Alarm;
use crate::base::base32;
use crate::base::slab::{AddressKey, ConnKey, Key, SessionKey};
use crate::base::ticks::Tick;
use crate::hub::channel::{Stage, Subscription};
use crate::shard::bayeux::Client;
use crate::shard::conflate::Conflations;
use crate::shard::replay::Private;
use crate::shard::subscriptions::Subscriptions;
use crate::shard::takeover::Hands;
use crate::transport::TransportId;

/// One client of a user.
#[derive(Debug)]
pub struct Session {
    /// Where it was made to begin. History that was asked for with it may lie before; nothing else does.
    pub start: u64,
    /// Everything of its subscriptions at or below this number has been handed to it.
    pub cursor: u64,
    /// A gap up to this number has been told. It counts until the client names a position: then the telling may have been lost.
    pub told: u64,
    /// How it is reached.
    pub link: Link,
    /// How its client finds it.
    pub found: FoundBy,
    /// How far from the start its cursor was when a position alone first took it up, or [`NEVER`].
    /// Four bytes are enough: a smaller distance repeats more, and loses nothing.
    pub lent_after: i32,
    /// How often it went from one connection to another lately.
    pub hands: Hands,
    /// The user's personal channel first, then what was asked for, and the private log if there is one.
    pub subscriptions: Subscriptions,
    /// So many recent messages of each channel were asked for when it was made.
    pub last: u16,
    /// Questions for recent messages that other shards have not answered yet.
    pub recalls: u16,
    /// How many of them are not pushed: they wait for other shards' answers, or are conflated.
    pub unpushed: u32,
    /// The pace of those that are conflated; boxed, since few sessions have any.
    pub conflated: Option<Box<Conflations>>,
    /// The transport it last came by.
    pub transport: TransportId,
    /// When it was made.
    pub since: Tick,
    /// When it ends, unless it comes back.
    pub alarm: Alarm,
    /// What it may do.
    pub grant: Rc<Grant>,
    /// The unguessable part of its id.
    pub nonce: Nonce,
    /// Its private log.
    pub private: Option<Box<Private>>,
    /// How many of its subscriptions are to hidden channels. They come with others, so they are not counted against
    /// `ENCKE_SUBSCRIPTIONS`.
    pub attended: u32,
    /// What Bayeux knows of it, where its client speaks that.
    pub bayeux: Option<Box<Client>>,
    /// Where it was made from, if that is counted.
    pub address: Option<AddressKey>,
}

impl Session {
    /// The cursor when a position alone first took the session up, perhaps for another client than
    /// the one that knows its id. What was written since says nothing of the latter.
    pub fn lent_at(&self) -> Option<u64> {
        (self.lent_after != NEVER).then(|| self.start.saturating_add_signed(self.lent_after.into()))
    }

    /// A position alone takes the session up.
    pub fn lend(&mut self) {
        // Below the start lies history that was asked for and not written yet.
        let after = self.cursor.wrapping_sub(self.start).cast_signed();
        let after = after.clamp(i32::MIN.into(), i64::from(NEVER) - 1) as i32;
        self.lent_after = self.lent_after.min(after);
    }

    /// Whether a client at position `n` can have been this session's. One that is older would miss in silence what came
    /// before the session began.
    pub fn reaches_back_to(&self, n: u64) -> bool {
        let mut first = self.subscriptions.iter().filter(|subscription| subscription.stage == Stage::Opening);
        first.any(|subscription| subscription.has_all_since(n))
    }

    /// Whether each of its subscriptions brings all that came after `n`. One whose home had to be asked begins with the answer, but
    /// misses nothing since the session began.
    pub fn has_all_since(&self, n: u64) -> bool {
        let private = self.private.as_deref().map(|private| private.channel);
        let mut asked_for =
            self.subscriptions.iter().filter(|subscription| Some(subscription.channel) != private);
        let from_start =
            |subscription: &Subscription| subscription.stage == Stage::Opening && self.start <= n;
        asked_for.all(|subscription| subscription.has_all_since(n) || from_start(subscription))
    }
}

/// No position alone has taken a session up.
pub const NEVER: i32 = i32::MAX;

/// The unguessable part of a session's id.
pub type Nonce = [u8; 12];

/// How the client of a session finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// By its position, as far as is known.
    Position,
    /// By the session's id. Nobody else is given it for a position: two clients that took turns in one session would each miss
    /// what the other was given.
    Id,
}

/// How a session is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not at all, for now.
    Detached,
    /// By a long poll that waits.
    Parked(ConnKey),
    /// By a long poll that is answered at the end of this turn.
    Waking(ConnKey),
    /// By a stream that has got everything: messages are pushed to it.
    Level(ConnKey),
    /// By a stream that takes less than comes: it is caught up from the logs when it has room.
    Behind(ConnKey),
}

impl Link {
    /// Whether messages wait in the logs until there is room.
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
const _: () = assert!(std::mem::size_of::<Session>() <= 176);

/// A session's public name. It carries its home's hash and its slot, so that neither the way to its shard nor its place there is looked
/// up, and 96 random bits, so that it cannot be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId {
    /// The hash of the user's name.
    pub home: u32,
    /// The slot.
    pub key: SessionKey,
    /// The unguessable part.
    pub nonce: Nonce,
}

/// Text that is no session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASession;

const BYTES: usize = 24;

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&self.home.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.key.index().to_be_bytes());
        bytes[8..12].copy_from_slice(&self.key.generation().get().to_be_bytes());
        bytes[12..].copy_from_slice(&self.nonce);
        let mut text = String::with_capacity(1 + BYTES * 8 / 5 + 1);
        text.push('s');
        base32::encode(&bytes, &mut text);
        f.write_str(&text)
    }
}

impl FromStr for SessionId {
    type Err = NotASession;

    fn from_str(text: &str) -> Result<Self, NotASession> {
        let bytes: [u8; BYTES] = text.strip_prefix('s').and_then(base32::decode).ok_or(NotASession)?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let generation = NonZeroU32::new(word(8)).ok_or(NotASession)?;
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&bytes[12..]);
        Ok(Self { home: word(0), key: SessionKey::new(word(4), generation), nonce })
    }
}

#[cfg(test)]
mod tests {
    use crate::shard::session::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_reads_back_as_it_was_written(home: u32, index: u32, generation in 1u32.., nonce: Nonce) {
            let key = SessionKey::new(index, NonZeroU32::new(generation).unwrap());
            let id = SessionId { home, key, nonce };
            let text = id.to_string();
            prop_assert_eq!(text.len(), 40);
            prop_assert_eq!(text.parse(), Ok(id));
            prop_assert_eq!(text[1..].parse::<SessionId>(), Err(NotASession));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<SessionId>();
        }
    }
}
