//! One channel, all clients: the cost of a message, and the time until the last client has it, at a
//! steady pace or in bursts.

use std::io;

use super::{count, open, paced};
use crate::clock::now;
use crate::coordinator::Coordinator;

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    open(coordinator)?;
    coordinator.begin()?;
    if let Some(burst) = coordinator.settings.burst {
        // The next burst begins when all clients have the last message.
        for _ in 0..coordinator.settings.bursts {
            let due = now();
            (0..burst).for_each(|_| coordinator.publish(0, due));
            coordinator.await_deliveries()?;
        }
    } else {
        let rate = coordinator.settings.rate.unwrap_or(1.0);
        let count = count(coordinator, rate);
        paced(coordinator, rate, count, |_| 0)?;
        coordinator.await_deliveries()?;
    }
    coordinator.meter.end()
}
