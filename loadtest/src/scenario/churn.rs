//! Connections that come, get their first byte, and go.

use std::io;

use crate::clock::{SECOND, nanos, now};
use crate::stage::Stage;
use crate::talk::Order;

pub(super) fn run(stage: &mut Stage) -> io::Result<()> {
    let (span, procs) = (stage.settings.span, stage.settings.procs);
    let concurrency = stage.settings.concurrency.div_ceil(procs);
    stage.begin()?;
    stage.order(&Order::Churn { concurrency, span })?;
    let end = now() + nanos(span) + nanos(stage.settings.patience);
    while !stage.is_churned() {
        stage.turn(now() + SECOND)?;
        if now() > end {
            return Err(io::Error::other("the churn does not end"));
        }
    }
    stage.meter.end()
}
