//! See `docs/ARCHITECTURE.md`.

pub mod auth;
pub mod channel_name;
pub mod origins;
