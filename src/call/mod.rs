//! What requests and messages keep while they wait for answers.

pub mod bayeux;
pub mod pending;
pub mod protocol;
pub mod queue;

#[cfg(test)]
mod tests;
