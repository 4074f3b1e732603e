//! Which charts a report has, and how its numbers become their points.

use super::chart::{Axis, Chart, Line, LineStyle};
use super::scale::Scale;
use super::steps::latency_by_rate;
use super::{Report, Sample, format};

/// All charts for which the report has numbers.
pub(super) fn charts(report: &Report) -> Vec<Chart> {
    let alone = [(String::new(), report)];
    let charts = [
        latency_by_rate(&alone),
        latency(&alone),
        deliveries(report),
        cpu(report),
        memory(&alone),
        growth(report),
    ];
    charts.into_iter().filter(|chart| chart.lines.iter().any(|line| !line.points.is_empty())).collect()
}

/// Latency by percentile, one line for each report.
pub(super) fn latency(reports: &[(String, &Report)]) -> Chart {
    let lines: Vec<Line> = reports
        .iter()
        .map(|(name, report)| {
            let points = report.histogram.iter().map(|(ms, percentage)| (*percentage, *ms)).collect();
            Line { name: name.clone(), points, style: LineStyle::Curve }
        })
        .collect();
    let all = || lines.iter().flat_map(|line| line.points.iter());
    // The few fastest deliveries must not stretch the scale.
    let slower = all().filter(|point| point.0 >= 50.0).map(|point| point.1);
    Chart {
        title: "Latency".to_owned(),
        note: "share of deliveries that took no longer".to_owned(),
        x: axis("percentile", Scale::nines(all().map(|point| point.0))),
        y: axis("milliseconds", Scale::fitting(slower)),
        lines,
    }
}

fn deliveries(report: &Report) -> Chart {
    let points = rates(&report.timeline, |sample| sample.deliveries.map(|deliveries| deliveries as f64));
    // A run that delivers nothing gets no chart of it.
    let points = if points.iter().any(|point| point.1 > 0.0) { points } else { Vec::new() };
    let title = match report.counted_by_the_million() {
        "connections" => "Connections",
        _ => "Deliveries",
    };
    over_time(title, "per second", points)
}

fn cpu(report: &Report) -> Chart {
    let points = rates(&report.timeline, |sample| sample.cpu_s);
    let percent = points.into_iter().map(|(t, cores)| (t, cores * 100.0)).collect();
    over_time("CPU of the server", "% of one core", percent)
}

/// Memory over time, where it was measured for long enough to show growth.
fn growth(report: &Report) -> Chart {
    let known = report.timeline.iter().filter_map(|sample| Some((sample.t, sample.pss? as f64)));
    let mut points: Vec<(f64, f64)> =
        if report.memory_slope().is_some() { known.collect() } else { Vec::new() };
    let (unit, unit_name) = format::byte_unit(points.iter().map(|point| point.1).fold(0.0, f64::max));
    for (_, bytes) in &mut points {
        *bytes /= unit;
    }
    let mut chart = over_time("Memory over time", unit_name, points);
    chart.note =
        report.memory_slope().map(|slope| format!("{} an hour", format::bytes(slope))).unwrap_or_default();
    chart
}

/// Memory over connections in the order of time, one line for each report. A report whose number of
/// clients never changed has no points.
pub(super) fn memory(reports: &[(String, &Report)]) -> Chart {
    let mut lines: Vec<Line> = reports
        .iter()
        .map(|(name, report)| Line {
            name: name.clone(),
            points: by_connections(report),
            style: LineStyle::Dots,
        })
        .collect();
    let largest = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    let (unit, unit_name) = format::byte_unit(largest);
    for (_, bytes) in lines.iter_mut().flat_map(|line| &mut line.points) {
        *bytes /= unit;
    }
    let each = |report: &Report| report.server.bytes_per_connection.filter(|each| each.is_finite());
    let note = match reports {
        [(_, one)] => each(one).map(|each| format!("{} per connection", format::bytes(each))),
        _ => None,
    };
    let all = || lines.iter().flat_map(|line| line.points.iter());
    Chart {
        title: "Memory of the server".to_owned(),
        note: note.unwrap_or_default(),
        x: axis("connections", Scale::linear(all().map(|point| point.0))),
        y: axis(unit_name, Scale::linear(all().map(|point| point.1))),
        lines,
    }
}

fn by_connections(report: &Report) -> Vec<(f64, f64)> {
    // A server that has ended has no memory, whatever its connections.
    let samples = report.timeline.iter().filter(|sample| sample.pss != Some(0));
    let points: Vec<(u64, u64)> = samples.filter_map(|sample| Some((sample.clients?, sample.pss?))).collect();
    let differ = points.iter().any(|point| point.0 != points[0].0);
    points.iter().filter(|_| differ).map(|(clients, bytes)| (*clients as f64, *bytes as f64)).collect()
}

fn over_time(title: &str, unit: &str, points: Vec<(f64, f64)>) -> Chart {
    Chart {
        title: title.to_owned(),
        note: "over the whole run, including connecting".to_owned(),
        x: axis("seconds", Scale::until(points.iter().map(|point| point.0))),
        y: axis(unit, Scale::linear(points.iter().map(|point| point.1))),
        lines: vec![Line { name: String::new(), points, style: LineStyle::Area }],
    }
}

/// The growth rate of a total between two samples that have it. A long run is divided into longer
/// steps: that keeps the average right, which omitting points would not.
fn rates(timeline: &[Sample], total: impl Fn(&Sample) -> Option<f64>) -> Vec<(f64, f64)> {
    let known = timeline.iter().filter_map(|sample| Some((sample.t, total(sample)?)));
    let known: Vec<(f64, f64)> = known.filter(|(t, total)| t.is_finite() && total.is_finite()).collect();
    let step = known.len().div_ceil(RATES_MAX).max(1);
    let kept: Vec<(f64, f64)> = known.into_iter().step_by(step).collect();
    let pairs = kept.windows(2).filter_map(|pair| match pair {
        // A total that falls has started again: its rate there is unknown.
        [(t0, a), (t1, b)] if t1 > t0 && b >= a => Some((*t1, (b - a) / (t1 - t0))),
        _ => None,
    });
    pairs.collect()
}

fn axis(label: &str, scale: Scale) -> Axis {
    Axis { label: label.to_owned(), scale }
}

/// Points of a rate over time: more than a chart can show.
const RATES_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::plausible;

    fn sample(t: f64, deliveries: u64) -> Sample {
        Sample { t, deliveries: Some(deliveries), ..Sample::default() }
    }

    fn delivery_rates(timeline: &[Sample]) -> Vec<(f64, f64)> {
        rates(timeline, |sample| sample.deliveries.map(|deliveries| deliveries as f64))
    }

    #[test]
    fn a_rate_is_the_growth_between_two_samples() {
        let unmeasured = Sample { t: 1.5, ..Sample::default() };
        let timeline =
            [sample(0.0, 0), sample(1.0, 100), unmeasured, sample(3.0, 500), sample(4.0, 0), sample(5.0, 7)];
        assert_eq!(delivery_rates(&timeline), [(1.0, 100.0), (3.0, 200.0), (5.0, 7.0)]);
        assert!(delivery_rates(&timeline[..1]).is_empty() && delivery_rates(&[]).is_empty());
        assert!(delivery_rates(&[sample(1.0, 1), sample(1.0, 9), sample(f64::NAN, 9)]).is_empty());
    }

    #[test]
    fn longer_steps_keep_the_average() {
        let long: Vec<Sample> = (0..10_001_u32).map(|n| sample(f64::from(n), u64::from(n) * 5)).collect();
        let rates = delivery_rates(&long);
        assert!(rates.len() <= RATES_MAX && rates.iter().all(|(_, rate)| (rate - 5.0).abs() < 1e-9));
    }

    #[test]
    fn a_report_has_the_charts_it_has_numbers_for() {
        let titles =
            |report: &Report| charts(report).into_iter().map(|chart| chart.title).collect::<Vec<_>>();
        let all = ["Latency", "Deliveries", "CPU of the server", "Memory of the server"];
        assert_eq!(titles(&plausible()), all);
        let idle = Report { histogram: vec![], ..plausible() };
        assert_eq!(titles(&idle), all[1..]);
        assert!(titles(&Report::new("idle")).is_empty());
        let mut soak = plausible();
        let later = Sample { t: 900.0, ..soak.timeline[soak.timeline.len() - 1] };
        soak.timeline.push(later);
        assert_eq!(titles(&soak)[4..], ["Memory over time"]);
        let churn = Report { deliveries: None, connections_per_s: Some(9.0), ..plausible() };
        assert_eq!(titles(&churn)[1], "Connections");
    }

    #[test]
    fn memory_at_a_constant_number_of_clients_is_no_line() {
        let mut report = plausible();
        report.timeline.retain(|sample| sample.clients == Some(10_000));
        assert!(memory(&[(String::new(), &report)]).lines[0].points.is_empty());
    }

    #[test]
    fn one_fast_delivery_does_not_stretch_the_scale() {
        let mut report = plausible();
        report.histogram.insert(0, (0.001, 0.0));
        assert!(matches!(latency(&[(String::new(), &report)]).y.scale, Scale::Linear { .. }));
    }
}
