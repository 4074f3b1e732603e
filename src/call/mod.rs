//! What requests and messages keep while they wait for answers.

pub mod bayeux;
pub(crate) mod limits;
pub mod protocol;
pub mod queue;
pub mod ticket;

#[cfg(test)]
mod tests;
