//! The subscriptions of a tab, as far as it knows.

use super::super::Ctx;
use crate::oracle::BookId;
use crate::oracle::book::matches;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asking,
    Sure,
    Leaving,
}

#[derive(Debug)]
struct Want {
    pattern: String,
    wish: usize,
    state: State,
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    list: Vec<Want>,
}

/// At a time.
const WANTS_MAX: usize = 5;

impl Subscriptions {
    /// All are as they should be.
    pub(super) fn is_settled(&self) -> bool {
        self.list.iter().all(|want| want.state == State::Sure)
    }

    /// The session has ended: the subscriptions for a new one.
    pub(super) fn over(&mut self) -> Vec<String> {
        self.list.drain(..).filter(|want| want.state != State::Leaving).map(|want| want.pattern).collect()
    }

    pub(super) fn ask(&mut self, ctx: &mut Ctx<'_>, book: BookId, patterns: &[String]) {
        let now = ctx.now();
        for pattern in patterns {
            let wish = ctx.oracle.late_wish(now, book, pattern, 0, None);
            self.list.push(Want { pattern: pattern.clone(), wish, state: State::Asking });
        }
    }

    /// Some that it does not have, from a pool.
    pub(super) fn some(&self, ctx: &mut Ctx<'_>, pool: &[String]) -> Vec<String> {
        let lacks = |name: &&String| self.list.iter().all(|want| want.pattern != **name);
        let mut some: Vec<String> = pool.iter().filter(lacks).cloned().collect();
        ctx.rng.shuffle(&mut some);
        let most = WANTS_MAX.saturating_sub(self.list.len());
        some.truncate(ctx.rng.size(1, 2).min(most));
        some
    }

    /// One to unsubscribe from, if it has any.
    pub(super) fn leave(&mut self, ctx: &mut Ctx<'_>, book: BookId) -> Option<String> {
        let now = ctx.now();
        let at = ctx.rng.size(0, self.list.len().saturating_sub(1));
        let want = self.list.get_mut(at).filter(|want| want.state == State::Sure)?;
        want.state = State::Leaving;
        ctx.oracle.leaving(now, book, want.wish);
        Some(want.pattern.clone())
    }

    /// A pattern that shares no channel with another, and whether the tab has it and must
    /// unsubscribe first.
    pub(super) fn to_mix(&self, ctx: &mut Ctx<'_>, pool: &[String]) -> Option<(String, bool)> {
        let pattern = ctx.rng.pick(pool).clone();
        let others = self.list.iter().map(|want| &want.pattern).filter(|other| **other != pattern);
        let both = |other: &str, name: &String| matches(&pattern, name) && matches(other, name);
        let shares = others.into_iter().any(|other| pool.iter().any(|name| both(other, name)));
        let has = self.list.iter().any(|want| want.pattern == pattern);
        (!shares && (has || self.list.len() < WANTS_MAX)).then_some((pattern, has))
    }

    /// The batch unsubscribes from it and subscribes again.
    pub(super) fn leave_for_mix(&mut self, ctx: &mut Ctx<'_>, book: BookId, pattern: &str) {
        let now = ctx.now();
        for want in self.list.iter_mut().filter(|want| want.pattern == pattern) {
            want.state = State::Leaving;
            ctx.oracle.leaving(now, book, want.wish);
        }
    }

    /// The latest wish.
    pub(super) fn newest_wish(&self) -> Option<usize> {
        self.list.last().map(|want| want.wish)
    }

    pub(super) fn subscribed(&mut self, ctx: &mut Ctx<'_>, book: BookId, patterns: &[String]) {
        let now = ctx.now();
        let asked = |want: &&mut Want| patterns.contains(&want.pattern) && want.state == State::Asking;
        for want in self.list.iter_mut().filter(asked) {
            want.state = State::Sure;
            ctx.oracle.sure(now, book, want.wish);
        }
    }

    pub(super) fn left(&mut self, ctx: &mut Ctx<'_>, book: BookId, pattern: &str) {
        let now = ctx.now();
        let gone = |want: &mut Want| want.pattern == pattern && want.state == State::Leaving;
        for want in self.list.extract_if(.., gone) {
            ctx.oracle.left(now, book, want.wish);
        }
    }
}
