//! Bytes to values and back: HTTP/1.1, WebSocket, deflate, JSON, percent-encoding, cookies, the
//! PROXY protocol.
//!
//! Pure functions and small decoders. Nothing here does I/O, knows a connection, a session or a
//! clock, or interprets requests. Ambiguous input is refused: requests are smuggled by an
//! intermediary that reads it the other way.

pub mod channel_name;
pub mod cookie;
pub mod deflate;
pub mod http;
pub mod json;
mod limits;
pub mod media_type;
pub mod percent;
pub mod proxy_protocol;
pub mod refusal;
pub mod script;
pub mod websocket;
