//! The shape of the JSON, and the treatment of numbers that are missing or odd.

use serde_json::{Value, json};

use super::verdict::Verdict;
use super::*;

/// A made-up run as the engine would report it: 10,000 streams that connect within four seconds,
/// then five messages a second.
pub(super) fn plausible() -> Report {
    serde_json::from_str(include_str!("tests/fanout.json")).expect("the fixture is a report")
}

/// Every key of the JSON, nested ones with a dot.
fn keys(value: &Value, before: &str, into: &mut Vec<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        into.push(format!("{before}{key}"));
        if !["options", "errors", "details"].contains(&key.as_str()) {
            keys(value, &format!("{before}{key}."), into);
        }
    }
}

#[test]
fn the_json_has_the_keys_that_scripts_rely_on() {
    let mut found = Vec::new();
    keys(&serde_json::from_str(&Report::new("idle").json()).unwrap(), "", &mut found);
    found.sort();
    let expected = "clients connections_per_s deliveries details disordered doubled errors gaps generator generator.cpu_s histogram last_ms \
        last_ms.max last_ms.median latency_ms latency_ms.max latency_ms.p50 latency_ms.p90 latency_ms.p99 latency_ms.p999 lost \
        options preset published scenario seconds server server.bytes_per_connection server.cpu_s_per_million \
        server.cpu_system_s server.cpu_user_s server.pss_after server.pss_before server.pss_peak server.threads steps timeline transport";
    assert_eq!(found.join(" "), expected);
}

#[test]
fn a_report_comes_back_from_its_json() {
    let report = plausible();
    assert_eq!(serde_json::from_str::<Report>(&report.json()).unwrap(), report);
    let sample: Value = serde_json::to_value(report.timeline[1]).unwrap();
    assert_eq!(
        sample.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["clients", "cpu_s", "deliveries", "pss", "t"]
    );
}

#[test]
fn nulls_everywhere_are_a_report() {
    let mut value: Value = serde_json::from_str(&Report::new("idle").json()).unwrap();
    for (key, value) in value.as_object_mut().unwrap() {
        if key != "scenario" {
            *value = Value::Null;
        }
    }
    let report: Report = serde_json::from_value(value).unwrap();
    assert_eq!(report, Report::new("idle"));
    assert_eq!(report.verdict(), Verdict::NothingPublished);
    let page = page(&[report.clone(), report]);
    assert!(page.contains("idle") && !page.contains("<figure>") && !page.contains("null"), "{page}");
}

#[test]
fn numbers_that_are_none_stay_out_of_every_form() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    for number in odd {
        let mut report = plausible();
        report.seconds = Some(number);
        report.latency_ms.p50 = Some(number);
        report.last_ms.median = Some(number);
        report.server = Server { cpu_user_s: Some(number), cpu_s_per_million: Some(number), ..report.server };
        report.server.bytes_per_connection = Some(number);
        report.generator.cpu_s = Some(number);
        report.connections_per_s = Some(number);
        report.histogram.push((number, number));
        report.timeline[2] = Sample { t: 2.0, cpu_s: Some(number), ..report.timeline[2] };
        let page = page(&[report.clone(), plausible()]);
        for text in [report.table(), page.split_once("</style>").unwrap().1.to_owned()] {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric());
            assert!(!words.clone().any(|word| ["NaN", "inf", "null"].contains(&word)), "{text}");
        }
        assert!(serde_json::from_str::<Value>(&report.json()).unwrap()["seconds"].is_null());
    }
}

#[test]
fn latency_comes_from_a_histogram_of_nanoseconds() {
    let mut nanos = Histogram::<u64>::new(3).unwrap();
    let mut report = Report::new("unicast");
    report.set_latency(&nanos);
    assert_eq!((report.latency_ms, report.histogram.len()), (Latency::default(), 0));
    for n in 1..=10_000 {
        nanos.record(n * 10_000).unwrap();
    }
    report.set_latency(&nanos);
    let near = |found: Option<f64>, expected: f64| (found.unwrap() / expected - 1.0).abs() < 0.002;
    let latency = report.latency_ms;
    assert!(near(latency.p50, 50.0) && near(latency.p999, 99.9) && near(latency.max, 100.0), "{latency:?}");
    let curve = &report.histogram;
    assert!(curve.windows(2).all(|pair| pair[0] <= pair[1]), "{curve:?}");
    assert!(curve.len() > 30 && curve.last().is_some_and(|last| near(Some(last.1), 100.0)), "{curve:?}");
}

#[test]
fn memory_grows_by_its_slope() {
    let mib = 1024.0 * 1024.0;
    let timeline = |minutes: u32| -> Report {
        let samples =
            (0..=minutes * 2).map(|n| json!({"t": n * 30, "clients": 10, "pss": 50_000_000 + n * 65_536}));
        serde_json::from_value(json!({"scenario": "soak", "timeline": samples.collect::<Vec<_>>()})).unwrap()
    };
    // Twice in a minute an eighth of half a MiB: 7.5 MiB an hour.
    let slope = timeline(10).memory_slope().unwrap();
    assert!((slope / mib - 7.5).abs() < 0.01, "{slope}");
    assert_eq!((timeline(0).memory_slope(), Report::new("soak").memory_slope()), (None, None));
}
