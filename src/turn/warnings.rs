//! Warnings that clients can cause, at limited intervals, so that nobody can fill the log.

use crate::base::ticks::Tick;
use crate::turn::cx::Cx;
use crate::turn::limits::WARNING_PAUSE;

/// The kinds of warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Warning {
    /// All connections are in use.
    Full,
    /// An address has too many connections that have sent nothing.
    Silent,
    /// A PROXY header is missing, malformed, or from an untrusted peer.
    ProxyHeader,
    /// A client sends wrong API keys.
    WrongKey,
}

/// When each may be logged again.
#[derive(Debug, Default)]
pub(crate) struct Warnings([Tick; 4]);

impl Cx {
    /// Logs a warning, unless one of its kind was logged just before.
    pub(crate) fn warn(&mut self, warning: Warning, text: impl FnOnce() -> String) {
        let now = self.now;
        let next = &mut self.warnings.0[warning as usize];
        if *next <= now {
            *next = now + WARNING_PAUSE;
            log::warn!("{}", text());
        }
    }
}
