//! A WebSocket for the bytes of one stream, for clients without the library: each message is a part
//! of the bytes, whatever its length.
//!
//! Such a client acknowledges nothing and knows no credit. So bytes of the server count as
//! acknowledged once the connection has them, and the node stops reading the WebSocket while the
//! server takes nothing. Its session ends with its connection; when the server ends, so does the
//! WebSocket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::auth::Grant;
use crate::base::frame::Frame;
use crate::base::slab::{ConnKey, SessionKey, StreamKey};
use crate::call::protocol::{OtherClient, Subprotocol};
use crate::call::queue::Since;
use crate::conn::phase::{Conn, Exchange, Extra, Phase, Recycle, Then};
use crate::conn::socket::{NORMAL, POLICY, Socket, SocketRefusal};
use crate::core::Core;
use crate::protocol::Protocol;
use crate::protocol::native::envelope::CloseCode;
use crate::protocol::tcp::command::{Destination, Last};
use crate::protocol::tcp::event::StreamClose;
use crate::request::reply::Reply;
use crate::request::{Open, TcpOpen};
use crate::session::Link;
use crate::tcp::TcpFront;
use crate::tcp::open::{Carried, StreamOpening};
use crate::tcp::stream::Stage;
use crate::transport::tcp::ByteCoding;
use crate::transport::{Coding, Dialect, Form, Framing, Through, TransportId};
use crate::wire::refusal::Refused;
use crate::wire::websocket::Past;

/// The number of the stream that a WebSocket carries.
const ONLY: u32 = 1;

/// The close code of a server that met an error (RFC 6455, section 7.4.1).
const INTERNAL_ERROR: u16 = 1011;

impl TcpFront {
    /// `{"targets":[…]}`: those that a user may reach.
    pub(crate) fn list_targets(core: &mut Core, conn: ConnKey, grant: &Grant, reply: &Reply) {
        let targets = core.cx.config.tcp.targets.iter().map(|target| &*target.name);
        let targets: Vec<_> = targets.filter(|name| grant.may_reach(name)).collect();
        let body = format!("{}\n", json!({ "targets": targets }));
        core.conns.respond(&mut core.cx, conn, reply.json(200, body.as_bytes()));
    }

    /// Opens a WebSocket, and a stream that it carries.
    pub(crate) fn open_socket(&mut self, core: &mut Core, conn: ConnKey, asked: TcpOpen, reply: &Reply) {
        let TcpOpen { user, grant, target, coding, upgrade } = asked;
        if !core.cx.takes_clients() {
            return core.conns.refuse(&mut core.cx, conn, reply, &Refused::Drains.into());
        }
        let transport = TransportId::tcp(coding);
        let session = match core.make_session(conn, &Open::plain(user, transport, grant), &Since::Unspecified)
        {
            Ok(session) => session,
            Err(refusal) => return core.conns.refuse(&mut core.cx, conn, reply, &refusal),
        };
        core.sessions[session].client = OtherClient::Bytes.into();
        let to = Destination::Target(target);
        let opening = StreamOpening { session, number: ONLY, conn, to: &to, window: None };
        if let Err(refusal) = self.open(core, &opening, Carried::Alone) {
            core.end_session(session, CloseCode::Ended);
            return core.conns.refuse(&mut core.cx, conn, reply, &refusal);
        }
        let headers = upgrade.headers();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut out = Vec::new();
        reply.switch("websocket", &headers, &mut out);
        attach(core, conn, session, coding);
        core.conns.push(&mut core.cx, conn, Frame::from(out));
        let now = core.cx.now;
        core.conns.arm_heartbeat(&mut core.cx, conn, now);
        core.catch_up(session);
    }

    /// Bytes came up a WebSocket.
    pub(crate) fn bytes_up(&mut self, core: &mut Core, conn: ConnKey, coding: ByteCoding, message: &[u8]) {
        let decoded = match coding {
            ByteCoding::Binary => None,
            ByteCoding::Base64 => {
                let Ok(bytes) = STANDARD.decode(message) else {
                    let broken = SocketRefusal::refused(POLICY, Refused::StreamBase64);
                    core.conns.break_off(&mut core.cx, conn, broken);
                    return;
                };
                Some(bytes)
            }
        };
        let bytes = decoded.as_deref().unwrap_or(message);
        let session = core.conns.get(conn).and_then(Conn::session).map(|(session, _)| session);
        let Some(key) = session.and_then(|session| self.find(session, ONLY).ok()) else { return };
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.up.lend(bytes.len());
        let at = stream.up.next();
        // The server may have ended meanwhile: then nobody takes them.
        let _ = self.send(core, key, at, bytes, Last::No);
        if self.streams.get(key).is_some_and(|stream| stream.up.is_full()) {
            core.conns.await_room(conn);
        }
    }

    /// What a WebSocket's connection has counts as acknowledged.
    pub(super) fn acknowledge_socket(&mut self, core: &mut Core, key: StreamKey) {
        let Some(stream) = self.streams.get(key).filter(|stream| stream.socket.is_some()) else { return };
        let is_level = core.sessions.get(stream.session).is_some_and(|at| matches!(at.link, Link::Level(_)));
        if is_level {
            let reached = stream.down.reached();
            // It has reached that far.
            let _ = self.acknowledge(core, key, reached);
        }
    }

    /// A session can take more: a WebSocket's has all that there is, and may end.
    pub(super) fn socket_has_room(&mut self, core: &mut Core, session: SessionKey) {
        let Ok(key) = self.find(session, ONLY) else { return };
        self.acknowledge_socket(core, key);
        self.end_socket(core, key);
    }

    /// Ends the WebSocket of a stream whose server has ended, once the connection has its bytes.
    pub(super) fn end_socket(&mut self, core: &mut Core, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else { return };
        let Some(conn) = stream.socket else { return };
        let is_level = core.sessions.get(stream.session).is_some_and(|at| matches!(at.link, Link::Level(_)));
        let (code, reason) = match stream.stage {
            Stage::Over(StreamClose::Ok) => (NORMAL, ""),
            Stage::Over(code) => (INTERNAL_ERROR, code.text()),
            Stage::Open if stream.down.has_ended() => (NORMAL, ""),
            Stage::Open | Stage::Dialing | Stage::Leaving => return,
        };
        if is_level {
            core.conns.close_socket(&mut core.cx, conn, code, reason);
        }
    }
}

/// A WebSocket carries a session from now on.
fn attach(core: &mut Core, conn: ConnKey, session: SessionKey, coding: ByteCoding) {
    let transport = TransportId::tcp(coding);
    core.cx.metrics.exchanges[transport.index()] += 1;
    core.attach_session(session, Link::Behind(conn), transport);
    let form = Form {
        transport,
        dialect: Dialect::default(),
        protocol: Protocol::Bytes,
        coding: Coding::Identity,
        framing: Framing::UntilClose,
    };
    let socket = Socket::new(Through::Upgrade, form.dialect, Past::None, Subprotocol::Bytes(coding));
    let exchange = Exchange {
        session,
        form,
        then: Then::Close,
        moved: core.cx.now,
        sent: 0,
        recycle: Recycle::Unscheduled,
        extra: Some(Box::new(Extra::Socket(socket))),
    };
    core.conns[conn].phase = Phase::Streaming(exchange);
}
