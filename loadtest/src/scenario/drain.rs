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
    let began = now();
    stage.meter.server().map_or(Ok(()), Watch::terminate)?;
    let end = now() + PATIENCE;
    let clients = u64::from(stage.settings.clients);
    while now() < end && stage.progress().ended < clients {
        stage.turn(now() + 100 * MILLISECOND)?;
    }
    stage.detail("all_ended_s", (now() - began) as f64 / SECOND as f64);
    while now() < end && stage.meter.server().is_some_and(Watch::is_running) {
        stage.turn(now() + 20 * MILLISECOND)?;
    }
    stage.detail("gone_s", (now() - began) as f64 / SECOND as f64);
    stage.meter.end()
}
