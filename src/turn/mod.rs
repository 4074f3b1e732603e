//! The state and the types that all parts of a shard share: the border with the driver, the time,
//! settings, timers, counters, and to-dos.

pub mod cx;
pub mod hook;
pub mod idempotency;
pub mod input;
pub mod inquiry;
mod limits;
pub mod local_members;
pub mod mail;
pub mod metrics;
pub mod mutation;
pub mod publishing;
pub mod steps;
pub mod stream;
pub mod timer;
pub mod todo;
pub mod warnings;
