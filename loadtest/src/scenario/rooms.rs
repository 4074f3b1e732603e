//! The classic benchmark of Bayeux servers: clients that are in several rooms of 10 to 100, messages of many sizes that are published in
//! batches, and a rate that rises step by step until the server cannot follow.
//!
//! A step is over when everybody has everything, so no step begins with what the one before has left. Batches are due on time whatever the
//! server does; where it cannot follow, waiting counts as latency, and that ends the run.

use std::io;

use super::open;
use crate::chance::Chance;
use crate::clock::{SECOND, nanos, now};
use crate::publisher::Publishers;
use crate::report::Step;
use crate::stage::Stage;

/// Steps that a run may have: more than any growth needs from a message a second to what no machine can do.
const STEPS_MAX: u32 = 40;

pub(super) fn run(stage: &mut Stage) -> io::Result<()> {
    open(stage)?;
    stage.begin()?;
    let mut chance = Chance::new(stage.settings.seed ^ 2);
    let mut rate = stage.settings.rate.unwrap_or(1.0);
    let mut peak = 0.0_f64;
    let until_ms = nanos(stage.settings.until) as f64 / 1e6;
    for _ in 0..STEPS_MAX {
        let (step, is_all) = step(stage, rate, &mut chance)?;
        let is_saturated = step.latency_ms.p99.is_none_or(|p99| p99 > until_ms);
        peak = peak.max(step.came_per_s);
        stage.step(step);
        if is_saturated || !is_all {
            break;
        }
        rate *= stage.settings.growth;
    }
    stage.detail("peak_deliveries_per_s", peak);
    stage.meter.end()
}

/// So many messages a second for a while, until all are there. What came of it, and whether all came.
fn step(stage: &mut Stage, rate: f64, chance: &mut Chance) -> io::Result<(Step, bool)> {
    let batch = stage.settings.batch;
    let every = SECOND as f64 * f64::from(batch) / rate;
    let (start, delivered, cpu) = (now(), stage.progress().delivered, stage.meter.cpu()?);
    let end = start + nanos(stage.settings.span);
    let (mut due, mut batches) = (start, 0u64);
    while due < end {
        while now() < due {
            stage.turn(due)?;
        }
        publish(stage, batch, due, chance);
        batches += 1;
        due = start + (batches as f64 * every) as u64;
    }
    while now() < end {
        stage.turn(end)?;
    }
    let is_all = stage.settle()?;
    let seconds = (now() - start) as f64 / SECOND as f64;
    let cpu = stage.meter.cpu()?.zip(cpu).map(|(after, before)| after - before);
    let spans = stage.lap()?;
    let deliveries = stage.progress().delivered - delivered;
    let owed = stage.settings.span.as_secs_f64();
    Ok((Step::new(rate, owed, seconds, deliveries, cpu, spans.histogram()), is_all))
}

/// A batch of one publisher's, to rooms of its own: one room's messages come from one publisher, so they have an order.
fn publish(stage: &mut Stage, batch: u32, due: u64, chance: &mut Chance) {
    let wires = stage.publishers.as_ref().map_or(1, Publishers::wires) as u32;
    let rooms = stage.settings.layout.channels();
    let wire = chance.below(wires.min(rooms).into()) as u32;
    let own = (rooms - wire).div_ceil(wires);
    for _ in 0..batch {
        stage.publish(wire + wires * chance.below(own.into()) as u32, due);
    }
}
