//! Batches that mix publishes with changes of subscriptions.

use super::*;

impl Tab {
    /// Publishes before and after a subscription, and after an unsubscription. No other
    /// subscription delivers these messages.
    pub(super) fn mixed(&mut self, ctx: &mut Ctx<'_>, shared: &Shared) -> Vec<String> {
        let Some((pattern, leaves)) = self.subs.to_mix(ctx, &shared.pool) else { return Vec::new() };
        let covers = |name: &&String| matches(&pattern, name);
        let covered: Vec<String> = shared.channels.iter().filter(covers).cloned().collect();
        if covered.is_empty() {
            return Vec::new();
        }
        let (mut ids, mut numbers) = (Vec::new(), Vec::new());
        if leaves {
            self.subs.leave_for_mix(ctx, self.book, &pattern);
            let more = json!({ "subscription": pattern });
            ids.push(self.for_session(What::Unsubscribe(pattern.clone()), "/meta/unsubscribe", &more));
        }
        for _ in 0..ctx.rng.size(1, 2) {
            numbers.push(ctx.oracle.next_number());
            let channel = ctx.rng.pick(&covered).clone();
            ids.push(self.publish(ctx, &channel));
            ctx.oracle.forbid(ctx.net.now, self.book, numbers[numbers.len() - 1]);
        }
        ids.push(self.subscribe(ctx, std::slice::from_ref(&pattern)));
        let wish = self.subs.newest_wish();
        for _ in 0..ctx.rng.size(1, 3) {
            numbers.push(ctx.oracle.next_number());
            let channel = ctx.rng.pick(&covered).clone();
            ids.push(self.publish(ctx, &channel));
            if let Some(wish) = wish {
                ctx.oracle.owe(self.book, wish, numbers[numbers.len() - 1]);
            }
        }
        ctx.oracle.in_sequence(numbers);
        ids
    }
}
