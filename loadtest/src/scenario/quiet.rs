//! Streams on which nothing is said: what each takes of memory, and of the CPU for its heartbeats.

use std::io;
use std::time::Duration;

use super::{KIB, MIB, OPEN_PATIENCE, REST, SHARED, failures, grown, process, target, wait};
use crate::cli::{Channel, Plan};
use crate::fleet::Fleet;
use crate::report::Report;

/// Opens streams, each of a user of its own, and measures the server's memory before and after.
pub(super) fn idle(plan: &Plan) -> io::Result<Report> {
    let process = process(plan)?;
    let mut fleet = Fleet::new()?;
    let before = process.usage()?;
    let channels = |number: usize| match plan.channel {
        Channel::Shared => target(number),
        Channel::Own => format!("/u/u{number}/sse?channels={SHARED}/{number}"),
    };
    fleet.enlist(plan.server, None, (0..plan.streams).map(channels));
    fleet.open_all(OPEN_PATIENCE)?;
    wait(&mut fleet, REST)?;
    let after = process.usage()?;
    let mut report = Report::new("idle");
    report.count("streams", (fleet.conns().len() - fleet.ended()) as u64);
    report.add("pss_before", before.pss as f64 / KIB, "KiB");
    report.add("pss_after", after.pss as f64 / KIB, "KiB");
    report.add("pss_each", grown(before, after) / plan.streams as f64, "B");
    report.add("heap_each", (after.anonymous as f64 - before.anonymous as f64) / plan.streams as f64, "B");
    report.add("open_cpu", (after.cpu - before.cpu) * 1e6 / plan.streams as f64, "us");
    report.count("threads", after.threads);
    failures(&fleet, &mut report);
    Ok(report)
}

/// Opens streams, lets their first heartbeats spread, and measures the CPU while nothing else happens.
pub(super) fn heartbeat(plan: &Plan) -> io::Result<Report> {
    let process = process(plan)?;
    let mut fleet = Fleet::new()?;
    fleet.enlist(plan.server, None, (0..plan.streams).map(target));
    fleet.open_all(OPEN_PATIENCE)?;
    wait(&mut fleet, REST)?;
    let beats = |fleet: &Fleet| fleet.conns().iter().map(|conn| u64::from(conn.heartbeats())).sum::<u64>();
    let (before, beats_before) = (process.usage()?, beats(&fleet));
    let span = plan.seconds.unwrap_or(Duration::from_mins(1));
    wait(&mut fleet, span)?;
    let after = process.usage()?;
    let mut report = Report::new("heartbeat");
    report.count("streams", (fleet.conns().len() - fleet.ended()) as u64);
    report.add("span", span.as_secs_f64(), "s");
    report.count("heartbeats", beats(&fleet) - beats_before);
    report.add("cpu", after.cpu - before.cpu, "s");
    report.add("cpu_share", (after.cpu - before.cpu) / span.as_secs_f64() * 100.0, "percent");
    report.add("pss_growth", grown(before, after) / MIB, "MiB");
    report.count("threads", after.threads);
    failures(&fleet, &mut report);
    Ok(report)
}
