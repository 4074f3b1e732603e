//! Bayeux 1.0, as used by the CometD and Faye libraries: messages from clients, answers and events
//! to them, and acknowledgement.
//!
//! Only encoding and counting: the shard decides on sessions, permissions and the time of answers.
//! Channels stay unparsed texts; a caller parses one once, and uses only the parsed form.

pub mod ack;
pub mod answer;
pub mod client;
pub mod fault;
pub mod held;
pub mod hook;
pub(crate) mod limits;
pub mod message;
pub mod refused;
pub mod stamp;

/// The supported version.
pub const VERSION: &str = "1.0";

/// The connection types of a handshake's answer, best first. `cross-origin-long-polling` is
/// long-polling by another name: that of Faye's transport for pages of another origin, which it
/// uses only where it is listed.
pub const CONNECTION_TYPES: [&str; 4] =
    ["websocket", "long-polling", "cross-origin-long-polling", "callback-polling"];
