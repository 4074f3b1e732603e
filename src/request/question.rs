//! What an operator can query, or have done.

use crate::wire::channel_name::ChannelName;

/// An operator's query or action.
#[derive(Clone, Debug)]
pub enum Question {
    /// A user's sessions.
    User {
        /// The personal channel.
        channel: ChannelName,
    },
    /// End a user's sessions.
    EndUser {
        /// The personal channel.
        channel: ChannelName,
    },
    /// The channels whose names begin with a prefix.
    Channels {
        /// The prefix.
        prefix: Box<str>,
        /// Their number at most.
        limit: usize,
    },
    /// One channel.
    Channel {
        /// Its name.
        name: ChannelName,
    },
    /// Which nodes serve a user.
    Place {
        /// The user.
        user: Box<str>,
    },
    /// All counters.
    Metrics,
    /// Whether the node is ready.
    Ready,
}
