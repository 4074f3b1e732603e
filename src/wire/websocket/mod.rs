//! WebSocket on the wire: the opening handshake and frames of RFC 6455, permessage-deflate of RFC
//! 7692.
//!
//! The server's side only: what is decoded is masked, what is encoded is not. Frames go out whole,
//! one a message, so that their bytes can be shared by all receivers. Not here: when to ping, who
//! closes first and how long the other may take about it; that is the connection's.

mod close;
mod decode;
mod extension;
mod frame;
mod handshake;
mod head;
mod mask;
mod message;
mod past;
mod violation;

pub use decode::{Compression, Decoder, WebSocketEvent, WebSocketLimits};
pub use extension::{ClientContext, DeflateOffer, ServerContext, Window};
pub use frame::{Compressed, Opcode, close_payload, frame_head};
pub use handshake::{Handshake, HandshakeReject, accept_key, handshake};
pub use past::Past;
pub use violation::Violation;
