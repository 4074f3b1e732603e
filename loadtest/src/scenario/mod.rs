//! The scenarios: what is done, in what order, and what is looked at.

mod drain;
mod fanout;
mod quiet;
mod slow;

use std::io;
use std::time::{Duration, Instant};

use crate::cli::{Plan, Scenario};
use crate::fleet::Fleet;
use crate::process::{Process, Usage};
use crate::report::Report;

/// The channel that all streams of a scenario share.
const SHARED: &str = "/load/shared";

/// How long the opening of all streams may take.
const OPEN_PATIENCE: Duration = Duration::from_mins(2);

/// How long the server gets to come to rest before it is measured: buffers are given back, lazy timers are done.
const REST: Duration = Duration::from_secs(3);

/// Runs what the plan names.
///
/// # Errors
/// When the server could not be measured or the system refused something. What the server does wrong is in the report.
pub fn run(plan: &Plan) -> io::Result<Report> {
    match plan.scenario {
        Scenario::Idle => quiet::idle(plan),
        Scenario::Heartbeat => quiet::heartbeat(plan),
        Scenario::Fanout => fanout::run(plan),
        Scenario::Slow => slow::run(plan),
        Scenario::Drain => drain::run(plan),
    }
}

/// The request of one stream: `/u/u{number}/sse`, with the shared channel.
fn target(number: usize) -> String {
    format!("/u/u{number}/sse?channels={SHARED}")
}

fn process(plan: &Plan) -> io::Result<Process> {
    plan.pid.map(Process::new).ok_or_else(|| io::Error::other("this scenario needs --pid"))
}

/// Lets time pass while what arrives is read.
fn wait(fleet: &mut Fleet, span: Duration) -> io::Result<()> {
    let until = Instant::now() + span;
    while Instant::now() < until {
        fleet.turn(until)?;
    }
    Ok(())
}

/// What went wrong with clients.
fn failures(fleet: &Fleet, report: &mut Report) {
    report.count("failures", fleet.failures().values().sum());
    for (reason, count) in fleet.failures() {
        report.remark(format!("{count} x {reason}"));
    }
}

/// What became of the deliveries.
fn sums(fleet: &Fleet, report: &mut Report) {
    let sums = fleet.board.sums();
    report.count("accepted", fleet.accepted());
    report.count("delivered", sums.delivered);
    report.count("lost", sums.lost);
    report.count("repeated", sums.repeated);
    report.count("gaps", sums.gaps);
    report.count("announced", sums.announced);
}

/// The difference of two memory readings.
fn grown(before: Usage, after: Usage) -> f64 {
    after.pss as f64 - before.pss as f64
}

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;
