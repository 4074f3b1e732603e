//! What happens to a subscriber, and what it makes of it.

use std::collections::BTreeSet;

use super::*;

impl Client for Subscriber {
    fn start(&mut self, ctx: &mut Ctx<'_>) {
        self.begin(ctx);
        ctx.alarm(1_000, COMMAND);
    }

    fn bytes(&mut self, ctx: &mut Ctx<'_>, link: LinkId, bytes: &[u8]) {
        if self.side.owns(link) {
            let answers = self.side.bytes(ctx, bytes);
            return self.answered(ctx, answers);
        }
        if let Some(at) = self.old.iter().position(|exchange| exchange.line.link == link) {
            let replies = self.old[at].line.feed(ctx, bytes);
            return self.old_replies(ctx, at, replies);
        }
        let Some(mut exchange) = self.current.take_if(|exchange| exchange.line.link == link) else {
            if let Some(line) = self.spare.as_mut().filter(|line| line.link == link) {
                let _ = line.feed(ctx, bytes);
            }
            return;
        };
        exchange.heard = ctx.now();
        let replies = exchange.line.feed(ctx, bytes);
        let exchange = self.replies(ctx, exchange, replies);
        if exchange.done {
            self.after(ctx, exchange);
        } else {
            self.current = Some(exchange);
        }
    }

    fn ended(&mut self, ctx: &mut Ctx<'_>, link: LinkId, how: How) {
        if self.side.owns(link) {
            let answers = self.side.ended(ctx, how);
            return self.answered(ctx, answers);
        }
        if let Some(at) = self.old.iter().position(|exchange| exchange.line.link == link) {
            let replies = self.old[at].line.end(ctx, how);
            self.old_replies(ctx, at, replies);
            self.old.retain(|exchange| exchange.line.link != link);
            return;
        }
        if let Some(mut exchange) = self.current.take_if(|exchange| exchange.line.link == link) {
            let replies = exchange.line.end(ctx, how);
            let exchange = self.replies(ctx, exchange, replies);
            if exchange.done { self.after(ctx, exchange) } else { self.broke(ctx, exchange) }
        } else if let Some(mut line) = self.spare.take_if(|line| line.link == link) {
            line.end(ctx, how);
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
                    self.current.as_ref().is_some_and(|exchange| ctx.now() > exchange.line.arrives + 500);
                if settled {
                    self.give_up(ctx);
                }
            }
            _ => self.watch(ctx),
        }
    }

    fn late(&mut self, ctx: &mut Ctx<'_>, link: LinkId, ask: u32) {
        if self.side.owns(link) {
            let answers = self.side.late(ctx, ask);
            self.answered(ctx, answers);
        } else if let Some(exchange) = self.current.as_mut().filter(|exchange| exchange.line.link == link) {
            exchange.line.late(ctx, ask);
        }
    }

    fn disturbed(&mut self, ctx: &mut Ctx<'_>) {
        ctx.oracle.well(self.receiver.book, None);
    }

    fn calm(&mut self, ctx: &mut Ctx<'_>) {
        self.manner.loses = 0;
        (self.manner.sleeps, self.drowsy) = (0, 0);
        self.manner.impatient = 0;
        self.manner.halves = 0;
        self.manner.deaf = false;
        if let Some(exchange) = self.current.as_mut().filter(|_| self.manner.style.reading != Reading::Prompt)
        {
            exchange.level = false;
        }
        self.manner.style.reading = Reading::Prompt;
        self.manner.style.capacity = self.manner.style.capacity.max(4096);
        let lines = self.current.iter().chain(&self.old).map(|exchange| &exchange.line).chain(&self.spare);
        for link in lines.map(|line| line.link).collect::<Vec<_>>() {
            ctx.net.read_promptly(link);
        }
        self.side.calm(ctx);
    }

    fn watched(&self) -> Vec<(String, Option<BTreeSet<String>>)> {
        self.receiver.pages.all()
    }

    fn leave(&mut self, ctx: &mut Ctx<'_>) {
        self.gone = true;
        let says_so = self.receiver.session.is_some() && self.side.is_free() && ctx.rng.chance(30);
        // A request that the goodbye overtakes makes another session, of which nobody knows.
        if says_so && self.is_uncrossed(ctx) {
            let (user, session) = (self.receiver.user.clone(), self.receiver.session.clone());
            self.side.send(ctx, &user, session.as_deref(), self.manner.style, vec![Command::Close]);
            return;
        }
        self.walk_away(ctx);
    }
}
