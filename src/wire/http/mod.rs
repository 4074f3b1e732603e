//! HTTP/1.0 and 1.1 on the wire (RFC 9112): request heads, request bodies, response heads.
//!
//! Stricter than the RFC allows a server to be wherever leniency has been used to smuggle requests.
//! Not here: HTTP/2, content codings, multipart forms, and any decision of what a request means.

pub mod body;
pub mod head;
pub mod response;

mod reject;
mod request_line;
mod scan;

pub use reject::Reject;
pub use request_line::{Method, Version};
pub use scan::{HeadLimits, Scanned};

/// The `tchar` of RFC 9110 5.6.2: what methods and header names are made of.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
