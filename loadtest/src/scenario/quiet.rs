//! Idle clients: the memory of each, and the CPU for its heartbeats.

use std::io;

use crate::coordinator::Coordinator;

/// For idle and heartbeat, which differ in their duration.
pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    coordinator.connect()?;
    coordinator.rest()?;
    coordinator.begin()?;
    coordinator.wait(coordinator.settings.span)?;
    coordinator.meter.end()
}
