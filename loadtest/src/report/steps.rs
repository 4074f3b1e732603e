//! The steps of a rising rate: a row of the table and a point of the curve each.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::chart::{Axis, Chart, Line, LineStyle};
use super::facts::FactGroup;
use super::scale::Scale;
use super::{Latency, Report, format, quotient};

/// One step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// Messages due in a second.
    pub messages_per_s: f64,
    /// Deliveries due in a second.
    pub due_per_s: f64,
    /// Deliveries made in a second, up to the last.
    pub came_per_s: f64,
    /// The server's CPU seconds for a million deliveries. Null if no process was named.
    pub cpu_s_per_million: Option<f64>,
    /// From due time to read.
    pub latency_ms: Latency,
}

impl Step {
    /// A step whose deliveries were due within `due_s` seconds and took `seconds`, at a cost of
    /// `cpu` seconds.
    pub fn new(
        messages_per_s: f64,
        due_s: f64,
        seconds: f64,
        deliveries: u64,
        cpu: Option<f64>,
        nanos: &Histogram<u64>,
    ) -> Self {
        let deliveries = deliveries as f64;
        Self {
            messages_per_s,
            due_per_s: quotient(deliveries, due_s).unwrap_or(0.0),
            came_per_s: quotient(deliveries, seconds).unwrap_or(0.0),
            cpu_s_per_million: cpu.and_then(|cpu| quotient(cpu * 1e6, deliveries)),
            latency_ms: Latency::of(nanos),
        }
    }
}

impl Report {
    /// A fact for each step.
    pub(super) fn by_step(&self) -> FactGroup {
        let mut group = FactGroup::new("median, as the rate of deliveries rises");
        for step in &self.steps {
            let at = step.latency_ms;
            let others = [("90 %", at.p90), ("99 %", at.p99), ("99.9 %", at.p999), ("longest", at.max)];
            let texts = others.map(|(name, ms)| format!("{name} {}", format::or_dash(ms, format::millis)));
            let cost =
                step.cpu_s_per_million.map(|cpu| format!("; CPU {} per million", format::seconds(cpu)));
            let note = format!(
                "{}; {} messages, {} deliveries made a second{}",
                texts.join(", "),
                format::number(step.messages_per_s),
                format::number(step.came_per_s),
                cost.unwrap_or_default()
            );
            group.number(
                &format!("{} a second", format::number(step.due_per_s)),
                at.p50,
                format::millis,
                &note,
            );
        }
        group
    }
}

/// A percentile and its name.
type Percentile = (&'static str, fn(&Latency) -> Option<f64>);

const PERCENTILES: [Percentile; 3] = [("median", |at| at.p50), ("90 %", |at| at.p90), ("99 %", |at| at.p99)];

/// Latency over the rate: several percentiles of one report, or the 99th of each of several.
pub(super) fn latency_by_rate(reports: &[(String, &Report)]) -> Chart {
    let line = |name: &str, report: &Report, of: fn(&Latency) -> Option<f64>| {
        let points = report.steps.iter().filter_map(|step| Some((step.due_per_s, of(&step.latency_ms)?)));
        Line { name: name.to_owned(), points: points.collect(), style: LineStyle::Curve }
    };
    let (note, lines): (&str, Vec<Line>) = match reports {
        [(_, one)] => {
            ("until saturation", PERCENTILES.iter().map(|(name, of)| line(name, one, *of)).collect())
        }
        several => {
            ("99 % took no longer", several.iter().map(|(name, one)| line(name, one, |at| at.p99)).collect())
        }
    };
    let all = || lines.iter().flat_map(|line| line.points.iter());
    Chart {
        title: "Latency as the rate rises".to_owned(),
        note: note.to_owned(),
        x: Axis { label: "deliveries a second".to_owned(), scale: Scale::linear(all().map(|point| point.0)) },
        y: Axis { label: "milliseconds".to_owned(), scale: Scale::fitting(all().map(|point| point.1)) },
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::super::page;
    use super::*;

    fn report(name: &str) -> Report {
        let step = |n: f64| {
            let latency_ms =
                Latency { p50: Some(n), p90: Some(2.0 * n), p99: Some(3.0 * n), ..Latency::default() };
            Step {
                messages_per_s: 100.0 * n,
                due_per_s: 2600.0 * n,
                came_per_s: 2500.0 * n,
                latency_ms,
                ..Step::default()
            }
        };
        let steps = (1..=4).map(|n| step(f64::from(n))).collect();
        Report { preset: Some(name.to_owned()), steps, deliveries: Some(9), ..Report::new("rooms") }
    }

    #[test]
    fn each_step_is_a_row_of_the_table_and_a_point_of_three_curves() {
        let report = report("faye");
        let table = report.table();
        assert!(table.contains("2,600 a second") && table.contains("10,400 a second"), "{table}");
        let chart = latency_by_rate(&[(String::new(), &report)]);
        assert!(chart.lines.iter().all(|line| line.points.len() == 4) && chart.lines.len() == 3);
        assert_eq!(page(&[report]).matches("<b>Latency as the rate rises</b>").count(), 1);
    }

    #[test]
    fn several_servers_share_one_chart() {
        let page = page(&[report("faye"), report("bayeux")]);
        assert_eq!(page.matches("<b>Latency as the rate rises: rooms</b>").count(), 1);
    }

    #[test]
    fn a_step_that_took_longer_was_delivered_more_slowly_than_it_was_due() {
        let mut nanos = Histogram::new_with_bounds(1, 1_000_000_000, 3).unwrap();
        nanos.record(5_000_000).unwrap();
        let step = Step::new(10.0, 5.0, 10.0, 1000, Some(0.5), &nanos);
        assert_eq!((step.due_per_s, step.came_per_s, step.cpu_s_per_million), (200.0, 100.0, Some(500.0)));
        assert_eq!(
            Step::new(10.0, 0.0, 0.0, 0, None, &Histogram::new(3).unwrap()).latency_ms,
            Latency::default()
        );
    }
}
