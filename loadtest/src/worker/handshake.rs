//! The handshake messages that a client sends over its socket, one after another; it repeats the
//! last one after each of its answers.
//!
//! The server holds the last one until there is a message or a heartbeat is due (Bayeux's
//! `/meta/connect`).

use std::io;

use super::client::{Client, ClientValues, invalid};
use super::scratch::ReadScratch;
use crate::preset::Ready;
use crate::transport::ws;

impl Client {
    /// Sends the next handshake message, if there is one.
    pub(super) fn send_handshake(&mut self, scratch: &mut ReadScratch<'_>) -> io::Result<()> {
        let Some(last) = scratch.requests.socket_handshake.len().checked_sub(1) else { return Ok(()) };
        let Some(at) = self.link.as_ref().map(|link| link.handshake_sent.min(last)) else { return Ok(()) };
        scratch.out.clear();
        if !scratch.requests.socket_handshake[at].fill(&ClientValues(self, scratch.requests), scratch.out) {
            return Err(invalid("an answer lacks a value that the next handshake message needs"));
        }
        let mut frame = Vec::new();
        ws::text(scratch.out, scratch.decode.mask(), &mut frame);
        if let Some(link) = &mut self.link {
            link.handshake_sent = at + 1;
            link.send(&frame)?;
        }
        if at == last && scratch.requests.ready == Ready::HandshakeSent {
            self.subscribed();
        }
        Ok(())
    }
}
