//! One shard and its driver: the reactor's work, with links instead of sockets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};

use encke::base::ids::ShardId;
use encke::base::slab::{ConnKey, PendingKey, SocketKey as _};
use encke::base::ticks::Tick;
use encke::shard::{Input, Parcel, Shard};
use encke::turn::hook::HookAnswer;
use encke::turn::input::Effect;
use encke::turn::mail::Mail;

use crate::backend::Backend;
use crate::cost;
use crate::cost::Extent;
use crate::net::{LinkId, Net, ServerEnd};
use crate::rng::Rng;

/// An entry of a mailbox.
pub(crate) enum Letter {
    Mail { from: ShardId, mail: Mail },
    Moved { link: LinkId, parcel: Parcel },
    Hooked { pending: PendingKey, answer: HookAnswer },
    Drain { by: Tick },
}

impl Letter {
    /// The number of letters for which it counts.
    fn weight(&self) -> usize {
        match self {
            Self::Mail { mail, .. } => mail.weight(),
            Self::Moved { .. } | Self::Hooked { .. } | Self::Drain { .. } => 1,
        }
    }
}

/// A connection's place at its shard.
struct Seat {
    link: LinkId,
    conn: ConnKey,
    paused: bool,
    shut: bool,
    fin_sent: bool,
    ended: bool,
}

pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) shard: Shard,
    pub(crate) mailbox: VecDeque<Letter>,
    seats: BTreeMap<usize, Seat>,
    by_link: BTreeMap<LinkId, usize>,
    /// The seats that may have something to write.
    writing: BTreeSet<usize>,
    pub(crate) drained: bool,
    /// Letters that this turn has sent.
    pub(crate) sent: Vec<(ShardId, Letter)>,
    pub(crate) hand_offs: u64,
    backend: Backend,
    outbox_max: usize,
    /// The shards that this one knows as congested, a bit for each.
    pub(crate) congested: u64,
    pub(crate) fault: Option<String>,
}

/// Subscriptions of one model client's session, with hidden channels and a private log.
const SUBSCRIPTIONS_MAX: u64 = 16;

/// Bytes that one turn reads from one connection.
const READ_MAX: usize = 16 * 1024;

impl Node {
    pub(crate) fn new(index: usize, shard: Shard, outbox_max: usize) -> Self {
        Self {
            index,
            shard,
            mailbox: VecDeque::new(),
            seats: BTreeMap::new(),
            by_link: BTreeMap::new(),
            writing: BTreeSet::new(),
            drained: false,
            sent: Vec::new(),
            hand_offs: 0,
            backend: Backend::default(),
            outbox_max,
            congested: 0,
            fault: None,
        }
    }

    pub(crate) fn has_seats(&self) -> bool {
        !self.seats.is_empty()
    }

    /// The weight of the waiting letters.
    pub(crate) fn depth(&self) -> usize {
        self.mailbox.iter().map(Letter::weight).sum()
    }

    /// All waiting input (or some of it), then all output. `congested` is known at its beginning.
    pub(crate) fn turn(&mut self, net: &mut Net, rng: &mut Rng, congested: u64) {
        let now = Tick::from_millis(net.now);
        if congested != self.congested {
            net.trace.note(net.now, format_args!("s{} is told of congestion: {congested:b}", self.index));
            self.congested = congested;
            self.give(net, now, Input::Congestion { shards: congested });
        }
        while let Some((pending, answer)) = self.backend.answered(net.now) {
            self.mailbox.push_back(Letter::Hooked { pending, answer });
        }
        let mut stages = [0, 1, 2];
        rng.shuffle(&mut stages);
        let mut letters_left = false;
        for stage in stages {
            match stage {
                0 => {
                    let some =
                        if rng.chance(80) { self.mailbox.len() } else { rng.size(0, self.mailbox.len()) };
                    self.take_letters(net, now, some);
                    letters_left = !self.mailbox.is_empty();
                }
                1 => self.accept(net, rng, now),
                // Bytes come after all mail that was sent before they were read.
                _ if letters_left => {}
                _ => {
                    self.take_letters(net, now, self.mailbox.len());
                    self.read_all(net, rng, now);
                }
            }
        }
        if rng.chance(2) {
            self.give(net, now, Input::Turn { micros: 50 });
            self.give(net, now, Input::Gauges { mailbox: self.mailbox.len(), refused: 0, log_dropped: 0 });
        }
        if rng.chance(3) || self.shard.next_deadline().is_some_and(|due| due <= now) {
            self.give(net, now, Input::Expire);
        }
        self.give(net, now, Input::EndTurn);
        self.write_all(net, rng, now);
        // The output may have admitted the next pipelined request, and that may have woken a poll.
        self.give(net, now, Input::EndTurn);
        self.check(rng);
        self.plan(net);
    }

    /// Plans the next turn.
    fn plan(&mut self, net: &mut Net) {
        if !self.writing.is_empty()
            || !self.mailbox.is_empty()
            || !net.backlog[self.index].is_empty()
            || !net.ready[self.index].is_empty()
        {
            net.wake(self.index);
        }
        if let Some(due) = self.backend.due() {
            net.wake_at(self.index, due.max(net.now + 1));
        }
        if let Some(due) = self.shard.next_deadline() {
            let late = net.rng.below(3);
            net.wake_at(self.index, due.as_millis().max(net.now + 1) + late);
        }
    }

    fn give(&mut self, net: &mut Net, now: Tick, input: Input<'_>) {
        let bytes = if let Input::Bytes { bytes, .. } = &input { bytes.len() } else { 0 };
        self.within_bound(bytes, |shard| shard.handle(now, input));
        self.carry_out(net);
    }

    /// Runs an action that handles `bytes` of input, and checks its cost.
    fn within_bound<T>(&mut self, bytes: usize, act: impl FnOnce(&mut Shard) -> T) -> T {
        let (before, sessions) = (self.shard.spent(), self.shard.counts().sessions);
        let done = act(&mut self.shard);
        let spent = cost::difference(before, self.shard.spent());
        // A session that got a message of a batch may have ended by a later message of it.
        let sessions = sessions.max(self.shard.counts().sessions) as u64;
        let extent = Extent { subscriptions: SUBSCRIPTIONS_MAX, sessions };
        if let Err(why) = cost::judge(spent, bytes as u64, extent) {
            self.fault = Some(format!("s{}: one input costs {why}", self.index));
        }
        done
    }

    fn carry_out(&mut self, net: &mut Net) {
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Write(conn) => {
                    self.seat(conn, "Write", |_| {});
                    self.writing.insert(conn.token());
                }
                Effect::Pause(conn) => self.seat(conn, "Pause", |seat| seat.paused = true),
                Effect::Resume(conn) => {
                    self.seat(conn, "Resume", |seat| seat.paused = false);
                    if let Some(seat) = self.seats.get(&conn.token()) {
                        net.ready[self.index].insert(seat.link);
                    }
                }
                Effect::ShutdownWrite(conn) => {
                    self.seat(conn, "ShutdownWrite", |seat| seat.shut = true);
                    self.writing.insert(conn.token());
                }
                Effect::Close(conn) => {
                    if let Some(seat) = self.unseat(conn, "Close") {
                        net.trace.note(net.now, format_args!("s{} closes l{}", self.index, seat.link));
                        net.server_drop(seat.link, seat.fin_sent);
                    }
                }
                Effect::HandOff { conn, to, parcel } => {
                    if let Some(seat) = self.unseat(conn, "HandOff") {
                        net.trace
                            .note(net.now, format_args!("s{} hands l{} to s{}", self.index, seat.link, to.0));
                        net.link_mut(seat.link).server = ServerEnd::InMail;
                        self.hand_offs += 1;
                        self.sent.push((to, Letter::Moved { link: seat.link, parcel }));
                    }
                }
                Effect::Mail { to, mail } => {
                    net.trace.note(net.now, format_args!("s{} mails s{} {mail:?}", self.index, to.0));
                    let burdens = matches!(mail, Mail::Publish { .. } | Mail::Forward { .. });
                    if burdens && self.congested & to.bit() != 0 {
                        self.fault = Some(format!(
                            "s{} sends more publishes to s{}, which is congested",
                            self.index, to.0
                        ));
                    }
                    self.sent.push((to, Letter::Mail { from: self.shard.id(), mail }));
                }
                Effect::Hook { pending, hook, body } => {
                    self.backend.asked(net.now, pending, hook, &body);
                }
                // The simulation fetches no keys.
                Effect::Stream { .. } | Effect::FetchKeys => {}
                Effect::Drained => {
                    if std::mem::replace(&mut self.drained, true) {
                        self.fault = Some(format!("s{} is drained twice", self.index));
                    }
                }
            }
        }
    }

    fn seat(&mut self, conn: ConnKey, what: &str, change: impl FnOnce(&mut Seat)) {
        match self.seats.get_mut(&conn.token()) {
            Some(seat) => change(seat),
            None => self.fault = Some(format!("s{}: {what} for a connection that is not there", self.index)),
        }
    }

    fn unseat(&mut self, conn: ConnKey, what: &str) -> Option<Seat> {
        let seat = self.seats.remove(&conn.token());
        self.writing.remove(&conn.token());
        match &seat {
            Some(seat) => drop(self.by_link.remove(&seat.link)),
            None => self.fault = Some(format!("s{}: {what} for a connection that is not there", self.index)),
        }
        seat
    }

    fn take_letters(&mut self, net: &mut Net, now: Tick, some: usize) {
        for _ in 0..some {
            match self.mailbox.pop_front() {
                None => {}
                Some(Letter::Mail { from, mail }) => self.give(net, now, Input::Mail { from, mail }),
                Some(Letter::Hooked { pending, answer }) => {
                    self.give(net, now, Input::Hooked { pending, answer });
                }
                Some(Letter::Drain { by }) => self.give(net, now, Input::Drain { by }),
                Some(Letter::Moved { link, parcel }) => {
                    let ended = parcel.ended;
                    let bytes = parcel.unparsed.len();
                    let admitted = self.within_bound(bytes, |shard| shard.adopt(now, parcel));
                    self.sit(net, link, ended, admitted);
                }
            }
        }
    }

    fn accept(&mut self, net: &mut Net, rng: &mut Rng, now: Tick) {
        let some = rng.size(0, net.backlog[self.index].len());
        for link in net.backlog[self.index].drain(..some).collect::<Vec<_>>() {
            let admitted = self.shard.accept(now, net.link(link).listener, None);
            self.sit(net, link, false, admitted);
        }
    }

    fn sit(&mut self, net: &mut Net, link: LinkId, ended: bool, admitted: Result<ConnKey, Vec<u8>>) {
        match admitted {
            Ok(conn) => {
                let seat = Seat { link, conn, paused: false, shut: false, fin_sent: false, ended };
                self.seats.insert(conn.token(), seat);
                self.by_link.insert(link, conn.token());
                net.link_mut(link).server = ServerEnd::At(self.index);
                net.ready[self.index].insert(link);
            }
            Err(refusal) => {
                net.push_down(link, &refusal);
                net.server_drop(link, false);
            }
        }
        self.carry_out(net);
    }

    fn read_all(&mut self, net: &mut Net, rng: &mut Rng, now: Tick) {
        for link in std::mem::take(&mut net.ready[self.index]) {
            self.read(net, rng, now, link);
        }
    }

    /// Handles one link's news: bytes, the end, a break, or room to write.
    fn read(&mut self, net: &mut Net, rng: &mut Rng, now: Tick, link: LinkId) {
        let Some(&token) = self.by_link.get(&link) else { return };
        let Some(seat) = self.seats.get(&token) else { return };
        let conn = seat.conn;
        self.writing.insert(token);
        if net.link(link).broken {
            self.unseat(conn, "Broken");
            net.link_mut(link).server = ServerEnd::Gone;
            net.trace.note(net.now, format_args!("s{} finds l{link} broken", self.index));
            return self.give(net, now, Input::Broken { conn });
        }
        let mut budget = READ_MAX;
        loop {
            let Some(seat) = self.seats.get(&token).filter(|seat| seat.link == link && !seat.paused) else {
                return;
            };
            let ended = seat.ended;
            let waits = net.up_waits(link);
            if waits == 0 {
                if net.up_ended(link) && !ended {
                    self.seat(conn, "End", |seat| seat.ended = true);
                    net.trace.note(net.now, format_args!("s{} reads l{link}'s end", self.index));
                    self.give(net, now, Input::End { conn });
                }
                return;
            }
            if budget == 0 {
                net.ready[self.index].insert(link);
                return;
            }
            let most = if rng.chance(75) { budget } else { rng.size(1, 64) };
            let bytes = net.take_up(link, most.min(budget));
            budget -= bytes.len();
            self.give(net, now, Input::Bytes { conn, bytes: &bytes });
        }
    }

    fn write_all(&mut self, net: &mut Net, rng: &mut Rng, now: Tick) {
        for token in std::mem::take(&mut self.writing) {
            self.write(net, rng, now, token);
        }
    }

    fn write(&mut self, net: &mut Net, rng: &mut Rng, now: Tick, token: usize) {
        loop {
            let Some(seat) = self.seats.get_mut(&token) else { return };
            let (conn, link) = (seat.conn, seat.link);
            self.writing.remove(&token);
            let Some(outbox) = self.shard.outbox(conn) else { return };
            if outbox.is_empty() {
                if seat.shut && !seat.fin_sent {
                    seat.fin_sent = true;
                    net.server_fin(link);
                }
                return;
            }
            let room = net.room(link);
            if room == 0 {
                return;
            }
            let mut slices = [IoSlice::new(&[]); 8];
            let used = outbox.slices(&mut slices);
            let most = slices[..used].iter().map(|slice| slice.len()).sum::<usize>().min(room);
            let count = if rng.chance(85) { most } else { rng.size(1, most) };
            let mut bytes = Vec::with_capacity(count);
            for slice in &slices[..used] {
                bytes.extend_from_slice(&slice[..slice.len().min(count - bytes.len())]);
            }
            net.push_down(link, &bytes);
            self.give(net, now, Input::Written { conn, bytes: count });
        }
    }

    /// Checks the shard's invariants, and the bound of every outbox.
    fn check(&mut self, rng: &mut Rng) {
        let shard = &self.shard;
        // In debug builds the shard checks itself at the end of each turn.
        if rng.chance(5)
            && let Err(panic) = catch_unwind(AssertUnwindSafe(|| shard.check_invariants()))
        {
            self.fault = Some(format!("s{}: {}", self.index, crate::panic_text(&*panic)));
        }
        for seat in self.seats.values() {
            let held = self.shard.outbox(seat.conn).map_or(0, encke::base::outbox::Outbox::len);
            if held > self.outbox_max {
                self.fault = Some(format!("s{}: l{} has an outbox of {held} bytes", self.index, seat.link));
            }
        }
    }
}
