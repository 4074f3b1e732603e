//! The front of Encke's own protocol: commands from the client, envelopes to it.

pub mod commands;
mod limits;
pub mod socket;

#[cfg(test)]
mod tests;
