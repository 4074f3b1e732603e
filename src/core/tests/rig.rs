//! A core with connections that read no socket, and what it has told its driver: for the tests of
//! the rooms above.

use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

use crate::auth::gate::Keys;
use crate::auth::{Expected, Grant, KeyMaterial, Verifier};
use crate::base::hash::{Homes, Keyed};
use crate::base::ids::{ListenerKind, ShardId};
use crate::base::position::Epoch;
use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::base::ticks::{Span, Tick};
use crate::call::pending::{Items, PendingKind};
use crate::call::queue::Since;
use crate::config::Config;
use crate::conn::phase::{Conn, Phase};
use crate::core::Core;
use crate::core::interest::SubscriptionStart;
use crate::hub::channel::SessionStage;
use crate::protocol::native::envelope::{Encoding, Message};
use crate::request::reply::{BodyWanted, Gzip, Reply};
use crate::request::router::{Routed, refusals, route};
use crate::request::{Open, Request, User};
use crate::session::Session;
use crate::transport::TransportId;
use crate::turn::cx::Cx;
use crate::turn::input::{Effect, Identity};
use crate::turn::mail::Mail;
use crate::turn::publishing::{Addressee, Outgoing};
use crate::turn::todo::Todo;
use crate::wire::channel_name::ChannelName;
use crate::wire::http::head::{Parsed, parse};
use crate::wire::http::{HeadLimits, Scanned};
use crate::wire::refusal::Refusal;

/// A subscription that begins now.
pub(crate) const FROM_NOW: SubscriptionStart<'static> =
    SubscriptionStart { since: &Since::Unspecified, last: 0, stage: SessionStage::Later, conflate: None };

/// The core of the first shard.
pub(crate) struct Rig {
    pub(crate) core: Core,
}

impl Rig {
    /// The only shard, with these settings.
    pub(crate) fn new(vars: &[(&str, &str)]) -> Self {
        Self::of_shards(1, vars)
    }

    /// The first of `shards` shards, at which alice is at home.
    pub(crate) fn of_shards(shards: u8, vars: &[(&str, &str)]) -> Self {
        let id = ShardId(0);
        let mut keys = (0..).map(|key| (1, key));
        let is_home = |key: &(u64, u64)| Homes::new(*key, shards).of("alice") == id;
        let home_key = keys.find(is_home).expect("one of many");
        let identity = Identity { id, shards, home_key, seed: [3; 32], unix_ms_at_zero: 0 };
        let random = (ChaCha12Rng::from_seed(identity.seed), Epoch::new(1));
        let config = Config::from_vars(vars.iter().copied()).expect("good settings");
        let keys = Keys::new(&config, None).expect("good keys");
        let cx = Cx::new(Tick::ZERO, Arc::new(config), Arc::new(keys), identity, random);
        Self { core: Core::new(cx, Epoch::new(1), Keyed::new((1, 2)), (3, 4)) }
    }

    pub(crate) fn pass(&mut self, span: Span) {
        self.core.cx.now = self.core.cx.now + span;
    }

    // ---- names and homes ----

    /// A channel whose home is this shard, or another one.
    pub(crate) fn channel_at(&self, here: bool) -> String {
        self.first_at(here, "/c/")
    }

    /// A user whose home is this shard, or another one.
    pub(crate) fn user_at(&self, here: bool) -> User {
        let channel = self.first_at(here, "/u/");
        user(&channel["/u/".len()..])
    }

    fn first_at(&self, here: bool, prefix: &str) -> String {
        let names = (0..100).map(|n| format!("{prefix}{n}"));
        let is_wanted = |name: &String| (self.core.cx.home(name) == self.core.cx.identity.id) == here;
        names.into_iter().find(is_wanted).expect("one in a hundred")
    }

    // ---- connections and requests ----

    /// A client's connection that waits for a request.
    pub(crate) fn connect(&mut self) -> ConnKey {
        let peer = "192.0.2.1:9".parse().ok();
        let conn = Conn::new(ListenerKind::Public, peer, Phase::Idle);
        self.core.conns.insert(&mut self.core.cx, conn)
    }

    /// What a request is for, and how it is answered. Lines end with `\n`.
    pub(crate) fn ask(&self, listener: ListenerKind, lines: &str) -> (Request, Reply) {
        let text = format!("{}\r\nHost: localhost\r\n\r\n", lines.replace('\n', "\r\n"));
        let limits = HeadLimits { bytes_max: 8192, headers_max: 64 };
        let Ok(Parsed::Complete { head, .. }) = parse(text.as_bytes(), Scanned::default(), &limits) else {
            panic!("no request: {text}");
        };
        let reply = Reply {
            version: head.version,
            keep_alive: head.keep_alive,
            body: BodyWanted::Body,
            origin: None,
            page: None,
            refusals: refusals(&head),
            gzip: Gzip::Unasked,
        };
        match route(&self.core.context(), listener, &head) {
            Routed::Here(request) => (request, reply),
            Routed::There(to) => panic!("{lines} is for {to:?}"),
        }
    }

    /// A client's request for messages.
    pub(crate) fn open(&self, target: &str) -> (Box<Open>, Reply) {
        let upgrade = if target.contains("/ws") { UPGRADE } else { "" };
        match self.ask(ListenerKind::Public, &format!("GET {target} HTTP/1.1{upgrade}")) {
            (Request::Open(open), reply) => (open, reply),
            (other, _) => panic!("{target} opens nothing: {other:?}"),
        }
    }

    /// What was written for a connection since the last call; the kernel has taken it.
    pub(crate) fn heard(&mut self, conn: ConnKey) -> String {
        String::from_utf8_lossy(&self.heard_bytes(conn)).into_owned()
    }

    /// The same as bytes.
    pub(crate) fn heard_bytes(&mut self, conn: ConnKey) -> Vec<u8> {
        let Some(at) = self.core.conns.get_mut(conn) else { return Vec::new() };
        let mut all = Vec::new();
        while !at.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let used = at.outbox.slices(&mut slices);
            let bytes: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.iter().copied()).collect();
            at.outbox.advance(bytes.len());
            all.extend(bytes);
        }
        all
    }

    /// The JSON of the whole response that was written for a connection.
    pub(crate) fn body(&mut self, conn: ConnKey) -> Value {
        let heard = self.heard(conn);
        let (_, body) = heard.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {heard:?}"));
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    // ---- sessions and messages ----

    /// A session of this user that nobody reaches.
    pub(crate) fn session(&mut self, of: &str) -> SessionKey {
        let (personal, _) = self.core.ensure_home(user(of).channel.as_str()).expect("room for a channel");
        let grant = Rc::new(Grant::open());
        let head = self.core.hub.head();
        let session = Session::new(head, self.core.cx.now, TransportId::sse(), grant, [7; 12]);
        let key = self.core.sessions.insert(session);
        self.core.join(key, personal, &FROM_NOW);
        self.core.arm_session(key);
        key
    }

    pub(crate) fn subscribe(&mut self, key: SessionKey, channel: &str) {
        self.core.subscribe(key, &name(channel), &FROM_NOW).expect("allowed");
    }

    /// The channels and patterns that a session is subscribed to, without its private log.
    pub(crate) fn subscribed(&self, key: SessionKey) -> Vec<String> {
        let subscriptions = self.core.sessions[key].subscriptions.iter();
        let channels = subscriptions.filter_map(|at| self.core.hub.channel(at.channel));
        channels.map(|channel| channel.name.to_string()).filter(|name| !name.is_empty()).collect()
    }

    /// A backend publishes to a channel whose home is here.
    pub(crate) fn publish(&mut self, channel: &str, data: &str) {
        let message =
            Message { channel: channel.into(), from: None, data: data.into(), encoding: Encoding::Json };
        let message = Arc::new(message);
        let item = Outgoing { item: 0, to: Addressee::Channel, message, key: None };
        let results = self.core.sequence(vec![item]);
        assert!(results[0].1.is_ok(), "{results:?}");
    }

    // ---- what the core leaves to others ----

    /// Takes the effects so far.
    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        self.core.cx.effects.drain(..).collect()
    }

    /// Takes the letters so far, and all other effects with them.
    pub(crate) fn mail(&mut self) -> Vec<(ShardId, Mail)> {
        let letter = |effect| match effect {
            Effect::Mail { to, mail } => Some((to, mail)),
            _ => None,
        };
        self.effects().into_iter().filter_map(letter).collect()
    }

    /// Takes the to-dos so far.
    pub(crate) fn todos(&mut self) -> Vec<Todo> {
        self.core.cx.todos.drain(..).collect()
    }

    /// Takes a pending request all of whose answers are there.
    pub(crate) fn settled(&mut self, pending: PendingKey) -> PendingKind {
        let is_settled =
            |at: &crate::call::pending::PendingRequest| at.missing == 0 && at.items == Items::All;
        assert!(self.core.pending.get(pending).is_some_and(is_settled), "answers are missing");
        self.core.pending.remove(pending).expect("it was there").kind
    }
}

/// What a WebSocket's request has besides its first line.
const UPGRADE: &str = "\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

pub(crate) fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).expect("a good name")
}

pub(crate) fn user(name: &str) -> User {
    User { name: name.into(), channel: ChannelName::personal(name).expect("a good name") }
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    result.expect_err("a refusal").code.text()
}

/// What a token with these claims allows, now or until it expires.
pub(crate) fn grant(claims: &Value) -> Rc<Grant> {
    let expected = Expected { audiences: None, issuer: None };
    let verifier = Verifier::new(&KeyMaterial::Secret(SECRET.to_vec()), expected).expect("a good key");
    Rc::new(verifier.verify(&token(claims), None, 0).expect("a good token"))
}

/// A token with these claims, for a shard with `ENCKE_TOKEN_KEY` set to [`SECRET`].
pub(crate) fn token(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).expect("it can be signed")
}

pub(crate) const SECRET: &[u8] = b"a secret of thirty-two bytes, only for tests";
