//! What a variable is: a name, a default, what it allows, and the words that explain it.
//!
//! The rows themselves stand in `table`. A row's `place` is the only way from a text into a
//! [`Config`], for defaults and given values alike, so a default can be no less valid than a value.

use super::{Config, units};
use crate::base::ticks::Span;

/// One row of the table.
#[derive(Debug)]
pub struct Variable {
    /// The variable's name, `ENCKE_…`.
    pub name: &'static str,
    /// What holds when it is not set; `None` when nothing does.
    pub default: Option<&'static str>,
    /// What it does, in a line of `encke --help`.
    pub summary: &'static str,
    /// Why the default is what it is and what happens at the bound, as Markdown.
    pub details: &'static str,
    pub(super) kind: Kind,
}

/// A part of the table, in the order in which people need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Addresses, shards, stopping.
    Listeners,
    /// Keys, tokens, origins.
    Auth,
    /// Calls of the backend.
    Hooks,
    /// How long things are held, and how many sessions.
    Sessions,
    /// What one connection or request may ask.
    Limits,
    /// What is kept of messages, and what may wait.
    Messages,
    /// The sockets' options.
    Network,
    /// The log.
    Logging,
}

/// What a variable allows and where its value goes.
#[derive(Debug)]
pub(super) enum Kind {
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
    /// A text with a form of its own.
    Text { allowed: &'static str, place: fn(&mut Config, &str) -> Result<(), String> },
    /// A URL: what may be a password or a key in it is never shown.
    Url { allowed: &'static str, place: fn(&mut Config, &str) -> Result<(), String> },
    /// A text with a form of its own that is never shown.
    Secret { allowed: &'static str, place: fn(&mut Config, &str) -> Result<(), String> },
}

/// What stands in the place of a secret.
pub(super) const HIDDEN: &str = "(hidden)";

impl Variable {
    /// Takes `text` into `config`.
    ///
    /// # Errors
    /// The half sentence that says what is wrong with the text; it does not repeat a secret.
    pub(super) fn place(&self, config: &mut Config, text: &str) -> Result<(), String> {
        match self.kind {
            Kind::Span { from, to, zero, place } => {
                let span = units::span(text)?;
                bounded(&span, &from, &to, zero.is_some() && span == Span::ZERO)?;
                place(config, span);
            }
            Kind::SpanOrAuto { place, .. } if text == "auto" => place(config, None),
            Kind::SpanOrAuto { from, to, place } => {
                let span = units::span(text)?;
                bounded(&span, &from, &to, false)?;
                place(config, Some(span));
            }
            Kind::Bytes { from, to, zero, place } => {
                let bytes = units::bytes(text)?;
                bounded(&bytes, &from, &to, zero.is_some() && bytes == 0)?;
                place(config, bytes);
            }
            Kind::Count { from, to, place } => {
                let count = units::count(text)?;
                bounded(&count, &from, &to, false)?;
                place(config, count);
            }
            Kind::CountOrAuto { place, .. } if text == "auto" => place(config, None),
            Kind::CountOrAuto { from, to, place } => {
                let count = units::count(text)?;
                bounded(&count, &from, &to, false)?;
                place(config, Some(count));
            }
            Kind::Flag { place } => place(config, flag(text)?),
            Kind::Text { place, .. } | Kind::Url { place, .. } | Kind::Secret { place, .. } => {
                place(config, text)?;
            }
        }
        Ok(())
    }

    /// What may stand in it, as a sentence's end.
    pub fn allowed(&self) -> String {
        let or_zero = |range: String, zero: Option<&str>, unit: &str| match zero {
            Some(meaning) => format!("{range}, or 0{unit} for {meaning}"),
            None => range,
        };
        match self.kind {
            Kind::Span { from, to, zero, .. } => {
                or_zero(format!("{} to {}", units::spell_span(from), units::spell_span(to)), zero, "s")
            }
            Kind::SpanOrAuto { from, to, .. } => {
                format!("auto, or {} to {}", units::spell_span(from), units::spell_span(to))
            }
            Kind::Bytes { from, to, zero, .. } => {
                or_zero(format!("{} to {}", units::spell_bytes(from), units::spell_bytes(to)), zero, "B")
            }
            Kind::Count { from, to, .. } => {
                format!("{} to {}", units::spell_count(from), units::spell_count(to))
            }
            Kind::CountOrAuto { from, to, .. } => {
                format!("auto, or {} to {}", units::spell_count(from), units::spell_count(to))
            }
            Kind::Flag { .. } => "0 or 1".to_owned(),
            Kind::Text { allowed, .. } | Kind::Url { allowed, .. } | Kind::Secret { allowed, .. } => {
                allowed.to_owned()
            }
        }
    }

    /// Whether its value is kept from every output.
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret { .. })
    }

    /// A value as it may be shown, on whatever output.
    pub fn shown(&self, text: &str) -> String {
        match self.kind {
            Kind::Secret { .. } => HIDDEN.to_owned(),
            Kind::Url { .. } => super::values::shown_url(text),
            Kind::Span { .. }
            | Kind::SpanOrAuto { .. }
            | Kind::Bytes { .. }
            | Kind::Count { .. }
            | Kind::CountOrAuto { .. }
            | Kind::Flag { .. }
            | Kind::Text { .. } => text.to_owned(),
        }
    }

    /// The default as it is shown: an empty text or none at all would not be seen.
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
    pub const ALL: [Self; 8] = [
        Self::Listeners,
        Self::Auth,
        Self::Hooks,
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
        other => Err(format!("{other:?} is neither")),
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
