//! One channel whose readers are not all alike: some do not read, some read a little, and the others must not notice.
//!
//! Slow readers have a small receive buffer, so that what they leave lying lies with the server. When all has been published they read on, and
//! each must then have every message or have been told of the gap. Who was cut meanwhile comes back as an `EventSource` does.

use std::io;
use std::time::{Duration, Instant};

use super::{MIB, OPEN_PATIENCE, REST, SHARED, failures, grown, process, sums, target, wait};
use crate::cli::Plan;
use crate::conn::Pace;
use crate::fleet::Fleet;
use crate::publisher::Publisher;
use crate::report::Report;

/// Bytes of a slow reader's receive buffer.
const RECEIVE_BUFFER: usize = 4096;

/// Bytes that a sipping reader takes each [`SIP_EVERY`].
const SIP: usize = 1024;
const SIP_EVERY: Duration = Duration::from_secs(1);

/// Messages of one request: a run that no reader of 1 KiB/s keeps up with.
const BATCH: usize = 50;

/// How long those who read may take to the last message.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long the slow ones stay slow after the last message: the server must bear them, not only pass by them.
const LINGER: Duration = Duration::from_secs(5);

pub(super) fn run(plan: &Plan) -> io::Result<Report> {
    let process = process(plan)?;
    let slow = plan.deaf + plan.sipping;
    let (sipping, eager) = (plan.deaf..slow, slow..plan.streams);
    let mut fleet = Fleet::new()?;
    fleet.enlist(plan.server, Some(RECEIVE_BUFFER), (0..slow).map(target));
    fleet.enlist(plan.server, None, eager.clone().map(target));
    fleet.open_all(OPEN_PATIENCE)?;
    fleet.hire(Publisher::new(plan.api, SHARED, plan.bytes)?)?;
    wait(&mut fleet, REST)?;
    fleet.pace(0..slow, Pace::Held);
    let before = process.usage()?;

    let began = Instant::now();
    let mut peak = before;
    let mut sips = Sips { next: began, which: sipping };
    for _ in 0..plan.messages.div_ceil(BATCH) {
        fleet.publish(BATCH)?;
        sips.take_if_due(&mut fleet);
        let now = process.usage()?;
        peak = if now.pss > peak.pss { now } else { peak };
    }
    let all_got_it = sips.turn_until(&mut fleet, PATIENCE, |fleet| fleet.are_level(eager.clone()))?;
    let took = began.elapsed();
    sips.turn_until(&mut fleet, plan.seconds.unwrap_or(LINGER), |_| false)?;
    let (after, eager_level, slow_level) =
        (process.usage()?, fleet.level(eager.clone()), fleet.level(0..slow));
    peak = if after.pss > peak.pss { after } else { peak };
    let fast_gaps = fleet.board.sums().gaps;

    fleet.pace(0..slow, Pace::Eager);
    let mut cut = 0;
    let by = Instant::now() + PATIENCE;
    while !fleet.are_level(0..plan.streams) && Instant::now() < by {
        cut += fleet.come_back()? as u64;
        fleet.turn_until(SIP_EVERY, |fleet| fleet.are_level(0..plan.streams))?;
    }
    fleet.settle();

    let mut report = Report::new("slow");
    report.count("streams", (fleet.conns().len() - fleet.ended()) as u64);
    report.add("run", took.as_secs_f64(), "s");
    report.count("eager_in_time", if all_got_it { eager.len() as u64 } else { eager_level as u64 });
    report.count("eager_missing", (eager.len() - eager_level) as u64);
    report.count("slow_behind", (slow - slow_level) as u64);
    report.count("gaps_before_release", fast_gaps);
    report.count("slow_cut", cut);
    report.count("level_at_end", fleet.level(0..plan.streams) as u64);
    sums(&fleet, &mut report);
    report.add("pss_before", before.pss as f64 / MIB, "MiB");
    report.add("pss_growth_peak", grown(before, peak) / MIB, "MiB");
    report.add("pss_growth_after", grown(before, after) / MIB, "MiB");
    report.add("cpu", after.cpu - before.cpu, "s");
    report.count("threads", peak.threads);
    failures(&fleet, &mut report);
    Ok(report)
}

/// The readers that read a little, once in a while.
struct Sips {
    next: Instant,
    which: std::ops::Range<usize>,
}

impl Sips {
    fn take_if_due(&mut self, fleet: &mut Fleet) {
        if Instant::now() >= self.next {
            self.next += SIP_EVERY;
            fleet.sip(self.which.clone(), SIP);
        }
    }

    fn turn_until(
        &mut self,
        fleet: &mut Fleet,
        patience: Duration,
        done: impl Fn(&Fleet) -> bool,
    ) -> io::Result<bool> {
        let by = Instant::now() + patience;
        while Instant::now() < by {
            if done(fleet) {
                return Ok(true);
            }
            let until_next = self.next.min(by).saturating_duration_since(Instant::now());
            if fleet.turn_until(until_next, &done)? {
                return Ok(true);
            }
            self.take_if_due(fleet);
        }
        Ok(false)
    }
}
