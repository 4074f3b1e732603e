//! The front of a request.

use crate::assets::Cached;
use crate::auth::AuthReject;
use crate::base::slab::ConnKey;
use crate::call::pending::AfterCommands;
use crate::call::queue::Caller;
use crate::conn::phase::Phase;
use crate::conn::pipeline::Outcome as Asked;
use crate::core::Core;
use crate::request::reply::{Reply, WholeResponse};
use crate::request::{RawRequest, Request};
use crate::shard::Shard;
use crate::tcp::TcpFront;
use crate::turn::timer::NodePhase;

impl Core {
    /// Answers a request that needs no front.
    fn answer_at_once(&mut self, conn: ConnKey, reply: Reply, request: Request) {
        match request {
            Request::Preflight(asked) => {
                self.conns.respond(&mut self.cx, conn, reply.preflight(&asked));
            }
            Request::Over => {
                let page = WholeResponse {
                    status: 204,
                    content_type: "",
                    headers: &[("Cache-Control", "no-store")],
                    body: b"",
                };
                self.conns.respond(&mut self.cx, conn, reply.page(&page));
            }
            Request::Health => {
                let serving = self.cx.life == NodePhase::Serving;
                let (status, body): (_, &[u8]) = if serving {
                    (200, b"{\"status\":\"ok\"}\n")
                } else {
                    (503, b"{\"status\":\"draining\"}\n")
                };
                self.conns.respond(&mut self.cx, conn, reply.json(status, body));
            }
            Request::Moved(to) => {
                let headers = &[("Location", to), ("Cache-Control", "no-cache")];
                let page = WholeResponse { status: 301, content_type: "", headers, body: b"" };
                self.conns.respond(&mut self.cx, conn, reply.page(&page));
            }
            Request::Asset { asset, cached } => {
                let tag = asset.tag();
                let headers = [&[("ETag", &*tag)], asset.headers()].concat();
                let (status, content_type, body) = match cached {
                    Cached::Current => (304, "", &b""[..]),
                    Cached::Stale => (200, asset.content_type, asset.body),
                };
                let page = WholeResponse { status, content_type, headers: &headers, body };
                self.conns.respond(&mut self.cx, conn, reply.page(&page));
            }
            Request::Refused(refusal) if refusal.code == AuthReject::WrongApiKey.code() => {
                self.conns.withhold(&mut self.cx, conn, reply, refusal);
            }
            Request::Refused(refusal) => {
                self.conns.refuse(&mut self.cx, conn, &reply, &refusal);
            }
            // A front executes these.
            Request::Open(_)
            | Request::Send(_)
            | Request::Bayeux(_)
            | Request::Sockjs(_)
            | Request::Tcp(_)
            | Request::TcpTargets(_)
            | Request::Echo(_)
            | Request::Publish(_)
            | Request::Ask(_) => debug_assert!(false, "a request that waits is answered at once"),
        }
    }
}

impl Shard {
    /// Executes a request whose body, if any, is complete.
    pub(super) fn dispatch(
        &mut self,
        conn: ConnKey,
        request: Request,
        mut reply: Reply,
        received: &RawRequest<'_>,
    ) {
        self.core.cx.steps.occasions(1);
        self.core.conns[conn].alarm.clear();
        let Some(request) = self.core.placed(conn, request, &mut reply) else { return };
        let body = received.body;
        let result = match request {
            Request::Open(mut open) => {
                let commands = open.commands.take();
                let body = commands.as_deref().map_or(body, str::as_bytes);
                if commands.is_none() && (body.is_empty() || open.content.is_none()) {
                    return self.core.open(conn, &open, reply);
                }
                match self.core.commands_of_open(conn, open, &reply, body) {
                    Some(pending) => Ok(pending),
                    None => return,
                }
            }
            Request::Send(send) => {
                let session = self.core.session_named(send.session.as_deref(), &send.user.channel);
                let stale = session.is_none() && send.session.is_some();
                let caller = Caller { user: &send.user, grant: &send.grant, session, stale };
                self.core
                    .decode(send.content, body)
                    .map(|batch| self.core.execute_batch(conn, &caller, batch, AfterCommands::Answer))
            }
            Request::Bayeux(asked) => {
                let waits = self.fronts.bayeux.request(&mut self.core, conn, *asked, reply, received);
                return waits.into_iter().for_each(|pending| self.complete_if_answered(pending));
            }
            Request::Sockjs(asked) => {
                let waits = self.fronts.sockjs.request(&mut self.core, conn, *asked, reply, body);
                return waits.into_iter().for_each(|pending| self.complete_if_answered(pending));
            }
            Request::Tcp(asked) => {
                return self.fronts.tcp.open_socket(&mut self.core, conn, *asked, &reply);
            }
            Request::TcpTargets(grant) => {
                return TcpFront::list_targets(&mut self.core, conn, &grant, &reply);
            }
            Request::Echo(upgrade) => {
                return self.core.conns.open_echo(&mut self.core.cx, conn, &upgrade, &reply);
            }
            Request::Publish(publish) => self.core.publish(conn, &publish, body),
            Request::Ask(question) => Ok(self.fronts.api.ask(&mut self.core, conn, question)),
            request @ (Request::Preflight(_)
            | Request::Over
            | Request::Health
            | Request::Moved(_)
            | Request::Asset { .. }
            | Request::Refused(_)) => return self.core.answer_at_once(conn, reply, request),
        };
        match result {
            Ok(pending) => {
                self.core.conns.await_answer(conn, reply, Asked::Open(pending));
                self.complete_if_answered(pending);
            }
            Err(refusal) if matches!(self.core.conns[conn].phase, Phase::Waiting(_)) => {
                self.core.conns.await_answer(conn, reply, Asked::Refused(refusal));
            }
            Err(refusal) => self.core.conns.refuse(&mut self.core.cx, conn, &reply, &refusal),
        }
    }
}
