//! SockJS 0.3: paths, pages and headers, frames to clients, and strings from them.
//!
//! Only encoding and decoding: the shard decides on sessions, permissions and the time of frames.
//! A frame is the same on every transport; a [`carrier`] is what HTTP or a socket adds to it.

pub mod browser;
pub mod callback;
pub mod carrier;
pub mod close;
pub mod frame;
pub mod header;
pub mod hook;
pub mod iframe;
pub mod info;
pub mod message;
pub mod pipe;
pub mod quote;
pub mod url;

/// `Content-Type` of the greeting, of answers to sent strings, and of refusals.
pub const TEXT: &str = "text/plain; charset=UTF-8";

/// The page at a service's own address, which shows people that the address is right.
pub const GREETING: &str = "Welcome to SockJS!\n";

/// The body for a path that the service does not have.
pub const NOT_FOUND: &str = "404 Error: Page not found\n";

/// The body of the answer to a `jsonp_send`: some browsers show an error for an empty one.
pub const SENT: &str = "ok";

/// The body if a WebSocket's path is requested without a WebSocket's handshake.
pub const NOT_A_WEBSOCKET: &str = "Not a valid websocket request";

/// The channel by which the test service `broadcast` reaches its sessions.
pub const BROADCAST: &str = "/sockjs/broadcast";
