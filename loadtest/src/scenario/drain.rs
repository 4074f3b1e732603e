//! The server is told to stop: whether every stream learns of it, and how long the server takes.

use std::io;

use crate::clock::{MILLISECOND, SECOND, now};
use crate::process::Watch;
use crate::stage::Stage;

/// How long the server may take at most before this gives up: above every sensible time for a drain.
const PATIENCE: u64 = 120 * SECOND;

pub(super) fn run(stage: &mut Stage) -> io::Result<()> {
    stage.connect()?;
    stage.rest()?;
    stage.begin()?;
    stage.meter.server().map_or(Ok(()), Watch::terminate)?;
    let end = now() + PATIENCE;
    let clients = u64::from(stage.settings.clients);
    while now() < end && stage.progress().ended < clients {
        stage.turn(now() + 100 * MILLISECOND)?;
    }
    stage.meter.end()
}
