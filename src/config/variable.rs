//! A variable: its name, default, allowed values, and the text that explains it.
//!
//! The rows are in `table`. A row's `place` is the only way from a text into a [`Config`], for
//! defaults and given values alike, so a default is validated like a value.

use super::{Config, units};
use crate::base::ticks::Span;

/// One row of the table.
#[derive(Debug)]
pub struct Variable {
    /// The variable's name, `ENCKE_…`.
    pub name: &'static str,
    /// The value if it is unset; `None` for no value.
    pub default: Option<&'static str>,
    /// What it does: a line of `encke --help`.
    pub summary: &'static str,
    /// The reason for the default and the behaviour at the bound, as Markdown.
    pub details: &'static str,
    pub(super) kind: VariableKind,
}

/// A part of the table, in the order in which operators need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Addresses, shards, stopping.
    Listeners,
    /// Keys, tokens, origins.
    Auth,
    /// Calls of the backend.
    Hooks,
    /// TCP sockets for pages.
    Tcp,
    /// The place among the nodes of a cluster.
    Nodes,
    /// Timeouts of polls and sessions, and numbers of sessions.
    Sessions,
    /// Bounds on one connection or request.
    Limits,
    /// Bounds on kept messages and queues.
    Messages,
    /// The sockets' options.
    Network,
    /// The log.
    Logging,
}

/// The allowed values of a variable, and the field for its value.
#[derive(Debug)]
pub(super) enum VariableKind {
    /// A duration in milliseconds.
    Span { from: Span, to: Span, zero: Option<&'static str>, place: fn(&mut Config, Span) },
    /// A duration in milliseconds, or `auto`.
    SpanOrAuto { from: Span, to: Span, place: fn(&mut Config, Option<Span>) },
    /// A size in bytes.
    Bytes { from: usize, to: usize, zero: Option<&'static str>, place: fn(&mut Config, usize) },
    /// A whole number.
    Count { from: usize, to: usize, place: fn(&mut Config, usize) },
    /// A whole number, or `auto`.
    CountOrAuto { from: usize, to: usize, place: fn(&mut Config, Option<usize>) },
    /// `0` or `1`.
    Flag { place: fn(&mut Config, bool) },
    /// A text with its own format.
    Text { allowed: &'static str, place: fn(&mut Config, &str) -> Result<(), String> },
    /// A URL: passwords and keys in it are never shown.
    Url { allowed: &'static str, place: fn(&mut Config, &str) -> Result<(), String> },
    /// A text with its own format that is never shown.
    Secret { allowed: &'static str, place: fn(&mut Config, &str) -> Result<(), String> },
}

/// Replaces a secret in every output.
pub(super) const HIDDEN: &str = "(hidden)";

impl Variable {
    /// Parses `text` into `config`.
    ///
    /// # Errors
    /// Half a sentence about the problem; it never repeats a secret.
    pub(super) fn place(&self, config: &mut Config, text: &str) -> Result<(), String> {
        match self.kind {
            VariableKind::Span { from, to, zero, place } => {
                let span = units::span(text)?;
                bounded(&span, &from, &to, zero.is_some() && span == Span::ZERO)?;
                place(config, span);
            }
            VariableKind::SpanOrAuto { place, .. } if text == "auto" => place(config, None),
            VariableKind::SpanOrAuto { from, to, place } => {
                let span = units::span(text)?;
                bounded(&span, &from, &to, false)?;
                place(config, Some(span));
            }
            VariableKind::Bytes { from, to, zero, place } => {
                let bytes = units::bytes(text)?;
                bounded(&bytes, &from, &to, zero.is_some() && bytes == 0)?;
                place(config, bytes);
            }
            VariableKind::Count { from, to, place } => {
                let count = units::count(text)?;
                bounded(&count, &from, &to, false)?;
                place(config, count);
            }
            VariableKind::CountOrAuto { place, .. } if text == "auto" => place(config, None),
            VariableKind::CountOrAuto { from, to, place } => {
                let count = units::count(text)?;
                bounded(&count, &from, &to, false)?;
                place(config, Some(count));
            }
            VariableKind::Flag { place } => place(config, flag(text)?),
            VariableKind::Text { place, .. }
            | VariableKind::Url { place, .. }
            | VariableKind::Secret { place, .. } => {
                place(config, text)?;
            }
        }
        Ok(())
    }

    /// The allowed values, as the end of a sentence.
    pub fn allowed(&self) -> String {
        let or_zero = |range: String, zero: Option<&str>, unit: &str| match zero {
            Some(meaning) => format!("{range}, or 0{unit} for {meaning}"),
            None => range,
        };
        match self.kind {
            VariableKind::Span { from, to, zero, .. } => {
                or_zero(format!("{} to {}", units::spell_span(from), units::spell_span(to)), zero, "s")
            }
            VariableKind::SpanOrAuto { from, to, .. } => {
                format!("auto, or {} to {}", units::spell_span(from), units::spell_span(to))
            }
            VariableKind::Bytes { from, to, zero, .. } => {
                or_zero(format!("{} to {}", units::spell_bytes(from), units::spell_bytes(to)), zero, "B")
            }
            VariableKind::Count { from, to, .. } => {
                format!("{} to {}", units::spell_count(from), units::spell_count(to))
            }
            VariableKind::CountOrAuto { from, to, .. } => {
                format!("auto, or {} to {}", units::spell_count(from), units::spell_count(to))
            }
            VariableKind::Flag { .. } => "0 or 1".to_owned(),
            VariableKind::Text { allowed, .. }
            | VariableKind::Url { allowed, .. }
            | VariableKind::Secret { allowed, .. } => allowed.to_owned(),
        }
    }

    /// Whether its value is hidden from every output.
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, VariableKind::Secret { .. })
    }

    /// The value as shown on any output.
    pub fn shown(&self, text: &str) -> String {
        match self.kind {
            VariableKind::Secret { .. } => HIDDEN.to_owned(),
            VariableKind::Url { .. } => super::values::shown_url(text),
            VariableKind::Span { .. }
            | VariableKind::SpanOrAuto { .. }
            | VariableKind::Bytes { .. }
            | VariableKind::Count { .. }
            | VariableKind::CountOrAuto { .. }
            | VariableKind::Flag { .. }
            | VariableKind::Text { .. } => text.to_owned(),
        }
    }

    /// The default as shown: an empty text or none would be invisible.
    pub fn default_text(&self) -> &'static str {
        match self.default {
            None => "(unset)",
            Some("") => "(empty)",
            Some(text) => text,
        }
    }
}

impl Group {
    /// All groups, in the table's order.
    pub const ALL: [Self; 10] = [
        Self::Listeners,
        Self::Auth,
        Self::Hooks,
        Self::Tcp,
        Self::Nodes,
        Self::Sessions,
        Self::Limits,
        Self::Messages,
        Self::Network,
        Self::Logging,
    ];

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Listeners => "Listeners",
            Self::Auth => "Auth",
            Self::Hooks => "Hooks",
            Self::Tcp => "TCP sockets",
            Self::Nodes => "Nodes",
            Self::Sessions => "Sessions",
            Self::Limits => "Limits",
            Self::Messages => "Messages",
            Self::Network => "Network",
            Self::Logging => "Logging",
        }
    }
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        other => Err(format!("{other:?} is neither 0 nor 1")),
    }
}

fn bounded<T: PartialOrd>(value: &T, from: &T, to: &T, is_exempt: bool) -> Result<(), String> {
    if is_exempt {
        Ok(())
    } else if value < from {
        Err("too small".to_owned())
    } else if value > to {
        Err("too large".to_owned())
    } else {
        Ok(())
    }
}
