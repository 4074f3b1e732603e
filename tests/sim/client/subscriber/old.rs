//! Superseded responses, and responses that are silent for too long.

use super::socket::{had_its_time, is_cut};
use super::*;

impl Subscriber {
    pub(super) fn supersede(&mut self, ctx: &mut Ctx<'_>) {
        let ready = self.current.as_ref().is_some_and(|exchange| {
            let settled = if exchange.via.streams() {
                exchange.pending.is_open()
            } else {
                ctx.now() > exchange.conn.arrives + 500
            };
            settled
                && !exchange.done
                && !exchange.conn.is_halved()
                && (!exchange.via.is_duplex() || !exchange.awaits_answers())
                && !exchange.conn.is_amid_batch(exchange.via.streams())
        });
        if !ready || self.profile.plain || self.receiver.session.is_none() || ctx.phase.over {
            return;
        }
        let Some(mut exchange) = self.current.take() else { return };
        ctx.note(format_args!("l{} is superseded", exchange.conn.link));
        // A recycled response gets messages until the next one has taken over.
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
        let arrives = self.current.as_ref().map_or(0, |exchange| exchange.conn.arrives);
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

    /// Items on a superseded response: only their form is checked, and that it gets the reason for
    /// its end.
    pub(super) fn old_replies(&mut self, ctx: &mut Ctx<'_>, at: usize, replies: Vec<Reply>) {
        let exchange = &mut self.old[at];
        for reply in replies {
            let items = match reply {
                Reply::Head { .. } => continue,
                Reply::Body { bytes } => exchange.decoder.feed(&bytes),
                Reply::Done { .. } => {
                    exchange.done = true;
                    if is_cut(ctx, exchange) { Ok(Vec::new()) } else { exchange.decoder.end() }
                }
            };
            for item in items.into_iter().flatten() {
                old_item(ctx, exchange, item);
            }
        }
        if exchange.done {
            let is_replaced =
                matches!(&exchange.pending.closed, Some((code, false, 0)) if code == "replaced");
            // It may have expired, or missed a pong, before the next one arrived.
            let cut = is_cut(ctx, exchange);
            let is_over = exchange.pending.closed.is_none() && (cut || had_its_time(ctx, exchange));
            ctx.oracle.deaf += u64::from(cut);
            if exchange.via.streams() && !is_replaced && !is_over && !ctx.phase.over {
                ctx.fail(format!("a superseded stream ends with {:?}", exchange.pending.closed));
            }
            let mut exchange = self.old.remove(at);
            exchange.conn.abandon(ctx);
        }
    }

    pub(super) fn check_old(&mut self, ctx: &mut Ctx<'_>) {
        let attached = self.current.as_ref().is_some_and(|exchange| {
            ctx.net.is_sound(exchange.conn.link)
                && (exchange.pending.is_open() || !exchange.via.streams())
                && !exchange.pending.apart
                && ctx.now() > exchange.conn.arrives + SLACK
        });
        let now = ctx.now();
        for exchange in self.old.extract_if(.., |exchange| exchange.due <= now) {
            let link = ctx.net.link(exchange.conn.link);
            // One that read slowly before still gets what had gathered until then.
            let is_prompt = ctx.net.is_sound(exchange.conn.link) && link.prompt_since + 2 * SLACK <= now;
            if attached && is_prompt && self.profile.style.capacity >= 4096 {
                ctx.fail(format!("l{} was superseded and goes on", exchange.conn.link));
            }
            let mut conn = exchange.conn;
            conn.abandon(ctx);
        }
    }

    pub(super) fn watch(&mut self, ctx: &mut Ctx<'_>) {
        let Some(exchange) = &self.current else { return };
        let (link, streams) = (exchange.conn.link, exchange.via.streams());
        let patience = if streams { ctx.phase.heartbeat } else { ctx.phase.poll_hold * 5 / 4 } + 2 * SLACK;
        let since = exchange.heard.max(exchange.conn.arrives).max(ctx.net.link(link).prompt_since);
        if ctx.now() < since + patience {
            return ctx.alarm(since + patience - ctx.now() + 1, WATCH + KINDS * self.generation);
        }
        if ctx.net.is_sound(link) {
            ctx.fail(format!("l{link}: silent for too long"));
        }
        if self.profile.style.reading == Reading::Prompt || ctx.rng.chance(30) {
            self.give_up(ctx);
        } else {
            ctx.alarm(patience, WATCH + KINDS * self.generation);
        }
    }

    pub(super) fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(mut exchange) = self.current.take() {
            exchange.conn.abandon(ctx);
            self.abandoned = Some(ctx.now());
            self.broke(ctx, exchange);
        }
    }
}

/// An item on a superseded response. It is not answered, not even if it is a ping.
fn old_item(ctx: &mut Ctx<'_>, exchange: &mut Exchange, item: Item) {
    let text = match item {
        Item::Id(_) | Item::Beat => return,
        Item::Ping(_) => return exchange.unanswered = exchange.unanswered.or(Some(ctx.now())),
        Item::Envelope(text, _) => text,
    };
    match Envelope::parse(&text) {
        Ok(Envelope::Close(close)) if close.code == "recycle" => {
            exchange.pending.recycled = Some(ctx.now());
        }
        Ok(Envelope::Close(close)) => {
            exchange.pending.closed = Some((close.code, close.reconnect, close.after));
        }
        Ok(_) => {}
        Err(why) => ctx.fail(why),
    }
}
