//! The first message of an XMLSocket connection, which replaces the query of other transports.

use serde::Deserialize;

/// `{"connect":{…}}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Greeting {
    pub(crate) connect: Connect,
}

/// The parameters that other transports take from the query and the headers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connect {
    /// The user.
    pub(crate) user: String,
    /// Channels to subscribe to at once.
    #[serde(default)]
    pub(crate) channels: Vec<String>,
    /// Whether to subscribe to their presence.
    #[serde(default)]
    pub(crate) presence: bool,
    /// Recent messages of each channel to send first.
    #[serde(default)]
    pub(crate) last: u32,
    /// Send only the newest message of each channel, at most one per so many milliseconds.
    pub(crate) conflate: Option<u64>,
    /// The position to continue from.
    pub(crate) since: Option<String>,
    /// The session to continue.
    pub(crate) session: Option<String>,
    /// The user's token.
    pub(crate) token: Option<String>,
}
