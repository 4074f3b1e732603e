//! The front of TCP sockets for pages: streams between sessions and servers that are no Encke.
//!
//! What a server sends is a message in its session's private log, so it has one order with all else
//! that the session gets, is sent again if a response was lost, and comes on every transport. A
//! page's bytes are numbered, and credit goes both ways: the node reads from a server only what the
//! page has room for, and takes from a page only what the server has room for.
//!
//! Invariants: a stream is in the table of its session; one that is paused is in that table's
//! queue; the session's sum of bytes under way is that of its streams.

mod downlink;
mod ends;
mod introduce;
mod limits;
mod open;
mod pace;
mod socket;
mod stream;
mod text;
mod uplink;

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crate::base::frame::Frame;
use crate::base::hash::{Keyed, KeyedMap};
use crate::base::outbox::Outbox;
use crate::base::slab::{PendingKey, SessionKey, Slab, StreamKey};
use crate::call::pending::ItemAnswer;
use crate::config::{AddressRule, Config};
use crate::conn::limits::BULK_READ_BYTES;
use crate::core::{Core, StreamAsk};
use crate::protocol::native::command;
use crate::protocol::native::envelope::Message;
use crate::protocol::tcp::command::{Last, StreamAction, StreamCommand};
use crate::protocol::tcp::event::{StreamClose, StreamEvent};
use crate::session::addresses::Addresses;
use crate::tcp::introduce::{Client, introduce};
use crate::tcp::limits::{CHUNK_BYTES, LOG_PART};
use crate::tcp::open::{Carried, StreamOpening};
use crate::tcp::stream::{PageStream, ServerReading, Stage};
use crate::tcp::uplink::Fresh;
use crate::turn::cx::Cx;
use crate::turn::input::Effect;
use crate::turn::mutation::Mutation;
use crate::turn::stream::{DialFailure, StreamAct, StreamReport};
use crate::wire::refusal::{Refusal, Refused};

/// The streams of a shard's sessions.
pub(crate) struct TcpFront {
    streams: Slab<StreamKey, PageStream>,
    sessions: KeyedMap<SessionKey, Streams>,
    /// The number of streams of each user that has any.
    users: KeyedMap<Rc<str>, usize>,
    /// The number of streams to each target that has any.
    targets: KeyedMap<Box<str>, usize>,
    /// The number of streams of each address.
    addresses: Addresses,
    /// The rules for addresses, shared with dials.
    rules: Arc<[AddressRule]>,
}

/// The streams of one session.
struct Streams {
    user: Rc<str>,
    /// The highest number that the page has given.
    highest: u32,
    numbers: BTreeMap<u32, StreamKey>,
    /// Bytes and messages that the page has not acknowledged.
    under_way: (u64, usize),
    /// Streams whose servers are not read from, the one that waits for longest first.
    paused: VecDeque<StreamKey>,
    /// The last streams that are forgotten, for a page that a gap did not tell.
    ended: VecDeque<EndedStream>,
}

/// How a forgotten stream ended.
#[derive(Clone, Copy)]
struct EndedStream {
    number: u32,
    code: StreamClose,
    /// The server's bytes, if it has ended.
    at: Option<u64>,
}

impl TcpFront {
    /// Without streams. `keyed` is for its tables.
    pub(crate) fn new(config: &Config, keyed: Keyed, shards: u8) -> Self {
        Self {
            streams: Slab::default(),
            sessions: KeyedMap::with_hasher(keyed),
            users: KeyedMap::with_hasher(keyed),
            targets: KeyedMap::with_hasher(keyed),
            addresses: Addresses::new(keyed, open::address_bound(config, shards)),
            rules: config.tcp.allow.as_slice().into(),
        }
    }

    /// The bytes that wait for a server.
    pub(crate) fn outbox(&self, key: StreamKey) -> Option<&Outbox> {
        let connected = |stream: &&PageStream| matches!(stream.stage, Stage::Open | Stage::Leaving);
        self.streams.get(key).filter(connected).map(|stream| &stream.up.outbox)
    }

    /// Bytes that may be read from a server in one turn, beyond what each may send: one whose
    /// stream has a connection of its own holds up nothing of its user.
    pub(crate) fn read_bytes_granted(&self, key: StreamKey) -> usize {
        match self.streams.get(key).map(|stream| stream.carried) {
            Some(Carried::Alone(..)) => BULK_READ_BYTES,
            Some(Carried::BySession | Carried::AsText) | None => 0,
        }
    }

    /// Executes the oldest command of a page. Returns the request that waits for its answer.
    pub(crate) fn execute(&mut self, core: &mut Core) -> Option<PendingKey> {
        let ask = core.stream_commands.pop_front()?;
        let number = ask.command.stream;
        let answer = match self.command(core, &ask) {
            Ok(()) => ItemAnswer::Ok(self.state_of(ask.session, number)),
            Err(refusal) => ItemAnswer::Refused(refusal),
        };
        core.settle(ask.item, answer);
        Some(ask.item.0)
    }

    /// `{"ok":{"tcp":{…}}}`: the next byte that the stream takes, and how far the page may send.
    fn state_of(&self, session: SessionKey, number: u32) -> Vec<u8> {
        let state = match self.find(session, number).and_then(|key| self.streams.get(key)) {
            Some(stream) if stream.is_live() => {
                let (next, credit) = (stream.up.next(), stream.up.credit());
                format!("{{\"stream\":{number},\"at\":{next},\"credit\":{credit}}}")
            }
            Some(_) | None => format!("{{\"stream\":{number}}}"),
        };
        command::ok(&[("tcp", &state)])
    }

    fn command(&mut self, core: &mut Core, ask: &StreamAsk) -> Result<(), Refusal> {
        let StreamAsk { session, command: StreamCommand { stream: number, action }, .. } = ask;
        let (session, number) = (*session, *number);
        if core.sessions.get(session).is_none() {
            return Err(Refused::SessionOver.into());
        }
        if let StreamAction::Open { to, window } = action {
            let page = core.conns.page_of(ask.conn, ask.item.0).map(Into::into);
            let opening = StreamOpening { session, number, conn: ask.conn, page, to, window: *window };
            return self.open(core, opening, Carried::BySession);
        }
        let key = match (self.find(session, number), action) {
            (Some(key), _) => key,
            (None, StreamAction::Resume(_)) if self.tell_of_ended(core, session, number) => return Ok(()),
            (None, _) => return Err(self.absent(session, number)),
        };
        match action {
            StreamAction::Open { .. } => Ok(()),
            StreamAction::Data { at, bytes, last } => self.send(core, key, *at, bytes, *last),
            StreamAction::Ack(at) => self.acknowledge(core, key, *at),
            StreamAction::Resume(at) => self.send_again(core, key, *at),
            StreamAction::Reset => {
                self.close(core, key, StreamClose::Reset, "the page has reset it");
                self.forget(core, key);
                Ok(())
            }
        }
    }

    /// The stream of a session with this number.
    pub(super) fn find(&self, session: SessionKey, number: u32) -> Option<StreamKey> {
        self.sessions.get(&session)?.numbers.get(&number).copied()
    }

    /// Whether a session has had a stream with this number, or a higher one.
    pub(super) fn was_given(&self, session: SessionKey, number: u32) -> bool {
        self.sessions.get(&session).is_some_and(|streams| number <= streams.highest)
    }

    /// The refusal of a command for a stream that is not there.
    pub(super) fn absent(&self, session: SessionKey, number: u32) -> Refusal {
        if self.was_given(session, number) {
            Refused::TcpStreamOver { stream: number }.into()
        } else {
            Refused::TcpNeverOpened { stream: number }.into()
        }
    }

    /// Bytes of the page for the server.
    pub(super) fn send(
        &mut self,
        core: &mut Core,
        key: StreamKey,
        at: u64,
        bytes: &[u8],
        last: Last,
    ) -> Result<(), Refusal> {
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        if let Stage::Over(_) = stream.stage {
            return Err(Refused::TcpStreamOver { stream: stream.number }.into());
        }
        core.cx.steps.bytes(bytes.len());
        let at = if core.cx.broken_by(Mutation::StreamTakesRepeats) { stream.up.next() } else { at };
        let was_empty = stream.up.outbox.is_empty();
        let fresh = stream.up.accept(at, bytes, last)?;
        if stream.stage == Stage::Dialing {
            return Ok(());
        }
        match fresh {
            Fresh::Nothing => {}
            Fresh::Bytes | Fresh::End => {
                if was_empty && !stream.up.outbox.is_empty() {
                    act(&mut core.cx, key, StreamAct::Write);
                }
                if fresh == Fresh::End && !core.cx.broken_by(Mutation::StreamForgetsEnd) {
                    act(&mut core.cx, key, StreamAct::ShutdownWrite);
                }
                self.moved(core, key);
                self.conclude(core, key);
            }
        }
        Ok(())
    }

    /// The page has taken bytes of the server.
    pub(super) fn acknowledge(&mut self, core: &mut Core, key: StreamKey, at: u64) -> Result<(), Refusal> {
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        let session = stream.session;
        let before = stream.down.under_way();
        stream.down.ack(at)?;
        let after = stream.down.under_way();
        let is_over = !stream.is_live() && after.0 == 0;
        if let Some(streams) = self.sessions.get_mut(&session)
            && !core.cx.broken_by(Mutation::StreamLeaksCredit)
        {
            streams.under_way.0 -= before.0 - after.0;
            streams.under_way.1 -= before.1 - after.1;
        }
        if is_over {
            self.forget(core, key);
        }
        self.repeat_some(core, session);
        self.resume_some(core, session);
        Ok(())
    }

    /// Sends once more what the page may have missed in a gap, as much as the session's log holds;
    /// the rest as it is acknowledged.
    fn send_again(&mut self, core: &mut Core, key: StreamKey, at: u64) -> Result<(), Refusal> {
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        stream.down.repeat_from(at)?;
        if core.cx.broken_by(Mutation::StreamSkipsAtResume) {
            stream.down.repeat_next();
        }
        let (session, number) = (stream.session, stream.number);
        if stream.stage == Stage::Open {
            let open = StreamEvent::Open { credit: stream.up.credit() };
            core.replay(session, vec![Arc::new(open.message(number))]);
        }
        self.repeat_some(core, session);
        Ok(())
    }

    /// Sends what pages asked for once more, while the session has room for it.
    pub(super) fn repeat_some(&mut self, core: &mut Core, session: SessionKey) {
        let Some(streams) = self.sessions.get(&session) else { return };
        let keys: Vec<_> = streams.numbers.values().copied().collect();
        core.cx.steps.work(keys.len());
        let repeats =
            |key: &StreamKey| self.streams.get(*key).map_or((0, 0), |stream| stream.down.repeated());
        let (mut bytes, mut count) = (0, 0);
        for (of_stream, messages) in keys.iter().map(repeats) {
            (bytes, count) = (bytes + of_stream, count + messages);
        }
        let config = &core.cx.config;
        let (bytes_max, count_max) = log_share(config);
        for key in keys {
            let Some(stream) = self.streams.get_mut(key) else { continue };
            let mut messages = Vec::new();
            // A stream whose page has taken what came again is never stuck behind others.
            let mut may_go = stream.down.repeated().1 == 0;
            while (may_go || bytes < bytes_max && count < count_max)
                && let Some((message, len)) = stream.down.repeat_next()
            {
                (bytes, count, may_go) = (bytes + len, count + 1, false);
                messages.push(message);
            }
            let is_complete = !messages.is_empty() && !stream.down.repeats();
            if is_complete || stream.down.lacked_nothing() {
                messages.extend(ends_of(stream));
            }
            core.replay(session, messages);
        }
    }

    /// Tells a page again how a stream ended that is forgotten.
    fn tell_of_ended(&mut self, core: &mut Core, session: SessionKey, number: u32) -> bool {
        let streams = self.sessions.get(&session);
        let Some(ended) = streams.and_then(|all| all.ended.iter().find(|ended| ended.number == number))
        else {
            return false;
        };
        let EndedStream { code, at, .. } = *ended;
        let end = at.map(|at| StreamEvent::End { at });
        let closed = StreamEvent::Closed { code, reason: "it has ended" };
        let messages = end.into_iter().chain([closed]).map(|event| Arc::new(event.message(number)));
        core.replay(session, messages.collect());
        true
    }

    /// Handles a report of the driver.
    pub(crate) fn reported(&mut self, core: &mut Core, key: StreamKey, report: StreamReport<'_>) {
        if self.streams.get(key).is_none_or(|stream| !stream.is_live()) {
            return;
        }
        core.cx.steps.occasions(1);
        if self.streams.get(key).is_some_and(|stream| stream.stage == Stage::Leaving) {
            return self.leaving(core, key, &report);
        }
        match report {
            StreamReport::Connected { peer } => self.connected(core, key, peer),
            StreamReport::Failed(failure) => {
                let (code, reason) = explained(failure);
                self.close(core, key, code, &reason);
                self.forget(core, key);
            }
            StreamReport::Bytes(bytes) => self.received(core, key, bytes),
            StreamReport::End => {
                self.text_down(core, key, &[]);
                let Some(stream) = self.streams.get_mut(key) else { return };
                stream.down.finish();
                let at = stream.down.reached();
                self.tell(core, key, StreamEvent::End { at });
                self.moved(core, key);
                self.conclude(core, key);
                self.end_socket(core, key);
            }
            StreamReport::Broken => {
                self.close(core, key, StreamClose::BackendReset, "the server has reset the connection");
                self.forget_if_acknowledged(core, key);
            }
            StreamReport::Written(bytes) => {
                let Some(stream) = self.streams.get_mut(key) else { return };
                core.cx.metrics.stream_bytes[0] += bytes as u64;
                let credit = stream.took(bytes);
                let has_room = !stream.up.is_full();
                match (stream.carried, credit) {
                    (Carried::Alone(conn, _), _) if has_room => core.conns.has_room(&mut core.cx, conn),
                    (Carried::AsText, _) if has_room => self.answer_text(core, key),
                    (Carried::BySession, Some(credit)) => self.tell(core, key, StreamEvent::Credit(credit)),
                    (Carried::Alone(..) | Carried::AsText | Carried::BySession, _) => {}
                }
                self.moved(core, key);
                self.conclude(core, key);
            }
        }
    }

    fn connected(&mut self, core: &mut Core, key: StreamKey, server: Option<std::net::SocketAddr>) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let user = self.sessions.get(&stream.session).map_or("", |streams| &*streams.user);
        let session = core.session_id(stream.session).to_string();
        let client = Client { peer: stream.peer, server, user, session: &session };
        let first = introduce(stream.introduction, &client, core.cx.config.tcp.webirc_password.as_ref());
        stream.stage = Stage::Open;
        stream.introduction_left = first.len();
        stream.up.outbox.push_first(Frame::from(first));
        if !stream.up.outbox.is_empty() {
            act(&mut core.cx, key, StreamAct::Write);
        }
        if stream.up.has_ended() {
            act(&mut core.cx, key, StreamAct::ShutdownWrite);
        }
        if stream.intake == ServerReading::Paused {
            act(&mut core.cx, key, StreamAct::Pause);
        }
        let credit = stream.up.credit();
        self.tell(core, key, StreamEvent::Open { credit });
        self.moved(core, key);
    }

    /// Bytes of the server go to the session.
    fn received(&mut self, core: &mut Core, key: StreamKey, bytes: &[u8]) {
        core.cx.metrics.stream_bytes[1] += bytes.len() as u64;
        core.cx.steps.bytes(bytes.len());
        self.moved(core, key);
        let Some(stream) = self.streams.get_mut(key) else { return };
        match stream.carried {
            Carried::Alone(conn, coding) => return self.bytes_down(core, key, (conn, coding), bytes),
            Carried::AsText => return self.text_down(core, key, bytes),
            Carried::BySession => {}
        }
        let session = stream.session;
        let mut messages = Vec::with_capacity(bytes.len().div_ceil(CHUNK_BYTES));
        for chunk in bytes.chunks(CHUNK_BYTES) {
            let at = stream.down.reached();
            let message = Arc::new(StreamEvent::Data { at, bytes: chunk }.message(stream.number));
            stream.down.sent(chunk.len(), Arc::clone(&message));
            messages.push(message);
        }
        if let Some(streams) = self.sessions.get_mut(&session) {
            streams.under_way.0 += bytes.len() as u64;
            streams.under_way.1 += messages.len();
        }
        core.replay(session, messages);
        self.pause_some(core, key, session);
    }

    /// Tells a page with the library of something besides bytes.
    pub(super) fn tell(&self, core: &mut Core, key: StreamKey, event: StreamEvent<'_>) {
        let by_session = |stream: &&PageStream| stream.carried == Carried::BySession;
        let Some(stream) = self.streams.get(key).filter(by_session) else { return };
        let message: Arc<Message> = Arc::new(event.message(stream.number));
        core.replay(stream.session, vec![message]);
    }

    /// Panics if the tables disagree.
    pub(crate) fn check(&self, core: &Core) {
        let mut count = 0;
        for (session, streams) in &self.sessions {
            let departs = core.departed.iter().any(|(departed, ..)| departed == session);
            assert!(
                departs || core.sessions.get(*session).is_some(),
                "streams of a session that is not there"
            );
            let mut under_way = (0, 0);
            for (number, key) in &streams.numbers {
                let stream = self.streams.get(*key).expect("a stream of a session");
                assert_eq!((stream.session, stream.number), (*session, *number));
                let of_stream = stream.down.under_way();
                under_way = (under_way.0 + of_stream.0, under_way.1 + of_stream.1);
                assert_eq!(
                    streams.paused.contains(key),
                    stream.intake == ServerReading::Paused,
                    "what is paused"
                );
                count += 1;
            }
            assert_eq!(streams.under_way, under_way, "bytes under way");
        }
        let leaving = self.streams.iter().filter(|(_, stream)| stream.stage == Stage::Leaving).count();
        assert_eq!(count + leaving, self.streams.len(), "a stream without a session");
        assert_eq!(self.users.values().sum::<usize>(), count, "streams of users");
        let counted = self.streams.iter().filter(|(_, stream)| stream.address.is_some()).count();
        assert_eq!(self.addresses.total(), counted, "streams of addresses");
    }
}

/// How many bytes and messages of all streams of a session may be in its log and not acknowledged.
fn log_share(config: &Config) -> (u64, usize) {
    // In base64, bytes take four thirds.
    ((config.channel_bytes / LOG_PART / 4 * 3) as u64, config.channel_messages / LOG_PART)
}

/// What a page is told once more of a stream's ends, behind all of its bytes.
fn ends_of(stream: &PageStream) -> Vec<Arc<Message>> {
    let end = stream.down.has_ended().then(|| StreamEvent::End { at: stream.down.reached() });
    let closed = match stream.stage {
        Stage::Over(code) => Some(StreamEvent::Closed { code, reason: "it has ended" }),
        Stage::Dialing | Stage::Open | Stage::Leaving => None,
    };
    end.into_iter().chain(closed).map(|event| Arc::new(event.message(stream.number))).collect()
}

fn act(cx: &mut Cx, stream: StreamKey, act: StreamAct) {
    cx.effects.push_back(Effect::Stream { stream, act });
}

/// What the page is told of a connection that did not come about.
fn explained(failure: DialFailure) -> (StreamClose, String) {
    match failure {
        DialFailure::Refused(why) => (StreamClose::Refused, format!("the server refuses connections: {why}")),
        DialFailure::Unreachable(why) => {
            (StreamClose::Timeout, format!("the server cannot be reached: {why}"))
        }
        DialFailure::Unknown(why) => {
            (StreamClose::Resolve, format!("the server's name has no address: {why}"))
        }
        DialFailure::Forbidden => {
            (StreamClose::Resolve, "no address of this name may be reached (ENCKE_TCP_ALLOW)".to_owned())
        }
        DialFailure::Tls(why) => (StreamClose::Tls, format!("TLS with the server failed: {why}")),
        DialFailure::Full(why) => (StreamClose::Limit, format!("the node cannot connect now: {why}")),
    }
}
