//! Buffers and counters that all clients of a worker share.

use crate::ledger::Ledger;
use crate::requests::Requests;
use crate::transport::ws::DecodeScratch;

/// Borrowed by one client at a time.
pub struct ReadScratch<'a> {
    /// Receives the bytes of a read.
    pub buffer: &'a mut [u8],
    /// The body so far, with its transfer encoding removed.
    pub body: &'a mut Vec<u8>,
    /// Requests and positions before they are sent or stored.
    pub out: &'a mut Vec<u8>,
    /// Counts deliveries.
    pub ledger: &'a mut Ledger,
    /// Shared by the decoders.
    pub decode: &'a mut DecodeScratch,
    /// The server's requests and formats.
    pub requests: &'a Requests,
    /// Heartbeats: items without a message.
    pub heartbeats: &'a mut u64,
}
