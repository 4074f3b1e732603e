//! Foundations without networking: time, timers, keyed storage, hashing, positions, frames and
//! outboxes.

pub mod alarm;
pub mod base32;
pub mod frame;
pub mod hash;
pub mod ids;
mod limits;
pub mod outbox;
pub mod peer;
pub mod places;
pub mod position;
pub mod slab;
pub mod spelling;
pub mod ticks;
pub mod wheel;
