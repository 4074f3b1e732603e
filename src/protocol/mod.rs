//! What client and server say to each other, whatever carries it.

pub mod bayeux;
pub mod native;
