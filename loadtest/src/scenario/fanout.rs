//! One channel, all clients: what a message costs and how long it takes to the last of them, at a steady pace or in bursts.

use std::io;

use super::{count, open, paced};
use crate::clock::now;
use crate::stage::Stage;

pub(super) fn run(stage: &mut Stage) -> io::Result<()> {
    open(stage)?;
    stage.begin()?;
    if let Some(burst) = stage.settings.burst {
        // The next one begins when everybody has the last.
        for _ in 0..stage.settings.bursts {
            let due = now();
            (0..burst).for_each(|_| stage.publish(0, due));
            stage.settle()?;
        }
    } else {
        let rate = stage.settings.rate.unwrap_or(1.0);
        let count = count(stage, rate);
        paced(stage, rate, count, |_| 0)?;
        stage.settle()?;
    }
    stage.meter.end()
}
