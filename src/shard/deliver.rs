//! From the hub to connections: pushing to sessions that are level, waking polls, catching up those that are behind.
//!
//! The fan-out loop encodes nothing twice and writes nothing; it puts references in outboxes. A session that cannot be pushed to is passed
//! over at the cost of one look, since its cursor remembers for it.

use crate::base::position::Position;
use crate::base::slab::{ConnKey, SessionKey};
use crate::hub::channel::{Began, Subscriber};
use crate::hub::run::Run;
use crate::protocol::native::envelope;
use crate::shard::Shard;
use crate::shard::conn::{Conn, Phase};
use crate::shard::core::Core;
use crate::shard::mutation::Mutation;
use crate::shard::session::Link;
use crate::transport::{Encoded, Envelope, Form, Protocol};

/// A gap that is owed to a session, ready to be told.
#[derive(Debug)]
pub(super) struct Gap {
    /// Where it begins, as the client named it.
    pub(super) from: Box<str>,
    /// Where it ends.
    pub(super) to: u64,
}

impl Core {
    /// Hands a run to the subscribers of its channels.
    pub(super) fn fan_out(&mut self, run: &Run) {
        let Some(last) = run.last() else { return };
        for &channel in run.channels() {
            let Some(at) = self.hub.channel_mut(channel).filter(|channel| channel.role.logs()) else {
                continue;
            };
            // Nothing subscribes or leaves in here, so the list can be borrowed for the time.
            let subscribers = std::mem::take(&mut at.subscribers);
            self.cx.steps.offers(subscribers.len());
            for subscriber in &subscribers {
                self.offer(*subscriber, run, last);
            }
            if let Some(at) = self.hub.channel_mut(channel) {
                at.subscribers = subscribers;
            }
        }
    }

    /// Offers a run, whose last message is `last`, to one session.
    fn offer(&mut self, Subscriber { session: key, slot }: Subscriber, run: &Run, last: u64) {
        let double = self.cx.broken_by(Mutation::DoubleMatch);
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.cursor >= last && !double {
            return;
        }
        debug_assert!(double || run.first().is_some_and(|first| session.cursor < first), "half a run");
        if session.unpushed > 0 {
            match session.subscriptions.get(slot as usize).map(|at| (at.began, at.channel)) {
                Some((Began::Awaited { .. }, _)) => return,
                Some((Began::Conflated, channel)) => return self.freshen(key, channel),
                Some((Began::After(_), _)) | None => {}
            }
        }
        match session.link {
            Link::Level(conn) => self.offer_to_stream(key, conn, run, last),
            Link::Parked(conn) => {
                if !self.cx.broken_by(Mutation::SleepThroughMessage) {
                    self.sessions[key].link = Link::Waking(conn);
                    self.waking.push(key);
                }
            }
            // The log keeps it for them.
            Link::Detached | Link::Waking(_) | Link::Behind(_) => {}
        }
    }

    fn offer_to_stream(&mut self, key: SessionKey, conn_key: ConnKey, run: &Run, last: u64) {
        let now = self.cx.now;
        let boundless = self.cx.broken_by(Mutation::BoundlessOutbox);
        let forgetful = self.cx.broken_by(Mutation::ForgetTheFall);
        let cut = self.cx.broken_by(Mutation::CutTheRun);
        let pushes = !self.cx.broken_by(Mutation::CursorWithoutPush) || !last.is_multiple_of(64);
        let Some(Conn { phase: Phase::Streaming(exchange), outbox, alarm, access, .. }) =
            self.conns.get_mut(conn_key)
        else {
            // The connection is gone, and the session is about to learn that: it has not got this.
            self.sessions[key].link = Link::Behind(conn_key);
            return;
        };
        let Encoded { frame, sum } = match run.publications() {
            [first, ..] if cut => first.encoded(exchange.form, &self.cx.press),
            _ => run.encoded(exchange.form, &self.cx.press),
        };
        let session = &mut self.sessions[key];
        let waiting = outbox.len();
        if waiting > 0 && waiting + frame.len() > self.cx.config.outbox_bytes && !boundless {
            self.cx.metrics.falls += 1;
            session.link = Link::Behind(conn_key);
            // So much waits that it may be stuck: look sooner than at the next heartbeat.
            let due = (exchange.moved + self.cx.config.write_timeout).max(now);
            if alarm.due().is_none_or(|beat| due < beat) {
                alarm.set(&mut self.cx.wheel, due, crate::shard::Timer::Conn(conn_key));
            }
            if forgetful {
                session.cursor = last;
            }
            return;
        }
        session.cursor = last;
        if frame.is_empty() {
            return;
        }
        exchange.count(sum);
        self.cx.metrics.messages_out += run.publications().len() as u64;
        if waiting == 0 {
            exchange.moved = now;
            self.cx.effects.push_back(crate::shard::Effect::Write(conn_key));
        }
        self.cx.steps.bytes(frame.len());
        if let Some(access) = access {
            access.sent(&frame);
        }
        if pushes {
            outbox.push(frame);
        }
    }

    /// What a session has not had, in frames: at least one message, and no more once they exceed `room` bytes. With it,
    /// how far that brings the session.
    pub(super) fn collect(&self, key: SessionKey, form: Form, room: usize) -> (Vec<Encoded>, u64) {
        let Some(session) = self.sessions.get(key) else { return (Vec::new(), 0) };
        let (mut frames, mut bytes, mut cursor) = (Vec::new(), 0, session.cursor);
        self.cx.steps.work(session.subscriptions.len());
        self.hub.catch_up(session.cursor, &session.subscriptions, |publication| {
            let encoded = publication.encoded(form, &self.cx.press);
            bytes += encoded.frame.len();
            cursor = publication.n;
            frames.push(encoded);
            bytes < room
        });
        self.cx.steps.work(frames.len());
        (frames, cursor)
    }

    /// The gap that a session must be told of before it gets anything else.
    pub(super) fn owed(&self, key: SessionKey) -> Option<Gap> {
        let session = self.sessions.get(key)?;
        self.cx.steps.work(session.subscriptions.len());
        let to = self.hub.missing(session.cursor.max(session.told), &session.subscriptions)?;
        let from = self.hub.position(session.cursor).to_string().into();
        (!self.cx.broken_by(Mutation::SilentGap)).then_some(Gap { from, to })
    }

    fn tell_gap(&mut self, key: SessionKey, conn: ConnKey, form: Form, gap: &Gap) {
        let encoded = self.gap_encoded(key, form, gap);
        self.conns.stream(&mut self.cx, conn, encoded);
    }

    /// A gap, ready for a stream.
    pub(super) fn gap_encoded(&mut self, key: SessionKey, form: Form, gap: &Gap) -> Encoded {
        let (json, position) = self.gap_json(key, gap);
        let envelope = Envelope { position: Some(position), ..Envelope::plain(&json) };
        form.encode(&envelope, &self.cx.press)
    }

    /// Spells a gap, and brings the session past it: to just below the first message that is still held, so that a client which
    /// goes on from the gap's position gets all that can be had.
    pub(super) fn gap_json(&mut self, key: SessionKey, gap: &Gap) -> (Vec<u8>, Position) {
        self.cx.metrics.gaps += 1;
        self.ask_again(key);
        let session = &mut self.sessions[key];
        session.told = session.told.max(gap.to);
        let mut first = None;
        self.hub.catch_up(session.cursor, &session.subscriptions, |publication| {
            first = Some(publication.n);
            false
        });
        session.cursor = first.map_or(gap.to, |first| gap.to.min(first - 1)).max(session.cursor);
        let position = self.hub.position(session.cursor);
        let mut json = Vec::new();
        envelope::gap(&gap.from, self.hub.position(gap.to), &mut json);
        (json, position)
    }
}

impl Shard {
    /// A session is about to leave a channel at its client's wish: what came before goes out first, as far as somebody is there
    /// to take it. A session without a connection leaves what it has not received.
    pub(super) fn hand_over(&mut self, key: SessionKey) {
        match self.core.sessions.get(key).map(|session| session.link) {
            Some(Link::Waking(_)) => self.answer_woken(key),
            Some(Link::Behind(_)) => self.catch_up(key),
            Some(Link::Level(_) | Link::Parked(_) | Link::Detached) | None => {}
        }
    }

    fn answer_woken(&mut self, key: SessionKey) {
        if let Some(Link::Waking(conn)) = self.core.sessions.get(key).map(|session| session.link) {
            self.core.cx.steps.occasions(1);
            self.answer_poll(conn, None);
        }
    }

    /// Answers some of the polls that wake in this turn, if there are many; says whether there were. See [`Shard::wake_some`].
    pub(super) fn answer_some(&mut self) -> bool {
        if self.core.waking.len() <= AT_ONCE {
            return false;
        }
        self.core.settle_presence();
        for key in self.core.waking.split_off(self.core.waking.len() - AT_ONCE) {
            self.answer_woken(key);
        }
        true
    }

    /// All input of a turn was given.
    pub(super) fn end_turn(&mut self) {
        self.core.settle_presence();
        for key in std::mem::take(&mut self.core.waking) {
            self.answer_woken(key);
        }
        self.carry_out_todos();
        self.core.sweep_some();
        if self.core.cx.key_watch.wants() {
            self.core.cx.effects.push_back(crate::shard::Effect::FetchKeys);
        }
        self.core.arm_ledger();
        self.check_drained();
        // Walking everything costs; a debug build under load has better things to do.
        if cfg!(debug_assertions) && self.core.sessions.len() < 256 {
            self.check_invariants();
        }
    }

    /// Gives a stream that is behind what it has room for.
    pub(super) fn catch_up(&mut self, key: SessionKey) {
        let Some(session) = self.core.sessions.get(key) else { return };
        let Link::Behind(conn_key) = session.link else { return };
        let Some(Phase::Streaming(exchange)) = self.core.conns.get(conn_key).map(|conn| &conn.phase) else {
            return;
        };
        let form = exchange.form;
        if let Some(gap) = self.core.owed(key) {
            if form.protocol == Protocol::Bayeux {
                return self.lose_bayeux(conn_key, key);
            }
            self.core.tell_gap(key, conn_key, form, &gap);
        }
        let room = self.core.cx.config.outbox_bytes.saturating_sub(self.core.conns[conn_key].outbox.len());
        let (frames, cursor) = self.core.collect(key, form, room);
        self.core.cx.metrics.messages_out += frames.len() as u64;
        for encoded in frames {
            self.core.conns.stream(&mut self.core.cx, conn_key, encoded);
        }
        let session = &mut self.core.sessions[key];
        session.cursor = cursor;
        if !self.core.hub.has_more(cursor, &session.subscriptions) {
            session.link = Link::Level(conn_key);
        }
    }
}

/// Polls that are answered before their answers are written: so many answers, and what they come from, stay in the processor's caches.
const AT_ONCE: usize = 64;
