//! The requests of a subscriber, for each transport.

use serde_json::json;

use super::super::exchange::CALLBACK;
use super::*;

impl Subscriber {
    /// Requests messages; returns the connection.
    pub(super) fn ask(
        &mut self,
        ctx: &mut Ctx<'_>,
        via: Via,
        pending: &Pending,
        fresh: bool,
        commands: &[Command],
    ) -> HttpConn {
        if via == Via::XmlSocket {
            return self.greet(ctx, pending, fresh);
        }
        let mut request = self.request(ctx, via, pending, fresh, commands);
        if via.streams() && ctx.rng.chance(5) {
            request = request.query("pad", ctx.rng.range(0, 3_000).to_string());
        }
        let mut conn = self.conn(ctx);
        let limit = if via.is_held() { ctx.phase.poll_hold + ctx.phase.poll_hold / 4 } else { 0 };
        let mut spelling = Spelling::any(ctx.rng);
        spelling.close |= self.profile.fresh;
        if via.is_websocket() {
            (spelling.old, spelling.close) = (false, false);
        }
        conn.ask(ctx, &request, spelling, limit, 0);
        conn
    }

    /// Whether a request may mean another page's session, with history that it cannot get.
    pub(super) fn may_be_mistaken(&self, ctx: &Ctx<'_>, pending: &Pending) -> bool {
        let unknown = self.profile.plain || self.profile.anonymous > 0;
        unknown
            && pending.since.is_some()
            && (ctx.phase.doubts || ctx.oracle.may_be_another(self.receiver.book, &pending.listed))
    }

    /// The first message of an XMLSocket.
    fn greet(&mut self, ctx: &mut Ctx<'_>, pending: &Pending, fresh: bool) -> HttpConn {
        if let Some(mut conn) = self.spare.take() {
            conn.abandon(ctx);
        }
        let mut connect = json!({ "user": self.receiver.user, "channels": pending.listed });
        if !pending.watched.is_empty() {
            connect["presence"] = json!(true);
        }
        if (fresh || self.profile.repeats_itself(pending)) && self.profile.last > 0 {
            connect["last"] = json!(self.profile.last);
        }
        if let Some(session) = &pending.session {
            connect["session"] = json!(session);
        }
        if let Some(since) = &pending.since {
            connect["since"] = json!(since.to_string());
        }
        let blank = *ctx.rng.pick(&["", "", "\0", " \r\n\0", "\0\0", " "]);
        let bytes = format!("{blank}{}\0", json!({ "connect": connect }));
        HttpConn::connect_raw(ctx, self.profile.style, bytes.as_bytes())
    }

    fn request(
        &mut self,
        ctx: &mut Ctx<'_>,
        via: Via,
        pending: &Pending,
        fresh: bool,
        commands: &[Command],
    ) -> Request {
        let path = format!("/u/{}/{}", crate::request::segment(&self.receiver.user, ctx.rng), via.name());
        let body = commands.iter().map(Command::spell).collect::<Vec<_>>().join(",");
        let mut request = match via {
            // The form for browsers, which is optional, or the form for any reader.
            Via::Sse if ctx.rng.chance(50) => Request::get(path).query("resume", "exact"),
            Via::Poll | Via::Longpoll | Via::Stream | Via::Sse | Via::Frame | Via::Htmlfile | Via::Parts => {
                Request::get(path)
            }
            Via::PartsBefore => Request::get(path).query("style", "before"),
            Via::Records => Request::get(path).header("Accept", "text/html, application/octet-stream;q=0.5"),
            Via::Opera => Request::get(path).header("Accept", "application/x-dom-event-stream"),
            Via::Jsonp if commands.is_empty() => Request::get(path).query("callback", CALLBACK),
            Via::Jsonp => {
                Request::get(path).query("callback", CALLBACK).query("message", format!("[{body}]"))
            }
            Via::Ws | Via::WsBinary | Via::WsDeflate(_) => upgrade(path, via),
            Via::XmlSocket => unreachable!("it is no request"),
            Via::LongpollJson => {
                Request::post(path, if commands.is_empty() { String::new() } else { format!("[{body}]") })
                    .header("Content-Type", "application/json")
            }
            Via::LongpollForm if commands.is_empty() => Request::post(path, ""),
            Via::LongpollForm => Request::post(
                path,
                format!("a=b&message={}", crate::request::escaped(&format!("[{body}]"), ctx.rng)),
            )
            .header("Content-Type", "application/x-www-form-urlencoded"),
        };
        if !pending.listed.is_empty() {
            request = request.query("channels", pending.listed.join(","));
        }
        if !pending.watched.is_empty() {
            request = request.query("presence", "1");
        }
        if (fresh || self.profile.repeats_itself(pending)) && self.profile.last > 0 {
            request = request.query("last", self.profile.last.to_string());
        }
        if let Some(session) = &pending.session {
            request = if ctx.rng.chance(50) {
                request.query("session", session.clone())
            } else {
                request.header("Encke-Session", session.clone())
            };
        }
        match &pending.since {
            Some(since) if self.profile.plain || ctx.rng.chance(30) => {
                request.header("Last-Event-ID", since.to_string())
            }
            Some(since) => request.query("since", since.to_string()),
            None => request,
        }
    }

    fn conn(&mut self, ctx: &mut Ctx<'_>) -> HttpConn {
        match self.spare.take() {
            Some(conn) if conn.is_open(ctx) && conn.is_idle() => conn,
            spare => {
                if let Some(mut conn) = spare {
                    conn.abandon(ctx);
                }
                HttpConn::connect(ctx, ListenerKind::Public, self.profile.style)
            }
        }
    }
}

/// The handshake of a WebSocket.
fn upgrade(path: String, via: Via) -> Request {
    let request = Request::get(path)
        .header("Connection", "keep-alive, Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    match via {
        Via::WsBinary => request.query("binary", "1").header("Sec-WebSocket-Protocol", "encke.v1"),
        Via::WsDeflate(bits) => {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}; client_max_window_bits");
            request.header("Sec-WebSocket-Extensions", offer)
        }
        _ => request,
    }
}
