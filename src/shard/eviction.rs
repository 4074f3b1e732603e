//! Which session goes when a user has one too many.
//!
//! The one that was unused for longest: detached ones first, and of those the one that would end first.
//! It is looked for among a bounded number, so that a user with very many sessions costs no more.

use crate::base::slab::ChannelKey;
use crate::protocol::native::envelope::CloseCode;
use crate::shard::Shard;
use crate::shard::session::Link;
use rand_chacha::rand_core::RngCore;

impl Shard {
    /// Ends the session of a user that was unused for longest, if the user has as many as allowed.
    /// Of many, some are drawn and compared: with a user that everybody shares, each new session
    /// would else look at all of them.
    pub(super) fn make_room(&mut self, personal: ChannelKey) {
        let Some(channel) = self.hub.channel(personal) else { return };
        let count = channel.subscribers.len();
        if count < self.cx.config.sessions_per_user {
            return;
        }
        self.cx.steps.work(count.min(COMPARED_MAX));
        let begin = if count > COMPARED_MAX { (self.cx.rng.next_u64() % count as u64) as usize } else { 0 };
        let drawn =
            (begin..begin + count.min(COMPARED_MAX)).map(|at| channel.subscribers[at % count].session);
        let oldest = drawn.min_by_key(|key| {
            let session = &self.sessions[*key];
            (session.link != Link::Detached, session.alarm.due().unwrap_or_default(), session.since)
        });
        if let Some(oldest) = oldest {
            self.end_session(oldest, CloseCode::TooManySessions);
        }
    }
}

/// Sessions of a user that are compared to find the one that goes: all that most users may have,
/// and no work even for a shard that makes thousands of sessions a second.
const COMPARED_MAX: usize = 256;
