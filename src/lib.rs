//! Encke, a Comet server: it holds one long-lived connection to each browser and pushes messages
//! down it the moment they exist.
//!
//! `docs/ARCHITECTURE.md` is the map. Layers import only what stands left of them:
//! `base` ← `wire` ← {`transport`, `protocol`} ← `shard` ← `reactor` ← `server`; `config` holds
//! plain values and knows none of them.
#![forbid(unsafe_code)]

pub mod base;
pub mod config;
pub mod protocol;
pub mod reactor;
pub mod server;
pub mod shard;
pub mod transport;
pub mod wire;
