//! How a SockJS client is answered: its polls, and the frames that end its responses.

use crate::answer::limits::OPENING_BYTES;
use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::call::pending::{Items, PendingKind, PendingRequest, StringsOutcome};
use crate::conn::phase::{Conn, Phase, Poll, Then};
use crate::core::{Core, TextAsk};
use crate::protocol::Protocol;
use crate::protocol::native::envelope::CloseCode;
use crate::protocol::sockjs::carrier::Carrier;
use crate::protocol::sockjs::close::SockjsClose;
use crate::protocol::sockjs::pipe::{End, Pipe, Service};
use crate::protocol::sockjs::{frame, header};
use crate::request::limits::COPY_BYTES_MAX;
use crate::request::reply::{Body, Reply};
use crate::session::Link;
use crate::transport::{Coding, Delivery, Dialect, Encoded, Form, Framing, Opening, TransportId, ws};
use crate::turn::hook::Hook;
use crate::turn::input::Effect;
use crate::turn::todo::Todo;
use crate::wire::http::head::KeepAlive;
use crate::wire::http::response::{Header, LAST_CHUNK, ResponseFraming};
use crate::wire::websocket::Opcode;

/// A response of SockJS before its frames.
#[derive(Clone, Debug)]
pub(crate) struct SockjsResponse {
    pub(crate) carrier: Carrier,
    /// The function that the frames are handed to, where there is one.
    pub(crate) callback: Box<str>,
    pub(crate) headers: Vec<Header>,
    pub(crate) reply: Reply,
}

impl SockjsResponse {
    /// The form of its frames.
    pub(crate) fn form(&self, protocol: Protocol) -> Form {
        let transport = TransportId::sockjs(self.carrier);
        let framing = match transport.transport().delivery() {
            Delivery::Once | Delivery::Held => Framing::Length,
            Delivery::Stream => self.reply.stream_framing(),
            Delivery::Duplex(_) => Framing::UntilClose,
        };
        form(transport, protocol, framing)
    }

    /// What a poll keeps of it until its answer.
    pub(crate) fn opening(&self) -> Opening {
        let mut preamble = Vec::new();
        self.carrier.before(&self.callback, &mut preamble);
        let content_type = self.carrier.content_type().unwrap_or_default();
        Opening {
            content_type,
            headers: self.headers.clone(),
            preamble: preamble.into(),
            dialect: Dialect::default(),
        }
    }

    /// A complete response of one frame.
    pub(crate) fn of_frame(&self, bytes: &[u8]) -> (Vec<u8>, KeepAlive) {
        let form = self.form(Protocol::Native);
        let mut framed = Vec::new();
        self.carrier.carry(&self.callback, bytes, &mut framed);
        let mut prelude = Vec::new();
        self.carrier.prelude(&self.callback, &mut prelude);
        let framing = match form.framing {
            Framing::Length => ResponseFraming::Length(framed.len()),
            Framing::Chunked | Framing::UntilClose => ResponseFraming::stream(self.reply.version),
        };
        let mut out = Vec::new();
        let keep = self.head(framing, &mut out);
        out.extend_from_slice(&form.chunk(prelude));
        out.extend_from_slice(&form.chunk(framed));
        if form.framing == Framing::Chunked {
            out.extend_from_slice(LAST_CHUNK);
        }
        (out, keep)
    }

    /// Writes the head.
    pub(crate) fn head(&self, framing: ResponseFraming, out: &mut Vec<u8>) -> KeepAlive {
        let headers = self.headers.iter().map(|(name, value)| (*name, &**value));
        let unbuffered = (!self.carrier.polls()).then_some(header::UNBUFFERED);
        let headers = headers.chain(unbuffered);
        let content_type = self.carrier.content_type().unwrap_or_default();
        self.reply.head(content_type, &headers.collect::<Vec<_>>(), framing, out)
    }
}

/// The form of strings, envelopes or text on a transport.
pub(crate) fn form(transport: TransportId, protocol: Protocol, framing: Framing) -> Form {
    Form { transport, dialect: Dialect::default(), protocol, coding: Coding::Identity, framing }
}

impl Core {
    /// What SockJS knows of a session's client, if it speaks that.
    pub(crate) fn pipe(&self, key: SessionKey) -> Option<&Pipe> {
        self.sessions.get(key)?.client.sockjs()
    }

    /// Answers a poll with the session's messages; without any, with the frame that ends the
    /// session, or with a heartbeat.
    pub(crate) fn answer_pipe_poll(&mut self, conn: ConnKey, poll: Poll, close: Option<CloseCode>) {
        let Poll { session: key, form, reply, opening, .. } = poll;
        let mut end = close.map(|code| self.end_of_pipe(key, code));
        let before = self.sessions.get(key).map(|session| session.cursor);
        let mut strings = Vec::new();
        match self.unreported_gap(key) {
            Some(_) if matches!(form.protocol, Protocol::Strings | Protocol::Text) => {
                self.interrupt(key);
                end = Some(SockjsClose::INTERRUPTED);
            }
            gap => {
                strings.extend(gap.map(|gap| self.gap_encoded(key, form, &gap)));
                let (messages, _) = self.take_batch(key, form);
                strings.extend(messages.into_iter().filter(|string| !string.frame.is_empty()));
            }
        }
        let carrier = form.transport.carrier().unwrap_or(Carrier::Xhr);
        let mut body = Body::default();
        let copied = strings.iter().map(|string| string.frame.len()).filter(|bytes| *bytes < COPY_BYTES_MAX);
        body.reserve(opening.preamble.len() + copied.map(|bytes| bytes + 1).sum::<usize>() + OPENING_BYTES);
        body.push_bytes(&opening.preamble);
        if strings.is_empty() {
            let mut bytes = frame::HEARTBEAT.to_vec();
            if let Some(end) = &end {
                bytes.clear();
                frame::close(end, &mut bytes);
            }
            body.push_with(|out| carrier.spelling().spell(&bytes, out));
        } else {
            body.push_bytes(frame::MESSAGES_BEGIN);
            for (at, string) in strings.iter().enumerate() {
                body.push_bytes(if at == 0 { b"" } else { frame::BETWEEN });
                body.push(&string.frame);
            }
            body.push_bytes(frame::MESSAGES_END);
        }
        body.push_bytes(carrier.after());
        let headers = opening.headers.iter().map(|(name, value)| (*name, &**value));
        let headers: Vec<_> = headers.collect();
        let keep = self.conns.push_response(&mut self.cx, conn, body, |framing, head| {
            reply.head(opening.content_type, &headers, framing, head)
        });
        let then = Then::from(keep);
        if end.is_some() {
            self.detach_session(key);
            self.conns.flush(&mut self.cx, conn, then);
            return self.end_if_drained(key);
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.link = Link::Behind(conn);
            if let Some(pipe) = session.client.sockjs_mut() {
                pipe.unwritten_after = before;
            }
        }
        self.conns.finish(&mut self.cx, conn, key, then);
    }

    /// Ends a session that is told to end, once its client has all strings that came before.
    pub(crate) fn end_if_drained(&mut self, key: SessionKey) {
        // Strings of an answer that is still being written may be due again.
        let is_told =
            self.pipe(key).is_some_and(|pipe| pipe.end != End::Open && pipe.unwritten_after.is_none());
        if is_told && !self.has_news(key) {
            self.cx.todos.push_back(Todo::End { session: key, code: CloseCode::Closed });
        }
    }

    /// Ends a stream or a socket with the frame that says why.
    pub(crate) fn close_pipe(&mut self, conn: ConnKey, key: SessionKey, code: CloseCode) {
        let close = self.end_of_pipe(key, code);
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.conns.get(conn) else { return };
        let form = exchange.form;
        if form.transport == TransportId::sockjs_raw() {
            return self.conns.close_socket(&mut self.cx, conn, close.code, &close.reason);
        }
        let mut bytes = Vec::new();
        frame::close(&close, &mut bytes);
        let encoded = self.framed(form, &bytes);
        self.conns.stream(&mut self.cx, conn, encoded);
        self.conns.end_stream(&mut self.cx, conn);
    }

    /// A frame on a stream or a socket.
    pub(crate) fn framed(&self, form: Form, bytes: &[u8]) -> Encoded {
        let mut out = Vec::new();
        match form.transport.carrier() {
            None | Some(Carrier::WebSocket) => {
                ws::message(form.dialect, Opcode::Text, bytes, &self.cx.encoder, &mut out);
            }
            Some(carrier) => carrier.carry("", bytes, &mut out),
        }
        form.frame(out, &self.cx.encoder)
    }

    /// Ends a session with a frame, which its client gets after the strings that it has not had.
    pub(crate) fn end_pipe(&mut self, key: SessionKey, close: SockjsClose) {
        if let Some(pipe) = self.sessions.get_mut(key).and_then(|session| session.client.sockjs_mut()) {
            pipe.end = End::Closing(close.into());
        }
        self.end_if_drained(key);
    }

    /// Begins a call with strings of a session: of the web hook, or of the session's TCP stream.
    pub(crate) fn begin_call(&mut self, key: SessionKey, pending: PendingKey, body: Vec<u8>) {
        if self.pipe(key).is_some_and(|pipe| matches!(pipe.service, Service::Server(_))) {
            self.text_asks.push_back(TextAsk::Send { session: key, pending, bytes: body });
            self.cx.todos.push_back(Todo::Text);
        } else {
            self.cx.effects.push_back(Effect::Hook { pending, hook: Hook::Pipe, body });
        }
    }

    /// A call with strings of a session is over: the next one begins.
    pub(crate) fn call_over(&mut self, key: SessionKey, pending: PendingKey, result: StringsOutcome) {
        if let Some(PendingRequest { items, kind: PendingKind::Strings { outcome, .. }, .. }) =
            self.pending.get_mut(pending)
        {
            *items = Items::All;
            *outcome = result;
        }
        let pipe = self.sessions.get_mut(key).and_then(|session| session.client.sockjs_mut());
        let Some(pipe) = pipe else { return };
        let Some(calls) = pipe.calls.as_mut().filter(|calls| calls.under_way == pending) else { return };
        match calls.waiting.pop_front() {
            Some((next, body)) => {
                calls.under_way = next;
                self.begin_call(key, next, body);
            }
            None => pipe.calls = None,
        }
    }

    /// Ends a session of text, after what its client has not had.
    pub(crate) fn end_text(&mut self, key: SessionKey, code: u16, reason: &'static str) {
        self.end_pipe(key, SockjsClose { code, reason: reason.into() });
    }

    /// Ends a session that has lost strings, which the frame says: strings cannot report a gap.
    pub(crate) fn interrupt(&mut self, key: SessionKey) {
        if let Some(pipe) = self.sessions.get_mut(key).and_then(|session| session.client.sockjs_mut()) {
            pipe.end = End::Closing(SockjsClose::INTERRUPTED.into());
        }
        self.cx.metrics.gaps += 1;
        self.cx.todos.push_back(Todo::End { session: key, code: CloseCode::Ended });
    }

    /// The frame by which a session ends: the one that was set before, else the reason's, which is
    /// set by this.
    fn end_of_pipe(&mut self, key: SessionKey, code: CloseCode) -> SockjsClose {
        let close = SockjsClose::because(code);
        let Some(pipe) = self.sessions.get_mut(key).and_then(|session| session.client.sockjs_mut()) else {
            return close;
        };
        match &pipe.end {
            End::Closing(decided) => (**decided).clone(),
            End::Open => {
                pipe.end = End::Closing(close.clone().into());
                close
            }
        }
    }
}
