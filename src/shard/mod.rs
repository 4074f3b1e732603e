//! See `docs/ARCHITECTURE.md`.

pub mod channel_name;
