//! The server is told to go: whether every stream learns of it, when its client is to come back, and how long the server takes.

use std::io;
use std::time::{Duration, Instant};

use super::{OPEN_PATIENCE, REST, failures, process, target, wait};
use crate::cli::Plan;
use crate::conn::Phase;
use crate::fleet::Fleet;
use crate::report::Report;

/// How long the server may take at most before this gives up: above every sensible `ENCKE_DRAIN`.
const PATIENCE: Duration = Duration::from_mins(2);

pub(super) fn run(plan: &Plan) -> io::Result<Report> {
    let process = process(plan)?;
    let mut fleet = Fleet::new()?;
    fleet.enlist(plan.server, None, (0..plan.streams).map(target));
    fleet.open_all(OPEN_PATIENCE)?;
    wait(&mut fleet, REST)?;

    let began = Instant::now();
    process.terminate()?;
    fleet.turn_until(PATIENCE, |fleet| fleet.ended() == plan.streams)?;
    let ended = began.elapsed();
    fleet.turn_until(PATIENCE, |_| !process.is_running())?;
    let gone = began.elapsed();

    let mut afters: Vec<u64> = fleet.conns().iter().filter_map(|conn| conn.after).collect();
    afters.sort_unstable();
    let at = |part: usize| afters.get((afters.len().max(1) - 1) * part / 4).copied().unwrap_or_default();
    let clean = fleet.conns().iter().filter(|conn| conn.phase() == Phase::Ended { clean: true }).count();
    let mut report = Report::new("drain");
    report.count("streams", plan.streams as u64);
    report.count("told", afters.len() as u64);
    report.count("ended_cleanly", clean as u64);
    for (name, part) in [("min", 0), ("quarter", 1), ("median", 2), ("three_quarters", 3), ("max", 4)] {
        report.add(format!("after_{name}"), at(part) as f64, "ms");
    }
    report.add("all_ended", ended.as_secs_f64() * 1e3, "ms");
    report.add("gone", gone.as_secs_f64() * 1e3, "ms");
    failures(&fleet, &mut report);
    Ok(report)
}
