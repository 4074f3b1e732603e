//! The state of a conflated subscription.

use std::collections::BTreeMap;

use crate::base::slab::{ChannelKey, TimerKey};
use crate::base::ticks::{Span, Tick};

/// The state of a conflated subscription.
#[derive(Debug)]
pub struct Conflated {
    /// The channel.
    pub(crate) channel: ChannelKey,
    /// Its interval.
    pub(crate) every: Span,
    pub(crate) seen: NewMessages,
    pub(crate) timer: ConflateTimer,
    /// When a value was last sent.
    pub(crate) sent: Option<Tick>,
    /// The number up to which it was a plain subscription; 0 if it never was.
    pub(crate) plain: u64,
}

/// A session's conflated subscriptions, by the slots of their channels. A subscribed channel is
/// never removed, so the slot alone identifies it.
pub(crate) type Conflations = BTreeMap<u32, Conflated>;

impl Conflated {
    /// Whether a new value may go now.
    pub(crate) fn is_due(&self, now: Tick) -> bool {
        self.sent.is_none_or(|sent| sent + self.every <= now)
    }
}

/// Which messages count as new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewMessages {
    /// Those after the log that the channel's home will send.
    Unsettled,
    /// Those above this number.
    UpTo(u64),
}

/// When a value may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConflateTimer {
    /// At once, unless one was sent within the interval.
    Idle,
    /// When the timer fires.
    Armed(TimerKey),
}
