//! Deliberate breakages for the simulation to catch. Without the feature `mutations`, `broken_by`
//! is always `false`.

use crate::turn::cx::Cx;

/// One thing that a careless change might break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A held poll is not woken by a message.
    SleepThroughMessage,
    /// A level stream's cursor moves on without the message.
    CursorWithoutPush,
    /// A gap is not sent.
    SilentGap,
    /// A gap about what other shards' channels held before the interest is sent once, whether or
    /// not the client received it.
    GapToldOnce,
    /// A log of messages of other shards begins at the number of the newest message.
    BeginWithoutNumber,
    /// A TCP stream takes bytes that it has.
    StreamTakesRepeats,
    /// The end of a page's bytes is not passed on to the server.
    StreamForgetsEnd,
    /// Acknowledged bytes of a TCP stream stay under way.
    StreamLeaksCredit,
    /// A TCP stream is read from whether or not the page has room.
    StreamIgnoresWindow,
    /// The first message that a page asks for once more is left out.
    StreamSkipsAtResume,
    /// A session's first position is from before its own logs.
    BeginBeforeItsLogs,
    /// The subscriptions of a request's query are repeated after its commands.
    QueryHasTheLastWord,
    /// A message that matches two subscriptions is sent twice.
    DoubleMatch,
    /// A detached session never ends.
    ImmortalSession,
    /// Unparsed bytes do not travel with a connection.
    EmptyParcel,
    /// `last` gives one message too few.
    LastOffByOne,
    /// A position is taken to be one higher than it is.
    SkipAfterSince,
    /// A message that did not fit into the outbox is never sent.
    ForgetTheFall,
    /// A new subscription sends no interest to the channel's home.
    KeepInterestSecret,
    /// A resumed session leaves its old connection open.
    LeaveOldConnOpen,
    /// Answers to a batch have the order in which they became known.
    AnswersOutOfOrder,
    /// A message is forwarded to one shard too few.
    ForwardToOneLess,
    /// A held poll's hold never ends.
    EndlessHold,
    /// Bytes that arrive while a request is being answered are dropped.
    DropPipelined,
    /// The outbox has no budget.
    BoundlessOutbox,
    /// A new subscription begins one message late.
    BeginLate,
    /// A new subscription sends no request for the home's snapshot, so history is lost.
    LoseSnapshot,
    /// A session that has ended stays in its channels' lists.
    LeakSubscription,
    /// Of a run, only the first message is sent.
    CutTheRun,
    /// Pipelined requests are answered in the order in which their answers became known.
    AnswerAsKnown,
    /// Publishes are sent to congested homes.
    IgnoreCongestion,
    /// A publish that is refused for congestion is delivered nevertheless.
    DeliverRefused,
    /// A refusal within a batch stops the delivery of the messages before it.
    RefusalDropsRun,
    /// A congested shard gets no control mail: no interest, no snapshots, no answers.
    BarControlMail,
    /// A recycled response loses the cursor of messages not yet sent.
    RecycleLosesCursor,
    /// A socket answers the commands of one message in the wrong order.
    SocketAnswersBackwards,
    /// Missing pongs have no consequence.
    PongsUnchecked,
    /// Everything sent to a client that acknowledges batches counts as acknowledged.
    ForgetUnacknowledged,
    /// A batch that was acknowledged is sent again.
    ResendAcknowledged,
    /// A connect with an old number makes the server forget which batches are unacknowledged.
    ForgetBatches,
    /// Each client of a browser may hold a connection.
    CrowdUnseen,
    /// A drain answers all held connects at once.
    SendAwayAtOnce,
    /// The answer to a connect comes before events that it does not number.
    AnswerBeforeEvents,
    /// A session that continues on a socket skips the messages before it.
    JumpAtBind,
    /// A socket that moves to another shard loses the message that made it move.
    EmptyUpgrade,
    /// What follows a publish to another shard does not wait for its answer.
    OvertakeOwnPublishes,
    /// A batch is executed in one turn, however long it is.
    NeverYield,
    /// A publish that is repeated with its key is executed again.
    ForgetKeys,
    /// What an unwritten answer to a poll carried is not due again.
    ForgetUnwritten,
    /// A second response of a named session takes the place of the first.
    SecondTakesOver,
    /// A client that comes back to a named session that has ended opens another one.
    ForgetEnds,
    /// Answers to commands that come as messages of the session are lost.
    MuteCommands,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 52] = [
        Self::SleepThroughMessage,
        Self::CursorWithoutPush,
        Self::SilentGap,
        Self::GapToldOnce,
        Self::BeginWithoutNumber,
        Self::StreamTakesRepeats,
        Self::StreamForgetsEnd,
        Self::StreamLeaksCredit,
        Self::StreamIgnoresWindow,
        Self::StreamSkipsAtResume,
        Self::BeginBeforeItsLogs,
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
        Self::IgnoreCongestion,
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
        Self::ForgetUnwritten,
        Self::SecondTakesOver,
        Self::ForgetEnds,
        Self::MuteCommands,
    ];
}

impl Cx {
    /// Whether the shard is broken in this way.
    #[cfg(feature = "mutations")]
    pub(crate) fn broken_by(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Always `false`: the feature is off.
    #[cfg(not(feature = "mutations"))]
    #[expect(clippy::unused_self, reason = "with the feature it is used")]
    #[inline]
    pub(crate) const fn broken_by(&self, _: Mutation) -> bool {
        false
    }
}
