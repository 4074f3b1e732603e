//! Rooms of 10 to 100 users, as in a chat: messages at a steady rate for each room, in random order
//! of the rooms.

use std::io;

use super::{count, open, paced};
use crate::coordinator::Coordinator;
use crate::rng::Rng;

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    open(coordinator)?;
    let rooms = coordinator.settings.layout.channels();
    let rate = coordinator.settings.rate.unwrap_or(1.0) * f64::from(rooms);
    let mut rng = Rng::new(coordinator.settings.seed ^ 1);
    coordinator.begin()?;
    let count = count(coordinator, rate);
    paced(coordinator, rate, count, |_| rng.below(u64::from(rooms)) as u32)?;
    coordinator.await_deliveries()?;
    coordinator.meter.end()
}
