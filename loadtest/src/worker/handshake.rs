//! What a client says over its socket: its greetings one after another, and the last of them again each time that it was answered.
//!
//! That last one is what the server holds until there is something, or until it is time for a sign of life (Bayeux's `/meta/connect`).

use std::io;

use super::client::{Client, Filling, invalid};
use super::scratch::ReadScratch;
use crate::preset::Ready;
use crate::transport::ws;

impl Client {
    /// Says what comes next, if there is anything to say.
    pub(super) fn send_handshake(&mut self, scratch: &mut ReadScratch<'_>) -> io::Result<()> {
        let Some(last) = scratch.requests.socket_handshake.len().checked_sub(1) else { return Ok(()) };
        let Some(at) = self.link.as_ref().map(|link| link.handshake_sent.min(last)) else { return Ok(()) };
        scratch.out.clear();
        if !scratch.requests.socket_handshake[at].fill(&Filling(self, scratch.requests), scratch.out) {
            return Err(invalid("an answer lacks what the next greeting needs"));
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
