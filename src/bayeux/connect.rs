//! Answers connects: when, and with which messages.
//!
//! Over HTTP a connect is a long poll, answered with events and with the connect's own answer, in
//! the order of `Core::around_events`. On a socket it is held beside the stream, unless the client
//! acknowledges: then messages come with the answers to connects there, too, and in the same order.

use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::Span;
use crate::bayeux::BayeuxFront;
use crate::call::bayeux::Call;
use crate::call::pending::answer_json;
use crate::conn::phase::Poll;
use crate::core::Core;
use crate::protocol::Protocol;
use crate::protocol::bayeux::answer::MultipleClients;
use crate::protocol::bayeux::client::{BayeuxClient, ClientStage};
use crate::protocol::bayeux::held::{ConnectOutcome, Held, HoldPolicy, SessionDenied};
use crate::protocol::bayeux::message::{BayeuxConnect, BayeuxHead};
use crate::request::bayeux::{BayeuxRequest, COOKIE};
use crate::request::reply::{Refusals, Reply};
use crate::session::Link;
use crate::transport::{Coding, Dialect, Form, Framing, Opening, TransportId, TransportRequest};
use crate::turn::mutation::Mutation;
use crate::wire::refusal::Refusal;

/// A connect that came by a request, and the answers to the messages before it.
struct Arrived<'a> {
    conn: ConnKey,
    reply: Reply,
    held: Box<Held>,
    asked: &'a BayeuxConnect,
    answers: Vec<Vec<u8>>,
}

impl BayeuxFront {
    /// Answers a request whose answers are all there.
    pub(crate) fn answer_bayeux(&mut self, core: &mut Core, conn: ConnKey, reply: Reply, call: Call) {
        let Call { answers, connect, cookie, caller, .. } = call;
        let answers: Vec<_> = answers.iter().map(answer_json).collect();
        match connect {
            Some((key, held, asked)) if core.sessions.get(key).is_some() => {
                let connect = Arrived { conn, reply, held, asked: &asked, answers };
                self.connect_by_request(core, key, connect);
            }
            Some((_, held, _)) => {
                let answers = [answers, vec![held.denied(SessionDenied::Unknown, core.stamp_ms())]].concat();
                core.conns.respond(&mut core.cx, conn, reply.array(&answers.join(&b","[..]), None));
            }
            None => {
                let cookie =
                    cookie.map(|value| BayeuxRequest::cookie(COOKIE, value, caller.page, caller.sender));
                core.conns.respond(
                    &mut core.cx,
                    conn,
                    reply.array(&answers.join(&b","[..]), cookie.as_deref()),
                );
            }
        }
    }

    /// Answers or holds a connect that came alone, as in nearly all requests: nothing else has to
    /// be known first. `key` is the session that it names, if its sender may use it.
    pub(crate) fn connect_alone(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        reply: Reply,
        key: Result<SessionKey, SessionDenied>,
        (head, asked): (BayeuxHead, BayeuxConnect),
    ) {
        let now = core.cx.now;
        let held = Box::new(Held::new(now, head, &asked, true));
        match key {
            Ok(key) => {
                let connect = Arrived { conn, reply, held, asked: &asked, answers: Vec::new() };
                self.connect_by_request(core, key, connect);
            }
            Err(denied) => {
                let answer = held.denied(denied, core.stamp_ms());
                core.conns.respond(&mut core.cx, conn, reply.array(&answer, None));
            }
        }
    }

    /// Answers or holds a connect of a request; `answers` are those to the request's other
    /// messages.
    fn connect_by_request(&mut self, core: &mut Core, key: SessionKey, connect: Arrived<'_>) {
        let Arrived { conn, reply, held, asked, answers } = connect;
        let (transport, opening) = match poll_opening(&reply) {
            Ok(opening) => opening,
            Err(refusal) => return core.conns.refuse(&mut core.cx, conn, &reply, &refusal),
        };
        if core.is_contested(key) {
            let answers = [answers, vec![held.denied(SessionDenied::Shared, core.stamp_ms())]].concat();
            return core.conns.respond(&mut core.cx, conn, reply.array(&answers.join(&b","[..]), None));
        }
        core.change_hands(key);
        core.supersede(key);
        let clients = if self.has_multiple_clients(core, key) {
            MultipleClients::Several
        } else {
            MultipleClients::Alone
        };
        let wait = self.begin_connect(core, key, &held, asked, clients);
        core.cx.metrics.exchanges[transport.index()] += 1;
        core.attach_session(key, Link::Behind(conn), transport);
        let form = Form {
            transport,
            dialect: Dialect::default(),
            protocol: Protocol::Bayeux,
            coding: Coding::Identity,
            framing: Framing::Length,
        };
        let poll = Poll { session: key, form, reply, opening, behind: None, held: Some(held) };
        let Some(wait) = wait.filter(|_| answers.is_empty() && !core.has_news(key)) else {
            return core.answer_connect(conn, poll, ConnectOutcome::On(clients), true, answers);
        };
        self.hold_connect(core, key);
        core.park(conn, poll, wait);
    }

    /// Applies what a connect says about its client. Returns for how long it may be held, if at
    /// all.
    pub(crate) fn begin_connect(
        &mut self,
        core: &mut Core,
        key: SessionKey,
        held: &Held,
        asked: &BayeuxConnect,
        clients: MultipleClients,
    ) -> Option<Span> {
        let most = core.cx.config.poll_hold;
        let grace = core.cx.config.session_grace;
        let acknowledged = asked.ack.map(|k| match k {
            _ if core.cx.broken_by(Mutation::ForgetUnacknowledged) => u64::MAX,
            k if core.cx.broken_by(Mutation::ResendAcknowledged) => k.saturating_sub(1),
            k => k,
        });
        self.release_connect(core, key);
        let forgets = core.cx.broken_by(Mutation::ForgetBatches);
        let session = &mut core.sessions[key];
        let BayeuxClient { acks, interval_ms, stage, .. } = session.client.bayeux_mut()?;
        if let (Some(acks), Some(k)) = (acks, acknowledged) {
            session.cursor = acks.acknowledge(k);
            if forgets {
                acks.forget();
            }
            session.gap_sent = 0;
        }
        if let Some(ms) = asked.interval {
            *interval_ms = u32::try_from(ms.min(grace.as_millis())).unwrap_or(u32::MAX);
        }
        let is_first = std::mem::replace(stage, ClientStage::Connected) == ClientStage::HandshakeDone;
        let wait = asked.timeout.map_or(most, |ms| Span::from_millis(ms).min(most));
        let may_wait = held.hold == HoldPolicy::Allowed
            && !is_first
            && clients == MultipleClients::Alone
            && core.cx.takes_clients();
        may_wait.then_some(wait)
    }
}

/// How the answer to a connect opens: as an array, or as a script.
fn poll_opening(reply: &Reply) -> Result<(TransportId, Opening), Refusal> {
    let (transport, query) = match &reply.refusals {
        Refusals::Script(callback) => {
            (TransportId::jsonp(), vec![("callback".to_owned(), callback.to_string())])
        }
        Refusals::Status | Refusals::Message => (TransportId::longpoll(), Vec::new()),
    };
    let asked = TransportRequest { query: &query, accept: "", host: "", nonce: "", may_receive: &|_| false };
    Ok((transport, transport.transport().open(&asked)?))
}
