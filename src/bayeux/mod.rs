//! Bayeux on top of sessions, logs and transports.
//!
//! A Bayeux client is a session like any other: its client id is the session's id, its queue is the
//! session's cursor, its connects are long polls or a WebSocket. `Client` has what only Bayeux
//! knows about it. `call` executes messages, `authorize` asks the backend first, `connect` answers
//! connects, `socket` handles WebSockets, `browsers` decides which client may use which session,
//! `answers` builds answers, `repeats` recognises repeated publishes.

pub mod answers;
pub mod authorize;
pub mod browsers;
pub mod call;
pub mod connect;
mod limits;
pub mod pending_cookies;
pub mod repeats;
pub mod socket;

use crate::auth::{Candidate, Place};
use crate::base::hash::Keyed;
use crate::base::ids::ShardId;
use crate::base::slab::{ConnKey, PendingKey};
use crate::bayeux::browsers::Browsers;
use crate::bayeux::limits::MESSAGE_LEVELS;
use crate::bayeux::pending_cookies::Patience;
use crate::bayeux::repeats::Repeats;
use crate::config::Config;
use crate::core::Core;
use crate::protocol::bayeux::held::SessionDenied;
use crate::protocol::bayeux::message;
use crate::protocol::bayeux::message::{Ask, BayeuxMessage, Limits};
use crate::request::bayeux::{BayeuxCaller, BayeuxRequest, Callback, Credential, credential};
use crate::request::reply::Reply;
use crate::request::{Content, RawRequest};
use crate::wire::http::response::CONTINUE;
use crate::wire::refusal::{Refusal, Refused};

impl Core {
    /// Hands a request off to the home of its session or user.
    fn send_request_home(&mut self, conn: ConnKey, to: ShardId, reply: Reply, raw: &[u8]) {
        // A client that has sent the body needs no `100 Continue`.
        if self.conns[conn].outbox.only() == Some(CONTINUE) {
            self.conns[conn].outbox.clear();
        }
        if self.conns[conn].outbox.is_empty() {
            return self.conns.hand_off(&mut self.cx, conn, to, raw.to_vec());
        }

        let reply = Reply { keep_alive: crate::wire::http::head::KeepAlive::Close, ..reply };
        self.conns.refuse(&mut self.cx, conn, &reply, &Refused::Behind.into());
    }

    fn bayeux_messages(
        &self,
        content: Content,
        callback: Option<&Callback>,
        body: &[u8],
    ) -> Result<Vec<BayeuxMessage>, Refusal> {
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
            messages: self.cx.config.batch,
            depth: self.cx.config.json_depth + MESSAGE_LEVELS,
            names: self.cx.config.subscriptions,
        }
    }

    /// The home of messages: that of the session which they name, or of the user who will get one.
    /// `None`: any.
    fn bayeux_home(&self, caller: &BayeuxCaller, messages: &[BayeuxMessage]) -> Option<ShardId> {
        let homes = self.cx.identity.homes();
        if self.cx.identity.shards == 1 {
            return None;
        }
        if let Some(home) = caller.home(&homes) {
            return Some(home);
        }
        let first = messages.first()?;
        if let Ask::Handshake { .. } = first.ask {
            let of_token = self.caller_with_token(caller.clone(), first.token.as_deref()).home(&homes);
            return of_token.or_else(|| caller.cookies.name().map(|browser| browser.home(&homes)));
        }
        let id: crate::request::session_id::SessionId = first.client.as_deref()?.parse().ok()?;
        Some(homes.of_hash(id.home))
    }

    /// The caller, with the grant of a message's own token.
    fn caller_with_token(&self, caller: BayeuxCaller, token: Option<&str>) -> BayeuxCaller {
        match (&caller.credential, token) {
            (Credential::Missing(_), Some(token)) => {
                let token = Candidate { place: Place::Ext, token };
                let (user, credential) = credential(&self.context(), Some(token), caller.user.as_ref());
                BayeuxCaller { user: user.or(caller.user), credential, ..caller }
            }
            _ => caller,
        }
    }
}

/// The front of Bayeux: its state besides the sessions of its clients.
pub(crate) struct BayeuxFront {
    /// Clients by their browsers.
    browsers: Browsers,
    /// Messages to services that were repeated before they were answered.
    repeats: Repeats,
}

impl BayeuxFront {
    /// No clients. `keyed` is for its tables.
    pub(crate) fn new(config: &Config, keyed: Keyed) -> Self {
        Self { browsers: Browsers::new(Patience::new(config), keyed), repeats: Repeats::new(keyed) }
    }

    /// Executes a complete request. Returns the pending request that it waits for, if any.
    pub(crate) fn request(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        asked: BayeuxRequest,
        reply: Reply,
        received: &RawRequest<'_>,
    ) -> Option<PendingKey> {
        if !core.cx.takes_clients() {
            let refusal = Refused::Drains.into();
            core.conns.refuse(&mut core.cx, conn, &reply, &refusal);
            return None;
        }
        let BayeuxRequest { caller, content, callback, upgrade, raw } = asked;
        if let Some(upgrade) = upgrade {
            core.open_bayeux_socket(conn, caller, &upgrade, &reply);
            return None;
        }
        let raw = if raw.is_empty() { received.raw } else { &raw };
        let messages = match core.bayeux_messages(content, callback.as_ref(), received.body) {
            Ok(messages) => messages,
            Err(refusal) => {
                core.conns.refuse(&mut core.cx, conn, &reply, &refusal);
                return None;
            }
        };
        match core.bayeux_home(&caller, &messages) {
            Some(to) if to != core.cx.identity.id && !raw.is_empty() => {
                core.send_request_home(conn, to, reply, raw);
                None
            }
            _ => self.messages_of_request(core, conn, caller, messages, reply),
        }
    }

    fn messages_of_request(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        caller: BayeuxCaller,
        messages: Vec<BayeuxMessage>,
        reply: Reply,
    ) -> Option<PendingKey> {
        match <[BayeuxMessage; 1]>::try_from(messages) {
            Ok([BayeuxMessage { head, client, ask: Ask::Connect(asked), token, ext: _ }]) => {
                let caller = core.caller_with_token(caller, token.as_deref());
                self.browsers.pending_cookies.expire(core.cx.now);
                let named = client.ok_or(SessionDenied::Unknown);
                let key = named.and_then(|id| self.bayeux_session(core, (conn, None), &caller, &id));
                self.connect_alone(core, conn, reply, key, (head, asked));
                None
            }
            Ok(one) => Some(self.call_bayeux(core, conn, caller, one.into(), Some(reply))),
            Err(messages) => Some(self.call_bayeux(core, conn, caller, messages, Some(reply))),
        }
    }
}

#[cfg(test)]
mod tests;
