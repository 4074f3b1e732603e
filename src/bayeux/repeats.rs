//! Recognises repeated publishes: a client that received no answer sends the same message with the
//! same id.
//!
//! A publish to a channel is recognised at that channel's home (`turn::idempotency`). A message to
//! a service has no channel, so it is recognised here, at its session's home: after the backend has
//! accepted it, and also while the backend is asked; then the repeat waits for the same answer. A
//! message without an id is always new, and so is one with a known id and other data.

use crate::base::hash::{Keyed, KeyedMap};
use crate::base::slab::{PendingKey, SessionKey};
use crate::bayeux::BayeuxFront;
use crate::core::Core;
use crate::protocol::bayeux::message::BayeuxHead;
use crate::protocol::native::envelope::Message;
use crate::request::publish_key::{KeyScope, PublishKey};
use crate::turn::idempotency::KeyLookup;
use crate::turn::publishing::{Addressee, PublishDigest, Receipt};

/// Messages to services for which a hook call is in progress.
#[derive(Debug)]
pub(crate) struct Repeats {
    /// Calls that wait for another call's answer. A connection has one at most.
    waiting: KeyedMap<PublishDigest, Vec<PendingKey>>,
}

/// What is known about a message to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: the backend is asked, and an acceptance stored under this digest, if it has one.
    New(Option<PublishDigest>),
    /// The backend is being asked: its answer is for this call, too.
    UnderWay,
    /// The backend has accepted it.
    Taken,
}

impl Repeats {
    /// None. `keyed` is for the table.
    pub(crate) fn new(keyed: Keyed) -> Self {
        Self { waiting: KeyedMap::with_hasher(keyed) }
    }
}

impl Core {
    /// The key by which a repeat of a session's publish is recognised.
    pub(crate) fn repeat_key(&self, key: SessionKey, head: &BayeuxHead) -> Option<PublishKey> {
        // Ids beyond the length of keys are not recognised: no usual client sends them.
        PublishKey::new(KeyScope::MessageId(self.session_id(key)), head.id.as_deref()?).ok()
    }

    /// Stores that the backend has accepted a message to a service.
    pub(crate) fn remember_call(&mut self, digest: PublishDigest) {
        let now = self.cx.now;
        let position = self.hub.position(self.hub.head());
        self.idempotency_keys.remember(now, digest, Receipt { position, sessions: None });
        self.arm_idempotency_timer();
    }
}

impl BayeuxFront {
    /// Looks up a message to a service. An unknown one is in progress from now on.
    pub(crate) fn known_call(
        &mut self,
        core: &mut Core,
        pending: PendingKey,
        (key, head): (SessionKey, &BayeuxHead),
        message: &Message,
    ) -> Known {
        let now = core.cx.now;
        let Some(publish) = core.repeat_key(key, head) else { return Known::New(None) };
        let to = Addressee::Session(core.session_id(key));
        let digest = match core.idempotency_keys.look_up(now, &publish, to, message) {
            KeyLookup::New(digest) => digest,
            // The data is part of the digest of a Bayeux publish.
            KeyLookup::Repeat(_) | KeyLookup::Mismatch => return Known::Taken,
        };
        if let Some(waiting) = self.repeats.waiting.get_mut(&digest) {
            waiting.push(pending);
            return Known::UnderWay;
        }
        self.repeats.waiting.insert(digest, Vec::new());
        Known::New(Some(digest))
    }

    /// Panics if a call that waits for another's answer is gone.
    pub(crate) fn check_repeats(&self, core: &Core) {
        let waiting = self.repeats.waiting.values().flatten();
        assert!(
            waiting.copied().all(|pending| core.pending.get(pending).is_some()),
            "a repeat waits for a call that is gone"
        );
    }

    /// The backend has answered, or failed: returns the calls that wait for the same answer.
    pub(crate) fn repeats_of(&mut self, digest: Option<PublishDigest>) -> Vec<PendingKey> {
        digest.and_then(|digest| self.repeats.waiting.remove(&digest)).unwrap_or_default()
    }
}
