//! All connections are closed at once, as when a network fails; all clients return within a time,
//! each with its position. Publishing continues, and each message must reach every client.

use std::io;

use super::{count, open, paced};
use crate::clock::{SECOND, now};
use crate::coordinator::Coordinator;
use crate::ipc::ToWorker;

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    open(coordinator)?;
    let rate = coordinator.settings.rate.unwrap_or(1.0);
    // Every client has a position of some message before the cut.
    paced(coordinator, rate, 1, |_| 0)?;
    coordinator.await_deliveries()?;
    coordinator.begin()?;
    let cut = now();
    coordinator.order(&ToWorker::Disconnect { within: coordinator.settings.within })?;
    let count = count(coordinator, rate);
    paced(coordinator, rate, count, |_| 0)?;
    coordinator.await_ready()?;
    coordinator.await_deliveries()?;
    coordinator.meter.end()?;
    coordinator.detail("all_back_s", coordinator.ready_at().saturating_sub(cut) as f64 / SECOND as f64);
    Ok(())
}
