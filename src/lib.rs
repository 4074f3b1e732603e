//! Encke, a Comet server: it holds one long-lived connection to each browser and pushes messages
//! down it the moment they exist.
//!
//! `docs/ARCHITECTURE.md` is the map. Layers import only what stands left of them, and modules of
//! one layer do not know each other: `base` ← `wire`, `config` ← `auth`, `assets` ← `protocol` ←
//! `transport` ← `hub` ← `request` ← `turn` ← `call` ← `conn`, `session` ← `core` ← `answer` ←
//! `exchange` ← `native`, `bayeux`, `sockjs`, `tcp`, `api` ← `shard` ← `reactor` ← `server`.
#![forbid(unsafe_code)]
#![warn(clippy::allow_attributes_without_reason)]
#![warn(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

pub mod answer;
pub mod api;
pub mod assets;
pub mod auth;
pub mod base;
pub mod bayeux;
pub mod call;
pub mod config;
pub mod conn;
pub mod core;
pub mod exchange;
pub mod hub;
pub mod native;
pub mod protocol;
pub mod reactor;
pub mod request;
pub mod server;
pub mod session;
pub mod shard;
mod sockjs;
mod tcp;
pub mod transport;
pub mod turn;
pub mod wire;
