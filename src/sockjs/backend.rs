//! Strings for a backend, or a TCP server: one call after another, in the order of a session's
//! strings.

use std::collections::VecDeque;

use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::call::pending::{PendingKind, PendingRequest, StringsOutcome};
use crate::conn::phase::Conn;
use crate::core::Core;
use crate::protocol::sockjs::TEXT;
use crate::protocol::sockjs::close::SockjsClose;
use crate::protocol::sockjs::hook;
use crate::protocol::sockjs::message::Strings;
use crate::protocol::sockjs::pipe::Calls;
use crate::request::reply::Reply;
use crate::request::sockjs::SendAnswer;
use crate::sockjs::respond;
use crate::turn::hook::HookVerdict;

impl Core {
    /// Sends strings to the session's backend or server, after those that the session sent before.
    /// Returns the pending request that waits for its answer.
    pub(crate) fn call_backend(
        &mut self,
        (conn, session): (ConnKey, SessionKey),
        sent: Option<Box<SendAnswer>>,
        body: Vec<u8>,
    ) -> PendingKey {
        let outcome = StringsOutcome::Awaited;
        let kind = PendingKind::Strings { conn, session, sent, outcome };
        let pending = self.pending.insert(PendingRequest::new(kind, None));
        let pipe = self.sessions.get_mut(session).and_then(|session| session.client.sockjs_mut());
        if let Some(pipe) = pipe {
            if let Some(calls) = &mut pipe.calls {
                calls.waiting.push_back((pending, body));
                return pending;
            }
            pipe.calls = Some(Box::new(Calls { under_way: pending, waiting: VecDeque::new() }));
        }
        self.begin_call(session, pending, body);
        pending
    }

    /// The backend has answered, or has not.
    pub(crate) fn on_backend_answer(
        &mut self,
        pending: PendingKey,
        session: SessionKey,
        verdict: HookVerdict<'_>,
    ) {
        let result = match verdict {
            HookVerdict::Taken(body) => self.take_reply(session, body),
            HookVerdict::Denied => StringsOutcome::Denied,
            HookVerdict::Unavailable => StringsOutcome::Unavailable,
        };
        self.call_over(session, pending, result);
    }

    /// The request that brought strings is answered.
    pub(crate) fn answer_strings_request(
        &mut self,
        (conn, reply): (ConnKey, &Reply),
        sent: &SendAnswer,
        outcome: StringsOutcome,
    ) {
        let (status, body) = match outcome {
            StringsOutcome::Taken => return sent.respond(self, conn, reply),
            StringsOutcome::Denied => (403, DENIED),
            StringsOutcome::Awaited | StringsOutcome::Unavailable => (503, UNAVAILABLE),
        };
        respond(self, conn, reply, &sent.headers, (status, TEXT, body.as_bytes()));
    }

    /// The message that brought strings is dealt with: the socket may be read again, or closes if
    /// its strings are lost.
    pub(crate) fn answer_strings_socket(
        &mut self,
        (conn, pending): (ConnKey, PendingKey),
        session: SessionKey,
        outcome: StringsOutcome,
    ) {
        let socket = self.conns.get_mut(conn).and_then(Conn::socket_mut);
        if !socket.is_some_and(|socket| socket.answered(pending)) {
            return;
        }
        let reason = match outcome {
            StringsOutcome::Taken => return self.conns.read_on(&mut self.cx, conn),
            StringsOutcome::Denied => DENIED,
            StringsOutcome::Awaited | StringsOutcome::Unavailable => UNAVAILABLE,
        };
        self.end_pipe(session, SockjsClose { code: 3000, reason: reason.into() });
    }
}

impl Core {
    /// The body of a call with a session's strings.
    pub(super) fn call_of(&self, key: SessionKey, strings: &Strings) -> Vec<u8> {
        let user = self.user_of_session(key).map(|user| user.name).unwrap_or_default();
        hook::encode(&user, &self.session_id(key).to_string(), strings)
    }

    /// How many calls of a session wait for another.
    pub(super) fn calls_waiting(&self, key: SessionKey) -> usize {
        self.pipe(key).and_then(|pipe| pipe.calls.as_ref()).map_or(0, |calls| calls.waiting.len())
    }

    /// What a backend says to strings goes down their session, if that is still there.
    fn take_reply(&mut self, key: SessionKey, body: &[u8]) -> StringsOutcome {
        let reply = match hook::decode(body, self.cx.config.json_depth) {
            Ok(reply) => reply,
            Err(reason) => {
                log::warn!("the answer of ENCKE_PIPE_HOOK is of no use: {reason}");
                return StringsOutcome::Unavailable;
            }
        };
        if self.sessions.get(key).is_some() {
            self.tell_strings(key, reply.strings);
            if let Some(close) = reply.close {
                self.end_pipe(key, close);
            }
        }
        StringsOutcome::Taken
    }
}

/// The client's reason if the backend refuses strings.
const DENIED: &str = "the backend refused these messages";

/// The client's reason if the backend does not take them.
const UNAVAILABLE: &str = "the backend did not take these messages";
