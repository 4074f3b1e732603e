//! Bayeux 1.0, as the libraries of CometD and Faye speak it: what comes up, what goes down, and
//! acknowledgement.
//!
//! Only spelling and counting: which session is meant, who may do what and when an answer is due is
//! the shard's business. Channels stay the texts that came; whoever acts on one parses it once, and
//! looks at nothing but what was parsed.

pub mod ack;
pub mod answer;
pub mod hook;
pub mod message;
pub mod stamp;

/// The version that is spoken.
pub const VERSION: &str = "1.0";

/// How messages can be had, best first: what a handshake's answer says. `cross-origin-long-polling`
/// is long-polling by another name: that of Faye's transport for pages of another origin, which it
/// uses only where it is listed.
pub const CONNECTION_TYPES: [&str; 4] =
    ["websocket", "long-polling", "cross-origin-long-polling", "callback-polling"];
