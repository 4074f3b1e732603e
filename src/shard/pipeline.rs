//! Requests of one connection that wait for other shards, and the answers in their order.
//!
//! Usually there is one. A backend that pipelines its publishes need not wait for one to be
//! accepted before the next is sent: while the last one in progress is a publish, a further
//! complete one is executed, and its answer waits for its turn. So letters to other shards are
//! batched, and the answers go out together. Only publishes overtake a wait, because they do not
//! depend on each other.
//!
//! Messages for one channel keep their order, because they go the same way to the same home.

use crate::base::ids::ListenerKind;
use crate::base::slab::{ConnKey, PendingKey};
use crate::call::pending::{PendingKind, PendingRequest};
use crate::conn::access::AccessEntry;
use crate::conn::phase::{Phase, Step};
use crate::conn::pipeline::{Outcome, PipelinedRequest};
use crate::core::Core;
use crate::request::{RawRequest, Request};
use crate::shard::Shard;
use crate::shard::limits::REQUESTS_AHEAD_MAX;
use crate::turn::mutation::Mutation;
use crate::wire::http::body::{BodyDecoder, Progress};
use crate::wire::http::head::{KeepAlive, Parsed};
use crate::wire::http::{HeadLimits, Scanned, head};

impl Core {
    fn may_overtake(&self, key: ConnKey) -> bool {
        let Some(conn) = self.conns.get(key) else { return false };
        let Phase::Waiting(queue) = &conn.phase else { return false };
        let is_publish = |asked: &PipelinedRequest| match &asked.outcome {
            Outcome::Open(pending) => {
                matches!(
                    self.pending.get(*pending),
                    Some(PendingRequest { kind: PendingKind::Publish { .. }, .. })
                )
            }
            Outcome::Known(kind) => matches!(kind, PendingKind::Publish { .. }),
            // Only publishes are refused behind others.
            Outcome::Refused(_) => true,
        };
        conn.listener == ListenerKind::Private
            && self.cx.takes_clients()
            && queue.len() < REQUESTS_AHEAD_MAX
            && conn.outbox.len() < self.cx.config.outbox_bytes
            && queue
                .last()
                .is_some_and(|asked| asked.reply.keep_alive == KeepAlive::Keep && is_publish(asked))
    }
}

impl Shard {
    /// All answers for a pending request are there: sends the answers whose turn it is.
    pub(super) fn complete(&mut self, pending: PendingKey, kind: PendingKind) {
        let conn = kind.conn();
        let hasty = self.core.cx.broken_by(Mutation::AnswerAsKnown);
        if self.core.conns.get(conn).is_some_and(|conn| conn.socket().is_some()) {
            return self.answer_message(conn, pending, kind);
        }
        let Some(Phase::Waiting(queue)) = self.core.conns.get_mut(conn).map(|conn| &mut conn.phase) else {
            return;
        };
        let own = |asked: &PipelinedRequest| matches!(asked.outcome, Outcome::Open(open) if open == pending);
        let Some(at) = queue.iter().position(own) else { return };
        queue[at].outcome = Outcome::Known(kind);
        if hasty {
            queue.swap(0, at);
        }
        self.answer_known(conn);
    }

    /// Answers the oldest requests whose answers are known.
    fn answer_known(&mut self, key: ConnKey) {
        while let Some(conn) = self.core.conns.get_mut(key)
            && let Phase::Waiting(queue) = &mut conn.phase
            && !matches!(queue[0].outcome, Outcome::Open(_))
        {
            let PipelinedRequest { reply, access, outcome } = queue.remove(0);
            if queue.is_empty() {
                conn.phase = Phase::Idle;
            }
            conn.access = access;
            match outcome {
                Outcome::Known(kind) => self.answer_request(key, reply, kind),
                Outcome::Refused(refusal) => self.core.conns.refuse(&mut self.core.cx, key, &reply, &refusal),
                Outcome::Open(_) => {}
            }
        }
    }

    /// Executes a complete publish behind others that wait.
    pub(super) fn ahead(&mut self, key: ConnKey, input: &[u8]) -> Step {
        let now = self.core.cx.now;
        if !self.core.may_overtake(key) {
            return Step::Stop;
        }
        let limits = HeadLimits {
            bytes_max: self.core.cx.config.head_bytes,
            headers_max: self.core.cx.config.headers,
        };
        // An error is found again, and answered, in its turn.
        let Ok(Parsed::Complete { head, len }) = head::parse(input, Scanned::default(), &limits) else {
            return Step::Stop;
        };
        let Ok((request @ Request::Publish(_), reply)) = self.core.route_head(key, &head) else {
            return Step::Stop;
        };
        let mut body = Vec::new();
        let used = match BodyDecoder::new(head.body, self.core.cx.config.body_bytes) {
            Ok(decoder) if decoder.progress() == Progress::Done => 0,
            Ok(mut decoder) => match decoder.decode(&input[len..], &mut body) {
                Ok((used, Progress::Done)) => used,
                Ok((_, Progress::More)) | Err(_) => return Step::Stop,
            },
            Err(_) => return Step::Stop,
        };
        self.core.conns[key].access = AccessEntry::begin(now, &head);
        self.dispatch(key, request, reply, &RawRequest { raw: b"", body: &body });
        Step::Used(len + used)
    }
}
