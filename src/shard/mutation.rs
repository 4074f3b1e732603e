//! Deliberate breakages for the simulation to catch. Without the feature `mutations` none exists and every question is `false`.

use crate::shard::cx::Cx;

/// One thing that a careless change might break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A parked poll is not woken by a message.
    SleepThroughMessage,
    /// A level stream's cursor moves on without the message.
    CursorWithoutPush,
    /// A gap is not told.
    SilentGap,
    /// A gap of what other shards' channels held before they were asked for is told once, be it received or not.
    GapToldOnce,
    /// What a request's query names is subscribed to once more after its commands.
    QueryHasTheLastWord,
    /// A message that matches two subscriptions is sent twice.
    DoubleMatch,
    /// A detached session never ends.
    ImmortalSession,
    /// Unparsed bytes do not travel with a connection.
    EmptyParcel,
    /// `last` gives one message too few.
    LastOffByOne,
    /// A position is taken to be one further on than it is.
    SkipAfterSince,
    /// The message that did not fit is not caught up on.
    ForgetTheFall,
    /// A new subscription is not told to the channel's home.
    KeepInterestSecret,
    /// A session that is taken up again leaves its old connection open.
    LeaveOldConnOpen,
    /// Answers to a batch come in the order in which they became known.
    AnswersOutOfOrder,
    /// A message is forwarded to one shard too few.
    ForwardToOneLess,
    /// A parked poll's hold never ends.
    EndlessHold,
    /// The bytes that came while a request was being answered are dropped.
    DropPipelined,
    /// The outbox has no budget.
    BoundlessOutbox,
    /// A new subscription begins one message late.
    BeginLate,
    /// A home's snapshot is not asked for, so history is lost.
    LoseSnapshot,
    /// A session that has ended stays in its channels' lists.
    LeakSubscription,
    /// Of a run, only the first message is sent.
    CutTheRun,
    /// Pipelined requests are answered in the order in which their answers became known.
    AnswerAsKnown,
    /// Publishes go to homes that are congested, too.
    HeedNoCongestion,
    /// A publish that is refused for congestion is delivered all the same.
    DeliverRefused,
    /// A refusal within a batch keeps what was accepted before it from being handed out.
    RefusalDropsRun,
    /// A congested shard gets no control mail: no interest, no snapshots, no answers.
    BarControlMail,
    /// A response that is told to make room forgets what it has not had yet.
    RecycleLosesCursor,
    /// A socket answers the commands of one message in the wrong order.
    SocketAnswersBackwards,
    /// Whether pings are answered is not looked at.
    PongsUnchecked,
    /// Whatever was sent to a Bayeux client counts as acknowledged.
    ForgetUnacknowledged,
    /// What a Bayeux client has acknowledged is sent once more.
    ResendAcknowledged,
    /// A connect with an old number makes the server forget which batches are on their way.
    ForgetBatches,
    /// Each Bayeux client of a browser may hold a connection.
    CrowdUnseen,
    /// A drain answers all connects of Bayeux clients at once.
    SendAwayAtOnce,
    /// The answer to a connect comes before events that it does not number.
    AnswerBeforeEvents,
    /// A Bayeux session that goes on by a socket begins there with what is new.
    JumpAtBind,
    /// A socket that moves to another shard forgets the message for which it moves.
    EmptyUpgrade,
    /// What follows a publish to another shard does not wait for its answer.
    OvertakeOwnPublishes,
    /// A batch is carried out in one turn, however long it is.
    NeverYield,
    /// A publish that comes again with its key is carried out once more.
    ForgetKeys,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 41] = [
        Self::SleepThroughMessage,
        Self::CursorWithoutPush,
        Self::SilentGap,
        Self::GapToldOnce,
        Self::QueryHasTheLastWord,
        Self::DoubleMatch,
        Self::ImmortalSession,
        Self::EmptyParcel,
        Self::LastOffByOne,
        Self::SkipAfterSince,
        Self::ForgetTheFall,
        Self::KeepInterestSecret,
        Self::LeaveOldConnOpen,
        Self::AnswersOutOfOrder,
        Self::ForwardToOneLess,
        Self::EndlessHold,
        Self::DropPipelined,
        Self::BoundlessOutbox,
        Self::BeginLate,
        Self::LoseSnapshot,
        Self::LeakSubscription,
        Self::CutTheRun,
        Self::AnswerAsKnown,
        Self::HeedNoCongestion,
        Self::DeliverRefused,
        Self::RefusalDropsRun,
        Self::BarControlMail,
        Self::RecycleLosesCursor,
        Self::SocketAnswersBackwards,
        Self::PongsUnchecked,
        Self::ForgetUnacknowledged,
        Self::ResendAcknowledged,
        Self::ForgetBatches,
        Self::CrowdUnseen,
        Self::SendAwayAtOnce,
        Self::AnswerBeforeEvents,
        Self::JumpAtBind,
        Self::EmptyUpgrade,
        Self::OvertakeOwnPublishes,
        Self::NeverYield,
        Self::ForgetKeys,
    ];
}

impl crate::shard::Shard {
    /// Breaks this shard in one way.
    #[cfg(feature = "mutations")]
    pub fn mutate(&mut self, mutation: Mutation) {
        self.core.cx.mutation = Some(mutation);
    }
}

impl Cx {
    /// Whether the shard is broken in this way.
    #[cfg(feature = "mutations")]
    pub(super) fn broken_by(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Never: the feature is off.
    #[cfg(not(feature = "mutations"))]
    #[expect(clippy::unused_self)]
    #[inline]
    pub(super) const fn broken_by(&self, _: Mutation) -> bool {
        false
    }
}
