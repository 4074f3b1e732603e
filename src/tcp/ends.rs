//! How streams end: by their page, by their server, by silence, or with their session.

use crate::base::slab::{SessionKey, StreamKey};
use crate::core::Core;
use crate::protocol::tcp::command::Destination;
use crate::protocol::tcp::event::{StreamClose, StreamEvent};
use crate::tcp::limits::ENDED_KEPT;
use crate::tcp::stream::{PageStream, Stage};
use crate::tcp::{EndedStream, TcpFront, act};
use crate::turn::stream::{StreamAct, StreamReport};
use crate::turn::timer::Timer;

impl TcpFront {
    /// Something happened on a stream: it is not silent.
    pub(super) fn moved(&mut self, core: &mut Core, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.stage == Stage::Open) else {
            return;
        };
        let half = stream.up.has_ended() != stream.down.has_ended();
        let half = half.then_some(core.cx.config.tcp.half_closed);
        match half.into_iter().chain(stream.idle).min() {
            Some(span) => stream.alarm.set(&mut core.cx.wheel, core.cx.now + span, Timer::Stream(key)),
            None => stream.alarm.clear(),
        }
    }

    /// A stream has waited for as long as it may.
    pub(crate) fn due(&mut self, core: &mut Core, key: StreamKey) {
        let now = core.cx.now;
        let Some(stream) = self.streams.get_mut(key) else { return };
        if !stream.alarm.rings(&mut core.cx.wheel, now, Timer::Stream(key)) {
            return;
        }
        if stream.stage == Stage::Leaving {
            self.part(core, key);
        } else if stream.is_live() {
            self.close(core, key, StreamClose::Idle, "it was silent, or half-closed, for too long");
            self.forget_if_acknowledged(core, key);
        } else {
            self.forget(core, key);
        }
    }

    /// Ends a stream both of whose directions have ended.
    pub(super) fn conclude(&mut self, core: &mut Core, key: StreamKey) {
        if self.streams.get(key).is_some_and(PageStream::is_done) {
            self.close(core, key, StreamClose::Ok, "both directions have ended");
            self.forget_if_acknowledged(core, key);
        }
    }

    /// A stream is over: its socket goes, and the page is told why.
    pub(super) fn close(&mut self, core: &mut Core, key: StreamKey, code: StreamClose, reason: &str) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        if !stream.is_live() {
            return;
        }
        stream.stage = Stage::Over(code);
        stream.up.outbox.clear();
        act(&mut core.cx, key, StreamAct::Close);
        if let Some(address) = stream.address.take() {
            self.addresses.leave(address);
        }
        if let Destination::Target(name) = &stream.to
            && let Some(count) = self.targets.get_mut(name)
        {
            *count -= 1;
            if *count == 0 {
                self.targets.remove(name);
            }
        }
        self.answer_text(core, key);
        let Some(stream) = self.streams.get(key) else { return };
        core.cx.metrics.streams_open -= 1;
        core.cx.metrics.streams_closed[code.index()] += 1;
        let user = &*stream.user;
        let (to, peer) = (stream.name(), stream.peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string()));
        let origin = stream.page.as_deref().unwrap_or("-");
        let (up, down) = (stream.up.next(), stream.down.reached());
        let ms = core.cx.now.since(stream.began).as_millis();
        let cause = code.text();
        log::info!(target: "encke::tcp", user, origin, to:% = to, peer:% = peer, up, down, ms, cause, reason; "tcp stream ends");
        if core.sessions.get(stream.session).is_some() {
            self.tell(core, key, StreamEvent::Closed { code, reason });
            self.end_socket(core, key);
        }
    }

    /// Forgets a stream that is over, at once or once the page has acknowledged its bytes.
    pub(super) fn forget_if_acknowledged(&mut self, core: &mut Core, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        if stream.down.under_way().0 == 0 {
            return self.forget(core, key);
        }
        let until = core.cx.now + core.cx.config.tcp.ended_kept;
        stream.alarm.set(&mut core.cx.wheel, until, Timer::Stream(key));
    }

    pub(super) fn forget(&mut self, core: &mut Core, key: StreamKey) {
        let Some(mut stream) = self.streams.remove(key) else { return };
        stream.alarm.disarm(&mut core.cx.wheel);
        let under_way = stream.down.under_way();
        let Some(streams) = self.sessions.get_mut(&stream.session) else { return };
        if let Stage::Over(code) = stream.stage {
            let at = stream.down.has_ended().then(|| stream.down.reached());
            streams.ended.push_back(EndedStream { number: stream.number, code, at });
            if streams.ended.len() > ENDED_KEPT {
                streams.ended.pop_front();
            }
        }
        streams.numbers.remove(&stream.number);
        streams.paused.retain(|paused| *paused != key);
        streams.under_way.0 = streams.under_way.0.saturating_sub(under_way.0);
        streams.under_way.1 = streams.under_way.1.saturating_sub(under_way.1);
        let user = streams.user.clone();
        self.leave(&user);
        self.resume_some(core, stream.session);
    }

    /// A user has one stream less.
    pub(super) fn leave(&mut self, user: &str) {
        if let Some(count) = self.users.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(user);
            }
        }
    }

    /// A session has ended: so do its streams.
    pub(crate) fn departed(&mut self, core: &mut Core, session: SessionKey) {
        let Some(streams) = self.sessions.get(&session) else { return };
        let keys: Vec<_> = streams.numbers.values().copied().collect();
        core.cx.steps.work(keys.len());
        for key in keys {
            self.take_leave(core, key);
        }
        self.sessions.remove(&session);
    }

    /// A stream's session has ended: what the page sent is still written, and the server may end. A
    /// connection that is closed with bytes of the server unread is reset, and the server may never
    /// see what the kernel still holds for it.
    pub(super) fn take_leave(&mut self, core: &mut Core, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let has_ended = stream.down.has_ended() && stream.up.outbox.is_empty();
        if stream.stage != Stage::Open || has_ended {
            self.close(core, key, StreamClose::Expired, "the session has ended");
            return self.forget(core, key);
        }
        stream.stage = Stage::Leaving;
        self.answer_text(core, key);
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.alarm.set(
            &mut core.cx.wheel,
            core.cx.now + core.cx.config.tcp.half_closed,
            Timer::Stream(key),
        );
        act(&mut core.cx, key, StreamAct::Resume);
        act(&mut core.cx, key, StreamAct::ShutdownWrite);
        let user = self.sessions.get(&stream.session).map(|streams| streams.user.clone());
        self.leave(&user.unwrap_or_default());
    }

    /// A report about a stream whose session has ended.
    pub(super) fn leaving(&mut self, core: &mut Core, key: StreamKey, report: &StreamReport<'_>) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let is_over = match report {
            StreamReport::Written(bytes) => {
                core.cx.metrics.stream_bytes[0] += *bytes as u64;
                stream.took(*bytes);
                stream.down.has_ended() && stream.up.outbox.is_empty()
            }
            StreamReport::End => {
                stream.down.finish();
                stream.up.outbox.is_empty()
            }
            StreamReport::Broken | StreamReport::Failed(_) => true,
            // Nobody reads these.
            StreamReport::Bytes(_) | StreamReport::Connected { .. } => false,
        };
        if is_over {
            self.part(core, key);
        }
    }

    /// A stream without a session ends.
    pub(super) fn part(&mut self, core: &mut Core, key: StreamKey) {
        self.close(core, key, StreamClose::Expired, "the session has ended");
        if let Some(mut stream) = self.streams.remove(key) {
            stream.alarm.disarm(&mut core.cx.wheel);
        }
    }
}
