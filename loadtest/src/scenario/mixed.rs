//! Rooms of 10 to 100 users, as in a chat: each room's messages at a pace, rooms in no particular order.

use std::io;

use super::{count, open, paced};
use crate::chance::Chance;
use crate::stage::Stage;

pub(super) fn run(stage: &mut Stage) -> io::Result<()> {
    open(stage)?;
    let rooms = stage.settings.layout.channels();
    let rate = stage.settings.rate.unwrap_or(1.0) * f64::from(rooms);
    let mut chance = Chance::new(stage.settings.seed ^ 1);
    stage.begin()?;
    let count = count(stage, rate);
    paced(stage, rate, count, |_| chance.below(u64::from(rooms)) as u32)?;
    stage.settle()?;
    stage.meter.end()
}
