//! Encke's own protocol: envelopes to the client, commands from it, all JSON objects.
//! `docs/PROTOCOL.md` describes it for client authors.

pub mod command;
pub mod envelope;
