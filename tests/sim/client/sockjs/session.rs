//! A session as its page sees it: what may come next, and what its strings mean.

use std::collections::VecDeque;

use serde_json::Value;

use super::super::Ctx;
use super::super::http_conn::SLACK;
use super::super::receiver::personal;
use super::super::uplink::Command;
use super::commands::{Batch, Wants};
use super::frames::Frame;
use crate::envelope::{Envelope, Open, Position};
use crate::oracle::{BookId, Cause, PROMPT};

/// How frames came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Via {
    /// The transport.
    pub(super) name: &'static str,
    /// When the request was sent, and when it arrived.
    pub(super) asked: u64,
    pub(super) arrives: u64,
    /// The server wrote them, and the network lost them.
    pub(super) is_lost: bool,
}

/// Whether the session goes on with the next response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goes {
    /// Nothing is known: a connection broke.
    Unknown,
    /// A response is under way.
    Attached,
    /// The server ended a response at this time or later.
    After { min: u64, max: u64 },
    /// No: its stream was cut.
    Over,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) book: BookId,
    pub(super) user: String,
    /// How long it lives without a response.
    pub(super) disconnect: u64,
    pub(super) listed: Vec<String>,
    /// `o` has come, or was lost.
    pub(super) opened: bool,
    /// So has the envelope `open`.
    pub(super) greeted: bool,
    pub(super) goes: Goes,
    /// The transport of its first response.
    first: &'static str,
    /// The position of its last message.
    position: Option<Position>,
    /// Of the session whose strings come now, for what belongs to an earlier one.
    pub(super) life: u64,
    pub(super) wants: Wants,
    pub(super) batches: VecDeque<Batch>,
    /// The commands of the batch whose answers come now.
    answering: VecDeque<Command>,
    /// When it sent the command that ends it, and when that was accepted.
    pub(super) closing: Option<(u64, Option<u64>)>,
    /// How it ended, and not before when.
    pub(super) closed: Option<(u16, String, u64)>,
    /// A gap has taken more than messages: the page needs another session.
    pub(super) is_blurred: bool,
    /// As far as the page can tell, it has everything that was published before.
    pub(super) level: bool,
}

impl Session {
    pub(super) fn new(book: BookId, user: String, disconnect: u64, listed: Vec<String>) -> Self {
        Self {
            book,
            user,
            disconnect,
            listed,
            opened: false,
            greeted: false,
            goes: Goes::Unknown,
            first: "",
            position: None,
            life: 0,
            wants: Wants::default(),
            batches: VecDeque::new(),
            answering: VecDeque::new(),
            closing: None,
            closed: None,
            is_blurred: false,
            level: false,
        }
    }

    /// The page takes another name: nothing is known of the session that it will mean.
    pub(super) fn renew(&mut self) {
        (self.opened, self.greeted, self.level) = (false, false, false);
        self.is_blurred = false;
        (self.closing, self.closed, self.goes) = (None, None, Goes::Unknown);
        self.life += 1;
        self.batches.clear();
        self.answering.clear();
        self.wants = Wants::default();
    }

    /// Whether a request that arrives then surely finds it.
    pub(super) fn lives_at(&self, arrives: u64) -> bool {
        let lives = match self.goes {
            Goes::Attached => true,
            Goes::After { min, .. } => arrives + SLACK < min + self.disconnect,
            Goes::Unknown | Goes::Over => false,
        };
        self.opened && self.closing.is_none() && self.closed.is_none() && lives
    }

    /// Takes a frame; `begins` its response.
    pub(super) fn take(&mut self, ctx: &mut Ctx<'_>, frame: Frame, via: Via, begins: bool) {
        ctx.note(format_args!("{} {} {frame}", self.user, if via.is_lost { "loses" } else { "gets" }));
        if let Some(why) = self.misplaced(&frame, via, begins) {
            ctx.fail(format!("{why}: {frame} to {via:?}, {:?}", self.goes));
        }
        self.goes = Goes::Attached;
        match frame {
            Frame::Open => self.begin(ctx, via),
            Frame::Beat => self.level |= !via.is_lost,
            Frame::Strings(strings) => {
                for text in strings {
                    self.string(ctx, &text, via);
                }
            }
            Frame::Close(code, reason) => self.end(ctx, code, reason),
        }
    }

    /// Why a frame may not come here.
    fn misplaced(&self, frame: &Frame, via: Via, begins: bool) -> Option<&'static str> {
        let is_told_until = |(_, _, at): &(_, _, u64)| at + self.disconnect;
        let is_remembered =
            self.closed.as_ref().is_some_and(|closed| via.arrives + SLACK < is_told_until(closed));
        let ended_by = self.closing.and_then(|(_, taken)| taken);
        match frame {
            Frame::Open if !begins => Some("o amid a response"),
            Frame::Open if is_remembered => Some("its end is forgotten"),
            Frame::Open if self.lives_at(via.arrives) => Some("a session that goes on begins again"),
            Frame::Open | Frame::Close(..) => None,
            Frame::Beat | Frame::Strings(_) if !self.opened => Some("a session begins without o"),
            Frame::Beat | Frame::Strings(_) if self.closed.is_some() => Some("something after the end"),
            Frame::Beat | Frame::Strings(_) if self.goes == Goes::Over => {
                Some("a session goes on although its stream was cut")
            }
            Frame::Beat | Frame::Strings(_) if ended_by.is_some_and(|at| at + SLACK < via.asked) => {
                Some("a session goes on although its client closed it")
            }
            Frame::Beat | Frame::Strings(_) => match self.goes {
                Goes::After { max, .. } if max.saturating_add(self.disconnect + SLACK) < via.asked => {
                    Some("a session has outlived its time")
                }
                Goes::After { .. } | Goes::Unknown | Goes::Attached | Goes::Over => None,
            },
        }
    }

    /// A session begins.
    fn begin(&mut self, ctx: &mut Ctx<'_>, via: Via) {
        self.renew();
        (self.opened, self.goes, self.first, self.position) = (true, Goes::Attached, via.name, None);
        self.level = !via.is_lost;
        let now = ctx.now();
        ctx.oracle.begin_life(self.book);
        ctx.oracle.wish(now, self.book, &personal(&self.user), 0, None);
        for pattern in &self.listed {
            let wish = ctx.oracle.wish(now, self.book, pattern, 0, None);
            self.wants.has(pattern, wish);
        }
        ctx.oracle.confirm(now, self.book, &self.listed);
    }

    /// It begins without a frame: a socket's that has none.
    pub(super) fn begin_raw(&mut self, ctx: &mut Ctx<'_>, via: Via) {
        self.begin(ctx, via);
    }

    fn end(&mut self, ctx: &mut Ctx<'_>, code: u16, reason: String) {
        let is_asked_for = (code, &*reason) == (1000, "Normal closure") && self.closing.is_some();
        let drains = (code, &*reason) == (1012, "the node restarts") && ctx.phase.over;
        let again = self.closed.as_ref().is_some_and(|(known, why, _)| (*known, why) == (code, &reason));
        if !is_asked_for && !drains && !again {
            ctx.fail(format!("a session ends with {code} {reason:?}"));
        }
        ctx.oracle.pipes_over += 1;
        ctx.oracle.well(self.book, None);
        let since = self.closing.map_or(0, |(sent, _)| sent);
        self.closed.get_or_insert((code, reason, since));
    }

    /// Takes a string.
    pub(super) fn string(&mut self, ctx: &mut Ctx<'_>, text: &str, via: Via) {
        let envelope = match Envelope::parse(text) {
            Ok(envelope) => envelope,
            Err(why) => return ctx.fail(why),
        };
        // A gap may cover it, and answers.
        let is_gap = matches!(envelope, Envelope::Gap(_));
        if is_gap && !(self.greeted && self.batches.is_empty() && self.answering.is_empty()) {
            self.is_blurred = true;
            if ctx.oracle.roomy {
                ctx.fail(format!("a gap takes answers though nothing was forgotten: {text}"));
            }
        }
        if self.is_blurred {
            return;
        }
        if self.greeted == matches!(envelope, Envelope::Open(_)) {
            ctx.fail(format!("open is not the first string, or comes twice: {text}"));
        }
        let now = ctx.now();
        match envelope {
            Envelope::Open(open) => self.open(ctx, &open),
            Envelope::Message(message) => {
                self.advance(ctx, &message.id);
                if via.is_lost {
                    return ctx.oracle.lost_string(now, self.book, message.id.n);
                }
                let sent = ctx.oracle.message(now, self.book, &message);
                // Messages arrive in order, so behind a recent one there is no backlog.
                self.level |= sent.is_some_and(|sent| now - sent < PROMPT / 2);
            }
            Envelope::Gap(gap) => {
                self.level = false;
                ctx.oracle.gap(now, self.book, &gap, Cause::Logs);
            }
            Envelope::Ok(value) => self.answer(ctx, Ok(value)),
            Envelope::Error(fault) => self.answer(ctx, Err(fault.code)),
            Envelope::Close(_) | Envelope::Presence(..) | Envelope::Advice | Envelope::Nothing => {
                ctx.fail(format!("a string that does not belong here: {text}"));
            }
        }
    }

    fn open(&mut self, ctx: &mut Ctx<'_>, open: &Open) {
        self.greeted = true;
        let got = (open.heartbeat, open.grace, &*open.transport, open.resumed);
        if got != (ctx.phase.heartbeat, self.disconnect, self.first, false) || open.instead.is_some() {
            ctx.fail(format!("{} is told {open:?}", self.first));
        }
        match Position::parse(&open.position) {
            Ok(position) => self.position = Some(position),
            Err(why) => ctx.fail(why),
        }
    }

    /// Messages of a session have one order.
    fn advance(&mut self, ctx: &mut Ctx<'_>, to: &Position) {
        if let Some(from) = &self.position
            && (to.n <= from.n || to.epoch != from.epoch)
        {
            ctx.fail(format!("{}: from {from} to {to}", self.user));
        }
        self.position = Some(to.clone());
    }

    /// An answer to a command.
    fn answer(&mut self, ctx: &mut Ctx<'_>, outcome: Result<Value, String>) {
        let command = self.answering.pop_front().or_else(|| {
            let token = outcome.as_ref().ok().and_then(|value| value["ping"].as_u64())?;
            let at = self.batches.iter().position(|batch| batch.token == token)?;
            if self.batches.iter().take(at).any(|batch| !batch.is_doubtful) {
                ctx.fail(format!("batch {token} is answered before an earlier one"));
            }
            self.answering = self.batches.remove(at)?.commands.into();
            self.answering.pop_front()
        });
        let Some(command) = command else { return ctx.fail(format!("an answer to nothing: {outcome:?}")) };
        let is_ok = outcome.is_ok();
        command.answered(ctx, &Some(outcome));
        self.wants.answered(ctx, self.book, &command, is_ok);
    }
}
