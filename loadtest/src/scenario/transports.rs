//! One transport as a distant user experiences it: messages at random times, each client in its own
//! channel, timed until their last byte, and all bytes on the link.
//!
//! `scripts/transports` sets up the link; this scenario only reads its counters.

use std::io;
use std::time::Duration;

use super::open;
use crate::clock::{SECOND, nanos, now};
use crate::coordinator::Coordinator;
use crate::net_counters::NetCounters;
use crate::rng::Rng;

/// Traffic after the last message: acknowledgements, and the next requests of polls.
const TAIL: Duration = Duration::from_millis(300);

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    open(coordinator)?;
    let before = counters(coordinator)?;
    coordinator.begin()?;
    at_random(coordinator)?;
    coordinator.await_deliveries()?;
    coordinator.meter.end()?;
    coordinator.wait(TAIL)?;
    let after = counters(coordinator)?;
    if let Some((before, after)) = before.zip(after) {
        let between = after.since(before);
        for (name, count) in [
            ("wire_down_bytes", between.down_bytes),
            ("wire_down_packets", between.down_packets),
            ("wire_up_bytes", between.up_bytes),
            ("wire_up_packets", between.up_packets),
        ] {
            coordinator.detail(name, count as f64);
        }
    }
    Ok(())
}

/// The counters of the interface, if one was named.
fn counters(coordinator: &Coordinator) -> io::Result<Option<NetCounters>> {
    coordinator.settings.interface.as_deref().map(NetCounters::read).transpose()
}

/// Publishes at random times, to each client's channel at the rate of the settings: the sum of
/// Poisson processes is one, too.
fn at_random(coordinator: &mut Coordinator) -> io::Result<()> {
    let clients = coordinator.settings.clients;
    let rate = coordinator.settings.rate.unwrap_or(1.0) * f64::from(clients);
    let mut rng = Rng::new(coordinator.settings.seed);
    let start = now();
    let end = start + nanos(coordinator.settings.span);
    // At least one, however short the span: a run without any measures nothing.
    let mut due = start + (rng.gap(rate) * SECOND as f64) as u64;
    let mut published = 0;
    while due < end || published == 0 {
        while now() < due {
            coordinator.turn(due)?;
        }
        coordinator.publish(rng.below(clients.into()) as u32, due);
        published += 1;
        due += (rng.gap(rate) * SECOND as f64) as u64;
    }
    while now() < end {
        coordinator.turn(end)?;
    }
    Ok(())
}
