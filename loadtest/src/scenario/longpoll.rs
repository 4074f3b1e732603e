//! All pollers in lockstep: the next message when every client has the last one and polls again.

use std::io;

use super::open;
use crate::clock::now;
use crate::coordinator::Coordinator;

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    open(coordinator)?;
    coordinator.begin()?;
    for _ in 0..coordinator.settings.messages {
        coordinator.publish(0, now());
        // A missing message delays the others until patience ends; further messages would do the
        // same.
        if !coordinator.await_deliveries()? {
            break;
        }
    }
    coordinator.meter.end()
}
