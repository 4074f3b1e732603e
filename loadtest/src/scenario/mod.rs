//! The scenarios: the steps of each and what is measured.
//!
//! Each is a short list of steps on the [`Coordinator`]; the workers implement the behaviour of
//! clients.

mod churn;
mod drain;
mod fanout;
mod longpoll;
mod mixed;
mod quiet;
mod reconnect;
mod rooms;
mod slow;
mod transports;
mod unicast;

use std::io;

use crate::cli::Scenario;
use crate::clock::{SECOND, nanos, now};
use crate::coordinator::Coordinator;
use crate::report::Report;
use crate::settings::Settings;

/// Runs a scenario.
///
/// # Errors
/// If it could not run. Faults of the server are in the report.
pub fn run(settings: Settings) -> io::Result<Report> {
    // Without this check thousands of clients would try to connect until the patience ends.
    settings.to.reach("to")?;
    if settings.publishes() {
        settings.api.reach("api")?;
    }
    let mut coordinator = Coordinator::open(settings)?;
    let is_quiet = match coordinator.settings.scenario {
        Scenario::Idle | Scenario::Heartbeat => quiet::run(&mut coordinator),
        Scenario::Fanout | Scenario::Soak => fanout::run(&mut coordinator),
        Scenario::Unicast => unicast::run(&mut coordinator),
        Scenario::Mixed => mixed::run(&mut coordinator),
        Scenario::Rooms => rooms::run(&mut coordinator),
        Scenario::Longpoll => longpoll::run(&mut coordinator),
        Scenario::Churn => churn::run(&mut coordinator),
        Scenario::Reconnect => reconnect::run(&mut coordinator),
        Scenario::Slow => slow::run(&mut coordinator),
        Scenario::Drain => drain::run(&mut coordinator),
        Scenario::Transports => transports::run(&mut coordinator),
    };
    is_quiet?;
    coordinator.finish()
}

/// Connects all clients and the publishers: how most scenarios begin.
fn open(coordinator: &mut Coordinator) -> io::Result<()> {
    coordinator.connect()?;
    coordinator.connect_publishers()?;
    coordinator.rest()
}

/// Publishes `rate` messages a second, each to the channel that `channel` returns, for the duration
/// in the settings.
fn paced(
    coordinator: &mut Coordinator,
    rate: f64,
    count: u64,
    mut channel: impl FnMut(u64) -> u32,
) -> io::Result<()> {
    let (start, step) = (now(), SECOND as f64 / rate);
    for n in 0..count {
        let due = start + (n as f64 * step) as u64;
        while now() < due {
            coordinator.turn(due)?;
        }
        coordinator.publish(channel(n), due);
    }
    // The interval after the last message counts too.
    let end = start + (count as f64 * step) as u64;
    while now() < end {
        coordinator.turn(end)?;
    }
    Ok(())
}

/// The number of messages that fit into the time.
fn count(coordinator: &Coordinator, rate: f64) -> u64 {
    ((nanos(coordinator.settings.span) as f64 / SECOND as f64 * rate).round() as u64).max(1)
}
