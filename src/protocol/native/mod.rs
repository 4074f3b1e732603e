//! Encke's own protocol: envelopes down, commands up, both JSON objects. `docs/PROTOCOL.md`
//! describes it for client authors.

pub mod command;
pub mod envelope;
