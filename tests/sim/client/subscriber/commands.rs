//! When a subscriber sends commands, and what their answers mean for it.

use super::*;

impl Subscriber {
    /// Commands that the next request of messages carries.
    pub(super) fn commands_to_carry(
        &mut self,
        ctx: &mut Ctx<'_>,
        via: Via,
        pending: &Pending,
    ) -> Vec<Command> {
        let carries = via.carries_commands() && self.profile.commands;
        let is_own = pending.session.is_some() && !self.would_meddle(ctx, pending.session.as_deref());
        if !carries || !is_own || !self.uplink.is_free() || ctx.rng.chance(70) {
            return Vec::new();
        }
        self.subs.commands(ctx, &self.receiver)
    }

    /// Whether another client, with a position alone, got this session too.
    pub(super) fn shares(&self, ctx: &Ctx<'_>, session: Option<&str>) -> bool {
        session.is_some_and(|session| ctx.oracle.is_shared(self.receiver.book, session))
    }

    /// Whether commands would change another client's session, too. Until all faults are over, that
    /// includes a session that the other one has left: its late requests may still name it.
    fn would_meddle(&self, ctx: &Ctx<'_>, session: Option<&str>) -> bool {
        let still = |session| ctx.oracle.is_still_shared(self.receiver.book, session);
        if ctx.phase.calm { session.is_some_and(still) } else { self.shares(ctx, session) }
    }

    /// Sends commands beside the messages, now and then.
    pub(super) fn command(&mut self, ctx: &mut Ctx<'_>) {
        if !self.profile.commands || self.gone || ctx.phase.over {
            return;
        }
        let every = if ctx.phase.calm { 500 } else { 3_000 };
        let after = ctx.rng.range(200, every);
        ctx.alarm(after, COMMAND);
        let session = self.receiver.session.as_deref();
        let is_busy = !self.uplink.is_free() || self.is_asking();
        if session.is_none() || is_busy || self.would_meddle(ctx, session) {
            return;
        }
        // A pending request lists channels.
        let carries = self.current.as_ref().is_some_and(|exchange| !exchange.commands.is_empty());
        if carries || !self.is_uncrossed(ctx) {
            return;
        }
        let commands = self.subs.commands(ctx, &self.receiver);
        if commands.is_empty() {
            return;
        }
        let commands = self.by_socket(ctx, commands);
        if !commands.is_empty() {
            let (user, session) = (self.receiver.user.clone(), self.receiver.session.clone());
            self.uplink.send(ctx, &user, session.as_deref(), self.profile.style, commands);
        }
    }

    /// Whether a command that is sent now crosses no pending request.
    pub(super) fn is_uncrossed(&self, ctx: &Ctx<'_>) -> bool {
        self.current.as_ref().is_none_or(|exchange| ctx.now() > exchange.conn.arrives + 300)
    }

    /// Takes the answers to commands of the uplink.
    pub(super) fn answered(&mut self, ctx: &mut Ctx<'_>, answers: Vec<(Command, Answer)>) {
        for (command, answer) in answers {
            if let Some(exchange) = self.current.as_mut().filter(|_| command.asks_for_past()) {
                exchange.level = false;
                ctx.oracle.well(self.receiver.book, None);
            }
            self.subs.answered(ctx, &self.receiver, &command, &answer);
            self.leave_page(&command);
            if matches!((&command, &answer), (Command::Close, Some(Err(_)) | None)) {
                // The close command may have been lost; the client leaves anyway.
                self.walk_away(ctx);
            }
        }
    }

    /// A channel that it wanted to leave may no longer be watched.
    pub(super) fn leave_page(&mut self, command: &Command) {
        if let Command::Unsubscribe { pattern, .. } = command {
            self.receiver.pages.leave(pattern);
            // A pending request may have listed it.
            for exchange in self.current.iter_mut().chain(&mut self.old) {
                exchange.pending.watched.retain(|channel| channel != pattern);
            }
        }
    }

    /// Commands whose answers will never arrive.
    pub(super) fn forget_commands(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange) {
        let had = exchange.pending.answers as usize;
        if !exchange.lose
            && exchange.done
            && exchange.commands.len() != had
            && exchange.pending.closed.is_none()
        {
            ctx.fail(format!("{} commands got {had} answers", exchange.commands.len()));
        }
        let rest: Vec<_> = exchange.commands.drain(..).skip(had).collect();
        for command in rest {
            self.subs.answered(ctx, &self.receiver, &command, &None);
            self.leave_page(&command);
        }
    }
}
