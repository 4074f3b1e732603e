//! The classic benchmark of Bayeux servers: clients in several rooms of 10 to 100, messages of many
//! sizes that are published in batches, and a rate that rises step by step until the server cannot
//! follow.
//!
//! A step ends when all clients have all messages, so no step begins with a backlog. Batches are
//! due on time whatever the server does; if it cannot follow, waiting counts as latency, and that
//! ends the run.

use std::io;

use super::open;
use crate::clock::{SECOND, nanos, now};
use crate::coordinator::Coordinator;
use crate::publisher::Publishers;
use crate::report::Step;
use crate::rng::Rng;

/// Most steps of a run: more than any growth needs from one message a second to the limit of any
/// machine.
const STEPS_MAX: u32 = 40;

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    open(coordinator)?;
    coordinator.begin()?;
    let mut rng = Rng::new(coordinator.settings.seed ^ 2);
    let mut rate = coordinator.settings.rate.unwrap_or(1.0);
    let mut peak = 0.0_f64;
    let until_ms = nanos(coordinator.settings.until) as f64 / 1e6;
    for _ in 0..STEPS_MAX {
        let (step, is_all) = step(coordinator, rate, &mut rng)?;
        let is_saturated = step.latency_ms.p99.is_none_or(|p99| p99 > until_ms);
        peak = peak.max(step.came_per_s);
        coordinator.step(step);
        if is_saturated || !is_all {
            break;
        }
        rate *= coordinator.settings.growth;
    }
    coordinator.detail("peak_deliveries_per_s", peak);
    coordinator.meter.end()
}

/// Publishes `rate` messages a second for a while and waits until all have arrived. Returns the
/// results, and whether all arrived.
fn step(coordinator: &mut Coordinator, rate: f64, rng: &mut Rng) -> io::Result<(Step, bool)> {
    let batch = coordinator.settings.batch;
    let every = SECOND as f64 * f64::from(batch) / rate;
    let (start, delivered, cpu) = (now(), coordinator.progress().delivered, coordinator.meter.cpu()?);
    let end = start + nanos(coordinator.settings.span);
    let (mut due, mut batches) = (start, 0u64);
    while due < end {
        while now() < due {
            coordinator.turn(due)?;
        }
        publish(coordinator, batch, due, rng);
        batches += 1;
        due = start + (batches as f64 * every) as u64;
    }
    while now() < end {
        coordinator.turn(end)?;
    }
    let is_all = coordinator.await_deliveries()?;
    let seconds = (now() - start) as f64 / SECOND as f64;
    let cpu = coordinator.meter.cpu()?.zip(cpu).map(|(after, before)| after - before);
    let latencies = coordinator.lap()?;
    let deliveries = coordinator.progress().delivered - delivered;
    let owed = coordinator.settings.span.as_secs_f64();
    Ok((Step::new(rate, owed, seconds, deliveries, cpu, latencies.histogram()), is_all))
}

/// A batch of one publisher, to its own rooms: the messages of a room come from one publisher, so
/// they have an order.
fn publish(coordinator: &mut Coordinator, batch: u32, due: u64, rng: &mut Rng) {
    let conns = coordinator.publishers.as_ref().map_or(1, Publishers::connections) as u32;
    let rooms = coordinator.settings.layout.channels();
    let conn = rng.below(conns.min(rooms).into()) as u32;
    let own = (rooms - conn).div_ceil(conns);
    for _ in 0..batch {
        coordinator.publish(conn + conns * rng.below(own.into()) as u32, due);
    }
}
