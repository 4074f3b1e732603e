//! From the hub to connections: push to level sessions, wake polls, collect for those that are
//! behind.
//!
//! The fan-out loop encodes nothing twice and writes nothing; it puts references in outboxes. A
//! session that cannot be pushed to costs one check, because its cursor keeps its place.

use crate::base::position::Position;
use crate::base::slab::{ConnKey, SessionKey};
use crate::conn::phase::{Conn, Phase};
use crate::core::Core;
use crate::hub::channel::{Began, Subscriber};
use crate::hub::run::Run;
use crate::protocol::native::envelope;
use crate::session::Link;
use crate::transport::{Encoded, Envelope, Form};
use crate::turn::mutation::Mutation;

/// A gap that must be reported to a session.
#[derive(Debug)]
pub(crate) struct Gap {
    /// Its start, as the client named it.
    pub(crate) from: Box<str>,
    /// Its end.
    pub(crate) to: u64,
}

impl Core {
    /// Offers a run to the subscribers of its channels.
    pub(crate) fn fan_out(&mut self, run: &Run) {
        let Some(last) = run.last() else { return };
        for &channel in run.channels() {
            let Some(at) = self.hub.channel_mut(channel).filter(|channel| channel.role.logs()) else {
                continue;
            };
            // No session subscribes or leaves within the loop, so it can borrow the list.
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
                Some((Began::Conflated, channel)) => return self.schedule_latest(key, channel),
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
            // The log keeps the messages for the session.
            Link::Detached | Link::Waking(_) | Link::Behind(_) => {}
        }
    }

    fn offer_to_stream(&mut self, key: SessionKey, conn_key: ConnKey, run: &Run, last: u64) {
        let now = self.cx.now;
        let boundless = self.cx.broken_by(Mutation::BoundlessOutbox);
        let forgetful = self.cx.broken_by(Mutation::ForgetTheFall);
        let cut = self.cx.broken_by(Mutation::CutTheRun);
        let pushes = !self.cx.broken_by(Mutation::CursorWithoutPush) || !last.is_multiple_of(64);
        let Some(Conn { phase: Phase::Streaming(exchange), outbox, access, .. }) =
            self.conns.get_mut(conn_key)
        else {
            // The connection is gone, and the session will be detached: it has not received this.
            self.sessions[key].link = Link::Behind(conn_key);
            return;
        };
        let Encoded { frame, sum } = match run.publications() {
            [first, ..] if cut => first.encoded(exchange.form, &self.cx.encoder),
            _ => run.encoded(exchange.form, &self.cx.encoder),
        };
        let session = &mut self.sessions[key];
        let waiting = outbox.len();
        if waiting > 0 && waiting + frame.len() > self.cx.config.outbox_bytes && !boundless {
            self.cx.metrics.falls += 1;
            if forgetful {
                session.cursor = last;
            }
            return self.fall_behind(key, conn_key);
        }
        session.cursor = last;
        if frame.is_empty() {
            return;
        }
        if exchange.count(&frame, sum) {
            self.cx.todos.push_back(crate::turn::todo::Todo::EndStream(conn_key));
        }
        self.cx.metrics.messages_out += run.publications().len() as u64;
        if waiting == 0 {
            exchange.moved = now;
            self.cx.effects.push_back(crate::turn::input::Effect::Write(conn_key));
        }
        self.cx.steps.bytes(frame.len());
        if let Some(access) = access {
            access.sent(&frame);
        }
        if pushes {
            outbox.push(frame);
        }
    }

    /// A stream's outbox is full: its session waits until it has drained.
    pub(crate) fn fall_behind(&mut self, key: SessionKey, conn_key: ConnKey) {
        self.sessions[key].link = Link::Behind(conn_key);
        let Some(Conn { phase: Phase::Streaming(exchange), alarm, .. }) = self.conns.get_mut(conn_key) else {
            return;
        };
        // The outbox may be stuck: check earlier than at the next heartbeat.
        let due = (exchange.moved + self.cx.config.write_timeout).max(self.cx.now);
        if alarm.due().is_none_or(|beat| due < beat) {
            alarm.set(&mut self.cx.wheel, due, crate::turn::timer::Timer::Conn(conn_key));
        }
    }

    /// The frames after a session's cursor: at least one message, and none beyond `room` bytes.
    /// Also returns the cursor after them.
    pub(crate) fn collect(&self, key: SessionKey, form: Form, room: usize) -> (Vec<Encoded>, u64) {
        let Some(session) = self.sessions.get(key) else { return (Vec::new(), 0) };
        let (mut frames, mut bytes, mut cursor) = (Vec::new(), 0, session.cursor);
        self.cx.steps.work(session.subscriptions.len());
        self.hub.catch_up(session.cursor, &session.subscriptions, |publication| {
            let encoded = publication.encoded(form, &self.cx.encoder);
            bytes += encoded.frame.len();
            cursor = publication.n;
            frames.push(encoded);
            bytes < room
        });
        self.cx.steps.work(frames.len());
        (frames, cursor)
    }

    /// Takes one response's worth of what a session has not had, which counts as sent. Returns it,
    /// and whether there is more.
    pub(crate) fn take_batch(&mut self, key: SessionKey, form: Form) -> (Vec<Encoded>, bool) {
        let (frames, cursor) = self.collect(key, form, self.cx.config.outbox_bytes);
        self.cx.metrics.messages_out += frames.len() as u64;
        let session = &mut self.sessions[key];
        let has_more = self.hub.has_more(cursor, &session.subscriptions);
        session.cursor = if has_more { cursor } else { self.hub.head() };
        (frames, has_more)
    }

    /// The gap that must be reported to a session before anything else is sent.
    pub(crate) fn unreported_gap(&self, key: SessionKey) -> Option<Gap> {
        let session = self.sessions.get(key)?;
        self.cx.steps.work(session.subscriptions.len());
        let to = self.hub.missing(session.cursor.max(session.gap_sent), &session.subscriptions)?;
        let from = self.hub.position(session.cursor).to_string().into();
        (!self.cx.broken_by(Mutation::SilentGap)).then_some(Gap { from, to })
    }

    pub(crate) fn send_gap(&mut self, key: SessionKey, conn: ConnKey, form: Form, gap: &Gap) {
        let encoded = self.gap_encoded(key, form, gap);
        self.conns.stream(&mut self.cx, conn, encoded);
    }

    /// A gap, encoded for a stream.
    pub(crate) fn gap_encoded(&mut self, key: SessionKey, form: Form, gap: &Gap) -> Encoded {
        let (json, position) = self.gap_json(key, gap);
        let envelope = Envelope { position: Some(position), ..Envelope::plain(&json) };
        form.encode(&envelope, &self.cx.encoder)
    }

    /// Encodes a gap and moves the session's cursor past it: to just below the first message in the
    /// logs, so that a client that resumes from the gap's position gets all messages that are still
    /// there.
    pub(crate) fn gap_json(&mut self, key: SessionKey, gap: &Gap) -> (Vec<u8>, Position) {
        self.cx.metrics.gaps += 1;
        self.ask_again(key);
        let session = &mut self.sessions[key];
        session.gap_sent = session.gap_sent.max(gap.to);
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
