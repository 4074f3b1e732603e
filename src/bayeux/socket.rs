//! WebSockets that speak Bayeux: their sessions, and the connects that they hold.
//!
//! A socket without a session, or whose session gets its messages with the answers to connects, is
//! [`Unbound`](Phase::Unbound); one to which messages are pushed streams, as a native one does.

use std::rc::Rc;

use crate::answer::bayeux::{WithMessages, array};
use crate::answer::limits::POLL_HOLD_EIGHTHS_MIN;
use crate::base::frame::Frame;
use crate::base::ids::ShardId;
use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::bayeux::BayeuxFront;
use crate::bayeux::limits::REFUSED_CONNECTS_MAX;
use crate::call::bayeux::{BayeuxSocket, Call};
use crate::call::pending::answer_json;
use crate::call::protocol::Subprotocol;
use crate::conn::phase::{Conn, Phase};
use crate::conn::socket::{POLICY, Socket};
use crate::core::Core;
use crate::protocol::bayeux::answer::MultipleClients;
use crate::protocol::bayeux::held::{ConnectOutcome, Held, SessionDenied};
use crate::protocol::bayeux::message;
use crate::protocol::bayeux::message::BayeuxConnect;
use crate::protocol::native::envelope::CloseCode;
use crate::request::Upgrade;
use crate::request::bayeux::{BayeuxCaller, Credential, SOCKET_COOKIE, Upgraded};
use crate::request::reply::Reply;
use crate::session::Link;
use crate::transport::{Dialect, Through, ws};
use crate::turn::mutation::Mutation;
use crate::turn::timer::Timer;
use crate::wire::refusal::Refusal;
use crate::wire::websocket::Past;

/// The result of a message on a socket.
pub(crate) enum SocketOutcome {
    /// It was answered.
    Done,
    /// A pending request waits for its answers.
    Asked(PendingKey),
    /// The session that it names is on another shard: the socket moves there.
    Elsewhere(ShardId, Box<Upgraded>),
}

impl BayeuxFront {
    /// Executes a message.
    pub(crate) fn on_message(
        &mut self,
        core: &mut Core,
        key: ConnKey,
        text: Vec<u8>,
    ) -> Result<SocketOutcome, Refusal> {
        // The heartbeat of older clients.
        if text.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(b"[]") {
            core.send_bayeux(key, b"[]");
            return Ok(SocketOutcome::Done);
        }
        let mut messages = Vec::new();
        message::decode(&text, &core.bayeux_limits(), &mut messages)?;
        let Some(bayeux) = core.bayeux_socket(key) else { return Ok(SocketOutcome::Done) };
        let is_free = bayeux.session.is_none() && core.conns[key].outbox.is_empty();
        let caller = bayeux.caller.clone();
        match core.bayeux_home(&caller, &messages) {
            Some(to) if to != core.cx.identity.id && is_free => {
                let past = core.conns[key].socket().map_or(Past::None, Socket::past);
                Ok(SocketOutcome::Elsewhere(to, Box::new(Upgraded::new(bayeux, past, text))))
            }
            _ => Ok(SocketOutcome::Asked(self.call_bayeux(core, key, caller, messages, None))),
        }
    }

    /// Adopts a socket from another shard, with the message that named its session. Returns the
    /// pending request that the message waits for, if any.
    pub(crate) fn adopt_upgraded(
        &mut self,
        core: &mut Core,
        key: ConnKey,
        upgraded: Upgraded,
    ) -> Option<PendingKey> {
        let Upgraded { dialect, past, user, grant, refusal, cookies, agent, sender, unmarked, message } =
            upgraded;
        let credential = match (grant, refusal) {
            (Some(grant), _) => Credential::Token(Rc::new(grant)),
            (None, Some(refusal)) => Credential::Missing(Box::new(refusal)),
            (None, None) => Credential::Open,
        };
        let caller = BayeuxCaller { user, credential, cookies, agent, page: None, sender };
        let bayeux =
            BayeuxSocket { caller, session: None, unmarked, refused: 0, held: None, leaves: None, dialect };
        core.unbind_new(key, bayeux, past);
        if core.cx.broken_by(Mutation::EmptyUpgrade) {
            return None;
        }
        // The other shard could parse it, and its home is here.
        match self.on_message(core, key, message) {
            Ok(SocketOutcome::Asked(pending)) => Some(pending),
            Ok(SocketOutcome::Done | SocketOutcome::Elsewhere(..)) | Err(_) => None,
        }
    }

    /// Answers a message whose answers are all there.
    pub(crate) fn answer_bayeux_message(
        &mut self,
        core: &mut Core,
        key: ConnKey,
        pending: PendingKey,
        call: Call,
    ) {
        let socket = core.conns.get_mut(key).and_then(Conn::socket_mut);
        if !socket.is_some_and(|socket| socket.answered(pending)) {
            return;
        }
        let Call { answers, connect, .. } = call;
        if !answers.is_empty() {
            let answers: Vec<_> = answers.iter().map(answer_json).collect();
            core.send_bayeux(key, &array(&answers));
        }
        if let Some((session, held, asked)) = connect {
            if core.sessions.get(session).is_some() {
                self.connect_by_socket(core, key, session, held, &asked);
            } else {
                core.send_bayeux(key, &array(&[held.denied(SessionDenied::Unknown, core.stamp_ms())]));
            }
        }
        if core.bayeux_socket(key).is_some_and(|bayeux| bayeux.refused >= REFUSED_CONNECTS_MAX) {
            return core.conns.close_socket(
                &mut core.cx,
                key,
                POLICY,
                "the sessions are not of this socket: open another",
            );
        }
        core.conns.read_on(&mut core.cx, key);
    }

    /// Answers or holds a connect on a socket.
    fn connect_by_socket(
        &mut self,
        core: &mut Core,
        key: ConnKey,
        session: SessionKey,
        mut held: Box<Held>,
        asked: &BayeuxConnect,
    ) {
        let now = core.cx.now;
        if core.sessions[session].link.conn() == Some(key) {
            // An earlier one is answered now.
            core.answer_held(key, ConnectOutcome::On(MultipleClients::Alone), WithMessages::Nothing);
            if core.bayeux_socket(key).is_none() {
                // The node drains, and that answer ended the socket.
                return;
            }
        } else if core.is_contested(session) {
            let answer = held.denied(SessionDenied::Shared, core.stamp_ms());
            return core.send_bayeux(key, &array(&[answer]));
        } else {
            core.change_hands(session);
            core.supersede(session);
        }
        if core.sessions[session].link.conn() != Some(key) {
            if let Some(other) = core.streamed_on(key) {
                core.close_link(other, CloseCode::Replaced);
            }
            core.bind(key, session);
            if core.cx.broken_by(Mutation::JumpAtBind) {
                core.sessions[session].cursor = core.hub.head();
            }
        }
        // Sockets do not count among the few connections that a browser has for requests.
        let wait = self.begin_connect(core, session, &held, asked, MultipleClients::Alone);
        let due = wait.map(|wait| now + core.cx.jittered(wait, POLL_HOLD_EIGHTHS_MIN));
        held.hold_until(due);
        let acknowledges = core.acknowledges(session);
        let Some(bayeux) = core.bayeux_socket_mut(key) else { return };
        (bayeux.session, bayeux.held) = (Some(session), Some(held));
        if acknowledges {
            core.sessions[session].link = Link::Parked(key);
        }
        if !acknowledges {
            // Events precede the answer, as for a request without `ack`. The catch-up may find a
            // gap, which ends the session.
            core.catch_up(session);
        }
        if due.is_none() || (acknowledges && core.has_news(session)) {
            core.answer_held(key, ConnectOutcome::On(MultipleClients::Alone), WithMessages::Messages);
        } else {
            core.conns.arm_heartbeat(&mut core.cx, key, now);
        }
    }
}

impl Upgraded {
    fn new(bayeux: &BayeuxSocket, past: Past, message: Vec<u8>) -> Self {
        let (grant, refusal) = match &bayeux.caller.credential {
            Credential::Open => (None, None),
            Credential::Token(grant) => (Some((**grant).clone()), None),
            Credential::Missing(refusal) => (None, Some((**refusal).clone())),
        };
        Self {
            dialect: bayeux.dialect,
            past,
            user: bayeux.caller.user.clone(),
            grant,
            refusal,
            cookies: bayeux.caller.cookies.clone(),
            agent: bayeux.caller.agent,
            sender: bayeux.caller.sender,
            unmarked: bayeux.unmarked,
            message,
        }
    }
}

impl Core {
    /// Opens a WebSocket.
    pub(crate) fn open_bayeux_socket(
        &mut self,
        key: ConnKey,
        mut caller: BayeuxCaller,
        upgrade: &Upgrade,
        reply: &Reply,
    ) {
        let now = self.cx.now;
        let mut headers = upgrade.headers();
        let unmarked = caller.cookies.name().is_none().then_some(now);
        if unmarked.is_some() {
            let browser = self.fresh_browser();
            let cookie = crate::request::bayeux::BayeuxRequest::cookie(
                SOCKET_COOKIE,
                browser,
                caller.page,
                caller.sender,
            );
            headers.push(("Set-Cookie", cookie));
            caller.cookies.socket = Some(browser);
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let mut head = Vec::with_capacity(320);
        reply.switch("websocket", &headers, &mut head);
        self.conns.push(&mut self.cx, key, Frame::from(head));
        let dialect = ws::compressing(Dialect::default(), upgrade.window_bits());
        let bayeux =
            BayeuxSocket { caller, session: None, unmarked, refused: 0, held: None, leaves: None, dialect };
        self.unbind_new(key, bayeux, upgrade.past());
    }

    fn unbind_new(&mut self, key: ConnKey, bayeux: BayeuxSocket, past: Past) {
        let now = self.cx.now;
        let dialect = bayeux.dialect;
        let socket = Socket::new(Through::Upgrade, dialect, past, Subprotocol::Bayeux(Box::new(bayeux)));
        let conn = &mut self.conns[key];
        conn.phase = Phase::Unbound(Box::new(socket));
        conn.alarm.set(&mut self.cx.wheel, now + self.cx.config.idle_timeout, Timer::Conn(key));
    }
}
