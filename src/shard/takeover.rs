//! Two clients with one session's id: a tab that was copied with its storage, two replicas of one program. Each takes the session over from
//! the other, is told so, and takes it back, for ever.
//!
//! A session counts how often it goes from one connection to another within a short time. After two rounds, the client that comes next, which
//! is the one that came later, is given a session of its own with the same subscriptions, and told why. It does not matter if it was one
//! client after all, with a bad network: it goes on where it was.

use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::{Span, Tick};
use crate::hub::channel::{Began, Stage};
use crate::protocol::native::envelope::CloseCode;
use crate::shard::Shard;
use crate::shard::conn::{Conn, Exchange, Phase, Recycle};
use crate::shard::core::Core;
use crate::shard::exchange::Since;
use crate::shard::interest::Start;
use crate::shard::presence::allows;
use crate::shard::request::Open;
use crate::shard::session::Session;
use crate::wire::channel_name::{ChannelName, presence_of};
use crate::wire::refusal::Refusal;

/// How often a session went from one connection to another lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hands {
    /// In a row, each soon after the one before it.
    count: u8,
    /// When it did last, in seconds since the start, of which the low bits are enough.
    at: u16,
}

/// Twice there and back: so often each of two clients has taken the session from the other.
const ROUNDS: u8 = 4;

/// The longest time between two that count as in a row. Browsers open an `EventSource` again after 3 to 5 seconds.
const SOON: Span = Span::from_secs(10);

/// The same for Bayeux, whose clients connect again at once. Short, since a handshake loses what the session had.
const SOON_BAYEUX: Span = Span::from_secs(2);

impl Hands {
    /// The session goes to another connection.
    fn change(&mut self, now: Tick, soon: Span) {
        self.count = if self.is_recent(now, soon) { self.count.saturating_add(1) } else { 1 };
        self.at = seconds(now);
    }

    fn is_recent(self, now: Tick, soon: Span) -> bool {
        self.count > 0 && Span::from_secs(u64::from(seconds(now).wrapping_sub(self.at))) <= soon
    }

    /// Whether two clients take turns.
    fn is_contested(self, now: Tick, soon: Span) -> bool {
        self.count >= ROUNDS && self.is_recent(now, soon)
    }
}

fn seconds(now: Tick) -> u16 {
    (now.as_millis() / 1000) as u16
}

impl Core {
    /// Whether two clients take a session from each other, and it would go from one to the other once more.
    pub(super) fn is_contested(&self, key: SessionKey) -> bool {
        let now = self.cx.now;
        self.sessions[key].hands.is_contested(now, self.soon(key)) && self.is_in_use(key)
    }

    /// A session is named by a request, and is about to go to its connection.
    pub(super) fn change_hands(&mut self, key: SessionKey) {
        let now = self.cx.now;
        if self.is_in_use(key) {
            let soon = self.soon(key);
            self.sessions[key].hands.change(now, soon);
        }
    }

    fn soon(&self, key: SessionKey) -> Span {
        if self.sessions[key].bayeux.is_some() { SOON_BAYEUX } else { SOON }
    }

    /// Whether a session has a response, which was not told to make room for another.
    fn is_in_use(&self, key: SessionKey) -> bool {
        let conn = self.sessions[key].link.conn().and_then(|conn| self.conns.get(conn));
        let makes_room = |conn: &Conn| match &conn.phase {
            Phase::Streaming(Exchange { recycle, .. }) => matches!(recycle, Recycle::Told(_)),
            _ => false,
        };
        conn.is_some_and(|conn| !makes_room(conn))
    }

    /// Gives a new session the subscriptions of another one, as far as its grant allows them.
    fn subscribe_as(
        &mut self,
        (from, key): (SessionKey, SessionKey),
        (since, after): (&Since, u64),
    ) -> Result<(), Refusal> {
        let held: Vec<_> = self.sessions[from]
            .subscriptions
            .iter()
            .filter_map(|at| Some((*at, self.hub.channel(at.channel)?.name.clone())))
            .filter(|(_, name)| !name.is_empty() && allows(&self.sessions[key].grant, name))
            .collect();
        for (subscription, name) in held {
            let channel = presence_of(&name).unwrap_or(&name);
            let Ok(channel) = ChannelName::parse(channel) else { continue };
            if presence_of(&name).is_some() {
                self.attend(key, &channel, Stage::Opening)?;
                continue;
            }
            let conflate = self.pace(from, subscription.channel);
            self.subscribe(key, &channel, &Start { since, last: 0, stage: Stage::Opening, conflate })?;
            let place = self.subscription(key, &name);
            if let (Some(place), Began::After(began), Since::Here(_)) = (place, subscription.began, since)
                && let Began::After(own) = &mut self.sessions[key].subscriptions[place].began
            {
                // What the other's subscription left out is left out here, too.
                *own = (*own).max(began).max(after);
            }
        }
        Ok(())
    }
}

impl Shard {
    /// Makes a session with another one's subscriptions, for the later of two clients. It goes on from the position that the client
    /// names. One that names none may have missed what was written for the other: it is owed a gap.
    pub(super) fn make_apart(
        &mut self,
        conn: ConnKey,
        open: &Open,
        (from, since): (SessionKey, &Since),
    ) -> Result<SessionKey, Refusal> {
        let Session { start, cursor, .. } = self.core.sessions[from];
        let begins = match since {
            Since::Unsaid => Since::Here(start),
            Since::Here(_) | Since::Elsewhere(_) => since.clone(),
        };
        let after = if let Since::Here(n) = since { *n } else { cursor };
        let plain = Open::plain(open.user.clone(), open.transport, std::rc::Rc::clone(&open.grant));
        let key = self.make_session(conn, &plain, &begins)?;
        let made = self
            .core
            .subscribe_as((from, key), (&begins, after))
            .and_then(|()| self.core.subscribe_to_named(key, open));
        if let Err(refusal) = made {
            self.end_session(key, CloseCode::Ended);
            return Err(refusal);
        }
        if *since == Since::Unsaid {
            self.core.owe_history(key, start);
        }
        self.core.cx.metrics.parted += 1;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use crate::shard::takeover::*;

    #[test]
    fn it_takes_two_rounds_each_soon_after_the_other() {
        let at = |secs| Tick::ZERO + Span::from_secs(secs);
        let mut hands = Hands::default();
        for n in 0..4 {
            assert!(!hands.is_contested(at(n), SOON));
            hands.change(at(n), SOON);
        }
        assert!(hands.is_contested(at(13), SOON));
        assert!(!hands.is_contested(at(14), SOON));
        hands.change(at(20), SOON);
        assert!(!hands.is_contested(at(20), SOON), "that was the first of others");
    }
}
