//! SockJS in the world: its clients, and settings that bring the ends of responses and sessions.
//!
//! Decided by numbers of its own, so that worlds without it stay the same.

use encke::base::ticks::Span;

use super::*;
use crate::client::sockjs::{Page, Place, Traits};

/// Separates the numbers that SockJS draws from all others.
const SOCKJS: u64 = 0x50c5;

/// Whether this world has SockJS clients. A restarted server would not know their sessions.
pub(super) fn is_spoken(seed: u64) -> bool {
    let is_found = [&crate::FOUND[..], &crate::FOUND_BAYEUX, &crate::FOUND_LATER].concat().contains(&seed);
    seed % 5 == 3 && !is_found && bayeux::restarts(seed) == 0
}

/// The scenario with short-lived sessions and short responses, if it has SockJS clients.
pub(super) fn set(mut scenario: Scenario, seed: u64) -> Scenario {
    if is_spoken(seed) {
        let mut rng = Rng::new(seed ^ SOCKJS ^ 1);
        let mut config = (*scenario.config).clone();
        config.sockjs.disconnect = Span::from_millis(rng.range(4_000, 8_000));
        config.sockjs.response_bytes = *rng.pick(&[2 * 1024, 8 * 1024, 128 * 1024]);
        scenario.config = Arc::new(config);
    }
    scenario
}

impl World {
    /// Pages that speak SockJS.
    pub(super) fn sockjs_clients(&mut self, seed: u64, users: &[String]) -> Vec<Box<dyn Client>> {
        if !is_spoken(seed) {
            return Vec::new();
        }
        let mut rng = Rng::new(seed ^ SOCKJS);
        let config = Arc::clone(&self.scenario.config);
        let page = |index: usize| -> Box<dyn Client> {
            let user = rng.pick(users).clone();
            let traits = Traits::any(&mut rng);
            let book = self.oracle.book(format!("page {index} ({user}, {traits})"), 2_500);
            let place = Place {
                pool: self.scenario.pool.clone(),
                channels: self.scenario.channels.clone(),
                disconnect: config.sockjs.disconnect.as_millis(),
                response_bytes: config.sockjs.response_bytes as usize,
            };
            Box::new(Page::new(&mut rng, (book, user), traits, place))
        };
        (0..5).map(page).collect()
    }
}
