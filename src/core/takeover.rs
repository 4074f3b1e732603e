//! Two clients with one session's id: a tab that was copied with its storage, two replicas of one
//! program. Each takes the session over from the other, is told so, and takes it back, for ever.
//!
//! A session counts how often it moves between connections within a short time. After two rounds,
//! the next client, which is the one that came later, gets a session of its own with the same
//! subscriptions, and the reason. If it was a single client with a bad network, that does no harm:
//! it continues where it was.

use crate::base::slab::SessionKey;
use crate::base::ticks::Span;
use crate::call::queue::Since;
use crate::conn::phase::{Conn, Exchange, Phase, Recycle};
use crate::core::Core;
use crate::core::interest::SubscriptionStart;
use crate::core::presence::allows;
use crate::hub::channel::{Began, SessionStage};
use crate::session::FrontInterest;
use crate::wire::channel_name::{ChannelName, presence_of};
use crate::wire::refusal::Refusal;

impl Core {
    /// Whether two clients take a session from each other, and this would be another move.
    pub(crate) fn is_contested(&self, key: SessionKey) -> bool {
        let now = self.cx.now;
        let session = &self.sessions[key];
        // What a front keeps for a session would be lost to a client that has to begin anew. The id
        // of such a session is known to one page alone.
        session.front == FrontInterest::None
            && session.hands.is_contested(now, self.soon(key))
            && self.is_in_use(key)
    }

    /// A request has named a session, which now moves to its connection.
    pub(crate) fn change_hands(&mut self, key: SessionKey) {
        let now = self.cx.now;
        if self.is_in_use(key) {
            let soon = self.soon(key);
            self.sessions[key].hands.change(now, soon);
        }
    }

    fn soon(&self, key: SessionKey) -> Span {
        self.sessions[key].client.comes_back_within(&self.cx.config)
    }

    /// Whether a session has a response that is not being recycled.
    fn is_in_use(&self, key: SessionKey) -> bool {
        let conn = self.sessions[key].link.conn().and_then(|conn| self.conns.get(conn));
        let makes_room = |conn: &Conn| {
            matches!(conn.phase, Phase::Streaming(Exchange { recycle: Recycle::Announced(_), .. }))
        };
        conn.is_some_and(|conn| !makes_room(conn))
    }

    /// Gives a new session the subscriptions of another one that its grant allows.
    pub(crate) fn subscribe_as(
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
                self.attend(key, &channel, SessionStage::Opening)?;
                continue;
            }
            let conflate = self.pace(from, subscription.channel);
            self.subscribe(
                key,
                &channel,
                &SubscriptionStart { since, last: 0, stage: SessionStage::Opening, conflate },
            )?;
            let place = self.subscription(key, &name);
            if let (Some(place), Began::After(began), Since::Here(n)) = (place, subscription.began, since)
                && let copy = &mut self.sessions[key].subscriptions[place]
                && let Began::After(own) = &mut copy.began
            {
                // Messages that the other's subscription omitted are omitted here, too.
                *own = (*own).max(began).max(after);
                if began > *n {
                    // The client subscribed after its position: it missed nothing between them.
                    copy.stage = subscription.stage;
                }
            }
        }
        Ok(())
    }
}
