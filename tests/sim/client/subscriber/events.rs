//! The events of a subscriber, and its reactions.

use std::collections::BTreeSet;

use super::*;

impl Client for Subscriber {
    fn start(&mut self, ctx: &mut Ctx<'_>) {
        self.begin(ctx);
        ctx.alarm(1_000, COMMAND);
    }

    fn bytes(&mut self, ctx: &mut Ctx<'_>, link: LinkId, bytes: &[u8]) {
        if self.uplink.owns(link) {
            let answers = self.uplink.bytes(ctx, bytes);
            return self.answered(ctx, answers);
        }
        if let Some(at) = self.old.iter().position(|exchange| exchange.conn.link == link) {
            let replies = self.old[at].conn.feed(ctx, bytes);
            return self.old_replies(ctx, at, replies);
        }
        let Some(mut exchange) = self.current.take_if(|exchange| exchange.conn.link == link) else {
            if let Some(conn) = self.spare.as_mut().filter(|conn| conn.link == link) {
                let _ = conn.feed(ctx, bytes);
            }
            return;
        };
        exchange.heard = ctx.now();
        let replies = exchange.conn.feed(ctx, bytes);
        let exchange = self.replies(ctx, exchange, replies);
        if exchange.done {
            self.after(ctx, exchange);
        } else {
            self.current = Some(exchange);
        }
    }

    fn ended(&mut self, ctx: &mut Ctx<'_>, link: LinkId, how: How) {
        if self.uplink.owns(link) {
            let answers = self.uplink.ended(ctx, how);
            return self.answered(ctx, answers);
        }
        if let Some(at) = self.old.iter().position(|exchange| exchange.conn.link == link) {
            let replies = self.old[at].conn.end(ctx, how);
            self.old_replies(ctx, at, replies);
            self.old.retain(|exchange| exchange.conn.link != link);
            return;
        }
        if let Some(mut exchange) = self.current.take_if(|exchange| exchange.conn.link == link) {
            let replies = exchange.conn.end(ctx, how);
            let exchange = self.replies(ctx, exchange, replies);
            if exchange.done { self.after(ctx, exchange) } else { self.broke(ctx, exchange) }
        } else if let Some(mut conn) = self.spare.take_if(|conn| conn.link == link) {
            conn.end(ctx, how);
        }
    }

    fn woken(&mut self, ctx: &mut Ctx<'_>, token: u64) {
        let (kind, generation) = (token % KINDS, token / KINDS);
        if kind == COMMAND {
            return self.command(ctx);
        }
        if kind == OLD {
            return self.check_old(ctx);
        }
        if generation != self.generation {
            return;
        }
        match kind {
            BEGIN => self.begin(ctx),
            SUPERSEDE => self.supersede(ctx),
            RECYCLED => self.check_recycled(ctx),
            UNANSWERED => self.check_answers(ctx),
            ABANDON => {
                let settled =
                    self.current.as_ref().is_some_and(|exchange| ctx.now() > exchange.conn.arrives + 500);
                if settled {
                    self.give_up(ctx);
                }
            }
            _ => self.watch(ctx),
        }
    }

    fn late(&mut self, ctx: &mut Ctx<'_>, link: LinkId, ask: u32) {
        if self.uplink.owns(link) {
            let answers = self.uplink.late(ctx, ask);
            self.answered(ctx, answers);
        } else if let Some(exchange) = self.current.as_mut().filter(|exchange| exchange.conn.link == link) {
            exchange.conn.late(ctx, ask);
        }
    }

    fn disturbed(&mut self, ctx: &mut Ctx<'_>) {
        ctx.oracle.well(self.receiver.book, None);
    }

    fn calm(&mut self, ctx: &mut Ctx<'_>) {
        self.profile.loses = 0;
        (self.profile.sleeps, self.drowsy) = (0, 0);
        self.profile.impatient = 0;
        self.profile.halves = 0;
        self.profile.deaf = false;
        if let Some(exchange) =
            self.current.as_mut().filter(|_| self.profile.style.reading != Reading::Prompt)
        {
            exchange.level = false;
        }
        self.profile.style.reading = Reading::Prompt;
        self.profile.style.capacity = self.profile.style.capacity.max(4096);
        let conns = self.current.iter().chain(&self.old).map(|exchange| &exchange.conn).chain(&self.spare);
        for link in conns.map(|conn| conn.link).collect::<Vec<_>>() {
            ctx.net.read_promptly(link);
        }
        self.uplink.calm(ctx);
    }

    fn watched(&self) -> Vec<(String, Option<BTreeSet<String>>)> {
        self.receiver.pages.all()
    }

    fn leave(&mut self, ctx: &mut Ctx<'_>) {
        self.gone = true;
        let says_so = self.receiver.session.is_some() && self.uplink.is_free() && ctx.rng.chance(30);
        // A request that the close command overtakes creates another session, of which the client
        // does not know.
        if says_so && self.is_uncrossed(ctx) {
            let (user, session) = (self.receiver.user.clone(), self.receiver.session.clone());
            self.uplink.send(ctx, &user, session.as_deref(), self.profile.style, vec![Command::Close]);
            return;
        }
        self.walk_away(ctx);
    }
}
