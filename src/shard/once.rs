//! Idempotency: publishes that carry a key are carried out once, however often they come.
//!
//! The channel's home remembers each key together with a digest of the message and the receipt, so a repeat gets the first answer
//! whichever shard it came in by, and one that overlaps the first waits in the home's mailbox behind it. A key that comes again with
//! another message is an error. A publish that was refused is not remembered, so it may be tried again.
//!
//! Names and messages are kept as keyed 128-bit digests: an entry has a fixed size, and nobody outside can make two of them collide.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::base::hash::Keyed;
use crate::base::ticks::{Span, Tick};
use crate::protocol::native::envelope::{Encoding, Message};
use crate::shard::publish::{Addressee, Receipt, Shape};
use crate::shard::session::SessionId;
use crate::wire::refusal::Refusal;

/// Characters of a key: more than any client needs to tell its publishes apart.
pub const KEY_CHARS_MAX: usize = 128;

/// What a publisher calls one of its publishes, to tell a repeat from a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishKey {
    scope: Scope,
    text: Box<str>,
}

/// Whose key it is. The keys of two scopes never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A backend's, for one message.
    Backend,
    /// A backend's, for a request with several messages: the place of this one.
    BackendItem(u32),
    /// The user's who publishes ([`Message::from`]).
    User,
    /// A Bayeux client's, whose message ids need not be unique: the key and the message together name a publish, so that the
    /// same id with other data is another one.
    Bayeux(SessionId),
}

impl PublishKey {
    /// A key, if it is one.
    pub fn new(scope: Scope, text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.chars().count() > KEY_CHARS_MAX {
            let reason = format!("the key of a publish has 1 to {KEY_CHARS_MAX} characters");
            return Err(Refusal::new(400, "bad-key", reason));
        }
        Ok(Self { scope, text: text.into() })
    }

    /// The key of one message of the request that it names.
    #[must_use]
    pub fn of_item(&self, shape: Shape, item: u32) -> Self {
        match shape {
            Shape::Single => self.clone(),
            Shape::Array | Shape::Lines => Self { scope: Scope::BackendItem(item), text: self.text.clone() },
        }
    }

    /// The refusal of another message under the same key.
    pub fn reused(&self, channel: &str) -> Refusal {
        let reason = format!(
            "the key {:?} was used for another message in {channel}: send the same message again, or take a new key",
            self.text
        );
        Refusal::new(422, "key-reused", reason)
    }
}

/// Keys that were used lately.
#[derive(Debug)]
pub struct Once {
    digest_key: (u64, u64),
    /// Clients can fill their own table only, so that they cannot make a backend's repeat a second message.
    clients: Table,
    backends: Table,
    /// Nearly every publish of a Bayeux client has an id, so these would crowd out keys that
    /// somebody chose.
    bayeux: Table,
}

/// What is known of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: it may be carried out, and then remembered under this name.
    Never(Name),
    /// The same message was taken in: the first answer.
    Before(Receipt),
    /// Another message was.
    WithOtherData,
}

/// What a publish is remembered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    owner: Owner,
    digest: u128,
    message: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Client,
    Backend,
    Bayeux,
}

#[derive(Debug)]
struct Table {
    known: HashMap<u128, Entry, Keyed>,
    /// Oldest first. Nothing else leaves `known`, so both name the same keys.
    order: VecDeque<(Tick, u128)>,
    max: usize,
    span: Span,
}

#[derive(Debug)]
struct Entry {
    message: u128,
    receipt: Receipt,
}

impl Once {
    /// Remembers at most `max` keys, half of them clients' and half backends', and half as many
    /// again of Bayeux clients, each for `span`. `digest_key` is secret and random.
    pub fn new(max: usize, span: Span, digest_key: (u64, u64)) -> Self {
        let table = || Table {
            known: HashMap::with_hasher(Keyed::new(digest_key)),
            order: VecDeque::new(),
            max: (max / 2).max(1),
            span,
        };
        Self { digest_key, clients: table(), backends: table(), bayeux: table() }
    }

    /// What is known of a publish with a key.
    pub fn look_up(&mut self, now: Tick, key: &PublishKey, to: Addressee, message: &Message) -> Seen {
        self.forget(now);
        let name = self.name(key, to, message);
        match self.table(name.owner).known.get(&name.digest) {
            None => Seen::Never(name),
            Some(entry) if entry.message == name.message => Seen::Before(entry.receipt),
            Some(_) => Seen::WithOtherData,
        }
    }

    /// A publish that [`Once::look_up`] did not know has been taken in.
    pub fn remember(&mut self, now: Tick, name: Name, receipt: Receipt) {
        let table = self.table(name.owner);
        while table.order.len() >= table.max {
            table.forget_oldest();
        }
        table.known.insert(name.digest, Entry { message: name.message, receipt });
        table.order.push_back((now, name.digest));
        debug_assert_eq!(table.known.len(), table.order.len());
    }

    /// Lets go of what is too old. Says when there is something to let go of next.
    pub fn forget(&mut self, now: Tick) -> Option<Tick> {
        let tables = [&mut self.clients, &mut self.backends, &mut self.bayeux];
        tables.map(|table| table.forget(now)).into_iter().flatten().min()
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.clients.known.len() + self.backends.known.len() + self.bayeux.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn table(&mut self, owner: Owner) -> &mut Table {
        match owner {
            Owner::Client => &mut self.clients,
            Owner::Backend => &mut self.backends,
            Owner::Bayeux => &mut self.bayeux,
        }
    }

    fn name(&self, key: &PublishKey, to: Addressee, message: &Message) -> Name {
        let (owner, scope) = match key.scope {
            Scope::Backend => (Owner::Backend, "backend".to_owned()),
            Scope::BackendItem(item) => (Owner::Backend, format!("item {item}")),
            Scope::User => (Owner::Client, format!("user {}", message.from.as_deref().unwrap_or_default())),
            Scope::Bayeux(session) => (Owner::Bayeux, format!("bayeux {session}")),
        };
        let encoding = match message.encoding {
            Encoding::Json => "json",
            Encoding::Base64 => "base64",
            Encoding::Presence => "presence",
        };
        let to = match to {
            Addressee::Channel => String::new(),
            Addressee::Session(session) => session.to_string(),
        };
        let content = match key.scope {
            Scope::Bayeux(_) => &*message.data,
            Scope::Backend | Scope::BackendItem(_) | Scope::User => "",
        };
        Name {
            owner,
            digest: self.digest(&[&scope, &to, &message.channel, &key.text, content]),
            message: self.digest(&[encoding, &message.data]),
        }
    }

    fn digest(&self, parts: &[&str]) -> u128 {
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
    use crate::shard::once::*;

    fn once(max: usize) -> Once {
        Once::new(max, Span::from_millis(100), (1, 2))
    }

    fn message(from: Option<&str>, channel: &str, data: &str) -> Message {
        let (from, encoding) = (from.map(Into::into), Encoding::Json);
        Message { channel: channel.into(), from, data: data.into(), encoding }
    }

    fn key(scope: Scope, text: &str) -> PublishKey {
        PublishKey::new(scope, text).unwrap()
    }

    fn at(ms: u64) -> Tick {
        Tick::ZERO + Span::from_millis(ms)
    }

    fn receipt(n: u64) -> Receipt {
        Receipt { position: Position { epoch: Epoch::new(7), n }, sessions: None }
    }

    /// Takes a publish in, unless it is known.
    fn publish(once: &mut Once, now: Tick, key: &PublishKey, message: &Message, n: u64) -> Seen {
        let seen = once.look_up(now, key, Addressee::Channel, message);
        if let Seen::Never(name) = seen {
            once.remember(now, name, receipt(n));
        }
        seen
    }

    #[test]
    fn a_repeat_gets_the_first_receipt_until_its_time_is_over() {
        let (mut once, key, message) = (once(10), key(Scope::Backend, "a"), message(None, "/c", "1"));
        assert!(matches!(publish(&mut once, at(0), &key, &message, 1), Seen::Never(_)));
        assert_eq!(publish(&mut once, at(99), &key, &message, 2), Seen::Before(receipt(1)));
        assert!(matches!(publish(&mut once, at(100), &key, &message, 3), Seen::Never(_)));
        assert_eq!(publish(&mut once, at(199), &key, &message, 4), Seen::Before(receipt(3)));
    }

    #[test]
    fn another_message_under_the_same_key_is_told_apart() {
        let (mut once, key, first) = (once(10), key(Scope::Backend, "a"), message(None, "/c", "1"));
        publish(&mut once, at(0), &key, &first, 1);
        let as_bytes = Message { encoding: Encoding::Base64, ..message(None, "/c", "1") };
        for other in [message(None, "/c", "2"), message(None, "/c", ""), as_bytes] {
            assert_eq!(once.look_up(at(1), &key, Addressee::Channel, &other), Seen::WithOtherData);
        }
        assert_eq!(once.look_up(at(1), &key, Addressee::Channel, &first), Seen::Before(receipt(1)));
    }

    #[test]
    fn keys_of_other_publishers_and_channels_are_other_keys() {
        let mut once = once(100);
        let all = [
            (Scope::Backend, None, "/c", "a"),
            (Scope::Backend, None, "/d", "a"),
            (Scope::Backend, None, "/ca", "a"),
            (Scope::Backend, None, "/c", "aa"),
            (Scope::BackendItem(0), None, "/c", "a"),
            (Scope::BackendItem(1), None, "/c", "a"),
            (Scope::User, Some("alice"), "/c", "a"),
            (Scope::User, Some("bob"), "/c", "a"),
        ];
        for (n, (scope, from, channel, text)) in (0..).zip(all) {
            let seen = publish(&mut once, at(0), &key(scope, text), &message(from, channel, "1"), n);
            assert!(matches!(seen, Seen::Never(_)), "{scope:?} {from:?} {channel} {text}");
        }
        for (n, (scope, from, channel, text)) in (0..).zip(all) {
            let seen =
                once.look_up(at(1), &key(scope, text), Addressee::Channel, &message(from, channel, "1"));
            assert_eq!(seen, Seen::Before(receipt(n)));
        }
    }

    #[test]
    fn a_refused_one_may_be_tried_again() {
        let (mut once, key, message) = (once(10), key(Scope::User, "a"), message(Some("alice"), "/c", "1"));
        assert!(matches!(once.look_up(at(0), &key, Addressee::Channel, &message), Seen::Never(_)));
        assert!(matches!(once.look_up(at(1), &key, Addressee::Channel, &message), Seen::Never(_)));
        assert!(once.is_empty());
    }

    #[test]
    fn at_the_bound_the_oldest_goes_and_clients_do_not_displace_backends() {
        let mut once = once(4);
        let (backend, own) = (key(Scope::Backend, "a"), message(None, "/c", "1"));
        publish(&mut once, at(0), &backend, &own, 0);
        let theirs = message(Some("alice"), "/c", "1");
        for (n, text) in (1..).zip(["a", "b", "c"]) {
            publish(&mut once, at(0), &key(Scope::User, text), &theirs, n);
        }
        assert_eq!(once.len(), 3);
        assert_eq!(
            once.look_up(at(0), &key(Scope::User, "c"), Addressee::Channel, &theirs),
            Seen::Before(receipt(3))
        );
        assert!(matches!(
            once.look_up(at(0), &key(Scope::User, "a"), Addressee::Channel, &theirs),
            Seen::Never(_)
        ));
        assert_eq!(once.look_up(at(0), &backend, Addressee::Channel, &own), Seen::Before(receipt(0)));
        assert_eq!(once.forget(at(50)), Some(at(100)));
        assert_eq!(once.forget(at(100)), None);
        assert!(once.is_empty());
    }

    #[test]
    fn a_key_is_not_empty_and_not_long() {
        assert!(PublishKey::new(Scope::Backend, &"ä".repeat(KEY_CHARS_MAX)).is_ok());
        for text in ["", &*"x".repeat(KEY_CHARS_MAX + 1)] {
            assert_eq!(PublishKey::new(Scope::Backend, text).unwrap_err().code, "bad-key");
        }
    }
}
