//! The subscriptions of a client, and the commands that change them.

use serde_json::Value;

use super::Ctx;
use super::receiver::Receiver;
use super::uplink::{Answer, Command};
use crate::envelope::{Gap, Position};
use crate::oracle::Cause;
use crate::oracle::book::matches;

/// The state of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be requested, also again, since the session is another one.
    Lacking,
    Asking,
    Sure,
    Leaving,
}

#[derive(Clone, Debug)]
struct Want {
    pattern: String,
    wish: usize,
    state: State,
    /// The position from which to resume, if it is requested again.
    since: Option<Position>,
}

/// All subscriptions of a client.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    /// Channels and patterns that it may subscribe to.
    pool: Vec<String>,
    list: Vec<Want>,
    /// Earlier subscriptions, with the position at their end.
    past: Vec<(String, Position, u64)>,
}

/// At a time.
const WANTS_MAX: usize = 5;

impl Subscriptions {
    pub(crate) fn new(pool: Vec<String>) -> Self {
        Self { pool, list: Vec::new(), past: Vec::new() }
    }

    /// The channels of a request, in case the session has ended: all that are certain.
    pub(crate) fn patterns(&self) -> Vec<String> {
        self.list.iter().filter(|want| want.state == State::Sure).map(|want| want.pattern.clone()).collect()
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.list.iter().all(|want| want.state == State::Sure)
    }

    /// A new life begins with these patterns, which the request lists.
    pub(crate) fn begin(
        &mut self,
        ctx: &mut Ctx<'_>,
        receiver: &mut Receiver,
        patterns: &[String],
        last: usize,
    ) {
        receiver.begin(ctx, &[], 0);
        receiver.in_history = last > 0;
        let now = ctx.now();
        self.past.clear();
        self.list = patterns
            .iter()
            .map(|pattern| Want {
                pattern: pattern.clone(),
                wish: ctx.oracle.wish(now, receiver.book, pattern, last, None),
                state: State::Sure,
                since: None,
            })
            .collect();
    }

    /// The session is another one without earlier state. Its request listed some channels, and
    /// carried commands.
    pub(crate) fn new_life(
        &mut self,
        ctx: &mut Ctx<'_>,
        receiver: &Receiver,
        listed: &[String],
        carried: &[Command],
    ) {
        let now = ctx.now();
        self.past.clear();
        let leaves = |want: &mut Want| want.state == State::Leaving;
        for want in self.list.extract_if(.., leaves) {
            let leaves_new =
                |one: &Command| matches!(one, Command::Unsubscribe { wish, .. } if *wish == want.wish);
            // Any other command goes to the session that is over: the new one stays subscribed.
            if listed.contains(&want.pattern) && !carried.iter().any(leaves_new) {
                let wish = ctx.oracle.wish(now, receiver.book, &want.pattern, 0, None);
                ctx.oracle.sure(now, receiver.book, wish);
                ctx.oracle.unanswered(now, receiver.book, wish);
            }
        }
        for want in &mut self.list {
            want.wish = ctx.oracle.wish(now, receiver.book, &want.pattern, 0, None);
            want.since = None;
            let listed = listed.contains(&want.pattern);
            want.state = if listed { State::Sure } else { State::Lacking };
            if listed {
                ctx.oracle.sure(now, receiver.book, want.wish);
            }
        }
    }

    /// The session is another one that continues from `since`, with the listed channels and those
    /// that commands in the same request subscribe to.
    pub(crate) fn new_session(&mut self, since: &Position, listed: &[String], carried: &[Command]) {
        let asks =
            |of: usize| move |one: &Command| matches!(one, Command::Subscribe { wish, .. } if *wish == of);
        let lacks =
            |want: &&mut Want| !listed.contains(&want.pattern) && !carried.iter().any(asks(want.wish));
        for want in self.list.iter_mut().filter(lacks) {
            want.since.get_or_insert_with(|| since.clone());
            want.state = State::Lacking;
        }
    }

    /// The next commands, if any.
    pub(crate) fn commands(&mut self, ctx: &mut Ctx<'_>, receiver: &Receiver) -> Vec<Command> {
        let mut commands = Vec::new();
        if ctx.phase.mixes && !ctx.phase.calm && !ctx.phase.silent && ctx.rng.chance(25) {
            commands = self.mixed(ctx, receiver);
            if !commands.is_empty() {
                return commands;
            }
        }
        for want in self.list.iter_mut().filter(|want| want.state == State::Lacking) {
            want.state = State::Asking;
            let (pattern, wish, since) = (want.pattern.clone(), want.wish, want.since.clone());
            if since.is_some() {
                ctx.oracle.asked_again(receiver.book, wish);
            }
            commands.push(Command::Subscribe { pattern, wish, last: 0, since });
        }
        let count = if ctx.phase.calm { 0 } else { ctx.rng.size(1, 3) };
        for _ in 0..count {
            if let Some(command) = self.any(ctx, receiver) {
                commands.push(command);
            }
        }
        commands
    }

    /// Whether this pattern and another subscription than that at `besides` have a channel in
    /// common.
    fn shares(&self, own: &str, besides: Option<usize>) -> bool {
        let both = |other: &str, name: &String| matches(own, name) && matches(other, name);
        let others = self.list.iter().enumerate().filter(|(other, _)| Some(*other) != besides);
        others.map(|(_, want)| &want.pattern).any(|other| self.pool.iter().any(|name| both(other, name)))
    }

    /// Subscriptions that share no channel with another.
    fn alone(&self) -> Vec<usize> {
        let is_alone = |at: &usize| {
            self.list[*at].state == State::Sure && !self.shares(&self.list[*at].pattern, Some(*at))
        };
        (0..self.list.len()).filter(is_alone).collect()
    }

    /// Publishes around changes of a subscription: before and after it, and after an
    /// unsubscription. No other subscription delivers these messages.
    fn mixed(&mut self, ctx: &mut Ctx<'_>, receiver: &Receiver) -> Vec<Command> {
        let now = ctx.now();
        let (book, mut commands, mut numbers) = (receiver.book, Vec::new(), Vec::new());
        let alone = self.alone();
        let leaves = !alone.is_empty() && ctx.rng.chance(50);
        let pattern = if leaves {
            self.list[*ctx.rng.pick(&alone)].pattern.clone()
        } else {
            ctx.rng.pick(&self.pool).clone()
        };
        let covers = |name: &&String| !name.ends_with('*') && matches(&pattern, name);
        let covered: Vec<String> = self.pool.iter().filter(covers).cloned().collect();
        let is_free = leaves || (self.list.len() < WANTS_MAX && !self.shares(&pattern, None));
        if covered.is_empty() || !is_free || self.list.iter().any(|want| want.state != State::Sure) {
            return Vec::new();
        }
        let mut publish = |ctx: &mut Ctx<'_>, commands: &mut Vec<Command>| {
            let channel = ctx.rng.pick(&covered).clone();
            let number = ctx.oracle.next_number();
            commands.push(Command::publish(ctx, &channel));
            numbers.push(number);
            number
        };
        if leaves {
            for want in self.list.iter_mut().filter(|want| want.pattern == pattern) {
                want.state = State::Leaving;
                ctx.oracle.leaving(now, book, want.wish);
                let (at, asked, wish) = (receiver.position.clone(), receiver.level_at, want.wish);
                commands.push(Command::Unsubscribe { pattern: pattern.clone(), wish, at, asked });
            }
        }
        for _ in 0..ctx.rng.size(1, 2) {
            let number = publish(ctx, &mut commands);
            ctx.oracle.forbid(now, book, number);
        }
        let wish = ctx.oracle.late_wish(now, book, &pattern, 0, None);
        self.list.push(Want { pattern: pattern.clone(), wish, state: State::Asking, since: None });
        commands.push(Command::Subscribe { pattern: pattern.clone(), wish, last: 0, since: None });
        for _ in 0..ctx.rng.size(1, 3) {
            let number = publish(ctx, &mut commands);
            ctx.oracle.owe(book, wish, number);
        }
        ctx.oracle.in_sequence(numbers);
        commands
    }

    fn any(&mut self, ctx: &mut Ctx<'_>, receiver: &Receiver) -> Option<Command> {
        let now = ctx.now();
        match ctx.rng.below(10) {
            0..=2 if self.list.len() < WANTS_MAX => {
                let pattern = ctx.rng.pick(&self.pool).clone();
                if self.list.iter().any(|want| want.pattern == pattern) {
                    return None;
                }
                let back =
                    self.past.iter().position(|(past, ..)| *past == pattern).map(|at| self.past.remove(at));
                let back = back.filter(|_| ctx.rng.chance(60));
                let last = if back.is_none() && ctx.rng.chance(60) { ctx.rng.size(1, 6) } else { 0 };
                let from = back.as_ref().map(|(.., at)| *at);
                let wish = ctx.oracle.late_wish(now, receiver.book, &pattern, last, from);
                let since = back.map(|(_, position, _)| position);
                self.list.push(Want {
                    pattern: pattern.clone(),
                    wish,
                    state: State::Asking,
                    since: since.clone(),
                });
                Some(Command::Subscribe { pattern, wish, last, since })
            }
            3 => {
                // Unsubscribing drops messages on their way by that subscription, even if a later
                // one matches them too (docs/PROTOCOL.md); so it applies only to those that share
                // no channel with another.
                let sure = self.alone();
                let want = &mut self.list[*sure.get(ctx.rng.below(sure.len() as u64) as usize)?];
                want.state = State::Leaving;
                let (book, wish) = (receiver.book, want.wish);
                ctx.oracle.leaving(now, book, wish);
                let at = receiver.position.clone();
                Some(Command::Unsubscribe {
                    pattern: want.pattern.clone(),
                    wish,
                    at,
                    asked: receiver.level_at,
                })
            }
            4..=6 => {
                let channels =
                    self.pool.iter().filter(|name| !name.ends_with('*')).cloned().collect::<Vec<_>>();
                (!ctx.phase.silent).then(|| {
                    let channel = ctx.rng.pick(&channels).clone();
                    Command::publish(ctx, &channel)
                })
            }
            7 => receiver.position.as_ref().map(|position| Command::Ack { position: position.to_string() }),
            _ => Some(Command::Ping { token: ctx.rng.below(1_000_000) }),
        }
    }

    /// Applies an answer.
    pub(crate) fn answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        receiver: &Receiver,
        command: &Command,
        answer: &Answer,
    ) {
        command.answered(ctx, answer);
        let now = ctx.now();
        match (command, answer) {
            (Command::Subscribe { wish, since, .. }, Some(Ok(value))) => {
                if let Some(since) = since
                    && value["resumed"] == Value::Bool(false)
                {
                    let to = value["position"].as_str().unwrap_or_default().to_owned();
                    ctx.oracle.gap(now, receiver.book, &Gap { from: since.to_string(), to }, Cause::Asked);
                }
                ctx.oracle.sure(now, receiver.book, *wish);
                for want in
                    self.list.iter_mut().filter(|want| want.wish == *wish && want.state == State::Asking)
                {
                    want.state = State::Sure;
                    want.since = None;
                }
            }
            (Command::Subscribe { wish, .. }, Some(Err(_)) | None) => {
                // One that promised messages before is requested again.
                let again = |want: &Want| want.since.is_some() && want.state == State::Asking;
                for want in self.list.iter_mut().filter(|want| want.wish == *wish && again(want)) {
                    want.state = State::Lacking;
                }
                let gone = |want: &Want| want.wish == *wish && want.state == State::Asking;
                if self.list.iter().any(gone) {
                    ctx.oracle.unanswered(now, receiver.book, *wish);
                    self.list.retain(|want| !gone(want));
                }
            }
            (Command::Unsubscribe { wish, pattern, at, asked }, answer) => {
                let held = self.list.iter().any(|want| want.wish == *wish);
                self.list.retain(|want| want.wish != *wish);
                if matches!(answer, Some(Ok(_))) && held {
                    ctx.oracle.left(now, receiver.book, *wish);
                    self.past.extend(at.clone().map(|at| (pattern.clone(), at, *asked)));
                }
            }
            (Command::Publish { .. } | Command::Ping { .. } | Command::Ack { .. } | Command::Close, _) => {}
        }
    }
}
