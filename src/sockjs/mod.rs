//! The front for SockJS: which session a request means, and what its strings are for.
//!
//! A session of SockJS is a session as any other: what comes down is in its channels' logs, and
//! what answers its commands is in its private log, so that all of it has one order and waits for
//! the next response. The front knows the names that clients gave their sessions, and how ended
//! sessions ended.

mod backend;
mod closed;
mod limits;
mod receive;
pub(crate) mod strings;

use std::rc::Rc;

use rand_chacha::rand_core::RngCore;

use crate::answer::sockjs::SockjsResponse;
use crate::base::base32;
use crate::base::hash::{Keyed, KeyedMap};
use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::call::pending::StringsOutcome;
use crate::call::protocol::OtherClient;
use crate::call::queue::Since;
use crate::core::{Core, TextAsk};
use crate::protocol::native::envelope::CloseCode;
use crate::protocol::native::{command, envelope};
use crate::protocol::sockjs::BROADCAST;
use crate::protocol::sockjs::browser::SessionOwner;
use crate::protocol::sockjs::close::SockjsClose;
use crate::protocol::sockjs::frame;
use crate::protocol::sockjs::info::{Info, JSON};
use crate::protocol::sockjs::message::{in_body, in_form};
use crate::protocol::sockjs::pipe::{End, Pipe, PipeName, Service, TestService};
use crate::request::reply;
use crate::request::reply::{Reply, WholeResponse};
use crate::request::sockjs::{Receive, SendAnswer, SockjsAsk, SockjsClient, SockjsRequest};
use crate::request::{Open, Upgrade};
use crate::sockjs::closed::Closed;
use crate::sockjs::limits::TICK;
use crate::transport::{Dialect, TransportId, ws};
use crate::turn::hook::Hook;
use crate::turn::input::Effect;
use crate::turn::mutation::Mutation;
use crate::turn::timer::Timer;
use crate::turn::todo::Todo;
use crate::wire::channel_name::ChannelName;
use crate::wire::http::head::KeepAlive;
use crate::wire::http::response::Header;
use crate::wire::refusal::{Refusal, Refused};
use crate::wire::websocket::Opcode;

/// What SockJS knows besides the sessions of its clients.
pub(crate) struct SockjsFront {
    /// By the names that clients gave them.
    sessions: KeyedMap<Rc<PipeName>, SessionKey>,
    /// Ended sessions.
    closed: Closed,
}

impl SockjsFront {
    /// Without clients. `keyed` is for its tables.
    pub(crate) fn new(keyed: Keyed) -> Self {
        Self { sessions: KeyedMap::with_hasher(keyed), closed: Closed::new(keyed) }
    }

    /// Handles a complete request. Returns the pending request that it waits for, if any.
    pub(crate) fn request(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        asked: SockjsRequest,
        mut reply: Reply,
        body: &[u8],
    ) -> Option<PendingKey> {
        // The protocol has its own headers for pages of other origins.
        reply.origin = None;
        if let Some(node) = core.other_node(asked.ask.client().and_then(|client| client.user.as_ref())) {
            Self::send_elsewhere(core, conn, asked, reply, &node);
            return None;
        }
        let SockjsRequest { headers, ask } = asked;
        match ask {
            SockjsAsk::Page(page) => {
                respond(core, conn, &reply, &headers, (page.status, page.content_type, page.body.as_bytes()));
            }
            SockjsAsk::Info { websocket, cookie, base_url } => {
                let entropy = core.cx.rng.next_u32();
                let mut json = Vec::new();
                Info { websocket, cookie_needed: cookie, entropy, base_url: base_url.as_deref() }
                    .encode(&mut json);
                respond(core, conn, &reply, &headers, (200, JSON, &json));
            }
            SockjsAsk::Receive(asked) => self.receive(core, conn, *asked, (headers, reply)),
            SockjsAsk::Socket { client, upgrade, raw } => {
                self.open_socket(core, conn, *client, (&upgrade, raw), &reply);
            }
            SockjsAsk::Send { sender, content_type, by_form } => {
                let strings = if by_form { in_form(content_type.as_deref(), body) } else { in_body(body) };
                return self.send(core, conn, &sender, strings, (SendAnswer { by_form, headers }, reply));
            }
        }
        None
    }

    /// Sends a client to the node that serves its user.
    fn send_elsewhere(core: &mut Core, conn: ConnKey, asked: SockjsRequest, reply: Reply, node: &str) {
        let reply = Reply { keep_alive: KeepAlive::Close, ..reply };
        let close = SockjsClose::elsewhere(node);
        match asked.ask {
            SockjsAsk::Receive(receive) => {
                let Receive { carrier, callback, .. } = *receive;
                core.cx.metrics.refused(CloseCode::Elsewhere.name());
                let response = SockjsResponse { carrier, callback, headers: asked.headers, reply };
                core.respond_with_frame(conn, &response, &close);
            }
            SockjsAsk::Socket { upgrade, raw, .. } => {
                core.cx.metrics.refused(CloseCode::Elsewhere.name());
                switch_and_close(core, conn, (&upgrade, raw), &reply, &close);
            }
            SockjsAsk::Send { .. } | SockjsAsk::Page(_) | SockjsAsk::Info { .. } => {
                refuse(core, conn, &reply, &asked.headers, &Refused::Elsewhere { node }.into());
            }
        }
    }

    /// Makes a session for a client.
    fn make(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        client: SockjsClient,
        (transport, page): (TransportId, Option<Box<str>>),
    ) -> Result<SessionKey, Refusal> {
        let SockjsClient { service, user, grant, segment, browser, mut channels, last } = client;
        let user = user.unwrap_or_else(|| core.anonymous_user());
        let name = (!segment.is_empty()).then(|| Rc::new(PipeName::new(service, &user.name, &segment)));
        if service == Service::Test(TestService::Broadcast) {
            channels.extend(ChannelName::parse(BROADCAST));
        }
        let open = Open { channels, last, ..Open::plain(user, transport, grant) };
        let key = core.make_session(conn, &open, &Since::Unspecified)?;
        if let Some(name) = &name {
            self.sessions.insert(Rc::clone(name), key);
        }
        let owner = SessionOwner::of(browser, || fresh_cookie(core));
        let (end, unwritten_after, calls) = (End::Open, None, None);
        let pipe = Box::new(Pipe { service, name, owner, end, unwritten_after, calls });
        core.sessions[key].client = OtherClient::Sockjs(pipe).into();
        if let Service::Server(target) = service {
            core.text_asks.push_back(TextAsk::Open { session: key, conn, target, page });
            core.cx.todos.push_back(Todo::Text);
        }
        Ok(key)
    }

    /// Forgets a session that has ended. How it ended is kept for its client, for as long as a
    /// session lives without a connection.
    pub(crate) fn departed(&mut self, core: &mut Core, key: SessionKey, mut pipe: Pipe, code: CloseCode) {
        for (pending, body) in pipe.calls.into_iter().flat_map(|calls| calls.waiting) {
            if let Service::Server(_) = pipe.service {
                // Its stream ends with the session.
                core.call_over(key, pending, StringsOutcome::Unavailable);
                core.text_asks.push_back(TextAsk::Answer(pending));
                core.cx.todos.push_back(Todo::Text);
            } else {
                // The backend still gets what the client sent before.
                core.cx.effects.push_back(Effect::Hook { pending, hook: Hook::Pipe, body });
            }
        }
        let Some(name) = pipe.name else { return };
        if self.sessions.get(&name) == Some(&key) {
            self.sessions.remove(&name);
        }
        // A session that ends by itself has no client any more.
        if pipe.end == End::Open && code != CloseCode::Ended {
            pipe.end = End::Closing(SockjsClose::because(code).into());
        }
        if let End::Closing(close) = pipe.end
            && !core.cx.broken_by(Mutation::ForgetEnds)
        {
            self.closed.remember(core.cx.now + core.cx.config.sockjs.disconnect, name, *close);
        }
    }

    /// Panics if the front's names disagree with the sessions that are there.
    pub(crate) fn check(&self, core: &Core) {
        for (name, key) in &self.sessions {
            let of_session = core.pipe(*key).and_then(|pipe| pipe.name.as_ref());
            let departs = core.departed.iter().any(|(departed, ..)| departed == key);
            assert!(departs || of_session == Some(name), "a name of a session that is not there");
        }
    }
}

impl Core {
    /// Begins the service of a session whose client was told that it is open.
    pub(super) fn pipe_opened(&mut self, key: SessionKey) {
        match self.pipe(key).map(|pipe| pipe.service) {
            Some(Service::Encke) => {
                let json = self.open_of_pipe(key);
                self.tell_strings(key, vec![json]);
            }
            Some(Service::Test(TestService::Close)) => self.end_pipe(key, SockjsClose::GO_AWAY),
            Some(Service::Test(TestService::Ticker)) => {
                self.cx.wheel.arm(self.cx.now + TICK, Timer::Front(key));
            }
            Some(Service::Backend | Service::Server(_) | Service::Test(_)) | None => {}
        }
    }

    /// The native protocol's first envelope.
    fn open_of_pipe(&mut self, key: SessionKey) -> String {
        let id = self.session_id(key).to_string();
        let position = self.hub.position(self.sessions[key].cursor);
        let transport = self.sessions[key].transport.transport().name();
        let (heartbeat, grace) = (self.cx.config.heartbeat, self.cx.config.sockjs.disconnect);
        let open = envelope::OpenEnvelope {
            session: &id,
            position,
            resumed: false,
            heartbeat,
            grace,
            transport,
            instead: None,
        };
        let mut json = Vec::new();
        envelope::open(&open, &mut json);
        String::from_utf8_lossy(&json).into_owned()
    }
}

/// A `JSESSIONID` that nobody can guess.
fn fresh_cookie(core: &mut Core) -> String {
    let mut bytes = [0; 16];
    core.cx.rng.fill_bytes(&mut bytes);
    let mut cookie = String::new();
    base32::encode(&bytes, &mut cookie);
    cookie
}

/// Refuses a request, with the headers that let a page of another origin read why.
fn refuse(core: &mut Core, conn: ConnKey, reply: &Reply, headers: &[Header], refusal: &Refusal) {
    core.cx.metrics.refused(refusal.code.text());
    let mut body = Vec::new();
    command::error(refusal, &mut body);
    body.push(b'\n');
    let retry = refusal.header.map(|(name, value)| (name, value.into()));
    let headers: Vec<_> = headers.iter().cloned().chain(retry).collect();
    respond(core, conn, reply, &headers, (refusal.status(), reply::JSON, &body));
}

/// Answers with a page.
fn respond(
    core: &mut Core,
    conn: ConnKey,
    reply: &Reply,
    headers: &[Header],
    (status, content_type, body): (u16, &str, &[u8]),
) {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
    let page = WholeResponse { status, content_type, headers: &headers, body };
    core.conns.respond(&mut core.cx, conn, reply.page(&page));
}

/// Accepts the handshake of a socket and closes it, since a page sees nothing of one that is
/// refused.
fn switch_and_close(
    core: &mut Core,
    conn: ConnKey,
    (upgrade, raw): (&Upgrade, bool),
    reply: &Reply,
    close: &SockjsClose,
) {
    let headers = upgrade.headers();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut out = Vec::new();
    reply.switch("websocket", &headers, &mut out);
    if !raw {
        let mut frame = Vec::new();
        frame::close(close, &mut frame);
        ws::message(Dialect::default(), Opcode::Text, &frame, &core.cx.encoder, &mut out);
    }
    ws::close(close.code, &close.reason, &mut out);
    core.conns.respond(&mut core.cx, conn, (out, KeepAlive::Close));
}

#[cfg(test)]
mod tests;
