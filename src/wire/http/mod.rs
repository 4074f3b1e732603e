//! HTTP/1.0 and 1.1 on the wire (RFC 9112): request heads, request bodies, response heads.
//!
//! It is stricter than the RFC permits wherever leniency has been used to smuggle requests. Not
//! here: HTTP/2, content codings, multipart forms, and the meaning of requests.

pub mod body;
pub mod head;
pub mod response;

mod reject;
mod request_line;
mod scan;

pub use reject::Reject;
pub use request_line::{Method, Version};
pub use scan::{HeadLimits, Scanned};

/// The `tchar` of RFC 9110 5.6.2: the bytes of methods and header names.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
