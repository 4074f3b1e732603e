//! What a page loses and sends again, and whether it is well.

use super::*;

impl Tab {
    /// A response will never come: what of its messages is to be sent again is, by the same ids.
    pub(in super::super) fn lost(&mut self, ctx: &mut Ctx<'_>, out: &Out) {
        if out.connects {
            self.loss(ctx);
        }
        self.again(ctx, &out.ids);
    }

    /// The same of what went up beside its connects. A goodbye that is known to have arrived is not said again.
    pub(in super::super) fn lost_aside(&mut self, ctx: &mut Ctx<'_>, out: &Out) {
        self.lost(ctx, out);
        if self.is_over() {
            self.over(ctx);
        }
    }

    pub(super) fn again(&mut self, ctx: &mut Ctx<'_>, ids: &[String]) {
        if !ids.is_empty() {
            ctx.oracle.owe_nothing(self.book);
        }
        for id in ids {
            if let Some(ask) = self.asks.get_mut(id) {
                ask.again = true;
                // What it published may still take effect, behind what is sent again.
                if let What::Publish(number) = ask.what {
                    ctx.oracle.unforbid(self.book, number);
                }
            }
            match self.asks.get(id).map(|ask| &ask.what) {
                Some(What::Subscribe(_) | What::Unsubscribe(_) | What::Disconnect) => {
                    self.carry.push(id.clone());
                }
                Some(What::Connect) => self.unanswered = Some(id.clone()),
                // The server knows its id and its data, and carries it out once. In calm weather it would come after all was judged.
                Some(What::Publish(number))
                    if ctx.mood.keys && !ctx.mood.calm && !ctx.oracle.is_in_sequence(*number) =>
                {
                    self.carry.push(id.clone());
                }
                // Whether it was published, nobody knows; a handshake is made anew.
                Some(What::Publish(_) | What::Handshake | What::Service) => drop(self.asks.remove(id)),
                None => {}
            }
        }
    }

    /// Whatever was on its way down is lost.
    pub(super) fn loss(&mut self, ctx: &mut Ctx<'_>) {
        if !self.habits.ack {
            let now = ctx.now();
            ctx.oracle.cut(now, self.book);
        }
        self.unwell(ctx);
    }

    /// Whether it was told to do nothing more, and what would end its session for it was lost with a connection.
    pub(in super::super) fn is_over(&self) -> bool {
        let is_lost = |id: &String| self.asks.get(id).is_some_and(|ask| ask.what == What::Disconnect);
        self.dismissed && self.carry.iter().any(is_lost)
    }

    pub(in super::super) fn drop_socket(&mut self, ctx: &mut Ctx<'_>) {
        let Some(mut socket) = self.socket.take() else { return };
        socket.line.abandon(ctx);
        if socket.is_bound {
            self.loss(ctx);
        }
        let ids: Vec<String> = self.asks.keys().cloned().collect();
        let pending = |id: &&String| {
            let by_request = self.main.out.iter().chain(&self.side.out).any(|out| out.ids.contains(id));
            !by_request && !self.carry.contains(id)
        };
        let mut ids: Vec<String> = ids.iter().filter(pending).cloned().collect();
        // In the order in which they were made, which is that of their numbers.
        ids.sort_by_key(|id| id.split('-').nth(1).and_then(|number| number.parse::<u64>().ok()));
        self.again(ctx, &ids);
    }

    /// The session is over: another is to be had, with the same channels.
    pub(in super::super) fn over(&mut self, ctx: &mut Ctx<'_>) {
        self.unwell(ctx);
        self.stage = Stage::Out;
        self.lives = false;
        self.first = self.wants.over();
        self.main.abandon(ctx);
        self.side.abandon(ctx);
        self.carry.clear();
        self.asks.clear();
        (self.unanswered, self.leaving, self.dismissed) = (None, false, false);
        if let Some(mut socket) = self.socket.take() {
            socket.line.abandon(ctx);
        }
        let after = ctx.rng.below(200);
        self.next_in(ctx, after);
    }

    pub(in super::super) fn unwell(&mut self, ctx: &mut Ctx<'_>) {
        (self.level, self.quiet_since) = (false, ctx.now());
        ctx.oracle.well(self.book, None);
    }

    /// Whether a socket that takes what comes has brought no event for so long that none is on its
    /// way. Its connects are answered in between, and so it gets no pings, which would say the same.
    pub(in super::super) fn is_quiet(&self, ctx: &Ctx<'_>) -> bool {
        let Some(socket) = self.socket.as_ref().filter(|socket| socket.is_bound) else { return false };
        let since = self.quiet_since.max(ctx.net.link(socket.line.link).prompt_since);
        ctx.now() >= since + 2 * SLACK && ctx.net.is_sound(socket.line.link)
    }

    /// Whether it is to get all that is published from now on at once.
    pub(in super::super) fn check_well(&mut self, ctx: &mut Ctx<'_>) {
        let sound = match (&self.socket, self.way) {
            (Some(socket), Way::Socket) => socket.is_bound && ctx.net.is_sound(socket.line.link),
            _ => self.main.out.as_ref().is_none_or(|out| !out.lose) && self.main_is_sound(ctx),
        };
        let well = self.level && sound && self.wants.is_settled() && ctx.net.is_unhindered(self.habits.style);
        let now = ctx.now();
        if well && ctx.oracle.books[self.book].well_since.is_none() {
            ctx.oracle.back(now, self.book);
        }
        ctx.oracle.well(self.book, well.then_some(now));
    }

    /// Whether what is held, or asked next, on the line for connects is answered. It may have gone silent with the last
    /// answer already here; and who closed his half behind a connect gets no events with its answer, unless he acknowledges
    /// them.
    fn main_is_sound(&self, ctx: &Ctx<'_>) -> bool {
        let hears = |line: &Line| self.habits.ack || self.main.out.is_none() || !line.is_halved();
        self.main.line.as_ref().is_none_or(|line| ctx.net.is_sound(line.link) && hears(line))
    }

    pub(in super::super) fn calm(&mut self, ctx: &mut Ctx<'_>) {
        (self.habits.loses, self.habits.repeats, self.habits.halves) = (0, 0, 0);
        if self.habits.style.reading != Reading::Prompt {
            self.level = false;
        }
        self.habits.style.reading = Reading::Prompt;
        self.habits.style.capacity = self.habits.style.capacity.max(4096);
        let lines = self.main.line.iter().chain(&self.side.line);
        let lines = lines.chain(self.socket.iter().map(|socket| &socket.line));
        for link in lines.map(|line| line.link).collect::<Vec<_>>() {
            ctx.net.read_promptly(link);
        }
    }

    /// The run is over: with a goodbye, or without a word.
    pub(in super::super) fn leave(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared) {
        self.gone = true;
        if self.stage != Stage::Out && self.side.out.is_none() && ctx.rng.chance(40) {
            let id = self.for_session(What::Disconnect, "/meta/disconnect", &json!({}));
            return self.send_aside(ctx, shared, vec![id]);
        }
        let socket = self.socket.take().map(|socket| socket.line);
        for mut line in self.main.line.take().into_iter().chain(self.side.line.take()).chain(socket) {
            if ctx.rng.chance(20) { ctx.net.silence(line.link) } else { line.abandon(ctx) }
        }
    }
}
