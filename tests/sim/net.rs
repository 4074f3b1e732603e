//! The network: links between a client and a shard, and the one queue of all future events.
//!
//! A link is two lanes of bytes with latency and arbitrary splitting; the lane to the client has a
//! capacity (the kernel's send buffer), which only the client's reading frees. Links are cut (both
//! ends learn of it), go silent (neither does, for a while) and are half-closed. It knows nothing
//! of HTTP.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use encke::base::ids::ListenerKind;

use crate::rng::Rng;
use crate::trace::Trace;

mod link;

pub(crate) use self::link::*;

pub(crate) struct Net {
    pub(crate) now: u64,
    pub(crate) trace: Trace,
    pub(crate) rng: Rng,
    links: Vec<Link>,
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    seq: u64,
    /// Links with news for their shard.
    pub(crate) ready: Vec<BTreeSet<LinkId>>,
    pub(crate) backlog: Vec<VecDeque<LinkId>>,
    turn_at: Vec<Option<u64>>,
    /// The longest time until a shard handles its news, in milliseconds.
    turn_delay: u64,
}

impl Net {
    pub(crate) fn new(rng: Rng, shards: usize, turn_delay: u64) -> Self {
        Self {
            now: 0,
            trace: Trace::new(),
            rng,
            links: Vec::new(),
            heap: BinaryHeap::new(),
            seq: 0,
            ready: vec![BTreeSet::new(); shards],
            backlog: vec![VecDeque::new(); shards],
            turn_at: vec![None; shards],
            turn_delay,
        }
    }

    pub(crate) fn link(&self, id: LinkId) -> &Link {
        &self.links[id]
    }

    pub(crate) fn link_mut(&mut self, id: LinkId) -> &mut Link {
        &mut self.links[id]
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.links.iter().enumerate()
    }

    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        self.seq += 1;
        self.heap.push(Reverse((at.max(self.now), self.seq, event)));
    }

    /// The next event; time moves to it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let Reverse((at, _, event)) = self.heap.pop()?;
        self.now = at;
        Some(event)
    }

    // ---- shards ----

    /// A shard has work soon.
    pub(crate) fn wake(&mut self, shard: usize) {
        let at = self.now + self.rng.below(self.turn_delay + 1);
        self.wake_at(shard, at);
    }

    pub(crate) fn wake_at(&mut self, shard: usize, at: u64) {
        if self.turn_at[shard].is_none_or(|planned| at < planned) {
            self.turn_at[shard] = Some(at);
            self.schedule(at, Event::Turn(shard));
        }
    }

    /// Whether a turn is the one that was planned last.
    pub(crate) fn takes_turn(&mut self, shard: usize) -> bool {
        let due = self.turn_at[shard].is_some_and(|at| at <= self.now);
        if due {
            self.turn_at[shard] = None;
        }
        due
    }

    fn tell_server(&mut self, id: LinkId) {
        if let ServerEnd::At(shard) = self.links[id].server {
            self.ready[shard].insert(id);
            self.wake(shard);
        }
    }

    // ---- the client's side ----

    pub(crate) fn connect(&mut self, owner: ClientId, listener: ListenerKind, style: Style) -> LinkId {
        let id = self.links.len();
        self.links.push(Link {
            owner,
            listener,
            style,
            server: ServerEnd::Travelling,
            client: ClientEnd::Open,
            broken: false,
            silent: false,
            lame: style.reading != Reading::Prompt,
            prompt_since: 0,
            written: None,
            up: Lane::default(),
            down: Lane::default(),
        });
        let at = self.now + style.latency;
        self.links[id].up.last = at;
        self.schedule(at, Event::Arrive(id));
        id
    }

    /// Sends bytes; returns when the last of them will arrive.
    pub(crate) fn send(&mut self, id: LinkId, bytes: &[u8]) -> u64 {
        let chunks = self.links[id].style.up;
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = match chunks {
                Chunks::Whole => rest.len(),
                Chunks::Random => self.rng.size(1, rest.len().min(200)),
                Chunks::Bytewise => 1,
            };
            let (now, later) = rest.split_at(count);
            self.launch_up(id, Segment::Bytes(now.to_vec()), u64::from(chunks == Chunks::Bytewise));
            rest = later;
        }
        self.links[id].up.last
    }

    /// Sends FIN and continues to read.
    pub(crate) fn half_close(&mut self, id: LinkId) {
        if self.links[id].client == ClientEnd::Open {
            self.links[id].client = ClientEnd::Half;
            self.launch_up(id, Segment::Fin, 0);
        }
    }

    /// Closes the client's end: later segments cause a reset.
    pub(crate) fn close(&mut self, id: LinkId) {
        if self.links[id].client == ClientEnd::Open {
            self.launch_up(id, Segment::Fin, 0);
        }
        let link = &mut self.links[id];
        link.client = ClientEnd::Gone;
        if link.down.arrived.is_empty() && link.down.transit.is_empty() {
            return;
        }
        link.down.arrived.clear();
        self.reset_up(id);
    }

    fn reset_up(&mut self, id: LinkId) {
        self.launch_up(id, Segment::Reset, 0);
    }

    fn launch_up(&mut self, id: LinkId, segment: Segment, gap_max: u64) {
        let gap = self.rng.below(gap_max + 1);
        let jitter = self.links[id].style.jitter;
        let jitter = if gap_max > 0 { 0 } else { self.rng.below(jitter + 1) };
        let link = &mut self.links[id];
        if link.silent || link.broken {
            return;
        }
        let at = (self.now + link.style.latency + jitter).max(link.up.last + gap);
        link.up.last = at;
        link.up.transit.push_back(segment);
        self.schedule(at, Event::Up(id));
    }

    /// Breaks a link: segments on their way are lost, and both ends learn of it.
    pub(crate) fn cut(&mut self, id: LinkId) {
        let link = &mut self.links[id];
        link.up = Lane::default();
        link.down.transit.clear();
        link.down.flying = 0;
        link.broken = true;
        link.down.transit.push_back(Segment::Reset);
        self.schedule(self.now, Event::Down(id));
        self.tell_server(id);
    }

    /// Makes a link silent: nothing arrives, and neither end learns of it; the server's kernel
    /// gives up after a while.
    pub(crate) fn silence(&mut self, id: LinkId) {
        let link = &mut self.links[id];
        link.silent = true;
        link.up.transit.clear();
        link.down.transit.clear();
        link.down.flying = 0;
        let after = self.rng.range(2_000, 30_000);
        self.schedule(self.now + after, Event::GiveUp(id));
    }

    /// Records from now on what the server writes.
    pub(crate) fn record(&mut self, id: LinkId) {
        self.links[id].written = Some(Written::default());
    }

    /// Whether bytes that are sent here arrive and are accepted.
    pub(crate) fn is_sound(&self, id: LinkId) -> bool {
        let link = &self.links[id];
        !link.silent
            && !link.broken
            && link.client != ClientEnd::Gone
            && link.style.reading == Reading::Prompt
    }

    /// Whether a link like this is read as fast as bytes arrive.
    pub(crate) fn is_unhindered(&self, style: Style) -> bool {
        style.reading == Reading::Prompt && style.capacity >= 4096
    }

    /// Makes the client read from now on.
    pub(crate) fn read_promptly(&mut self, id: LinkId) {
        let link = &mut self.links[id];
        if link.style.reading != Reading::Prompt {
            link.prompt_since = self.now;
        }
        link.style.reading = Reading::Prompt;
        link.style.capacity = link.style.capacity.max(4096);
        self.schedule(self.now, Event::Read(id));
    }

    // ---- segments on their way ----

    pub(crate) fn arrive(&mut self, id: LinkId) {
        if self.links[id].broken || self.links[id].silent {
            self.links[id].server = ServerEnd::Gone;
            return;
        }
        let shard = self.rng.size(0, self.ready.len() - 1);
        self.backlog[shard].push_back(id);
        self.wake(shard);
    }

    pub(crate) fn up(&mut self, id: LinkId) {
        let link = &mut self.links[id];
        if link.silent || link.broken {
            return;
        }
        match link.up.transit.pop_front() {
            Some(Segment::Bytes(bytes)) => link.up.land(bytes),
            Some(Segment::Fin) => link.up.fin = true,
            Some(Segment::Reset) => link.broken = true,
            None => return,
        }
        if link.server == ServerEnd::Gone && link.client != ClientEnd::Gone && !link.up.fin {
            // The server's kernel answers data for a dropped socket with a reset.
            link.down.transit.push_back(Segment::Reset);
            let at = self.now + link.style.latency;
            self.schedule(at.max(self.links[id].down.last), Event::Down(id));
            return;
        }
        self.tell_server(id);
    }

    pub(crate) fn give_up(&mut self, id: LinkId) {
        self.links[id].broken = true;
        self.tell_server(id);
    }

    /// The next segment to the client arrives; returns what the client learns at once.
    pub(crate) fn down(&mut self, id: LinkId) -> Option<Heard> {
        let link = &mut self.links[id];
        if link.silent && !link.broken {
            return None;
        }
        let segment = link.down.transit.pop_front()?;
        match segment {
            Segment::Bytes(bytes) => {
                link.down.flying -= bytes.len();
                if link.client == ClientEnd::Gone {
                    self.reset_up(id);
                    return None;
                }
                link.down.land(bytes);
                match link.style.reading {
                    Reading::Prompt => self.drain(id, usize::MAX),
                    Reading::Slow { every, .. } => {
                        self.schedule(self.now + every, Event::Read(id));
                        None
                    }
                    Reading::Never => None,
                }
            }
            Segment::Fin => {
                link.down.fin = true;
                (link.client != ClientEnd::Gone && link.down.arrived.is_empty())
                    .then_some(Heard::End(How::Fin))
            }
            Segment::Reset => {
                let heard = link.client != ClientEnd::Gone;
                link.client = ClientEnd::Gone;
                link.down.arrived.clear();
                heard.then_some(Heard::End(How::Reset))
            }
        }
    }

    /// The time at which a slow reader reads, or the first read of a reader that has become prompt.
    pub(crate) fn read(&mut self, id: LinkId) -> Vec<Heard> {
        let link = &self.links[id];
        let most = match link.style.reading {
            Reading::Prompt => usize::MAX,
            Reading::Slow { bytes, every } => {
                if link.down.arrived.len() > bytes {
                    self.schedule(self.now + every, Event::Read(id));
                }
                bytes
            }
            Reading::Never => return Vec::new(),
        };
        let mut heard: Vec<_> = self.drain(id, most).into_iter().collect();
        let link = &self.links[id];
        if link.down.fin
            && link.down.arrived.is_empty()
            && link.client != ClientEnd::Gone
            && !heard.is_empty()
        {
            heard.push(Heard::End(How::Fin));
        }
        heard
    }

    fn drain(&mut self, id: LinkId, most: usize) -> Option<Heard> {
        let link = &mut self.links[id];
        let count = most.min(link.down.arrived.len());
        if count == 0 || link.client == ClientEnd::Gone {
            return None;
        }
        let bytes = link.down.take(count);
        self.tell_server(id);
        Some(Heard::Bytes(bytes))
    }

    // ---- the server's side ----

    /// Takes up to `most` bytes from the server's receive buffer.
    pub(crate) fn take_up(&mut self, id: LinkId, most: usize) -> Vec<u8> {
        self.links[id].up.take(most)
    }

    pub(crate) fn up_waits(&self, id: LinkId) -> usize {
        self.links[id].up.arrived.len()
    }

    pub(crate) fn up_ended(&self, id: LinkId) -> bool {
        self.links[id].up.fin
    }

    /// The room in the server's send buffer.
    pub(crate) fn room(&self, id: LinkId) -> usize {
        let link = &self.links[id];
        let held = if link.silent { link.style.capacity / 2 } else { 0 };
        link.style.capacity.saturating_sub(link.down.flying + link.down.arrived.len() + held)
    }

    pub(crate) fn push_down(&mut self, id: LinkId, bytes: &[u8]) {
        let now = self.now;
        if let Some(written) = &mut self.links[id].written {
            written.bytes.extend_from_slice(bytes);
            written.at = now;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = if self.rng.chance(70) { rest.len() } else { self.rng.size(1, rest.len()) };
            let (now, later) = rest.split_at(count);
            self.launch_down(id, Segment::Bytes(now.to_vec()));
            rest = later;
        }
    }

    fn launch_down(&mut self, id: LinkId, segment: Segment) {
        let jitter = self.links[id].style.jitter;
        let jitter = self.rng.below(jitter + 1);
        let link = &mut self.links[id];
        if link.broken {
            return;
        }
        if let Segment::Bytes(bytes) = &segment {
            link.down.flying += bytes.len();
        }
        if link.silent {
            return;
        }
        let at = (self.now + link.style.latency + jitter).max(link.down.last);
        link.down.last = at;
        link.down.transit.push_back(segment);
        self.schedule(at, Event::Down(id));
    }

    pub(crate) fn server_fin(&mut self, id: LinkId) {
        self.launch_down(id, Segment::Fin);
    }

    /// The server drops its socket: FIN, or a reset if unread bytes are left.
    pub(crate) fn server_drop(&mut self, id: LinkId, fin_sent: bool) {
        let unread = !self.links[id].up.arrived.is_empty();
        self.links[id].server = ServerEnd::Gone;
        if unread {
            self.launch_down(id, Segment::Reset);
        } else if !fin_sent {
            self.launch_down(id, Segment::Fin);
        }
    }
}
