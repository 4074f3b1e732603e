//! Encke, a Comet server: it holds one long-lived connection to each browser and pushes messages
//! down it the moment they exist.
//!
//! `docs/ARCHITECTURE.md` is the map. Layers import only what stands left of them:
//! `base` ← `wire`, `config` ← `auth`, `assets` ← `transport`, `protocol` ← `hub` ← `shard` ←
//! `reactor` ← `server`.
#![forbid(unsafe_code)]

pub mod assets;
pub mod auth;
pub mod base;
pub mod config;
pub mod hub;
pub mod protocol;
pub mod reactor;
pub mod server;
pub mod shard;
pub mod transport;
pub mod wire;
