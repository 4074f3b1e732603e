//! Requests of one connection whose answers other shards owe, and the answers in their order.
//!
//! Mostly there is one. A backend that pipelines its publishes need not wait for one to be taken before the next goes on its way: as
//! long as the last one is a publish, a further one that is there as a whole is carried out, and its answer waits for its turn. So
//! letters to other shards gather, and the answers go out together. Nothing but publishes overtakes a wait: they ask nothing of one another.
//!
//! Messages for one channel keep their order, since they go the same way to the same home.

use crate::base::ids::Door;
use crate::base::slab::{ConnKey, TicketKey};
use crate::shard::Shard;
use crate::shard::access::Access;
use crate::shard::conn::Phase;
use crate::shard::conns::Conns;
use crate::shard::mutation::Mutation;
use crate::shard::receive::{Came, Step};
use crate::shard::reply::Reply;
use crate::shard::request::Request;
use crate::shard::ticket::{Errand, Ticket};
use crate::wire::http::body::{BodyDecoder, Progress};
use crate::wire::http::head::{KeepAlive, Parsed};
use crate::wire::http::{HeadLimits, Scanned, head};
use crate::wire::refusal::Refusal;

/// A request that is not answered yet.
#[derive(Debug)]
pub struct Asked {
    /// How to answer.
    pub reply: Reply,
    /// Its line in the access log, while that is on.
    pub access: Option<Box<Access>>,
    /// What is known.
    pub outcome: Outcome,
}

/// What has become of a request.
#[derive(Debug)]
pub enum Outcome {
    /// Answers are still to come.
    Open(TicketKey),
    /// All are there.
    Known(Errand),
    /// It was refused.
    Refused(Refusal),
}

/// Requests that may be under way at once: more would only wait elsewhere.
const AHEAD_MAX: usize = 64;

impl Conns {
    /// Puts a request behind those that wait.
    pub(super) fn await_answer(&mut self, conn: ConnKey, reply: Reply, outcome: Outcome) {
        let Some(at) = self.slab.get_mut(conn) else { return };
        let asked = Asked { reply, access: at.access.take(), outcome };
        match &mut at.phase {
            Phase::Waiting(queue) => queue.push(asked),
            phase => *phase = Phase::Waiting(vec![asked]),
        }
    }
}

impl Shard {
    /// All answers for a ticket are there: what can be answered in order is.
    pub(super) fn conclude(&mut self, ticket: TicketKey, errand: Errand) {
        let conn = match &errand {
            Errand::Publish { conn, .. }
            | Errand::Commands { conn, .. }
            | Errand::Bayeux { conn, .. }
            | Errand::Inquiry { conn, .. } => *conn,
        };
        let hasty = self.core.cx.broken_by(Mutation::AnswerAsKnown);
        let has_socket = self.core.conns.get(conn).is_some_and(|conn| conn.socket().is_some());
        let errand = match errand {
            Errand::Commands { answers, .. } if has_socket => {
                return self.answer_socket(conn, ticket, &answers);
            }
            Errand::Bayeux { call, .. } if has_socket => return self.answer_talk(conn, ticket, *call),
            errand => errand,
        };
        let Some(Phase::Waiting(queue)) = self.core.conns.get_mut(conn).map(|conn| &mut conn.phase) else {
            return;
        };
        let own = |asked: &Asked| matches!(asked.outcome, Outcome::Open(open) if open == ticket);
        let Some(at) = queue.iter().position(own) else { return };
        queue[at].outcome = Outcome::Known(errand);
        if hasty {
            queue.swap(0, at);
        }
        self.answer_known(conn);
    }

    /// Answers the oldest requests as far as their answers are known.
    fn answer_known(&mut self, key: ConnKey) {
        while let Some(conn) = self.core.conns.get_mut(key)
            && let Phase::Waiting(queue) = &mut conn.phase
            && !matches!(queue[0].outcome, Outcome::Open(_))
        {
            let Asked { reply, access, outcome } = queue.remove(0);
            if queue.is_empty() {
                conn.phase = Phase::Idle;
            }
            conn.access = access;
            match outcome {
                Outcome::Known(errand) => self.answer_request(key, reply, errand),
                Outcome::Refused(refusal) => self.core.conns.refuse(&mut self.core.cx, key, &reply, &refusal),
                Outcome::Open(_) => {}
            }
        }
    }

    /// Carries out a publish behind others that wait, if it is there as a whole.
    pub(super) fn ahead(&mut self, key: ConnKey, input: &[u8]) -> Step {
        let now = self.core.cx.now;
        if !self.may_overtake(key) {
            return Step::Stop;
        }
        let limits = HeadLimits {
            bytes_max: self.core.cx.config.head_bytes,
            headers_max: self.core.cx.config.headers,
        };
        // Whatever is wrong with it is found again, and said, when it is its turn.
        let Ok(Parsed::Complete { head, len }) = head::parse(input, Scanned::default(), &limits) else {
            return Step::Stop;
        };
        let Ok((request @ Request::Publish(_), reply)) = self.understand(key, &head) else {
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
        self.core.conns[key].access = Access::begin(now, &head);
        self.dispatch(key, request, reply, &Came { raw: b"", body: &body });
        Step::Used(len + used)
    }

    fn may_overtake(&self, key: ConnKey) -> bool {
        let Some(conn) = self.core.conns.get(key) else { return false };
        let Phase::Waiting(queue) = &conn.phase else { return false };
        let is_publish = |asked: &Asked| match &asked.outcome {
            Outcome::Open(ticket) => {
                matches!(self.core.tickets.get(*ticket), Some(Ticket { errand: Errand::Publish { .. }, .. }))
            }
            Outcome::Known(errand) => matches!(errand, Errand::Publish { .. }),
            // Only publishes are refused behind others.
            Outcome::Refused(_) => true,
        };
        conn.door == Door::Private
            && self.core.cx.takes_clients()
            && queue.len() < AHEAD_MAX
            && conn.outbox.len() < self.core.cx.config.outbox_bytes
            && queue
                .last()
                .is_some_and(|asked| asked.reply.keep_alive == KeepAlive::Keep && is_publish(asked))
    }
}
