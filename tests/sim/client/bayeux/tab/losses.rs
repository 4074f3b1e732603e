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

    pub(super) fn again(&mut self, ctx: &mut Ctx<'_>, ids: &[String]) {
        if !ids.is_empty() {
            ctx.oracle.owe_nothing(self.book);
        }
        for id in ids {
            match self.asks.get(id).map(|ask| &ask.what) {
                Some(What::Subscribe(_) | What::Unsubscribe(_) | What::Disconnect) => {
                    self.carry.push(id.clone());
                }
                Some(What::Connect) => self.unanswered = Some(id.clone()),
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
        (self.unanswered, self.leaving) = (None, false);
        if let Some(mut socket) = self.socket.take() {
            socket.line.abandon(ctx);
        }
        let after = ctx.rng.below(200);
        self.next_in(ctx, after);
    }

    pub(in super::super) fn unwell(&mut self, ctx: &mut Ctx<'_>) {
        self.level = false;
        ctx.oracle.well(self.book, None);
    }

    /// Whether it is to get all that is published from now on at once.
    pub(in super::super) fn check_well(&mut self, ctx: &mut Ctx<'_>) {
        let sound = match (&self.socket, self.way) {
            (Some(socket), Way::Socket) => socket.is_bound && ctx.net.is_sound(socket.line.link),
            _ => !self.main.out.as_ref().is_some_and(|out| out.lose),
        };
        let well = self.level && sound && self.wants.is_settled() && ctx.net.is_unhindered(self.habits.style);
        let now = ctx.now();
        if well && ctx.oracle.books[self.book].well_since.is_none() {
            ctx.oracle.back(now, self.book);
        }
        ctx.oracle.well(self.book, well.then_some(now));
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
