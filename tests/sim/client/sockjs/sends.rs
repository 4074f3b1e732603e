//! What a page sends: commands, and what no page should.

use super::super::Ctx;
use super::super::http_conn::SLACK;
use super::super::uplink::Command;
use super::commands::{Batch, Out, What, some};
use super::{Alarm, Page, ring};
use crate::oracle::PROMPT;

/// Answers arrive within this time, in milliseconds: as messages do, with a page's patience.
const ANSWERED: u64 = PROMPT + 3_000;

/// A page waits so long for the receipt of what it has sent.
const PATIENCE: u64 = 20_000;

impl Page {
    /// Sends something, from time to time.
    pub(super) fn command(&mut self, ctx: &mut Ctx<'_>) {
        if !self.traits.commands || self.gone || ctx.phase.silent || ctx.phase.over {
            return;
        }
        let after = ctx.rng.range(300, if ctx.phase.calm { 1_500 } else { 2_500 });
        ring(ctx, after, Alarm::Command, 0);
        if self.uplink.out.is_some_and(|out| out.sent + PATIENCE < ctx.now()) {
            self.uplink.leave(ctx);
            self.unsent(ctx);
        }
        if self.uplink.out.is_some() {
            return;
        }
        let ready = self.session.greeted && self.goes_on(ctx);
        match ctx.rng.below(20) {
            0 if self.socket.is_none() && !self.path.is_empty() => {
                let path = self.path.clone();
                self.uplink.send(ctx, (&path, self.traits.style), What::Malformed, &[]);
            }
            1 => {
                let path = format!("{}/0/unknown{}", self.service, self.session.book);
                let strings = ["{\"ping\":1}".to_owned()];
                self.uplink.send(ctx, (&path, self.traits.style), What::Unknown, &strings);
            }
            2 if ready && !ctx.phase.calm => {
                self.session.closing = Some((ctx.now(), None));
                self.unwell(ctx);
                self.send(ctx, vec![Command::Close]);
            }
            _ if ready => {
                let from = (&self.place.pool[..], &self.place.channels[..]);
                let commands = some(ctx, &mut self.session.wants, self.session.book, from);
                self.send(ctx, commands);
            }
            _ => {}
        }
    }

    /// Whether its session surely goes on for as long as a request takes: under the same name
    /// another one could get the commands.
    fn goes_on(&self, ctx: &Ctx<'_>) -> bool {
        let has_begun = self.main.as_ref().is_some_and(|main| main.frames > 0) || self.socket.is_some();
        let lives = has_begun && self.session.closing.is_none() && self.session.closed.is_none();
        self.lost.is_none() && !self.renews && (lives || self.session.lives_at(ctx.now() + SLACK))
    }

    /// Whether commands may be on their way.
    pub(super) fn is_sending(&self, ctx: &Ctx<'_>) -> bool {
        let sends = self.uplink.out.is_some_and(|out| matches!(out.what, What::Batch { .. }));
        sends || ctx.now() < self.unsent_at + SLACK
    }

    /// Sends commands, behind a ping by which their answers are known.
    fn send(&mut self, ctx: &mut Ctx<'_>, mut commands: Vec<Command>) {
        self.tokens += 1;
        let token = self.tokens;
        let is_doubtful = matches!(commands[..], [Command::Close]);
        commands.insert(0, Command::Ping { token });
        let mut batch = Batch { token, commands, is_doubtful, taken: None };
        let strings = batch.strings(ctx);
        if let Some(socket) = &mut self.socket {
            socket.send(ctx, &strings);
            let arrives = socket.conn.arrives;
            batch.taken = Some(arrives);
            ring(ctx, arrives.saturating_sub(ctx.now()) + ANSWERED, Alarm::Due, token);
        } else {
            let life = self.session.life;
            let path = self.path.clone();
            self.uplink.send(ctx, (&path, self.traits.style), What::Batch { token, life }, &strings);
        }
        self.session.batches.push_back(batch);
    }

    /// A request that brought strings has been answered.
    pub(super) fn sent(&mut self, ctx: &mut Ctx<'_>, answered: Option<(Out, u16)>) {
        let Some((Out { what: What::Batch { token, life }, sent, .. }, status)) = answered else { return };
        if life != self.session.life || ctx.phase.over {
            return;
        }
        let now = ctx.now();
        if status == 404 {
            let well = ctx.oracle.books[self.session.book].well_since;
            if well.is_some_and(|since| since <= sent) {
                ctx.fail("a session that goes on is not found");
            }
            self.session.batches.retain(|batch| batch.token != token);
            return;
        }
        if let Some((_, taken)) = &mut self.session.closing {
            taken.get_or_insert(now);
        }
        if let Some(batch) = self.session.batches.iter_mut().find(|batch| batch.token == token) {
            batch.taken = Some(now);
            ring(ctx, ANSWERED, Alarm::Due, token);
        }
    }

    /// A request is lost: the server may have got it or not.
    pub(super) fn unsent(&mut self, ctx: &mut Ctx<'_>) {
        let Some(Out { what: What::Batch { token, .. }, .. }) = self.uplink.out.take() else { return };
        self.unsent_at = ctx.now();
        ctx.note(format_args!("does not know what became of batch {token}"));
        if let Some(batch) = self.session.batches.iter_mut().find(|batch| batch.token == token) {
            batch.is_doubtful = true;
        }
        if matches!(self.session.closing, Some((_, None))) {
            // It asked for the session's end. Whether that comes or not, it begins another one.
            self.renew_soon(ctx);
        }
    }

    /// The answers to a batch should have come by now.
    pub(super) fn check_due(&mut self, ctx: &mut Ctx<'_>, token: u64) {
        let Some(batch) = self.session.batches.iter().find(|batch| batch.token == token) else { return };
        let well = ctx.oracle.books[self.session.book].well_since;
        let should = batch.taken.is_some_and(|taken| well.is_some_and(|since| since <= taken));
        if should && !batch.is_doubtful && !ctx.phase.over {
            ctx.fail(format!("batch {token} was accepted and is not answered"));
        }
    }
}
