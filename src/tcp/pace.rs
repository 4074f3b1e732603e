//! When servers are read from: their pages must have room, and so must their sessions.

use crate::base::slab::{SessionKey, StreamKey};
use crate::core::Core;
use crate::tcp::limits::{CHUNK_BYTES, LOG_PART, STREAM_PART};
use crate::tcp::open::Carried;
use crate::tcp::stream::{ServerReading, Stage};
use crate::tcp::{TcpFront, act, log_share};
use crate::turn::mutation::Mutation;
use crate::turn::stream::StreamAct;

impl TcpFront {
    /// How many more bytes the session can have under way.
    pub(super) fn room(&self, core: &Core, session: SessionKey) -> u64 {
        let Some(streams) = self.sessions.get(&session) else { return 0 };
        let (bytes, messages) = log_share(&core.cx.config);
        if streams.under_way.1 >= messages { 0 } else { bytes.saturating_sub(streams.under_way.0) }
    }

    /// Whether a stream's server may be read from. While the page's connection is full, other
    /// messages of the session should not wait behind more of these bytes.
    pub(super) fn may_read(&self, core: &Core, key: StreamKey) -> bool {
        let Some(stream) = self.streams.get(key) else { return false };
        if core.cx.broken_by(Mutation::StreamIgnoresWindow) {
            return true;
        }
        let is_full = core.sessions.get(stream.session).is_some_and(|session| session.link.is_behind());
        if let Carried::Alone(..) = stream.carried {
            return !is_full;
        }
        // What the page asks for once more comes first.
        if stream.down.repeats() {
            return false;
        }
        let has_none = self.has_none_under_way(key);
        let messages = core.cx.config.channel_messages / LOG_PART / STREAM_PART;
        let has_room = stream.down.has_room(CHUNK_BYTES as u64, messages);
        has_none || has_room && !is_full && self.room(core, stream.session) > 0
    }

    /// Whether the page has everything: such a stream is never stuck behind others.
    fn has_none_under_way(&self, key: StreamKey) -> bool {
        self.streams.get(key).is_some_and(|stream| stream.down.under_way().0 == 0)
    }

    /// Stops reading from a server whose page has no room, or from all servers of the session.
    pub(super) fn pause_some(&mut self, core: &mut Core, key: StreamKey, session: SessionKey) {
        if self.room(core, session) == 0 && !core.cx.broken_by(Mutation::StreamIgnoresWindow) {
            let all: Vec<_> = self
                .sessions
                .get(&session)
                .into_iter()
                .flat_map(|all| all.numbers.values().copied())
                .collect();
            core.cx.steps.work(all.len());
            for key in all {
                if !self.may_read(core, key) {
                    self.pause(core, key);
                }
            }
        } else if !self.may_read(core, key) {
            self.pause(core, key);
        }
    }

    pub(super) fn pause(&mut self, core: &mut Core, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        if stream.intake == ServerReading::Paused || !stream.is_live() {
            return;
        }
        stream.intake = ServerReading::Paused;
        if stream.stage == Stage::Open {
            act(&mut core.cx, key, StreamAct::Pause);
        }
        if let Some(streams) = self.sessions.get_mut(&stream.session) {
            streams.paused.push_back(key);
        }
    }

    /// A session can take more.
    pub(crate) fn has_room(&mut self, core: &mut Core, session: SessionKey) {
        self.acknowledge_text(core, session);
        self.resume_some(core, session);
    }

    /// Reads again from servers whose pages have room, those first that have waited for longest.
    pub(crate) fn resume_some(&mut self, core: &mut Core, session: SessionKey) {
        let mut room = self.room(core, session);
        let count = self.sessions.get(&session).map_or(0, |streams| streams.paused.len());
        core.cx.steps.work(count);
        for _ in 0..count {
            let next = self.sessions.get_mut(&session).and_then(|streams| streams.paused.pop_front());
            let Some(key) = next else { return };
            if self.may_read(core, key) && (room > 0 || self.has_none_under_way(key)) {
                room = room.saturating_sub(core.cx.config.tcp.window as u64);
                if let Some(stream) = self.streams.get_mut(key) {
                    stream.intake = ServerReading::Reading;
                    if stream.stage == Stage::Open {
                        act(&mut core.cx, key, StreamAct::Resume);
                    }
                }
            } else if let Some(streams) = self.sessions.get_mut(&session) {
                streams.paused.push_back(key);
            }
        }
    }
}
