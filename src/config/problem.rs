//! The problems of a configuration: one variant per cause, and its text.
//!
//! A problem holds only what it prints: never the value of a secret.

use std::fmt;

/// One thing that stops the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No variable has this name.
    Unknown {
        /// The name as it was given; bytes that are not UTF-8 are replaced.
        name: String,
        /// The known name nearest to it.
        nearest: &'static str,
    },
    /// The value is not one of those allowed.
    Bad {
        /// The variable's name.
        name: &'static str,
        /// The value; `None` for a secret.
        value: Option<String>,
        /// What is wrong with it.
        reason: String,
        /// What is allowed.
        allowed: String,
    },
    /// Values that are valid by themselves contradict each other.
    Clash {
        /// What must hold and why; it names the variables.
        sentence: &'static str,
        /// The current values.
        values: Vec<Shown>,
    },
}

/// A variable's value as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The variable's name.
    pub name: &'static str,
    /// The value, `(hidden)` for a secret, `(unset)` for none.
    pub text: String,
    /// Whether it is the default.
    pub is_default: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest } => {
                write!(f, "{}: no such variable; the nearest name is {nearest}", printable(name))
            }
            Self::Bad { name, value: Some(value), reason, allowed } => {
                write!(f, "{name}={value:?}: {}; allowed: {allowed}", printable(reason))
            }
            Self::Bad { name, value: None, reason, allowed } => {
                write!(f, "{name}=(hidden): {}; allowed: {allowed}", printable(reason))
            }
            Self::Clash { sentence, values } => {
                write!(f, "{sentence}; now ")?;
                for (i, shown) in values.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{shown}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, text) = (self.name, printable(&self.text));
        match (text.as_str(), self.is_default) {
            ("(unset)", true) => write!(f, "{name} unset"),
            (text, true) => write!(f, "{name}={text} by default"),
            (text, false) => write!(f, "{name}={text}"),
        }
    }
}

impl std::error::Error for Problem {}

/// The text with its control characters escaped, so that a value can neither break its line nor
/// move a terminal's cursor.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_debug());
        } else {
            printable.push(c);
        }
    }
    printable
}
