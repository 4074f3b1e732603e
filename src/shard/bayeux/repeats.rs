//! Publishes that come again: a client that never saw an answer sends the same message with the
//! same id.
//!
//! A publish to a channel is known at that channel's home (`shard::once`). A message to a service
//! goes to no channel, so it is known here, at its session's home: once the backend has taken it,
//! and also while the backend is asked, for then the repeat waits for the same answer. A message
//! without an id is a new one each time, and so is one with a known id and other data.

use std::collections::HashMap;

use crate::base::hash::Keyed;
use crate::base::slab::{SessionKey, TicketKey};
use crate::protocol::bayeux::message::Head;
use crate::protocol::native::envelope::Message;
use crate::shard::Shard;
use crate::shard::once::{Name, PublishKey, Scope, Seen};
use crate::shard::publish::{Addressee, Receipt};

/// Messages to services about which the backend is being asked.
#[derive(Debug)]
pub(in crate::shard) struct Repeats {
    /// Calls whose answer is that of the one that asked. A connection has one at most.
    waiting: HashMap<Name, Vec<TicketKey>, Keyed>,
}

/// What is known of a message to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing: the backend is asked, and the answer remembered under this name, if it has one.
    New(Option<Name>),
    /// The backend is being asked: the answer is for this call, too.
    UnderWay,
    /// The backend has taken it.
    Taken,
}

impl Repeats {
    /// None. `keyed` is for the table.
    pub(in crate::shard) fn new(keyed: Keyed) -> Self {
        Self { waiting: HashMap::with_hasher(keyed) }
    }
}

impl Shard {
    /// By what a repeat of a session's publish is known.
    pub(super) fn repeat_key(&self, key: SessionKey, head: &Head) -> Option<PublishKey> {
        // Longer ones than any key may be are no client's that counts.
        PublishKey::new(Scope::Bayeux(self.core.session_id(key)), head.id.as_deref()?).ok()
    }

    /// What is known of a message to a service. If nothing is, it is under way from now on.
    pub(super) fn known_call(
        &mut self,
        ticket: TicketKey,
        (key, head): (SessionKey, &Head),
        message: &Message,
    ) -> Known {
        let now = self.core.cx.now;
        let Some(publish) = self.repeat_key(key, head) else { return Known::New(None) };
        let to = Addressee::Session(self.core.session_id(key));
        let name = match self.core.once.look_up(now, &publish, to, message) {
            Seen::Never(name) => name,
            // The data is part of a Bayeux publish's name.
            Seen::Before(_) | Seen::WithOtherData => return Known::Taken,
        };
        if let Some(waiting) = self.repeats.waiting.get_mut(&name) {
            waiting.push(ticket);
            return Known::UnderWay;
        }
        self.repeats.waiting.insert(name, Vec::new());
        Known::New(Some(name))
    }

    /// The backend has taken a message to a service.
    pub(super) fn remember_call(&mut self, name: Name) {
        let now = self.core.cx.now;
        let position = self.core.hub.position(self.core.hub.head());
        self.core.once.remember(now, name, Receipt { position, sessions: None });
        self.core.arm_once();
    }

    /// Panics if a call that waits for the same answer is gone.
    pub(in crate::shard) fn check_repeats(&self) {
        let waiting = self.repeats.waiting.values().flatten();
        assert!(
            waiting.copied().all(|ticket| self.core.tickets.get(ticket).is_some()),
            "a repeat waits in vain"
        );
    }

    /// The backend has answered, or failed to: the calls that wait for the same answer.
    pub(super) fn repeats_of(&mut self, name: Option<Name>) -> Vec<TicketKey> {
        name.and_then(|name| self.repeats.waiting.remove(&name)).unwrap_or_default()
    }
}
