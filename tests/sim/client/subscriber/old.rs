//! Responses that another took the place of, and those that say nothing for too long.

use super::socket::had_its_time;
use super::*;

impl Subscriber {
    pub(super) fn supersede(&mut self, ctx: &mut Ctx<'_>) {
        let ready = self.current.as_ref().is_some_and(|exchange| {
            let settled = if exchange.via.streams() {
                exchange.pending.is_open()
            } else {
                ctx.now() > exchange.line.arrives + 500
            };
            settled
                && !exchange.done
                && !exchange.line.is_halved()
                && (!exchange.via.is_duplex() || !exchange.awaits_answers())
                && !exchange.line.is_amid_batch(exchange.via.streams())
        });
        if !ready || self.manner.plain || self.receiver.session.is_none() || ctx.mood.over {
            return;
        }
        let Some(mut exchange) = self.current.take() else { return };
        ctx.note(format_args!("l{} is superseded", exchange.line.link));
        // One that was told to make room gets messages until the next has taken over: nobody waits.
        let goes_on = exchange.pending.recycled.is_some();
        if !goes_on {
            ctx.oracle.well(self.receiver.book, None);
        }
        ctx.oracle.replaced += 1;
        self.receiver.doubtful = true;
        self.forget_superseded(ctx, &mut exchange);
        let level = goes_on && exchange.level;
        self.old.push(exchange);
        self.begin(ctx);
        if let Some(next) = &mut self.current {
            next.level |= level;
        }
        let arrives = self.current.as_ref().map_or(0, |exchange| exchange.line.arrives);
        let due = arrives.max(ctx.now()) + 2 * SLACK;
        if let Some(old) = self.old.last_mut() {
            old.due = due;
        }
        ctx.alarm(due - ctx.now(), OLD + KINDS * self.generation);
    }

    pub(super) fn forget_superseded(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange) {
        exchange.lose = true;
        self.forget_commands(ctx, exchange);
    }

    /// Something comes on a superseded response: only its form matters, and that it is told why it ends.
    pub(super) fn old_replies(&mut self, ctx: &mut Ctx<'_>, at: usize, replies: Vec<Reply>) {
        let exchange = &mut self.old[at];
        let mut items = Vec::new();
        for reply in replies {
            match reply {
                Reply::Head { .. } => {}
                Reply::Body { bytes } => items.extend(exchange.decoder.feed(&bytes)),
                Reply::Done { .. } => {
                    items.extend(exchange.decoder.end());
                    exchange.done = true;
                }
            }
        }
        for item in items.into_iter().flatten() {
            match item {
                Item::Id(_) | Item::Beat | Item::Ping(_) => {}
                Item::Envelope(text, _) => match Envelope::parse(&text) {
                    Ok(Envelope::Close(close)) if close.code == "recycle" => {
                        exchange.pending.recycled = Some(ctx.now());
                    }
                    Ok(Envelope::Close(close)) => {
                        exchange.pending.closed = Some((close.code, close.reconnect, close.after));
                    }
                    Ok(_) => {}
                    Err(why) => ctx.fail(why),
                },
            }
        }
        if exchange.done {
            let told = matches!(&exchange.pending.closed, Some((code, false, 0)) if code == "replaced");
            // It may have had its time before the next one came.
            let is_over = exchange.pending.closed.is_none() && had_its_time(ctx, exchange);
            if exchange.via.streams() && !told && !is_over && !ctx.mood.over {
                ctx.fail(format!("a superseded stream ends with {:?}", exchange.pending.closed));
            }
            let mut exchange = self.old.remove(at);
            exchange.line.abandon(ctx);
        }
    }

    pub(super) fn check_old(&mut self, ctx: &mut Ctx<'_>) {
        let attached = self.current.as_ref().is_some_and(|exchange| {
            ctx.net.is_sound(exchange.line.link)
                && (exchange.pending.is_open() || !exchange.via.streams())
                && !exchange.pending.apart
                && ctx.now() > exchange.line.arrives + SLACK
        });
        let now = ctx.now();
        for exchange in self.old.extract_if(.., |exchange| exchange.due <= now) {
            if attached && ctx.net.is_sound(exchange.line.link) && self.manner.style.capacity >= 4096 {
                ctx.fail(format!("l{} was superseded and goes on", exchange.line.link));
            }
            let mut line = exchange.line;
            line.abandon(ctx);
        }
    }

    pub(super) fn watch(&mut self, ctx: &mut Ctx<'_>) {
        let Some(exchange) = &self.current else { return };
        let (link, streams) = (exchange.line.link, exchange.via.streams());
        let patience = if streams { ctx.mood.heartbeat } else { ctx.mood.poll_hold * 5 / 4 } + 2 * SLACK;
        let since = exchange.heard.max(exchange.line.arrives).max(ctx.net.link(link).prompt_since);
        if ctx.now() < since + patience {
            return ctx.alarm(since + patience - ctx.now() + 1, WATCH + KINDS * self.generation);
        }
        if ctx.net.is_sound(link) {
            ctx.fail(format!("l{link}: silent for too long"));
        }
        if self.manner.style.reading == Reading::Prompt || ctx.rng.chance(30) {
            self.give_up(ctx);
        } else {
            ctx.alarm(patience, WATCH + KINDS * self.generation);
        }
    }

    pub(super) fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(mut exchange) = self.current.take() {
            exchange.line.abandon(ctx);
            self.abandoned = Some(ctx.now());
            self.broke(ctx, exchange);
        }
    }
}
