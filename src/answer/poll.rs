//! Responses with one batch: polls, answered at once, and long polls, held until there is a
//! message.

use crate::answer::Found;
use crate::answer::limits::{
    POLL_GRACE_PART, POLL_HOLD_EIGHTHS_MIN, POLL_SILENCE_PART, STRAIN_MAILBOX_PARTS, STRAIN_MAX,
    STRAIN_TURN_MICROS,
};
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::Span;
use crate::call::queue::Made;
use crate::conn::batch::BatchResponse;
use crate::conn::phase::{Phase, Poll};
use crate::core::Core;
use crate::protocol::native::envelope;
use crate::session::Link;
use crate::transport::Delivery;
use crate::turn::timer::Timer;
use crate::turn::todo::Todo;

impl Core {
    pub(crate) fn open_poll(
        &mut self,
        conn: ConnKey,
        poll: Poll,
        found: Found,
        waits: bool,
        answers: &[Vec<u8>],
    ) {
        let key = found.key;
        let mut first: Vec<Vec<u8>> = Vec::new();
        if found.made != Made::Before {
            let id = self.session_id(key).to_string();
            first.push(self.open_envelope(&found, &id, poll.form).1);
        }
        if let Some(gap) = &found.gap {
            first.push(self.gap_json(key, gap).0);
        }
        first.extend_from_slice(answers);
        let session = &self.sessions[key];
        if waits && first.is_empty() && !self.hub.has_more(session.cursor, &session.subscriptions) {
            return self.park(conn, poll, self.cx.config.poll_hold);
        }
        self.write_poll(conn, poll, first, None);
    }

    /// Holds a poll until there is something to say, or for as long as it may wait.
    pub(crate) fn park(&mut self, conn: ConnKey, poll: Poll, hold: Span) {
        self.sessions[poll.session].link = Link::Parked(conn);
        self.wait_as(conn, Phase::Parked(Box::new(poll)), hold);
    }

    /// A poll waits in this phase, for `hold` or a little less.
    pub(crate) fn wait_as(&mut self, conn: ConnKey, phase: Phase, hold: Span) {
        let due = self.cx.now + self.cx.jittered(hold, POLL_HOLD_EIGHTHS_MIN);
        let at = &mut self.conns[conn];
        at.phase = phase;
        at.alarm.set(&mut self.cx.wheel, due, Timer::Conn(conn));
    }

    /// Writes a poll's complete response: `first`, then all messages that fit, then `last`.
    pub(crate) fn write_poll(
        &mut self,
        conn: ConnKey,
        poll: Poll,
        first: Vec<Vec<u8>>,
        last: Option<Vec<u8>>,
    ) {
        let Poll { session: key, form, reply, opening, behind, held: _ } = poll;
        let (frames, has_more) = self.take_batch(key, form);
        let position = self.hub.position(self.sessions[key].cursor).to_string();
        let transport = form.transport.transport();
        let advice = (transport.delivery() == Delivery::Once).then(|| self.poll_advice(key, has_more));
        let last: Vec<_> = last.into_iter().chain(advice).collect();
        let id = self.session_id(key).to_string();
        let headers = vec![("Encke-Session", &*id), ("Encke-Position", &*position)];
        self.detach_session(key);
        let (reply, opening) = (&reply, &opening);
        let batch = BatchResponse { form, reply, opening, first: &first, messages: &frames, last: &last };
        self.conns.send_poll(&mut self.cx, conn, &batch, headers);
        self.cx.todos.extend(behind.map(|conn| Todo::MoveUp { session: key, conn }));
    }

    /// The advice when to poll next: as soon as possible if this answer did not hold all messages;
    /// otherwise soon after a message, later the longer the silence, and later still under load.
    /// Always within `ENCKE_POLL_MIN` and `ENCKE_POLL_MAX`.
    fn poll_advice(&self, key: SessionKey, has_more: bool) -> Vec<u8> {
        let now = self.cx.now;
        let least = self.cx.config.poll_min;
        let most =
            self.cx.config.poll_max.min(self.cx.config.session_grace.part(1, POLL_GRACE_PART)).max(least);
        let session = &self.sessions[key];
        let logs = session.subscriptions.iter().filter_map(|at| self.hub.channel(at.channel));
        let newest = logs.filter_map(|channel| channel.log.newest_at()).max();
        let newest = if has_more { now } else { newest.unwrap_or(session.since).min(now) };
        let silence = now.since(newest);
        let wait = silence.part(1, POLL_SILENCE_PART).as_millis() * self.load_factor();
        let wait = Span::from_millis(wait).max(least).min(most);
        let mut json = Vec::new();
        envelope::advice(wait, &mut json);
        json
    }

    /// The factor by which clients should poll less often: 1 as long as turns are short and the
    /// mailbox is nearly empty.
    fn load_factor(&self) -> u64 {
        let turn = u64::from(self.cx.metrics.last_turn) / STRAIN_TURN_MICROS;
        let mail = (self.cx.metrics.mailbox * STRAIN_MAILBOX_PARTS / self.cx.config.mailbox.max(1)) as u64;
        (1 + turn + mail).min(STRAIN_MAX)
    }
}
