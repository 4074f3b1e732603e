//! What all clients of a worker share while they read.

use crate::ledger::Ledger;
use crate::speech::Speech;
use crate::transport::ws::Bench;

/// Borrowed by one client at a time.
pub struct Hands<'a> {
    /// What a read fills.
    pub buffer: &'a mut [u8],
    /// Where a body's bytes are put together.
    pub body: &'a mut Vec<u8>,
    /// Where requests are written, and positions kept.
    pub scratch: &'a mut Vec<u8>,
    /// Who counts.
    pub ledger: &'a mut Ledger,
    /// What decoders share.
    pub bench: &'a mut Bench,
    /// How the server is spoken to.
    pub speech: &'a Speech,
    /// Signs of life that carried nothing.
    pub heartbeats: &'a mut u64,
}
