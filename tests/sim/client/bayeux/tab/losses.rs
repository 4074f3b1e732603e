//! Lost messages and their repetition, and whether a page is well.

use super::*;

impl Tab {
    /// A response will never arrive: its messages that are repeated are sent again with the same
    /// ids.
    pub(in super::super) fn lost(&mut self, ctx: &mut Ctx<'_>, out: &Out) {
        if out.connects {
            self.loss(ctx);
        }
        self.again(ctx, &out.ids);
    }

    /// The same for messages beside its connects. A disconnect that is known to have arrived is not
    /// repeated.
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
                // Its publish may still take effect, after messages that are sent again.
                if let What::Publish(number) = ask.what {
                    ctx.oracle.unforbid(self.book, number);
                }
            }
            match self.asks.get(id).map(|ask| &ask.what) {
                Some(What::Subscribe(_) | What::Unsubscribe(_) | What::Disconnect) => {
                    self.carry.push(id.clone());
                }
                Some(What::Connect) => self.unanswered = Some(id.clone()),
                // The server knows its id and its data, and executes it once. In the calm phase it
                // would arrive after the final checks.
                Some(What::Publish(number))
                    if ctx.phase.keys && !ctx.phase.calm && !ctx.oracle.is_in_sequence(*number) =>
                {
                    self.carry.push(id.clone());
                }
                // Whether it was published is unknown; a handshake is a new one each time.
                Some(What::Publish(_) | What::Handshake | What::Service) => drop(self.asks.remove(id)),
                None => {}
            }
        }
    }

    /// Everything on its way to the page is lost.
    pub(super) fn loss(&mut self, ctx: &mut Ctx<'_>) {
        if !self.behaviour.ack {
            let now = ctx.now();
            ctx.oracle.cut(now, self.book);
        }
        self.unwell(ctx);
    }

    /// Whether it was told to stop, and the message that would end its session was lost with a
    /// connection.
    pub(in super::super) fn is_over(&self) -> bool {
        let is_lost = |id: &String| self.asks.get(id).is_some_and(|ask| ask.what == What::Disconnect);
        self.dismissed && self.carry.iter().any(is_lost)
    }

    pub(in super::super) fn drop_socket(&mut self, ctx: &mut Ctx<'_>) {
        let Some(mut socket) = self.socket.take() else { return };
        socket.conn.abandon(ctx);
        if socket.is_bound {
            self.loss(ctx);
        }
        let ids: Vec<String> = self.asks.keys().cloned().collect();
        let pending = |id: &&String| {
            let by_request = self.main.out.iter().chain(&self.second.out).any(|out| out.ids.contains(id));
            !by_request && !self.carry.contains(id)
        };
        let mut ids: Vec<String> = ids.iter().filter(pending).cloned().collect();
        // In the order of their creation, which is that of their numbers.
        ids.sort_by_key(|id| id.split('-').nth(1).and_then(|number| number.parse::<u64>().ok()));
        self.again(ctx, &ids);
    }

    /// The session has ended: another one is needed, with the same channels.
    pub(in super::super) fn over(&mut self, ctx: &mut Ctx<'_>) {
        self.unwell(ctx);
        self.stage = Stage::Out;
        self.lives = false;
        self.first = self.subs.over();
        self.main.abandon(ctx);
        self.second.abandon(ctx);
        self.carry.clear();
        self.asks.clear();
        (self.unanswered, self.leaving, self.dismissed) = (None, false, false);
        if let Some(mut socket) = self.socket.take() {
            socket.conn.abandon(ctx);
        }
        let after = ctx.rng.below(200);
        self.next_in(ctx, after);
    }

    pub(in super::super) fn unwell(&mut self, ctx: &mut Ctx<'_>) {
        (self.level, self.quiet_since) = (false, ctx.now());
        ctx.oracle.well(self.book, None);
    }

    /// Whether a socket that reads promptly has brought no event for so long that none is on its
    /// way. Its connects are answered in between, so it gets no pings, which would show the same.
    pub(in super::super) fn is_quiet(&self, ctx: &Ctx<'_>) -> bool {
        let Some(socket) = self.socket.as_ref().filter(|socket| socket.is_bound) else { return false };
        let since = self.quiet_since.max(ctx.net.link(socket.conn.link).prompt_since);
        ctx.now() >= since + 2 * SLACK && ctx.net.is_sound(socket.conn.link)
    }

    /// Whether it must get everything that is published from now on at once.
    pub(in super::super) fn check_well(&mut self, ctx: &mut Ctx<'_>) {
        let sound = match (&self.socket, self.mode) {
            (Some(socket), Mode::Socket) => socket.is_bound && ctx.net.is_sound(socket.conn.link),
            _ => self.main.out.as_ref().is_none_or(|out| !out.lose) && self.main_is_sound(ctx),
        };
        let well =
            self.level && sound && self.subs.is_settled() && ctx.net.is_unhindered(self.behaviour.style);
        let now = ctx.now();
        if well && ctx.oracle.books[self.book].well_since.is_none() {
            ctx.oracle.back(now, self.book);
        }
        ctx.oracle.well(self.book, well.then_some(now));
    }

    /// Whether the held connect, or the next one, is answered on the connection for connects. The
    /// connection may have gone silent with the last answer already here; and after a half-close
    /// behind a connect, the page gets no events with its answer unless it acknowledges them.
    fn main_is_sound(&self, ctx: &Ctx<'_>) -> bool {
        let hears = |conn: &HttpConn| self.behaviour.ack || self.main.out.is_none() || !conn.is_halved();
        self.main.conn.as_ref().is_none_or(|conn| ctx.net.is_sound(conn.link) && hears(conn))
    }

    pub(in super::super) fn calm(&mut self, ctx: &mut Ctx<'_>) {
        (self.behaviour.loses, self.behaviour.repeats, self.behaviour.halves) = (0, 0, 0);
        if self.behaviour.style.reading != Reading::Prompt {
            self.level = false;
        }
        self.behaviour.style.reading = Reading::Prompt;
        self.behaviour.style.capacity = self.behaviour.style.capacity.max(4096);
        let conns = self.main.conn.iter().chain(&self.second.conn);
        let conns = conns.chain(self.socket.iter().map(|socket| &socket.conn));
        for link in conns.map(|conn| conn.link).collect::<Vec<_>>() {
            ctx.net.read_promptly(link);
        }
    }

    /// The run ends: with a disconnect, or without a message.
    pub(in super::super) fn leave(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared) {
        self.gone = true;
        if self.stage != Stage::Out && self.second.out.is_none() && ctx.rng.chance(40) {
            let id = self.for_session(What::Disconnect, "/meta/disconnect", &json!({}));
            return self.send_aside(ctx, shared, vec![id]);
        }
        let socket = self.socket.take().map(|socket| socket.conn);
        for mut conn in self.main.conn.take().into_iter().chain(self.second.conn.take()).chain(socket) {
            if ctx.rng.chance(20) { ctx.net.silence(conn.link) } else { conn.abandon(ctx) }
        }
    }
}
