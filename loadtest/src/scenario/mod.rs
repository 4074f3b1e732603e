//! The scenarios: what is done, in what order, and what of it is measured.
//!
//! Each is a short list of steps on the [`Stage`]; how clients behave is the workers' affair.

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
use crate::report::Report;
use crate::settings::Settings;
use crate::stage::Stage;

/// Makes a run.
///
/// # Errors
/// When it could not be made. What the server does wrong is in the report.
pub fn run(settings: Settings) -> io::Result<Report> {
    // Else thousands of clients would be tried one after the other until patience is over.
    settings.to.reach("to")?;
    if settings.publishes() {
        settings.api.reach("api")?;
    }
    let mut stage = Stage::open(settings)?;
    let is_quiet = match stage.settings.scenario {
        Scenario::Idle | Scenario::Heartbeat => quiet::run(&mut stage),
        Scenario::Fanout | Scenario::Soak => fanout::run(&mut stage),
        Scenario::Unicast => unicast::run(&mut stage),
        Scenario::Mixed => mixed::run(&mut stage),
        Scenario::Rooms => rooms::run(&mut stage),
        Scenario::Longpoll => longpoll::run(&mut stage),
        Scenario::Churn => churn::run(&mut stage),
        Scenario::Reconnect => reconnect::run(&mut stage),
        Scenario::Slow => slow::run(&mut stage),
        Scenario::Drain => drain::run(&mut stage),
        Scenario::Transports => transports::run(&mut stage),
    };
    is_quiet?;
    stage.finish()
}

/// Opens all clients and hires the publishers: how most scenarios begin.
fn open(stage: &mut Stage) -> io::Result<()> {
    stage.connect()?;
    stage.hire()?;
    stage.rest()
}

/// Publishes at a pace: so many a second, each to the channel that `channel` names for it, for as long as the settings say.
fn paced(stage: &mut Stage, rate: f64, count: u64, mut channel: impl FnMut(u64) -> u32) -> io::Result<()> {
    let (start, step) = (now(), SECOND as f64 / rate);
    for n in 0..count {
        let due = start + (n as f64 * step) as u64;
        while now() < due {
            stage.turn(due)?;
        }
        stage.publish(channel(n), due);
    }
    // The last message's share of the time is over, too.
    let end = start + (count as f64 * step) as u64;
    while now() < end {
        stage.turn(end)?;
    }
    Ok(())
}

/// How many messages fit into the time.
fn count(stage: &Stage, rate: f64) -> u64 {
    ((nanos(stage.settings.span) as f64 / SECOND as f64 * rate).round() as u64).max(1)
}
