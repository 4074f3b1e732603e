//! Warnings that strangers can cause: each at most once in a while, so that nobody can fill the log.

use crate::base::ticks::{Span, Tick};
use crate::shard::cx::Cx;

/// What is warned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warning {
    /// All connections are taken.
    Full,
    /// An address has too many connections that say nothing.
    Silent,
    /// A PROXY header is missing, malformed, or of a peer that is not trusted.
    ProxyHeader,
    /// Somebody shows wrong API keys.
    WrongKey,
}

/// When each may be logged again.
#[derive(Debug, Default)]
pub(super) struct Warnings([Tick; 4]);

impl Cx {
    /// Logs a warning, unless the last one of its kind is too fresh.
    pub(super) fn warn(&mut self, warning: Warning, text: impl FnOnce() -> String) {
        let now = self.now;
        let next = &mut self.warnings.0[warning as usize];
        if *next <= now {
            *next = now + PAUSE;
            log::warn!("{}", text());
        }
    }
}

/// Long enough to keep the log small, short enough to see that it lasts.
const PAUSE: Span = Span::from_secs(10);
