//! WebSocket on the wire: the opening handshake and frames of RFC 6455, permessage-deflate of RFC
//! 7692.
//!
//! The server's side only: decoded frames are masked, encoded ones are not. Each message is encoded
//! as one frame, so that all receivers share its bytes. Not here: when to ping, which end closes
//! first, and the timeout of a close; these are the connection's.

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
