//! All connections are cut at once, as when a network goes; all come back within a while, each with its position. Messages are published all
//! the time, and each must reach everybody.

use std::io;

use super::{count, open, paced};
use crate::clock::{SECOND, now};
use crate::stage::Stage;
use crate::talk::Order;

pub(super) fn run(stage: &mut Stage) -> io::Result<()> {
    open(stage)?;
    let rate = stage.settings.rate.unwrap_or(1.0);
    // Everybody has a position of some message before the cut.
    paced(stage, rate, 1, |_| 0)?;
    stage.settle()?;
    stage.begin()?;
    let cut = now();
    stage.order(&Order::Cut { within: stage.settings.within })?;
    let count = count(stage, rate);
    paced(stage, rate, count, |_| 0)?;
    stage.await_ready()?;
    stage.settle()?;
    stage.meter.end()?;
    stage.detail("all_back_s", stage.ready_at().saturating_sub(cut) as f64 / SECOND as f64);
    Ok(())
}
