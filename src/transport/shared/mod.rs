//! Code that several transports share. The transports are the files beside this folder.

mod callback;
pub(super) mod document;
pub mod gzip;
mod press;
pub mod record;

pub(super) use self::callback::callback;
pub use self::callback::is_callback;
pub use self::press::Press;
