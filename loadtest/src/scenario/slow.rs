//! One channel whose readers are not all alike: some do not read, some read a little, and the others must not notice.
//!
//! Slow readers have a small receive buffer, so that what they leave lying lies with the server. When all has been published they read on,
//! and each must then have every message or have been told of the gap. Who was cut meanwhile comes back with its position.

use std::io;

use super::open;
use crate::clock::{SECOND, now};
use crate::stage::Stage;
use crate::talk::Order;

/// Messages of one go: more than a reader of 1 KiB a second keeps up with.
const BATCH: u32 = 50;

pub(super) fn run(stage: &mut Stage) -> io::Result<()> {
    open(stage)?;
    stage.order(&Order::Hold)?;
    stage.begin()?;
    let mut left = stage.settings.messages;
    while left > 0 {
        let (due, batch) = (now(), left.min(BATCH));
        (0..batch).for_each(|_| stage.publish(0, due));
        left -= batch;
        while stage.publishers.as_ref().is_some_and(|publishers| !publishers.is_idle()) {
            stage.turn(now() + SECOND)?;
        }
    }
    // The server must bear them, not only pass by them.
    stage.wait(stage.settings.span)?;
    stage.order(&Order::Release)?;
    stage.settle()?;
    stage.meter.end()?;
    if let Some(growth) = stage.meter.growth() {
        stage.detail("growth_peak_bytes", growth as f64);
    }
    Ok(())
}
