//! Why a session ends: the code and the reason of its last frame.

use std::borrow::Cow;

/// The content of a close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SockjsClose {
    /// 1000 to 4999. Those below 3000 are defined by the protocol.
    pub code: u16,
    /// For people.
    pub reason: Cow<'static, str>,
}

impl SockjsClose {
    /// The ordinary end.
    pub const NORMAL: Self = Self::of(1000, "Normal closure");

    /// The client's last receiving connection broke, so frames may be lost.
    pub const INTERRUPTED: Self = Self::of(1002, "Connection interrupted");

    /// The session already has a receiving connection: this one gets only this frame.
    pub const STILL_OPEN: Self = Self::of(2010, "Another connection still open");

    /// A socket's message was neither a string nor an array of strings.
    pub const BROKEN_FRAMING: Self = Self::of(3000, "Broken framing.");

    /// A socket left a ping without an answer.
    pub const SILENT: Self = Self::of(3000, "No response from heartbeat");

    /// The close frame of the test services.
    pub const GO_AWAY: Self = Self::of(3000, "Go away!");

    /// Another node serves the user. The code is one for applications, made of HTTP's status.
    pub fn elsewhere(node: &str) -> Self {
        Self { code: 4421, reason: format!("elsewhere {node}").into() }
    }

    const fn of(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }
}
