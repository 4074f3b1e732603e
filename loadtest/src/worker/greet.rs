//! What a client says over its socket: its greetings one after another, and the last of them again each time that it was answered.
//!
//! That last one is what the server holds until there is something, or until it is time for a sign of life (Bayeux's `/meta/connect`).

use std::io;

use super::client::{Client, Filling, invalid};
use super::hands::Hands;
use crate::preset::Ready;
use crate::transport::ws;

impl Client {
    /// Says what comes next, if there is anything to say.
    pub(super) fn greet(&mut self, hands: &mut Hands<'_>) -> io::Result<()> {
        let Some(last) = hands.speech.greetings.len().checked_sub(1) else { return Ok(()) };
        let Some(at) = self.link.as_ref().map(|link| link.greeted.min(last)) else { return Ok(()) };
        hands.scratch.clear();
        if !hands.speech.greetings[at].fill(&Filling(self, hands.speech), hands.scratch) {
            return Err(invalid("an answer lacks what the next greeting needs"));
        }
        let mut frame = Vec::new();
        ws::text(hands.scratch, hands.bench.mask(), &mut frame);
        if let Some(link) = &mut self.link {
            link.greeted = at + 1;
            link.send(&frame)?;
        }
        if at == last && hands.speech.ready == Ready::Greeted {
            self.subscribed();
        }
        Ok(())
    }
}
