//! One channel, many streams: what a message costs and how long it takes to the last of them, at a steady pace and in bursts.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{MIB, OPEN_PATIENCE, REST, SHARED, failures, grown, sums, target, wait};
use crate::cli::Plan;
use crate::fleet::Fleet;
use crate::process::Process;
use crate::publisher::Publisher;
use crate::report::Report;

/// How long the last messages of a part may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two bursts everything comes to rest.
const BETWEEN_BURSTS: Duration = Duration::from_millis(500);

pub(super) fn run(plan: &Plan) -> io::Result<Report> {
    let mut fleet = Fleet::new()?;
    fleet.enlist(plan.server, None, (0..plan.streams).map(target));
    fleet.open_all(OPEN_PATIENCE)?;
    fleet.hire(Publisher::new(plan.api, SHARED, plan.bytes)?)?;
    wait(&mut fleet, REST)?;
    let mut report = Report::new("fanout");
    report.count("streams", (fleet.conns().len() - fleet.ended()) as u64);
    part(plan, &mut fleet, &mut report, "paced", paced)?;
    fleet.board.restart();
    part(plan, &mut fleet, &mut report, "burst", bursts)?;
    failures(&fleet, &mut report);
    Ok(report)
}

/// Runs one way of publishing and reports on it by itself.
fn part(
    plan: &Plan,
    fleet: &mut Fleet,
    report: &mut Report,
    name: &'static str,
    publish: impl FnOnce(&Plan, &mut Fleet) -> io::Result<()>,
) -> io::Result<()> {
    let process = plan.pid.map(Process::new);
    let before = process.map(Process::usage).transpose()?;
    let began = Instant::now();
    publish(plan, fleet)?;
    let took = began.elapsed();
    fleet.settle();
    let mut part = Report::new(name);
    sums(fleet, &mut part);
    part.add("deliveries", fleet.board.sums().delivered as f64 / took.as_secs_f64(), "/s");
    percentiles(&mut part, "each", fleet.board.each());
    percentiles(&mut part, "last", &fleet.board.to_the_last());
    if let Some((process, before)) = process.zip(before) {
        let after = process.usage()?;
        let (cpu, millions) = (after.cpu - before.cpu, fleet.board.sums().delivered as f64 / 1e6);
        part.add("cpu", cpu, "s");
        part.add("cpu_million", cpu / millions, "s");
        part.add("pss_growth", grown(before, after) / MIB, "MiB");
        part.count("threads", after.threads);
    }
    report.absorb(name, part);
    Ok(())
}

fn paced(plan: &Plan, fleet: &mut Fleet) -> io::Result<()> {
    let span = plan.seconds.unwrap_or(Duration::from_secs(20));
    let interval = Duration::from_secs(1) / plan.rate;
    let began = Instant::now();
    let mut due = began;
    while due < began + span {
        fleet.publish(1)?;
        due += interval;
        wait(fleet, due.saturating_duration_since(Instant::now()))?;
    }
    let all = 0..plan.streams;
    fleet.turn_until(PATIENCE, |fleet| fleet.are_level(all.clone())).map(drop)
}

fn bursts(plan: &Plan, fleet: &mut Fleet) -> io::Result<()> {
    let all = 0..plan.streams;
    for _ in 0..plan.bursts {
        fleet.publish(plan.burst)?;
        fleet.turn_until(PATIENCE, |fleet| fleet.are_level(all.clone()))?;
        wait(fleet, BETWEEN_BURSTS)?;
    }
    Ok(())
}

fn percentiles(report: &mut Report, name: &str, times: &Histogram<u64>) {
    let milliseconds = |nanos: u64| nanos as f64 / 1e6;
    for (which, part) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        report.add(format!("{name}_{which}"), milliseconds(times.value_at_quantile(part)), "ms");
    }
}
