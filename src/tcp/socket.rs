//! A WebSocket for the bytes of one stream, for clients without the library: each message is a part
//! of the bytes, whatever its length.
//!
//! Such a client acknowledges nothing, knows no credit and cannot resume. So bytes of the server go
//! straight to the connection, not through the session's log; while the connection is full, the
//! node reads no more of them, and it stops reading the WebSocket while the server takes nothing.
//! The session ends with its connection; when the server ends, so does the WebSocket.

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
use crate::tcp::limits::SPLIT_BYTES_MIN;
use crate::tcp::open::{Carried, StreamOpening};
use crate::tcp::stream::Stage;
use crate::transport::tcp::ByteCoding;
use crate::transport::{Coding, Dialect, Form, Framing, Through, TransportId};
use crate::wire::refusal::Refused;
use crate::wire::websocket::{Compressed, Opcode, Past, frame_head};

/// The number of the stream that a WebSocket carries.
pub(super) const ONLY: u32 = 1;

/// The close code of a server that met an error (RFC 6455, section 7.4.1).
pub(super) const INTERNAL_ERROR: u16 = 1011;

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
        let page = reply.page.clone();
        let opening = StreamOpening { session, number: ONLY, conn, page, to: &to, window: None };
        if let Err(refusal) = self.open(core, opening, Carried::Alone(conn, coding)) {
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
        let Some(key) = session.and_then(|session| self.find(session, ONLY)) else { return };
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.up.lend(bytes.len());
        let at = stream.up.next();
        // The server may have ended meanwhile: then nobody takes them.
        let _ = self.send(core, key, at, bytes, Last::No);
        if self.streams.get(key).is_some_and(|stream| stream.up.is_full()) {
            core.conns.await_room(conn);
        }
    }

    /// Bytes of the server go down a WebSocket.
    pub(super) fn bytes_down(
        &mut self,
        core: &mut Core,
        key: StreamKey,
        (conn, coding): (ConnKey, ByteCoding),
        bytes: &[u8],
    ) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.down.passed_on(bytes.len());
        let session = stream.session;
        for frame in message(coding, bytes) {
            core.conns.push(&mut core.cx, conn, frame);
        }
        let waiting = core.conns.get(conn).map_or(0, |conn| conn.outbox.len());
        if waiting >= core.cx.config.outbox_bytes.max(core.cx.config.tcp.window) {
            core.fall_behind(session, conn);
            self.pause_some(core, key, session);
        }
    }

    /// Ends the WebSocket of a stream whose server has ended, behind its last bytes.
    pub(super) fn end_socket(&mut self, core: &mut Core, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else { return };
        let Carried::Alone(conn, _) = stream.carried else { return self.end_text(core, key) };
        let (code, reason) = match stream.stage {
            Stage::Over(StreamClose::Ok) => (NORMAL, ""),
            Stage::Over(code) => (INTERNAL_ERROR, code.text()),
            Stage::Open if stream.down.has_ended() => (NORMAL, ""),
            Stage::Open | Stage::Dialing | Stage::Leaving => return,
        };
        core.conns.close_socket(&mut core.cx, conn, code, reason);
    }
}

/// A message with some of the server's bytes, in one frame or, for many, in two, so that they are
/// copied once. The second one may be empty.
fn message(coding: ByteCoding, bytes: &[u8]) -> [Frame; 2] {
    let mut head = Vec::new();
    match coding {
        ByteCoding::Binary => {
            frame_head(Opcode::Binary, Compressed::No, bytes.len(), &mut head);
            if bytes.len() >= SPLIT_BYTES_MIN {
                return [Frame::from(head), Frame::from(bytes)];
            }
            head.extend_from_slice(bytes);
        }
        ByteCoding::Base64 => {
            let text = STANDARD.encode(bytes);
            frame_head(Opcode::Text, Compressed::No, text.len(), &mut head);
            head.extend_from_slice(text.as_bytes());
        }
    }
    [Frame::from(head), Frame::from(&[][..])]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_bytes_are_copied_once_and_few_make_one_frame() {
        let whole = |coding: ByteCoding, bytes: &[u8]| message(coding, bytes).map(|frame| frame.to_vec());
        assert_eq!(whole(ByteCoding::Binary, b"abc"), [b"\x82\x03abc".to_vec(), Vec::new()]);
        assert_eq!(whole(ByteCoding::Base64, b"abcd"), [b"\x81\x08YWJjZA==".to_vec(), Vec::new()]);
        let many = vec![7; SPLIT_BYTES_MIN];
        assert_eq!(whole(ByteCoding::Binary, &many), [b"\x82\x7e\x04\x00".to_vec(), many]);
    }
}
