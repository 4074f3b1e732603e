//! Connects without an answer yet, and the reasons for denying a session.

use crate::base::ticks::{Span, Tick};
use crate::protocol::bayeux::answer::{Advice, BayeuxAnswer, MultipleClients};
use crate::protocol::bayeux::fault::{BayeuxFault, FaultCause};
use crate::protocol::bayeux::message::{BayeuxConnect, BayeuxHead, CONNECT, Timesync};
use crate::protocol::bayeux::stamp::Stamp;
use crate::protocol::native::envelope::CloseCode;

/// A connect without an answer yet: only what the answer needs, because each idle client has one.
#[derive(Debug)]
pub struct Held {
    /// Its id, which the answer repeats.
    id: Option<Box<str>>,
    /// The client's clock, if the answer needs ours.
    pub(crate) clock: Option<Box<Timesync>>,
    /// Whether its answer has a timestamp.
    stamp: Stamp,
    pub(crate) since: Tick,
    pub(crate) hold: HoldPolicy,
    /// When a socket must answer it at the latest.
    pub(crate) due: Option<Tick>,
}

/// Whether a connect may be held: not if the client forbids it, nor if the other messages of its
/// request wait for the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldPolicy {
    Allowed,
    AtOnce,
}

/// The outcome of a connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectOutcome {
    /// The session continues.
    On(MultipleClients),
    /// The session has ended; the client may create another.
    Over,
    /// The session has ended for good.
    Gone,
}

impl Held {
    pub(crate) fn new(now: Tick, head: BayeuxHead, asked: &BayeuxConnect, alone: bool) -> Self {
        let at_once = !alone || asked.timeout == Some(0);
        let hold = if at_once { HoldPolicy::AtOnce } else { HoldPolicy::Allowed };
        Self {
            id: head.id,
            clock: asked.timesync.map(Box::new),
            stamp: head.stamp,
            since: now,
            hold,
            due: None,
        }
    }

    /// `unix_ms`: the time of the answer, in milliseconds since 1970.
    pub(crate) fn answer(&self, outcome: Result<(), &BayeuxFault>, unix_ms: i64) -> BayeuxAnswer {
        BayeuxAnswer::on(CONNECT, self.id.as_deref(), outcome).with_stamp(self.stamp.at(unix_ms))
    }

    /// A socket holds it until this time.
    pub(crate) fn hold_until(&mut self, due: Option<Tick>) {
        self.due = due;
    }

    /// When a socket must answer it.
    pub(crate) fn due(&self) -> Option<Tick> {
        self.due
    }

    /// The answer if there is no session, or not for this client.
    pub(crate) fn denied(&self, cause: SessionDenied, unix_ms: i64) -> Vec<u8> {
        let (fault, advice) = cause.fault_and_advice();
        self.answer(Err(&fault), unix_ms).with_advice(advice).finish()
    }
}

impl ConnectOutcome {
    /// The outcome of a held connect at the session's end (`code`), or at the next connect.
    pub(crate) fn after(code: Option<CloseCode>) -> Self {
        match code {
            None
            | Some(
                CloseCode::Replaced
                | CloseCode::Drain
                | CloseCode::Recycle
                | CloseCode::Elsewhere
                | CloseCode::Busy
                | CloseCode::Moved,
            ) => Self::On(MultipleClients::Alone),
            Some(CloseCode::Closed | CloseCode::Ended | CloseCode::TooManySessions) => Self::Gone,
            Some(CloseCode::Expired) => Self::Over,
        }
    }
}

/// Why this caller may not use a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionDenied {
    /// The session does not exist, or is another client's: a handshake creates a new one.
    Unknown,
    /// The session may be the caller's, but the cookie that came with it was not sent back. Another
    /// handshake would fail in the same way.
    Forgetful,
    /// The session's browser sends its cookie with requests, and this socket came without: a
    /// handshake by a request would lead here again, so the client first waits for this time.
    Unmarked(Span),
    /// The caller shares the session with another client, and they take it from each other: a
    /// handshake creates a separate one.
    Shared,
}

impl SessionDenied {
    /// The fault and the advice of the answer. Without a delay, a client that is refused again
    /// would handshake in a loop.
    pub(crate) fn fault_and_advice(self) -> (BayeuxFault, Advice) {
        match self {
            Self::Unknown => (FaultCause::SessionUnknown.into(), Advice::Handshake(Span::ZERO)),
            Self::Forgetful => (FaultCause::CookieWithheld.into(), Advice::Nothing),
            Self::Shared => (FaultCause::SessionShared.into(), Advice::Handshake(Span::ZERO)),
            Self::Unmarked(interval) => (FaultCause::SocketUnmarked.into(), Advice::Handshake(interval)),
        }
    }
}
