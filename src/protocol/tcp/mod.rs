//! TCP sockets for pages: what a page asks of its streams, and what it is told of them.

pub mod command;
pub mod event;
