//! What became of one read or write of a socket, and what an event says besides.

/// The result of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadOutcome {
    /// This many bytes, at least one.
    Bytes(usize),
    /// The peer has sent its last byte. Reported once.
    End,
    /// Reset, timed out or otherwise dead. The socket is gone from the table.
    Broken,
    /// Nothing to read now: drained, paused, ended before, or no longer here.
    Nothing,
}

/// The result of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    /// The kernel took this many bytes, at least one.
    Wrote(usize),
    /// The kernel takes nothing now; an event follows. Or the socket is no longer here.
    Later,
    /// Reset, timed out or otherwise dead. The socket is gone from the table.
    Broken,
}

/// The state that an event reports, besides readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Nothing that a read would not report.
    Ok,
    /// Dead, and no read would report it. The socket is gone from the table.
    Broken,
}

/// Whether a socket's budget ran out before its work did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteRest {
    /// There may be more: back into the queue.
    More,
    /// The kernel takes no more now; an event follows.
    Later,
    /// The outbox is empty. If a half-close was requested, it is due.
    Nothing,
}
