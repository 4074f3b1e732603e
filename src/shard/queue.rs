//! The order in which the commands of one request or socket message take effect, and how many of them one turn carries out.
//!
//! A change of a subscription takes effect at the session's shard, a publish at its channel's home. The home forwards a message
//! before it answers the publisher, by the same mailbox, so once the answer is here, so is the message. Hence the rule: a
//! command waits until the publishes before it are answered, unless it is a publish to the very shard that they went to, or
//! has no effect. Other shards see a client's publishes in its order too, since the next home is asked after the last has
//! answered. A backend's publishes do not pass through here: they keep their order in each channel, and wait for nothing.
//!
//! A batch that has to wait also holds up later batches of its session (`shard::lines`).
//!
//! A queue yields when its commands have cost a portion of a turn; it goes on in the next one. What is queued is carried out
//! even if its connection, or its session, is gone by then: a command for a session that is over is refused.

use std::rc::Rc;
use std::vec::IntoIter;

use crate::auth::Grant;
use crate::base::ids::ShardId;
use crate::base::slab::{ConnKey, SessionKey, TicketKey};
use crate::protocol::native::command::Command;
use crate::shard::Shard;
use crate::shard::commands::Caller;
use crate::shard::core::Core;
use crate::shard::mutation::Mutation;
use crate::shard::request::User;
use crate::shard::steps::Spent;
use crate::shard::ticket::{Errand, Ticket};
use crate::wire::refusal::Refusal;

/// The commands of a native client that are not carried out yet.
#[derive(Debug)]
pub struct Rest {
    user: User,
    grant: Rc<Grant>,
    session: Option<SessionKey>,
    stale: bool,
    commands: IntoIter<Result<Command, Refusal>>,
    ahead: Ahead,
    pause: Pause,
}

/// Where the publishes of a queue went that are not answered yet: all to one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead(Option<ShardId>);

/// Why a queue does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Publishes are to be answered first.
    Answers,
    /// It has had its portion of this turn: it stands in the shard's backlog.
    Turn,
    /// An earlier batch of its session is to be answered first.
    Predecessor,
}

/// Where a command takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nowhere: it is answered, and that is all.
    Nowhere,
    /// At the shard of its session.
    Session,
    /// At the shard that gives a channel its order.
    Home(ShardId),
}

/// Steps that a queue may cost in one turn before it yields. About a tenth of a millisecond for plain commands, a millisecond
/// where history is replayed: so many more queues may want their portion in the same turn.
const PORTION: u64 = 1_024;

/// Steps that all queues of the backlog may cost in one turn: others' requests wait for no longer than that.
const BACKLOG: u64 = 4 * PORTION;

/// A command costs so many steps besides what it looks at: its answer is made, its names are parsed.
const COMMAND: u64 = 8;

impl Ahead {
    /// A publish is on its way.
    pub(super) fn sent(&mut self, to: ShardId) {
        self.0 = Some(to);
    }
}

impl Rest {
    /// What is left of a batch, of whoever sent it.
    pub(super) fn new(
        caller: &Caller<'_>,
        commands: IntoIter<Result<Command, Refusal>>,
        ahead: Ahead,
        pause: Pause,
    ) -> Self {
        Self {
            user: caller.user.clone(),
            grant: Rc::clone(caller.grant),
            session: caller.session,
            stale: caller.stale,
            commands,
            ahead,
            pause,
        }
    }

    /// Why it waits.
    pub(super) fn pause(&self) -> Pause {
        self.pause
    }
}

/// What a queue has cost when it began its portion.
#[derive(Clone, Copy)]
pub(super) struct Portion(u64);

fn weight(Spent { work, offers, occasions, .. }: Spent) -> u64 {
    work.wrapping_add(offers).wrapping_add(occasions.wrapping_mul(COMMAND))
}

impl Core {
    /// A queue waits: its ticket stays open for what is left of it.
    pub(super) fn note_pause(&mut self, ticket: TicketKey, pause: Pause) {
        self.hold_line(ticket);
        match pause {
            Pause::Turn => self.backlog.push_back(ticket),
            Pause::Answers | Pause::Predecessor => {}
        }
    }

    /// Whether a queue has all answers that it waits for.
    pub(super) fn is_answered(&self, ticket: TicketKey) -> bool {
        let has_all = |ticket: &Ticket| ticket.missing == 0 && ticket.errand.pause() == Some(Pause::Answers);
        self.tickets.get(ticket).is_some_and(has_all)
    }

    /// Whether commands that came are not carried out yet: they are, before the node goes.
    pub(super) fn has_queued(&self) -> bool {
        self.tickets.iter().any(|(_, ticket)| ticket.errand.pause().is_some())
    }
}

impl Shard {
    /// A queue begins its portion of this turn.
    pub(super) fn begin_portion(&self) -> Portion {
        Portion(weight(self.core.cx.steps.spent()))
    }

    /// Why the next command of a queue is not carried out now, if it is not. `reach` is only asked for where it matters.
    pub(super) fn pause(
        &self,
        ticket: TicketKey,
        ahead: Ahead,
        portion: Portion,
        reach: impl FnOnce(&Self) -> Reach,
    ) -> Option<Pause> {
        let is_owed = self.core.tickets.get(ticket).is_some_and(|ticket| ticket.missing > 0);
        if is_owed && !self.core.cx.broken_by(Mutation::OvertakeOwnPublishes) {
            let may_go = match reach(self) {
                Reach::Nowhere => true,
                Reach::Session => false,
                Reach::Home(home) => ahead == Ahead(Some(home)) && home != self.core.cx.identity.id,
            };
            if !may_go {
                return Some(Pause::Answers);
            }
        }
        let is_used_up = weight(self.core.cx.steps.spent()).wrapping_sub(portion.0) >= PORTION;
        (is_used_up && !self.core.cx.broken_by(Mutation::NeverYield)).then_some(Pause::Turn)
    }

    /// Queues that have yielded go on, the oldest first.
    pub(super) fn work_off_backlog(&mut self) {
        let began = self.begin_portion();
        for _ in 0..self.core.backlog.len() {
            let Some(ticket) = self.core.backlog.pop_front() else { return };
            self.go_on(ticket);
            if weight(self.core.cx.steps.spent()).wrapping_sub(began.0) >= BACKLOG {
                return;
            }
        }
    }

    /// The queue goes on, if nothing has come between.
    pub(super) fn go_on_if_answered(&mut self, ticket: TicketKey) {
        if self.core.is_answered(ticket) {
            self.go_on(ticket);
        }
    }

    fn go_on(&mut self, key: TicketKey) {
        let Some(Ticket { errand, .. }) = self.core.tickets.get_mut(key) else { return };
        match errand {
            Errand::Commands { conn, rest, .. } => {
                let conn = *conn;
                if let Some(rest) = rest.take() {
                    self.go_on_with_commands(conn, key, *rest);
                }
            }
            Errand::Bayeux { call, .. } => {
                call.resume();
                self.go_on_with_call(key);
            }
            Errand::Publish { .. } | Errand::Inquiry { .. } => return,
        }
        self.settle_ticket(key);
    }

    fn go_on_with_commands(&mut self, conn: ConnKey, ticket: TicketKey, rest: Rest) {
        let Rest { user, grant, session, stale, commands, ahead, pause: _ } = rest;
        let caller = Caller { user: &user, grant: &grant, session, stale };
        self.carry_out_some(conn, ticket, &caller, commands, ahead);
    }
}
