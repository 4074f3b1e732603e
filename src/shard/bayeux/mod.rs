//! Bayeux over the sessions, logs and transports that there are.
//!
//! A Bayeux client is a session like any other: its client id is the session's id, its queue is the session's cursor, its connects are long
//! polls or a WebSocket. What only Bayeux knows of it is a [`Client`]. `call` carries out what comes up, `authorize` what the backend is asked
//! about first, `connect` says when a connect is answered and with what, `socket` has what is different on a WebSocket, `browsers` who may
//! use which session, `said` has answers, `repeats` knows publishes that come again.

mod authorize;
mod browsers;
mod call;
mod connect;
mod repeats;
mod said;
mod socket;
mod visits;

use std::rc::Rc;

use crate::auth::origins::Relation;
use crate::auth::{Candidate, Grant, Place};
use crate::base::hash::Homes;
use crate::base::ids::ShardId;
use crate::base::slab::{BrowserKey, ConnKey};
use crate::base::ticks::Span;
use crate::protocol::bayeux::ack::Acks;
use crate::protocol::bayeux::answer::Fault;
use crate::protocol::bayeux::message;
use crate::protocol::bayeux::message::{Ask, Limits, Message};
use crate::shard::Shard;
pub(super) use crate::shard::bayeux::browsers::Browsers;
use crate::shard::bayeux::browsers::Stranger;
pub use crate::shard::bayeux::browsers::{Browser, Marks};
pub use crate::shard::bayeux::call::Call;
pub use crate::shard::bayeux::connect::Held;
pub(super) use crate::shard::bayeux::connect::Turn;
pub(super) use crate::shard::bayeux::repeats::Repeats;
pub(super) use crate::shard::bayeux::socket::Gives;
pub use crate::shard::bayeux::socket::{Talk, Upgraded};
use crate::shard::receive::Came;
use crate::shard::reply::Reply;
use crate::shard::request::{Content, Upgrade, User};
use crate::shard::router::Context;
use crate::wire::http::response::CONTINUE;
use crate::wire::refusal::Refusal;

/// A request that brings Bayeux messages, or a WebSocket for them.
#[derive(Debug)]
pub struct Bayeux {
    /// Who asks, as far as the head tells.
    pub caller: Caller,
    /// How the body is to be read.
    pub content: Content,
    /// Messages in the query, and the function that is to be called with the answers.
    pub callback: Option<Callback>,
    /// What the handshake of a WebSocket came to.
    pub upgrade: Option<Box<Upgrade>>,
    /// All bytes of the request so far, where the body says whose it is and comes in pieces; else none.
    pub raw: Vec<u8>,
}

/// What a script asks for (callback-polling).
#[derive(Clone, Debug)]
pub struct Callback {
    /// The function; its name is a callback's.
    pub name: Box<str>,
    /// The messages.
    pub message: Box<str>,
}

/// Who sends Bayeux messages.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whom the URL or the token names.
    pub user: Option<User>,
    /// What the token allows; without tokens, everything.
    pub credential: Credential,
    /// The browser, if it sends cookies of ours.
    pub marks: Marks,
    /// The program, by its `User-Agent`, if it sends one.
    pub agent: Option<u32>,
    /// How the page's site stands to ours, if there is a page of another origin.
    pub page: Option<Relation>,
    /// What kind of program it is.
    pub sender: Sender,
}

/// What kind of program sends Bayeux messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A browser, as far as the head tells.
    Browser,
    /// Another: some of these have parsers of cookies that fail on attributes newer than they are.
    Program,
}

/// What a caller has shown.
#[derive(Clone, Debug)]
pub enum Credential {
    /// No token is wanted.
    Open,
    /// A token that is good.
    Token(Rc<Grant>),
    /// None, or one that is not good: why.
    Missing(Box<Refusal>),
}

/// What only Bayeux knows of a session.
#[derive(Debug)]
pub struct Client {
    /// The browser that it was made by.
    pub browser: BrowserKey,
    /// Batches on their way, if the client acknowledges them.
    pub acks: Option<Box<Acks>>,
    /// How long after an answer it connects again, as it says, in milliseconds.
    pub interval_ms: u32,
    /// How far it is.
    pub stage: Stage,
}

// Each idle client pays for one.
const _: () = assert!(std::mem::size_of::<Client>() <= 24);

impl Client {
    /// How long after an answer it connects again, as it says.
    pub fn interval(&self) -> Span {
        Span::from_millis(self.interval_ms.into())
    }
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has a session.
    Shaken,
    /// It has connected.
    Connected,
    /// It holds a connect by a request, which its browser's count has.
    Holding,
}

/// The cookie by which a browser is known again, set by the answer to a handshake.
pub const COOKIE: &str = "BAYEUX_BROWSER";

/// The same, set by the beginning of a WebSocket.
pub const SOCKET_COOKIE: &str = "BAYEUX_SOCKET";

impl Caller {
    /// What it may do, if it may have a session at all.
    fn grant(&self, open: &Rc<Grant>) -> Result<Rc<Grant>, Fault> {
        match &self.credential {
            Credential::Open => Ok(Rc::clone(open)),
            Credential::Token(grant) => Ok(Rc::clone(grant)),
            Credential::Missing(refusal) if refusal.status == 503 => {
                Err(Fault::new(503, "", format!("keys_unavailable: {}", refusal.reason)))
            }
            Credential::Missing(refusal) => {
                Err(Fault::new(403, "", format!("handshake_denied: {}", refusal.reason)))
            }
        }
    }

    /// Whether it has shown that it is this user.
    fn is_proven(&self, user: &User) -> bool {
        matches!(self.credential, Credential::Token(_)) && self.user.as_ref() == Some(user)
    }

    /// The shard whose all is that it can have, if the head tells.
    pub fn home(&self, homes: &Homes) -> Option<ShardId> {
        let user = self.user.as_ref()?;
        Some(ShardId(homes.of(&user.name)))
    }
}

impl Bayeux {
    /// The head's part of the cookie that an answer sets: `Set-Cookie`.
    fn cookie(name: &str, browser: Browser, page: Option<Relation>, sender: Sender) -> String {
        let site = match (sender, page) {
            // Which pages a cookie goes along with is a browser's question.
            (Sender::Program, _) => "",
            // Cookies are of a site, whatever the port.
            (Sender::Browser, None | Some(Relation::SameSite)) => "; SameSite=Lax",
            // For a page of another site browsers keep only one so marked.
            (Sender::Browser, Some(Relation::CrossSite | Relation::CrossSiteInClear)) => {
                "; SameSite=None; Secure"
            }
        };
        format!("{name}={browser}; Path=/; HttpOnly{site}")
    }
}

impl Shard {
    /// A request has come whole.
    pub(super) fn bayeux(&mut self, conn: ConnKey, asked: Bayeux, reply: Reply, came: &Came<'_>) {
        let now = self.core.cx.now;
        if !self.core.cx.takes_clients() {
            let refusal = Refusal::new(503, "busy", "the node is going away; another one takes over");
            return self.core.conns.refuse(&mut self.core.cx, conn, &reply, &refusal);
        }
        let Bayeux { caller, content, callback, upgrade, raw } = asked;
        if let Some(upgrade) = upgrade {
            return self.open_bayeux_socket(conn, caller, &upgrade, &reply);
        }
        let raw = if raw.is_empty() { came.raw } else { &raw };
        let messages = match self.bayeux_messages(content, callback.as_ref(), came.body) {
            Ok(messages) => messages,
            Err(refusal) => return self.core.conns.refuse(&mut self.core.cx, conn, &reply, &refusal),
        };
        match self.bayeux_home(&caller, &messages) {
            Some(to) if to != self.core.cx.identity.id && !raw.is_empty() => {
                // Whoever has sent the body does not wait to be told to send it.
                if self.core.conns[conn].outbox.only() == Some(CONTINUE) {
                    self.core.conns[conn].outbox.clear();
                }
                if self.core.conns[conn].outbox.is_empty() {
                    return self.core.conns.hand_off(&mut self.core.cx, conn, to, raw.to_vec());
                }
                let reason =
                    "a request of another session waits behind one that is being answered; send it by itself";
                let reply = Reply { keep_alive: crate::wire::http::head::KeepAlive::Close, ..reply };
                self.core.conns.refuse(&mut self.core.cx, conn, &reply, &Refusal::new(503, "busy", reason));
            }
            _ => match <[Message; 1]>::try_from(messages) {
                Ok([Message { head, client, ask: Ask::Connect(asked), token, ext: _ }]) => {
                    let caller = self.caller_with_token(caller, token.as_deref());
                    self.browsers.visits.expire(now);
                    let named = client.ok_or(Stranger::Unknown);
                    let key = named.and_then(|id| self.bayeux_session((conn, None), &caller, &id));
                    self.connect_alone(conn, reply, key, (head, asked));
                }
                Ok(one) => self.call_bayeux(conn, caller, one.into(), Some(reply)),
                Err(messages) => self.call_bayeux(conn, caller, messages, Some(reply)),
            },
        }
    }

    fn bayeux_messages(
        &self,
        content: Content,
        callback: Option<&Callback>,
        body: &[u8],
    ) -> Result<Vec<Message>, Refusal> {
        let limits = self.bayeux_limits();
        let mut messages = Vec::new();
        let looks_like_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
        if let Some(Callback { message, .. }) = callback {
            message::decode(message.as_bytes(), &limits, &mut messages)?;
        } else if content == Content::Form && !looks_like_json {
            message::decode_form(body, &limits, &mut messages)?;
        } else {
            message::decode(body, &limits, &mut messages)?;
        }
        Ok(messages)
    }

    fn bayeux_limits(&self) -> Limits {
        Limits {
            messages: self.core.cx.config.batch,
            depth: self.core.cx.config.json_depth + MESSAGE_DEPTH,
            names: self.core.cx.config.subscriptions,
        }
    }

    /// The shard that messages belong to: that of the session which they name, or of the user who is to get one. `None`: any.
    fn bayeux_home(&self, caller: &Caller, messages: &[Message]) -> Option<ShardId> {
        let homes = self.core.cx.identity.homes();
        if self.core.cx.identity.shards == 1 {
            return None;
        }
        if let Some(home) = caller.home(&homes) {
            return Some(home);
        }
        let first = messages.first()?;
        if let Ask::Handshake { .. } = first.ask {
            let of_token = self.caller_with_token(caller.clone(), first.token.as_deref()).home(&homes);
            return of_token.or_else(|| caller.marks.name().map(|browser| browser.home(&homes)));
        }
        let id: crate::shard::session::SessionId = first.client.as_deref()?.parse().ok()?;
        Some(ShardId(homes.of_hash(id.home)))
    }

    /// The caller, with what a message's own token shows.
    fn caller_with_token(&self, caller: Caller, token: Option<&str>) -> Caller {
        match (&caller.credential, token) {
            (Credential::Missing(_), Some(token)) => {
                let token = Candidate { place: Place::Ext, token };
                let (user, credential) = credential(&self.context(), Some(token), caller.user.as_ref());
                Caller { user: user.or(caller.user), credential, ..caller }
            }
            _ => caller,
        }
    }
}

/// Levels of a message above its payload.
const MESSAGE_DEPTH: usize = 2;

/// What the first good token shows, and whom it names where the URL names nobody.
pub(super) fn credential<'a>(
    context: &Context<'_>,
    tokens: impl IntoIterator<Item = Candidate<'a>>,
    user: Option<&User>,
) -> (Option<User>, Credential) {
    use crate::wire::channel_name::ChannelName;
    let Some(verifier) = &context.keys.verifier else { return (None, Credential::Open) };
    match verifier.verify_any(tokens, user.map(|user| &*user.name), context.unix_now) {
        Err(denied) => (None, Credential::Missing(Box::new(context.watch.refusal(context.now, &denied)))),
        Ok(grant) => {
            let subject = grant.subject().and_then(|name| {
                Some(User { name: name.into(), channel: ChannelName::personal(name).ok()? })
            });
            (subject, Credential::Token(Rc::new(grant)))
        }
    }
}
