//! The end of a stream, and its heartbeats.

use crate::base::slab::ConnKey;
use crate::base::ticks::Tick;
use crate::conn::Conns;
use crate::conn::limits::HEARTBEAT_EIGHTHS_MIN;
use crate::conn::phase::{Conn, Intake, Phase, Then};
use crate::transport::{Delivery, Through};
use crate::turn::cx::Cx;
use crate::turn::mutation::Mutation;
use crate::turn::timer::Timer;
use crate::turn::todo::Leaving;

impl Conns {
    /// Ends a stream as its transport ends it. If the peer has sent FIN, the outbox is still
    /// written; if that is empty already, our FIN replaces the transport's end.
    pub(crate) fn end_stream(&mut self, cx: &mut Cx, key: ConnKey) {
        let Some(conn) = self.slab.get(key) else { return };
        let Phase::Streaming(exchange) = &conn.phase else { return };
        let still_there = conn.intake != Intake::Ended;
        if !still_there && conn.outbox.is_empty() && conn.tail.is_empty() {
            return self.close(cx, key);
        }
        let (form, then, sum) = (exchange.form, exchange.then, exchange.sum());
        // While the node drains, a session gets no other response that would have to wait.
        let holds = exchange.holds_session() && cx.takes_clients();
        let holder = holds.then_some(exchange.session);
        if holder.is_none() {
            self.detach(cx, key, Leaving::Ended);
        }
        self.push(cx, key, form.end(sum, &cx.encoder));
        let is_websocket = form.transport.transport().delivery() == Delivery::Duplex(Through::Upgrade);
        if is_websocket && still_there {
            return self.await_close(cx, key);
        }
        let then = if cx.takes_clients() { then } else { Then::Close };
        match holder {
            Some(session) => self.finish(cx, key, session, then),
            None => self.flush(cx, key, then),
        }
    }
}

impl Conns {
    /// Arms the next heartbeat of a stream, jittered, so that streams which opened together do not
    /// send together. The heartbeat also notices a peer that reads nothing, so it is no later than
    /// that patience.
    pub(crate) fn arm_heartbeat(&mut self, cx: &mut Cx, key: ConnKey, since: Tick) {
        let now = cx.now;
        let due = since + cx.jittered(cx.config.heartbeat, HEARTBEAT_EIGHTHS_MIN);
        let due = due.min(now + cx.config.write_timeout);
        // In other phases the alarm has another deadline.
        if let Some(Conn { phase: Phase::Streaming(exchange), alarm, .. }) = self.slab.get_mut(key) {
            let sooner = exchange.deadline();
            alarm.set(&mut cx.wheel, sooner.map_or(due, |at| at.min(due)), Timer::Conn(key));
        }
    }

    /// Before the next ping: whether the last one got no answer.
    pub(crate) fn has_missed_pong(&mut self, cx: &Cx, key: ConnKey) -> bool {
        let now = cx.now;
        let unchecked = cx.broken_by(Mutation::PongsUnchecked);
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.slab.get_mut(key) else {
            return false;
        };
        let unanswered = exchange.socket_mut().and_then(|socket| socket.pinged(now));
        !unchecked
            && unanswered
                .is_some_and(|since| now.since(since) >= cx.config.heartbeat.part(HEARTBEAT_EIGHTHS_MIN, 8))
    }
}
