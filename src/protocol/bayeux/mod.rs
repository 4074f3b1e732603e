//! Bayeux 1.0, as the libraries of CometD and Faye speak it: what comes up, what goes down, and acknowledgement.
//!
//! Only spelling and counting: which session is meant, who may do what and when an answer is due is the shard's business. Channels stay the
//! texts that came; whoever acts on one parses it once, and looks at nothing but what was parsed.

pub mod ack;
pub mod answer;
pub mod message;

/// The version that is spoken.
pub const VERSION: &str = "1.0";

/// How messages can be had, best first: what a handshake's answer says.
pub const CONNECTION_TYPES: [&str; 3] = ["websocket", "long-polling", "callback-polling"];
