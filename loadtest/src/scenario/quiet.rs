//! Clients on whom nothing is published: what each takes of memory, and of the CPU for its heartbeats.

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
