//! Requests of one connection that wait for answers, in their order.

use crate::base::slab::{ConnKey, PendingKey};
use crate::call::pending::PendingKind;
use crate::conn::Conns;
use crate::conn::access::AccessEntry;
use crate::conn::phase::Phase;
use crate::request::reply::Reply;
use crate::wire::refusal::Refusal;

/// A request without a response yet.
#[derive(Debug)]
pub struct PipelinedRequest {
    /// How to write its response.
    pub reply: Reply,
    /// Its line in the access log, if that is on.
    pub access: Option<Box<AccessEntry>>,
    /// The state of its answer.
    pub outcome: Outcome,
}

/// The state of a request's answer.
#[derive(Debug)]
pub enum Outcome {
    /// Answers are missing.
    Open(PendingKey),
    /// All answers are there.
    Known(PendingKind),
    /// It was refused.
    Refused(Refusal),
}

impl Conns {
    /// The origin that a pending request of a connection has named, or the request that opened its
    /// socket.
    pub(crate) fn page_of(&self, conn: ConnKey, pending: PendingKey) -> Option<&str> {
        match &self.slab.get(conn)?.phase {
            Phase::Waiting(queue) => {
                let is_it =
                    |asked: &&PipelinedRequest| matches!(asked.outcome, Outcome::Open(key) if key == pending);
                queue.iter().find(is_it)?.reply.page.as_deref()
            }
            Phase::Streaming(exchange) => exchange.socket()?.page(),
            Phase::Unbound(socket) | Phase::Closing(socket) => socket.page(),
            Phase::Silent { .. }
            | Phase::Preface(_)
            | Phase::Greeting { .. }
            | Phase::Idle
            | Phase::Head { .. }
            | Phase::Body(_)
            | Phase::Parked(_)
            | Phase::Behind(_)
            | Phase::Withheld(_)
            | Phase::Echo(_)
            | Phase::Flushing(_)
            | Phase::Finishing { .. }
            | Phase::Lingering => None,
        }
    }

    /// Appends a request to those that wait.
    pub(crate) fn await_answer(&mut self, conn: ConnKey, reply: Reply, outcome: Outcome) {
        let Some(at) = self.slab.get_mut(conn) else { return };
        let asked = PipelinedRequest { reply, access: at.access.take(), outcome };
        if let Phase::Waiting(queue) = &mut at.phase {
            queue.push(asked);
        } else {
            at.phase = Phase::Waiting(vec![asked]);
        }
    }
}
