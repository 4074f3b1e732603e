//! A refused request: its error code, which has the status, and its reason.

mod code;
mod refused;

use std::borrow::Cow;

pub use self::code::ErrorCode;
pub use self::refused::Refused;
pub(crate) use self::refused::refused;
use super::http::Reject;
use crate::base::ticks::Span;

/// Answered on the wire, counted, never logged above debug. A cause turns into it: [`Refused`],
/// [`Reject`], a rejected handshake, rejected credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: ErrorCode,
    /// One sentence with the error and the allowed values; for people.
    pub reason: Cow<'static, str>,
    /// A header that the status requires: `Allow`, `WWW-Authenticate`, `Retry-After`.
    pub header: Option<(&'static str, &'static str)>,
    /// The address of the node that serves the user instead of this one.
    pub node: Option<Box<str>>,
    /// When the client should come back, if no constant of the code says it.
    pub after: Option<Span>,
}

impl Refusal {
    /// A refusal with the header that its code asks for.
    pub(crate) fn new(code: ErrorCode, reason: String) -> Self {
        let header = code.retry_after().map(|seconds| ("Retry-After", seconds));
        Self { code, reason: reason.into(), header, node: None, after: None }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.code.status()
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Self { code: reject.code(), reason: reject.reason(), header: None, node: None, after: None }
    }
}

impl From<Refused<'_>> for Refusal {
    fn from(refused: Refused<'_>) -> Self {
        Self {
            code: refused.code(),
            reason: refused.to_string().into(),
            header: refused.header(),
            node: refused.node().map(Into::into),
            after: refused.after(),
        }
    }
}
