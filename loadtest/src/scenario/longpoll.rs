//! All pollers in lockstep: the next message when every client has the last and waits again.

use std::io;

use super::open;
use crate::clock::now;
use crate::coordinator::Coordinator;

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    open(coordinator)?;
    coordinator.begin()?;
    for _ in 0..coordinator.settings.messages {
        coordinator.publish(0, now());
        // One that does not come holds up the others for as long as patience lasts; the rest would
        // not be any different.
        if !coordinator.await_deliveries()? {
            break;
        }
    }
    coordinator.meter.end()
}
