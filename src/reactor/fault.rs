//! Faults of the environment: the operating system refused something we need.
//!
//! A [`Fault`] names the operation, and the variable to change if there is one. It is for the
//! operator. A peer's error is never a `Fault`.

use std::{error, fmt, io};

/// The operating system refused something the node cannot do without.
#[derive(Debug)]
pub struct Fault {
    doing: String,
    cause: io::Error,
}

impl Fault {
    /// `doing` completes the sentence "could not …".
    pub fn new(doing: impl Into<String>, cause: io::Error) -> Self {
        Self { doing: doing.into(), cause }
    }

    /// For causes that are not errors of the operating system.
    pub fn other(doing: impl Into<String>, cause: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self::new(doing, io::Error::other(cause))
    }

    /// For `map_err`: wraps an I/O error with what we were doing.
    pub fn doing(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::new(doing, cause)
    }

    /// The kind of the operating system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.doing, self.cause)
    }
}

impl error::Error for Fault {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.cause)
    }
}
