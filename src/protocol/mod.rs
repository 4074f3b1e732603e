//! The messages between client and server, on any transport.

pub mod bayeux;
pub mod native;
