//! Code that several transports share. The transports are the files beside this folder.

mod callback;
pub(super) mod document;
mod encoder;
pub mod gzip;
pub(super) mod limits;
pub mod record;

pub(super) use self::callback::callback;
pub use self::callback::is_callback;
pub use self::encoder::Encoder;
