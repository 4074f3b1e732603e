//! Connections that receive their first byte and close.

use std::io;

use crate::clock::{SECOND, nanos, now};
use crate::coordinator::Coordinator;
use crate::ipc::ToWorker;

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    let (span, procs) = (coordinator.settings.span, coordinator.settings.procs);
    let concurrency = coordinator.settings.concurrency.div_ceil(procs);
    coordinator.begin()?;
    coordinator.order(&ToWorker::Churn { concurrency, span })?;
    let end = now() + nanos(span) + nanos(coordinator.settings.patience);
    while !coordinator.is_churned() {
        coordinator.turn(now() + SECOND)?;
        if now() > end {
            return Err(io::Error::other("the churn did not end in time"));
        }
    }
    coordinator.meter.end()
}
