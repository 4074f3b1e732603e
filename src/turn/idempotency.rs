//! Idempotency: publishes with a key are executed once, however often they arrive.
//!
//! The channel's home stores each key with a digest of the message and the receipt. So a repeat
//! gets the first answer whichever shard received it, and a repeat that overlaps the first publish
//! waits behind it in the home's mailbox. The same key with another message is an error. A refused
//! publish is not stored, so the client may try again.
//!
//! Keys and messages are stored as keyed 128-bit digests: an entry has a fixed size, and nobody
//! outside can produce a collision.

use std::collections::VecDeque;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::base::hash::{Keyed, KeyedMap};
use crate::base::ticks::{Span, Tick};
use crate::protocol::native::envelope::{Encoding, Message};
use crate::request::publish_key::{KeyScope, PublishKey};
use crate::turn::publishing::{Addressee, KeyOwner, PublishDigest, Receipt};

/// The keys of recent publishes.
#[derive(Debug)]
pub struct IdempotencyKeys {
    digest_key: (u64, u64),
    /// Clients can only fill their own table, so they cannot displace a backend's key and so turn
    /// its repeat into a second message.
    clients: Table,
    backends: Table,
    /// A protocol may give nearly every message an id; in another table these would displace keys
    /// that a program chose deliberately.
    message_ids: Table,
}

/// What the tables know about a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLookup {
    /// Nothing: it may be executed, and then stored under this digest.
    New(PublishDigest),
    /// The same message was accepted: the first answer.
    Repeat(Receipt),
    /// Another message was accepted under this key.
    Mismatch,
}

#[derive(Debug)]
struct Table {
    known: KeyedMap<u128, KeyEntry>,
    /// Oldest first. Always has the same keys as `known`.
    order: VecDeque<(Tick, u128)>,
    max: usize,
    span: Span,
}

#[derive(Debug)]
struct KeyEntry {
    message: u128,
    receipt: Receipt,
}

impl IdempotencyKeys {
    /// Stores at most `max` keys, half of them clients' and half backends', and half as many
    /// message ids again, each for `span`. `digest_key` is secret and random.
    pub fn new(max: usize, span: Span, digest_key: (u64, u64)) -> Self {
        let table = || Table {
            known: KeyedMap::with_hasher(Keyed::new(digest_key)),
            order: VecDeque::new(),
            max: (max / 2).max(1),
            span,
        };
        Self { digest_key, clients: table(), backends: table(), message_ids: table() }
    }

    /// Looks up a publish with a key.
    pub fn look_up(&mut self, now: Tick, key: &PublishKey, to: Addressee, message: &Message) -> KeyLookup {
        self.forget(now);
        let digest = self.digest_of(key, to, message);
        match self.table(digest.owner).known.get(&digest.key) {
            None => KeyLookup::New(digest),
            Some(entry) if entry.message == digest.message => KeyLookup::Repeat(entry.receipt),
            Some(_) => KeyLookup::Mismatch,
        }
    }

    /// Stores a publish that [`IdempotencyKeys::look_up`] did not know and that was accepted.
    pub fn remember(&mut self, now: Tick, digest: PublishDigest, receipt: Receipt) {
        let table = self.table(digest.owner);
        while table.order.len() >= table.max {
            table.forget_oldest();
        }
        table.known.insert(digest.key, KeyEntry { message: digest.message, receipt });
        table.order.push_back((now, digest.key));
        debug_assert_eq!(table.known.len(), table.order.len());
    }

    /// Removes expired keys. Returns when the next one expires.
    pub fn forget(&mut self, now: Tick) -> Option<Tick> {
        let tables = [&mut self.clients, &mut self.backends, &mut self.message_ids];
        tables.map(|table| table.forget(now)).into_iter().flatten().min()
    }

    /// The number of stored keys.
    pub fn len(&self) -> usize {
        self.clients.known.len() + self.backends.known.len() + self.message_ids.known.len()
    }

    /// Whether no key is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn table(&mut self, owner: KeyOwner) -> &mut Table {
        match owner {
            KeyOwner::Client => &mut self.clients,
            KeyOwner::Backend => &mut self.backends,
            KeyOwner::MessageId => &mut self.message_ids,
        }
    }

    fn digest_of(&self, key: &PublishKey, to: Addressee, message: &Message) -> PublishDigest {
        let (owner, scope) = match key.scope {
            KeyScope::Backend => (KeyOwner::Backend, "backend".to_owned()),
            KeyScope::BackendItem(item) => (KeyOwner::Backend, format!("item {item}")),
            KeyScope::User => {
                (KeyOwner::Client, format!("user {}", message.from.as_deref().unwrap_or_default()))
            }
            KeyScope::MessageId(session) => (KeyOwner::MessageId, format!("message of {session}")),
        };
        let encoding = match message.encoding {
            Encoding::Json => "json",
            Encoding::Base64 => "base64",
            Encoding::Presence => "presence",
            Encoding::Stream => "stream",
            Encoding::Verbatim => "verbatim",
        };
        let to = match to {
            Addressee::Channel => String::new(),
            Addressee::Session(session) => session.to_string(),
        };
        let content = match key.scope {
            KeyScope::MessageId(_) => &*message.data,
            KeyScope::Backend | KeyScope::BackendItem(_) | KeyScope::User => "",
        };
        PublishDigest {
            owner,
            key: self.hash(&[&scope, &to, &message.channel, &key.text, content]),
            message: self.hash(&[encoding, &message.data]),
        }
    }

    fn hash(&self, parts: &[&str]) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.digest_key.0, self.digest_key.1);
        for part in parts {
            // The length first, so that no two lists of parts have the same bytes.
            hasher.write_usize(part.len());
            hasher.write(part.as_bytes());
        }
        hasher.finish128().as_u128()
    }
}

impl Table {
    fn forget(&mut self, now: Tick) -> Option<Tick> {
        while let Some((since, _)) = self.order.front() {
            if now.since(*since) < self.span {
                return Some(*since + self.span);
            }
            self.forget_oldest();
        }
        None
    }

    fn forget_oldest(&mut self) {
        if let Some((_, digest)) = self.order.pop_front() {
            self.known.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::base::position::{Epoch, Position};
    use crate::request::limits::PUBLISH_KEY_CHARS_MAX;
    use crate::turn::idempotency::*;

    fn idempotency_keys(max: usize) -> IdempotencyKeys {
        IdempotencyKeys::new(max, Span::from_millis(100), (1, 2))
    }

    fn message(from: Option<&str>, channel: &str, data: &str) -> Message {
        let (from, encoding) = (from.map(Into::into), Encoding::Json);
        Message { channel: channel.into(), from, data: data.into(), encoding }
    }

    fn key(scope: KeyScope, text: &str) -> PublishKey {
        PublishKey::new(scope, text).unwrap()
    }

    fn at(ms: u64) -> Tick {
        Tick::ZERO + Span::from_millis(ms)
    }

    fn receipt(n: u64) -> Receipt {
        Receipt { position: Position { epoch: Epoch::new(7), n }, sessions: None }
    }

    /// Executes a publish, unless it is known.
    fn publish(
        keys: &mut IdempotencyKeys,
        now: Tick,
        key: &PublishKey,
        message: &Message,
        n: u64,
    ) -> KeyLookup {
        let seen = keys.look_up(now, key, Addressee::Channel, message);
        if let KeyLookup::New(digest) = seen {
            keys.remember(now, digest, receipt(n));
        }
        seen
    }

    #[test]
    fn a_repeat_gets_the_first_receipt_until_its_time_is_over() {
        let (mut keys, key, message) =
            (idempotency_keys(10), key(KeyScope::Backend, "a"), message(None, "/c", "1"));
        assert!(matches!(publish(&mut keys, at(0), &key, &message, 1), KeyLookup::New(_)));
        assert_eq!(publish(&mut keys, at(99), &key, &message, 2), KeyLookup::Repeat(receipt(1)));
        assert!(matches!(publish(&mut keys, at(100), &key, &message, 3), KeyLookup::New(_)));
        assert_eq!(publish(&mut keys, at(199), &key, &message, 4), KeyLookup::Repeat(receipt(3)));
    }

    #[test]
    fn another_message_under_the_same_key_is_a_mismatch() {
        let (mut keys, key, first) =
            (idempotency_keys(10), key(KeyScope::Backend, "a"), message(None, "/c", "1"));
        publish(&mut keys, at(0), &key, &first, 1);
        let as_bytes = Message { encoding: Encoding::Base64, ..message(None, "/c", "1") };
        for other in [message(None, "/c", "2"), message(None, "/c", ""), as_bytes] {
            assert_eq!(keys.look_up(at(1), &key, Addressee::Channel, &other), KeyLookup::Mismatch);
        }
        assert_eq!(keys.look_up(at(1), &key, Addressee::Channel, &first), KeyLookup::Repeat(receipt(1)));
    }

    #[test]
    fn keys_of_other_publishers_and_channels_are_other_keys() {
        let mut keys = idempotency_keys(100);
        let all = [
            (KeyScope::Backend, None, "/c", "a"),
            (KeyScope::Backend, None, "/d", "a"),
            (KeyScope::Backend, None, "/ca", "a"),
            (KeyScope::Backend, None, "/c", "aa"),
            (KeyScope::BackendItem(0), None, "/c", "a"),
            (KeyScope::BackendItem(1), None, "/c", "a"),
            (KeyScope::User, Some("alice"), "/c", "a"),
            (KeyScope::User, Some("bob"), "/c", "a"),
        ];
        for (n, (scope, from, channel, text)) in (0..).zip(all) {
            let seen = publish(&mut keys, at(0), &key(scope, text), &message(from, channel, "1"), n);
            assert!(matches!(seen, KeyLookup::New(_)), "{scope:?} {from:?} {channel} {text}");
        }
        for (n, (scope, from, channel, text)) in (0..).zip(all) {
            let seen =
                keys.look_up(at(1), &key(scope, text), Addressee::Channel, &message(from, channel, "1"));
            assert_eq!(seen, KeyLookup::Repeat(receipt(n)));
        }
    }

    #[test]
    fn a_refused_one_may_be_tried_again() {
        let (mut keys, key, message) =
            (idempotency_keys(10), key(KeyScope::User, "a"), message(Some("alice"), "/c", "1"));
        assert!(matches!(keys.look_up(at(0), &key, Addressee::Channel, &message), KeyLookup::New(_)));
        assert!(matches!(keys.look_up(at(1), &key, Addressee::Channel, &message), KeyLookup::New(_)));
        assert!(keys.is_empty());
    }

    #[test]
    fn at_the_bound_the_oldest_goes_and_clients_do_not_displace_backends() {
        let mut keys = idempotency_keys(4);
        let (backend, own) = (key(KeyScope::Backend, "a"), message(None, "/c", "1"));
        publish(&mut keys, at(0), &backend, &own, 0);
        let theirs = message(Some("alice"), "/c", "1");
        for (n, text) in (1..).zip(["a", "b", "c"]) {
            publish(&mut keys, at(0), &key(KeyScope::User, text), &theirs, n);
        }
        assert_eq!(keys.len(), 3);
        assert_eq!(
            keys.look_up(at(0), &key(KeyScope::User, "c"), Addressee::Channel, &theirs),
            KeyLookup::Repeat(receipt(3))
        );
        assert!(matches!(
            keys.look_up(at(0), &key(KeyScope::User, "a"), Addressee::Channel, &theirs),
            KeyLookup::New(_)
        ));
        assert_eq!(keys.look_up(at(0), &backend, Addressee::Channel, &own), KeyLookup::Repeat(receipt(0)));
        assert_eq!(keys.forget(at(50)), Some(at(100)));
        assert_eq!(keys.forget(at(100)), None);
        assert!(keys.is_empty());
    }

    #[test]
    fn a_key_is_not_empty_and_not_long() {
        assert!(PublishKey::new(KeyScope::Backend, &"ä".repeat(PUBLISH_KEY_CHARS_MAX)).is_ok());
        for text in ["", &*"x".repeat(PUBLISH_KEY_CHARS_MAX + 1)] {
            assert_eq!(PublishKey::new(KeyScope::Backend, text).unwrap_err().code.text(), "bad-key");
        }
    }
}
