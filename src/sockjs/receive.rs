//! Responses that carry strings: polls, streams and sockets.

use crate::answer::sockjs::{SockjsResponse, form};
use crate::base::frame::Frame;
use crate::base::slab::{ConnKey, SessionKey};
use crate::call::protocol::{Framed, Subprotocol};
use crate::conn::phase::{Exchange, Extra, Phase, Poll, Then};
use crate::conn::socket::Socket;
use crate::core::Core;
use crate::protocol::Protocol;
use crate::protocol::native::envelope::CloseCode;
use crate::protocol::sockjs::browser::{Browser, SessionOwner};
use crate::protocol::sockjs::carrier::Carrier;
use crate::protocol::sockjs::close::SockjsClose;
use crate::protocol::sockjs::frame;
use crate::protocol::sockjs::header::session_cookie;
use crate::protocol::sockjs::{NOT_FOUND, TEXT};
use crate::request::Upgrade;
use crate::request::reply::Reply;
use crate::request::sockjs::{Receive, SockjsClient};
use crate::session::Link;
use crate::sockjs::{SockjsFront, refuse, respond, switch_and_close};
use crate::transport::{Form, Framing, Through, TransportId};
use crate::turn::mutation::Mutation;
use crate::wire::http::response::{Header, ResponseFraming};
use crate::wire::refusal::{ErrorCode, Refused};
use crate::wire::websocket::Past;

impl SockjsFront {
    /// A response for the strings of a session.
    pub(super) fn receive(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        asked: Receive,
        (headers, reply): (Vec<Header>, Reply),
    ) {
        let Receive { client, carrier, callback } = asked;
        let page = reply.page.clone();
        let mut response = SockjsResponse { carrier, callback, headers, reply };
        let (name, browser) = (client.session_name(), client.browser.clone());
        if let Some(close) = self.closed.get(core.cx.now, &name) {
            return core.respond_with_frame(conn, &response, close);
        }
        if !core.cx.takes_clients() {
            let close = SockjsClose::because(CloseCode::Drain);
            return core.respond_with_frame(conn, &response, &close);
        }
        if let Some(key) = self.sessions.get(&name)
            && core.cx.broken_by(Mutation::SecondTakesOver)
        {
            core.supersede(*key);
        }
        match self.sessions.get(&name) {
            Some(key) if !core.admits(*key, &browser) => {
                respond(core, conn, &response.reply, &response.headers, (404, TEXT, NOT_FOUND.as_bytes()));
            }
            Some(key) if core.sessions[*key].link != Link::Detached => {
                core.respond_with_frame(conn, &response, &SockjsClose::STILL_OPEN);
            }
            Some(key) => core.continue_session(conn, *key, response),
            None => match self.make(core, conn, client, (TransportId::sockjs(carrier), page)) {
                Ok(key) => {
                    response.headers.extend(core.cookie_for(key, &browser));
                    core.begin_pipe(conn, key, &response);
                }
                Err(refusal) if refusal.code == ErrorCode::NotAdmitted => {
                    core.cx.metrics.refused(refusal.code.text());
                    core.respond_with_frame(conn, &response, &SockjsClose::because(CloseCode::Busy));
                }
                Err(refusal) => refuse(core, conn, &response.reply, &response.headers, &refusal),
            },
        }
    }

    /// A WebSocket, which is a session of its own.
    pub(super) fn open_socket(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        client: SockjsClient,
        (upgrade, raw): (&Upgrade, bool),
        reply: &Reply,
    ) {
        if !core.cx.takes_clients() {
            return core.conns.refuse(&mut core.cx, conn, reply, &Refused::Drains.into());
        }
        let transport = if raw { TransportId::sockjs_raw() } else { TransportId::sockjs(Carrier::WebSocket) };
        let protocol = client.service.protocol();
        let key = match self.make(core, conn, client, (transport, reply.page.clone())) {
            Ok(key) => key,
            Err(refusal) if refusal.code == ErrorCode::NotAdmitted => {
                core.cx.metrics.refused(refusal.code.text());
                let close = SockjsClose::because(CloseCode::Busy);
                return switch_and_close(core, conn, (upgrade, raw), reply, &close);
            }
            Err(refusal) => return core.conns.refuse(&mut core.cx, conn, reply, &refusal),
        };
        let form = form(transport, protocol, Framing::UntilClose);
        let headers = upgrade.headers();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut out = Vec::new();
        reply.switch("websocket", &headers, &mut out);
        let framed = if raw { Framed::Raw } else { Framed::Arrays };
        let socket = Socket::new(Through::Upgrade, form.dialect, Past::None, Subprotocol::Sockjs(framed))
            .of_page(reply);
        core.attach_pipe(conn, key, form, (Then::Close, Extra::Socket(socket)));
        core.conns.push(&mut core.cx, conn, Frame::from(out));
        if !raw {
            let open = core.framed(form, frame::OPEN);
            core.conns.stream(&mut core.cx, conn, open);
        }
        core.arm_pipe(conn);
        core.pipe_opened(key);
        core.catch_up(key);
    }
}

impl Core {
    /// Whether a browser may continue a session.
    pub(super) fn admits(&mut self, key: SessionKey, browser: &Browser) -> bool {
        let pipe = self.sessions.get_mut(key).and_then(|session| session.client.sockjs_mut());
        pipe.is_some_and(|pipe| pipe.owner.admits(browser))
    }

    /// `Set-Cookie` for a browser that has begun a session without a cookie.
    fn cookie_for(&self, key: SessionKey, browser: &Browser) -> Option<Header> {
        let Browser::Unnamed { attributes } = browser else { return None };
        let SessionOwner::Given(cookie) = &self.pipe(key)?.owner else { return None };
        Some(session_cookie(cookie, attributes))
    }

    /// The first response of a session.
    fn begin_pipe(&mut self, conn: ConnKey, key: SessionKey, response: &SockjsResponse) {
        if response.carrier.polls() {
            // A client that does not get this frame has no session.
            self.link_pipe(conn, key, TransportId::sockjs(response.carrier));
            let (bytes, keep) = response.of_frame(frame::OPEN);
            self.conns.push(&mut self.cx, conn, Frame::from(bytes));
            self.conns.finish(&mut self.cx, conn, key, Then::from(keep));
            return self.pipe_opened(key);
        }
        self.open_pipe(conn, key, response, frame::OPEN);
        self.pipe_opened(key);
        self.catch_up(key);
    }

    /// A response of one frame, which says why there is no more.
    pub(super) fn respond_with_frame(
        &mut self,
        conn: ConnKey,
        response: &SockjsResponse,
        close: &SockjsClose,
    ) {
        let mut bytes = Vec::new();
        frame::close(close, &mut bytes);
        self.conns.respond(&mut self.cx, conn, response.of_frame(&bytes));
    }

    /// A further response of a session.
    fn continue_session(&mut self, conn: ConnKey, key: SessionKey, response: SockjsResponse) {
        if !response.carrier.polls() {
            self.open_pipe(conn, key, &response, &[]);
            self.schedule_all_latest(key);
            return self.catch_up(key);
        }
        let protocol = self.pipe(key).map_or(Protocol::Strings, |pipe| pipe.service.protocol());
        let form = response.form(protocol);
        self.link_pipe(conn, key, form.transport);
        self.schedule_all_latest(key);
        let opening = response.opening();
        let poll = Poll { session: key, form, reply: response.reply, opening, behind: None, held: None };
        if self.has_news(key) {
            return self.answer_pipe_poll(conn, poll, None);
        }
        self.park(conn, poll, self.cx.config.heartbeat);
    }

    /// Begins a response that streams, with a first frame unless that is empty.
    fn open_pipe(&mut self, conn: ConnKey, key: SessionKey, response: &SockjsResponse, first: &[u8]) {
        let Some(pipe) = self.pipe(key) else { return };
        let limit = pipe.service.response_bytes().unwrap_or(self.cx.config.sockjs.response_bytes);
        let form = response.form(pipe.service.protocol());
        let mut out = Vec::new();
        let framing = ResponseFraming::stream(response.reply.version);
        let keep = response.head(framing, &mut out);
        let mut prelude = Vec::new();
        response.carrier.prelude(&response.callback, &mut prelude);
        out.extend_from_slice(&form.chunk(prelude));
        self.attach_pipe(conn, key, form, (Then::from(keep), Extra::Limit(limit)));
        self.conns.push(&mut self.cx, conn, Frame::from(out));
        if !first.is_empty() {
            let first = self.framed(form, first);
            self.conns.stream(&mut self.cx, conn, first);
        }
        self.arm_pipe(conn);
    }

    fn attach_pipe(&mut self, conn: ConnKey, key: SessionKey, form: Form, (then, extra): (Then, Extra)) {
        self.link_pipe(conn, key, form.transport);
        let moved = self.cx.now;
        let (recycle, extra) = (self.stay(key), Some(Box::new(extra)));
        let exchange = Exchange { session: key, form, then, moved, sent: 0, recycle, extra };
        self.conns[conn].phase = Phase::Streaming(exchange);
    }

    fn link_pipe(&mut self, conn: ConnKey, key: SessionKey, transport: TransportId) {
        self.cx.metrics.exchanges[transport.index()] += 1;
        self.attach_session(key, Link::Behind(conn), transport);
    }

    fn arm_pipe(&mut self, conn: ConnKey) {
        let now = self.cx.now;
        self.conns.arm_heartbeat(&mut self.cx, conn, now);
    }
}
