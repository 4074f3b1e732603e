//! Reports as one self-contained page: it includes its style and charts, needs no network and runs
//! no script.
//!
//! `maud` escapes every text that it inserts, so options, errors and names from outside stay text.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::Chart;
use super::charts::{charts, latency, memory};
use super::facts::plain;
use super::steps::latency_by_rate;
use super::verdict::Verdict;
use super::{Report, format};

/// One page for all reports: an overview if there are several, then each report with its numbers,
/// charts and options.
pub fn page(reports: &[Report]) -> String {
    let title = match reports {
        [one] => one.headline(),
        several => format!("{} runs", several.len()),
    };
    let has_several = reports.len() > 1;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Load test: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "Load test: " (title) }
                    @if has_several { (overview(reports)) (comparisons(reports)) }
                    @for (n, report) in reports.iter().enumerate() {
                        @if has_several { h2 id={ "run" (n) } { (report.headline()) } }
                        (section(report))
                    }
                }
            }
        }
    };
    page.into_string() + "\n"
}

/// A line for each report, with the numbers by which servers are compared.
fn overview(reports: &[Report]) -> Markup {
    let names = ["per second", "CPU per million", "median", "99 %", "to the last", "per connection", "lost"];
    html! {
        div class="overview" {
            table {
                thead { tr { th { "run" } @for name in names { th class="n" { (name) } } } }
                tbody { @for (n, report) in reports.iter().enumerate() { (overview_row(n, report)) } }
            }
        }
    }
}

fn overview_row(n: usize, report: &Report) -> Markup {
    let cells = [
        format::or_dash(report.deliveries_per_s().or(report.connections_per_s), format::number),
        format::or_dash(report.server.cpu_s_per_million, format::seconds),
        format::or_dash(report.latency_ms.p50, format::millis),
        format::or_dash(report.latency_ms.p99, format::millis),
        format::or_dash(report.last_ms.median, format::millis),
        format::or_dash(report.server.bytes_per_connection, format::bytes),
    ];
    let (class, lost) = match report.verdict() {
        Verdict::Faulty => ("n bad", report.faults()),
        Verdict::NothingDelivered => ("n bad", "all".to_owned()),
        Verdict::ServerEnded => ("n bad", "server ended".to_owned()),
        Verdict::Valid | Verdict::NothingPublished => ("n", format::count_or_dash(report.lost)),
    };
    html! {
        tr {
            td { a href={ "#run" (n) } { (report.headline()) } }
            @for cell in cells { td class="n" { (cell) } }
            td class=(class) { (lost) }
        }
    }
}

/// The runs of one scenario in one chart: latency, or memory if nothing was delivered.
fn comparisons(reports: &[Report]) -> Markup {
    let mut scenarios: Vec<&str> = Vec::new();
    for report in reports {
        if !scenarios.contains(&report.scenario.as_str()) {
            scenarios.push(&report.scenario);
        }
    }
    html! {
        div class="charts" {
            @for scenario in scenarios {
                @if let Some(chart) = comparison(scenario, reports) { (chart.figure()) }
            }
        }
    }
}

fn comparison(scenario: &str, reports: &[Report]) -> Option<Chart> {
    let same = reports.iter().filter(|report| report.scenario == scenario);
    let same: Vec<(String, &Report)> = same.map(|report| (run_name(report), report)).collect();
    let mut charts = [latency_by_rate(&same), latency(&same), memory(&same)].into_iter();
    let has_several = |chart: &Chart| chart.lines.iter().filter(|line| !line.points.is_empty()).count() > 1;
    let mut chart = charts.find(has_several)?;
    chart.title = format!("{}: {scenario}", chart.title);
    chart.lines.retain(|line| !line.points.is_empty());
    Some(chart)
}

/// Distinguishes a run from the others of its scenario.
fn run_name(report: &Report) -> String {
    let headline = report.headline();
    let name = headline.split_once(" · ").map_or(headline.as_str(), |(_, rest)| rest);
    if report.is_worthless() { format!("{name} (not trustworthy)") } else { name.to_owned() }
}

fn section(report: &Report) -> Markup {
    let class = match report.verdict() {
        Verdict::Valid => "verdict good",
        Verdict::Faulty | Verdict::NothingDelivered | Verdict::ServerEnded => "verdict bad",
        Verdict::NothingPublished => "verdict",
    };
    let remarks = report.remarks();
    html! {
        p class=(class) { (report.sentence()) }
        @if !remarks.is_empty() {
            ul class="remarks" { @for remark in remarks { li { (remark) } } }
        }
        (tiles(report))
        div class="charts" { @for chart in charts(report) { (chart.figure()) } }
        (facts(report))
        (options(report))
    }
}

/// The few numbers that readers look for first.
fn tiles(report: &Report) -> Markup {
    let per_million = match report.counted_by_the_million() {
        "connections" => "of CPU per million connections",
        _ => "of CPU per million deliveries",
    };
    let numbers = [
        ("deliveries per second", report.deliveries_per_s(), format::number as fn(f64) -> String),
        ("connections per second", report.connections_per_s, format::number),
        ("median latency", report.latency_ms.p50, format::millis),
        ("99 % within", report.latency_ms.p99, format::millis),
        ("to the slowest client", report.last_ms.median, format::millis),
        (per_million, report.server.cpu_s_per_million, format::seconds),
        ("of memory per connection", report.server.bytes_per_connection, format::bytes),
    ];
    html! {
        div class="tiles" {
            @for (name, value, text) in numbers {
                @if value.is_some() {
                    @let text = format::or_dash(value, text);
                    @let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
                    div class="tile" { b { (number) " " small { (unit) } } span { (name) } }
                }
            }
        }
    }
}

fn facts(report: &Report) -> Markup {
    html! {
        div class="facts" {
            @for group in report.facts() {
                div class="group" {
                    h3 { (group.title) }
                    table {
                        @for fact in &group.facts {
                            tr {
                                th { (fact.name) }
                                td class="n" { (fact.number) }
                                td class="w" { (fact.note) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn options(report: &Report) -> Markup {
    html! {
        div class="options" {
            h3 { "repeat it" }
            pre { (report.command()) }
            dl {
                @for (name, value) in report.options.iter().filter(|(_, value)| !value.is_null()) {
                    div { dt { (name) } dd { (plain(value)) } }
                }
            }
        }
    }
}

const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::plausible;

    #[test]
    fn what_comes_from_outside_cannot_become_markup() {
        let evil = "<script>alert('1')</script>\"&";
        let mut report =
            Report { preset: Some(evil.to_owned()), transport: Some(evil.to_owned()), ..plausible() };
        report.scenario = evil.to_owned();
        report.errors.insert(evil.to_owned(), 1);
        report.options.insert(evil.to_owned(), evil.into());
        for page in [page(&[report.clone()]), page(&[report.clone(), report])] {
            assert!(!page.contains("<script"), "{page}");
            assert!(page.contains("&lt;script&gt;alert('1')&lt;/script&gt;&quot;&amp;"));
        }
    }

    #[test]
    fn a_page_asks_no_network_for_anything() {
        let page = page(&[plausible(), plausible()]);
        assert!(
            ["http:", "https:", "src=", "<link", "<script", "url(", "@import"]
                .iter()
                .all(|it| !page.contains(it))
        );
    }

    #[test]
    fn a_page_of_one_run_has_its_numbers_charts_and_options() {
        let page = page(&[plausible()]);
        assert_eq!(page.matches("<figure>").count(), 4);
        assert!(
            page.contains("--rate 5")
                && page.contains("<small>ms</small>")
                && !page.contains("class=\"overview\"")
        );
    }

    #[test]
    fn runs_of_one_scenario_share_a_chart() {
        let peer = Report { preset: Some("nchan".to_owned()), ..plausible() };
        let page = page(&[plausible(), peer, Report::new("idle")]);
        assert_eq!(page.matches("Latency: fanout</b>").count(), 1);
        assert_eq!(
            (page.matches("<ul class=\"legend\">").count(), page.matches("href=\"#run").count()),
            (1, 3)
        );
    }

    #[test]
    fn a_run_that_cannot_be_trusted_is_marked_in_the_overview() {
        let broken = Report { doubled: Some(2), lost: Some(0), ..plausible() };
        let page = page(&[plausible(), broken]);
        assert!(
            page.contains("<td class=\"n bad\">2 doubled</td>") && page.contains("(not trustworthy)</li>")
        );
    }

    #[test]
    fn a_page_of_no_runs_is_a_page() {
        assert!(page(&[]).ends_with("</html>\n"));
    }
}
