//! One channel, all clients: what a message costs and how long it takes to the last of them, at a
//! steady pace or in bursts.

use std::io;

use super::{count, open, paced};
use crate::clock::now;
use crate::coordinator::Coordinator;

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    open(coordinator)?;
    coordinator.begin()?;
    if let Some(burst) = coordinator.settings.burst {
        // The next one begins when everybody has the last.
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
