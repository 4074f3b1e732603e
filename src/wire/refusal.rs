//! A refused request: its status, code and reason.

use std::borrow::Cow;

use super::http::Reject;

/// Answered on the wire, counted, never logged above debug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stable, kebab-case; for programs.
    pub code: &'static str,
    /// One sentence with the error and the allowed values; for people.
    pub reason: Cow<'static, str>,
    /// A header that the status requires: `Allow`, `WWW-Authenticate`, `Retry-After`.
    pub header: Option<(&'static str, &'static str)>,
}

impl Refusal {
    /// A refusal.
    pub fn new(status: u16, code: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, reason: reason.into(), header: None }
    }

    /// The refusal with the header that its status requires.
    #[must_use]
    pub fn with_header(self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Self { status: reject.status(), code: reject.code(), reason: reject.reason(), header: None }
    }
}
