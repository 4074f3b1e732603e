//! The first message of an XMLSocket connection: a request for messages, or the request for a
//! policy file that Flash sends first.
//!
//! Afterwards such a connection is like any other socket.

use crate::base::slab::ConnKey;
use crate::conn::phase::{Phase, Step};
use crate::request::greeting::Greeting;
use crate::request::{Open, router};
use crate::shard::Shard;
use crate::wire::refusal::{Refusal, Refused};

impl Shard {
    /// Handles the first bytes of a connection to the listener for XMLSocket.
    pub(super) fn greeting(&mut self, key: ConnKey, input: &[u8], scanned: u32) -> Step {
        if input[0] == b'<' {
            return self.core.conns.policy(&mut self.core.cx, key, input, scanned);
        }
        let from = (scanned as usize).min(input.len());
        let Some(len) = memchr::memchr(0, &input[from..]).map(|at| from + at) else {
            if input.len() > self.core.cx.config.head_bytes {
                let refused = Refused::GreetingTooLarge { bytes_max: self.core.cx.config.head_bytes };
                return self.core.conns.refuse_greeting(&mut self.core.cx, key, &refused.into());
            }
            self.core.conns[key].phase = Phase::Greeting { scanned: input.len() as u32 };
            return Step::Stop;
        };
        if input[..len].iter().all(u8::is_ascii_whitespace) {
            self.core.conns[key].phase = Phase::Greeting { scanned: 0 };
            return Step::Used(len + 1);
        }
        match self.connect(&input[..len]) {
            Ok(router::Routed::Here(open)) => {
                self.core.open_greeted(key, &open);
                Step::Used(len + 1)
            }
            Ok(router::Routed::There(to)) => {
                self.core.conns.hand_off(&mut self.core.cx, key, to, input.to_vec());
                Step::Used(input.len())
            }
            Err(refusal) => self.core.conns.refuse_greeting(&mut self.core.cx, key, &refusal),
        }
    }

    fn connect(&self, message: &[u8]) -> Result<router::Routed<Box<Open>>, Refusal> {
        let greeting: Greeting =
            serde_json::from_slice(message).map_err(|error| Refused::Greeting { error })?;
        router::connect(&self.core.context(), greeting.connect)
    }
}
