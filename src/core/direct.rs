//! Messages for one session: a backend's answers on service channels.
//!
//! They go through the session's private log, like recalled messages. So they are in one order with
//! all others, are sent again if a response was lost, and become a gap if the log could not hold
//! them. No other session gets them, nothing subscribes to them, and no channel's log has them.

use std::sync::Arc;

use crate::base::ids::ShardId;
use crate::base::slab::SessionKey;
use crate::core::Core;
use crate::hub::publication::Message;
use crate::protocol::native::envelope::Encoding;
use crate::request::session_id::SessionId;
use crate::turn::publishing::{Addressee, Receipt};
use crate::wire::channel_name::ChannelName;
use crate::wire::refusal::{Refusal, Refused};

impl Core {
    /// Appends a message to the private log of a session, if it exists.
    pub(crate) fn tell_session(
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

    /// Appends a message to a session's private log.
    pub(crate) fn tell_privately(&mut self, key: SessionKey, message: Arc<Message>) {
        self.cx.metrics.messages_in += 1;
        self.replay(key, vec![message]);
    }

    /// Checks a backend's message for one session.
    pub(crate) fn message_for_session(
        &self,
        session: &str,
        channel: &ChannelName,
        data: Box<str>,
        encoding: Encoding,
    ) -> Result<(Addressee, Arc<Message>), Refusal> {
        if !channel.is_service() {
            return Err(Refused::PublishToSession.into());
        }
        let id = session.parse().map_err(|_| unknown_session())?;
        let message = self.message_of_size(channel, None, data, encoding)?;
        Ok((Addressee::Session(id), message))
    }

    /// The home of a message.
    pub(crate) fn home_of_message(&self, to: Addressee, message: &Message) -> ShardId {
        match to {
            Addressee::Channel => self.cx.home(&message.channel),
            Addressee::Session(id) => self.cx.identity.homes().of_hash(id.home),
        }
    }
}

fn unknown_session() -> Refusal {
    Refused::AddresseeOver.into()
}
