//! What all clients of a worker share while they read.

use crate::ledger::Ledger;
use crate::requests::Requests;
use crate::transport::ws::DecodeScratch;

/// Borrowed by one client at a time.
pub struct ReadScratch<'a> {
    /// What a read fills.
    pub buffer: &'a mut [u8],
    /// Where a body's bytes are put together.
    pub body: &'a mut Vec<u8>,
    /// Where requests are written, and positions kept.
    pub out: &'a mut Vec<u8>,
    /// Who counts.
    pub ledger: &'a mut Ledger,
    /// What decoders share.
    pub decode: &'a mut DecodeScratch,
    /// How the server is spoken to.
    pub requests: &'a Requests,
    /// Signs of life that carried nothing.
    pub heartbeats: &'a mut u64,
}
