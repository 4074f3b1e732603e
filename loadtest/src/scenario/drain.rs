//! The server receives TERM: whether every stream is notified, and how long the server takes.

use std::io;

use crate::clock::{MILLISECOND, SECOND, now};
use crate::coordinator::Coordinator;
use crate::process::Watch;

/// Time after which this gives up on the server: above every sensible time for a drain.
const PATIENCE: u64 = 120 * SECOND;

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    coordinator.connect()?;
    coordinator.rest()?;
    coordinator.begin()?;
    let began = now();
    coordinator.meter.server().map_or(Ok(()), Watch::terminate)?;
    let end = now() + PATIENCE;
    let clients = u64::from(coordinator.settings.clients);
    while now() < end && coordinator.progress().ended < clients {
        coordinator.turn(now() + 100 * MILLISECOND)?;
    }
    coordinator.detail("all_ended_s", (now() - began) as f64 / SECOND as f64);
    while now() < end && coordinator.meter.server().is_some_and(Watch::is_running) {
        coordinator.turn(now() + 20 * MILLISECOND)?;
    }
    coordinator.detail("gone_s", (now() - began) as f64 / SECOND as f64);
    coordinator.meter.end()
}
