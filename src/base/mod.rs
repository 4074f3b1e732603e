//! What knows nothing of networks: time, timers, keyed storage, frames and outboxes.

pub mod ticks;
