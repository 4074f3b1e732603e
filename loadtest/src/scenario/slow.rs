//! One channel with different readers: some do not read, some read slowly, and the others must not
//! be affected.
//!
//! Slow readers have a small receive buffer, so that unread bytes stay at the server. When all
//! messages are published they read on; each must then get every message, or a gap that covers it.
//! A client that was disconnected returns with its position.

use std::io;

use super::open;
use crate::clock::{SECOND, now};
use crate::coordinator::Coordinator;
use crate::ipc::ToWorker;

/// Messages published at a time: more than a reader of 1 KiB a second can follow.
const BATCH: u32 = 50;

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    open(coordinator)?;
    coordinator.order(&ToWorker::PauseReading)?;
    coordinator.begin()?;
    let mut left = coordinator.settings.messages;
    while left > 0 {
        let (due, batch) = (now(), left.min(BATCH));
        (0..batch).for_each(|_| coordinator.publish(0, due));
        left -= batch;
        while coordinator.publishers.as_ref().is_some_and(|publishers| !publishers.is_idle()) {
            coordinator.turn(now() + SECOND)?;
        }
    }
    // The server must hold the slow clients for a while.
    coordinator.wait(coordinator.settings.span)?;
    coordinator.order(&ToWorker::ResumeReading)?;
    coordinator.await_deliveries()?;
    coordinator.meter.end()?;
    if let Some(growth) = coordinator.meter.growth() {
        coordinator.detail("growth_peak_bytes", growth as f64);
    }
    Ok(())
}
