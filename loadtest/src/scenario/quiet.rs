//! Idle clients: what each costs in memory, and in CPU for its heartbeats.

use std::io;

use crate::coordinator::Coordinator;

/// For idle and heartbeat: they differ in how long they last.
pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    coordinator.connect()?;
    coordinator.rest()?;
    coordinator.begin()?;
    coordinator.wait(coordinator.settings.span)?;
    coordinator.meter.end()
}
