//! Clients on whom nothing is published: what each takes of memory, and of the CPU for its heartbeats.

use std::io;

use crate::stage::Stage;

/// For idle and heartbeat: they differ in how long they last.
pub(super) fn run(stage: &mut Stage) -> io::Result<()> {
    stage.connect()?;
    stage.rest()?;
    stage.begin()?;
    stage.wait(stage.settings.span)?;
    stage.meter.end()
}
