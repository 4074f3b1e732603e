//! Messages for one session: what a backend answers on a service channel.
//!
//! They go through the session's private log, as recalled messages do, so they come in one order with all else, are sent again where a
//! response was lost, and are told as a gap where the log could not hold them. They are no broadcast: no other session gets them,
//! nothing subscribes to them, and no channel's log has them.

use std::sync::Arc;

use crate::base::ids::ShardId;
use crate::base::slab::SessionKey;
use crate::hub::publication::Message;
use crate::protocol::native::envelope::Encoding;
use crate::shard::Shard;
use crate::shard::core::Core;
use crate::shard::publish::{Addressee, Receipt};
use crate::shard::session::SessionId;
use crate::wire::channel_name::ChannelName;
use crate::wire::refusal::Refusal;

impl Core {
    /// Puts a message in a session's private log, from which it goes out as all else does.
    pub(super) fn tell_session(
        &mut self,
        SessionId { key, nonce, .. }: SessionId,
        message: Arc<Message>,
    ) -> Result<Receipt, Refusal> {
        if self.sessions.get(key).is_none_or(|session| session.nonce != nonce) {
            return Err(unknown_session());
        }
        self.tell_privately(key, message);
        Ok(Receipt { position: self.hub.position(self.hub.head()), sessions: Some(1) })
    }

    /// The same for a session that is there.
    pub(super) fn tell_privately(&mut self, key: SessionKey, message: Arc<Message>) {
        self.cx.metrics.messages_in += 1;
        self.replay(key, vec![message]);
    }
}

impl Shard {
    /// A backend's message for one session.
    pub(super) fn message_for_session(
        &self,
        session: &str,
        channel: &ChannelName,
        data: Box<str>,
    ) -> Result<(Addressee, Arc<Message>), Refusal> {
        if !channel.is_service() {
            let reason = "what is for one session goes to a channel under /service/";
            return Err(Refusal::new(400, "bad-channel", reason));
        }
        let id = session.parse().map_err(|_| unknown_session())?;
        let message = self.core.message_of_size(channel, None, data, Encoding::Json)?;
        Ok((Addressee::Session(id), message))
    }

    /// The shard that gives a message its place.
    pub(super) fn home_of_message(&self, to: Addressee, message: &Message) -> ShardId {
        match to {
            Addressee::Channel => self.core.cx.home(&message.channel),
            Addressee::Session(id) => ShardId(self.core.cx.identity.homes().of_hash(id.home)),
        }
    }
}

fn unknown_session() -> Refusal {
    Refusal::new(404, "unknown-session", "the session that the message is for is over, or never was")
}
