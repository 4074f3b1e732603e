//! Reports as one page that stands alone: style and pictures are in it, it asks no network for anything and runs no script.
//!
//! Whatever comes from outside (options, errors, names) goes through [`escape`] on its way in.

use std::fmt::Write as _;

use super::chart::Chart;
use super::facts::plain;
use super::pictures::{latency, memory, pictures};
use super::steps::rise;
use super::verdict::Verdict;
use super::{Report, spell};

/// One page for all reports: an overview where there are several, then each with its numbers, pictures and options.
pub fn html(reports: &[Report]) -> String {
    let title = match reports {
        [one] => one.headline(),
        several => format!("{} runs", several.len()),
    };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Load test: {0}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Load test: {0}</h1>\n",
        escape(&title)
    );
    if reports.len() > 1 {
        overview(&mut out, reports);
        comparisons(&mut out, reports);
    }
    for (n, report) in reports.iter().enumerate() {
        if reports.len() > 1 {
            let _ = writeln!(out, "<h2 id=\"run{n}\">{}</h2>", escape(&report.headline()));
        }
        section(&mut out, report);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// Text that is text wherever it stands in the page, attributes included.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            // HTML has no spelling for them.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A line for each report, with the numbers by which servers are compared.
fn overview(out: &mut String, reports: &[Report]) {
    out.push_str("<div class=\"overview\"><table><thead><tr><th>run</th>");
    for name in ["per second", "CPU per million", "median", "99 %", "to the last", "per connection", "lost"] {
        let _ = write!(out, "<th class=\"n\">{name}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    for (n, report) in reports.iter().enumerate() {
        let _ = write!(out, "<tr><td><a href=\"#run{n}\">{}</a></td>", escape(&report.headline()));
        let cells = [
            spell::or_none(report.deliveries_per_s().or(report.connections_per_s), spell::number),
            spell::or_none(report.server.cpu_s_per_million, spell::seconds),
            spell::or_none(report.latency_ms.p50, spell::millis),
            spell::or_none(report.latency_ms.p99, spell::millis),
            spell::or_none(report.last_ms.median, spell::millis),
            spell::or_none(report.server.bytes_per_connection, spell::bytes),
        ];
        for cell in cells {
            let _ = write!(out, "<td class=\"n\">{}</td>", escape(&cell));
        }
        let (class, wrong) = match report.verdict() {
            Verdict::Broken => ("n bad", report.wrongs()),
            Verdict::Silent => ("n bad", "all".to_owned()),
            Verdict::Gone => ("n bad", "server gone".to_owned()),
            Verdict::Sound | Verdict::Uncounted => ("n", spell::counted(report.lost)),
        };
        let _ = writeln!(out, "<td class=\"{class}\">{wrong}</td></tr>");
    }
    out.push_str("</tbody></table></div>\n");
}

/// What the runs of one scenario are compared by, in one picture: latency, or memory where nothing was delivered.
fn comparisons(out: &mut String, reports: &[Report]) {
    let mut scenarios: Vec<&str> = Vec::new();
    for report in reports {
        if !scenarios.contains(&report.scenario.as_str()) {
            scenarios.push(&report.scenario);
        }
    }
    out.push_str("<div class=\"pictures\">\n");
    for scenario in scenarios {
        let same = reports.iter().filter(|report| report.scenario == scenario);
        let same: Vec<(String, &Report)> = same.map(|report| (runner(report), report)).collect();
        let mut charts = [rise(&same), latency(&same), memory(&same)].into_iter();
        let several = |chart: &Chart| chart.lines.iter().filter(|line| !line.points.is_empty()).count() > 1;
        if let Some(mut chart) = charts.find(several) {
            chart.title = format!("{}: {scenario}", chart.title);
            chart.lines.retain(|line| !line.points.is_empty());
            out.push_str(&chart.figure());
        }
    }
    out.push_str("</div>\n");
}

/// Who ran, among the runs of one scenario.
fn runner(report: &Report) -> String {
    let headline = report.headline();
    let name = headline.split_once(" · ").map_or(headline.as_str(), |(_, rest)| rest);
    if report.is_worthless() { format!("{name} (not trustworthy)") } else { name.to_owned() }
}

fn section(out: &mut String, report: &Report) {
    let class = match report.verdict() {
        Verdict::Sound => "verdict good",
        Verdict::Broken | Verdict::Silent | Verdict::Gone => "verdict bad",
        Verdict::Uncounted => "verdict",
    };
    let _ = writeln!(out, "<p class=\"{class}\">{}</p>", escape(&report.sentence()));
    let remarks = report.remarks();
    if !remarks.is_empty() {
        out.push_str("<ul class=\"remarks\">");
        for remark in remarks {
            let _ = write!(out, "<li>{}</li>", escape(&remark));
        }
        out.push_str("</ul>\n");
    }
    tiles(out, report);
    out.push_str("<div class=\"pictures\">\n");
    for picture in pictures(report) {
        out.push_str(&picture.figure());
    }
    out.push_str("</div>\n");
    parts(out, report);
    options(out, report);
}

/// The few numbers that a reader came for.
fn tiles(out: &mut String, report: &Report) {
    let numbers = [
        ("deliveries per second", report.deliveries_per_s(), spell::number as fn(f64) -> String),
        ("connections per second", report.connections_per_s, spell::number),
        ("median latency", report.latency_ms.p50, spell::millis),
        ("99 % within", report.latency_ms.p99, spell::millis),
        ("to the slowest client", report.last_ms.median, spell::millis),
        (per_million(report), report.server.cpu_s_per_million, spell::seconds),
        ("of memory per connection", report.server.bytes_per_connection, spell::bytes),
    ];
    out.push_str("<div class=\"tiles\">");
    for (name, value, spell) in numbers {
        if value.is_some() {
            let spelled = spell::or_none(value, spell);
            let (number, unit) = spelled.split_once(' ').unwrap_or((&spelled, ""));
            let _ = write!(
                out,
                "<div class=\"tile\"><b>{number} <small>{unit}</small></b><span>{name}</span></div>"
            );
        }
    }
    out.push_str("</div>\n");
}

fn per_million(report: &Report) -> &'static str {
    match report.counted_by_the_million() {
        "connections" => "of CPU per million connections",
        _ => "of CPU per million deliveries",
    }
}

fn parts(out: &mut String, report: &Report) {
    out.push_str("<div class=\"parts\">\n");
    for part in report.parts() {
        let _ = writeln!(out, "<div class=\"part\"><h3>{}</h3><table>", escape(part.title));
        for (name, number, word) in &part.rows {
            let (name, number, word) = (escape(name), escape(number), escape(word));
            let _ = writeln!(
                out,
                "<tr><th>{name}</th><td class=\"n\">{number}</td><td class=\"w\">{word}</td></tr>"
            );
        }
        out.push_str("</table></div>\n");
    }
    out.push_str("</div>\n");
}

fn options(out: &mut String, report: &Report) {
    let _ = writeln!(
        out,
        "<div class=\"options\"><h3>repeat it</h3><pre>{}</pre><dl>",
        escape(&report.command())
    );
    for (name, value) in report.options.iter().filter(|(_, value)| !value.is_null()) {
        let (name, value) = (escape(name), escape(&plain(value)));
        let _ = writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    out.push_str("</dl></div>\n");
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
        for page in [html(&[report.clone()]), html(&[report.clone(), report])] {
            assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
            assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;"));
        }
    }

    #[test]
    fn a_page_asks_no_network_for_anything() {
        let page = html(&[plausible(), plausible()]);
        assert!(
            ["http:", "https:", "src=", "<link", "<script", "url(", "@import"]
                .iter()
                .all(|it| !page.contains(it))
        );
    }

    #[test]
    fn a_page_of_one_run_has_its_numbers_pictures_and_options() {
        let page = html(&[plausible()]);
        assert_eq!(page.matches("<figure>").count(), 4);
        assert!(
            page.contains("--rate 5")
                && page.contains("<small>ms</small>")
                && !page.contains("class=\"overview\"")
        );
    }

    #[test]
    fn runs_of_one_scenario_share_a_picture() {
        let peer = Report { preset: Some("nchan".to_owned()), ..plausible() };
        let page = html(&[plausible(), peer, Report::new("idle")]);
        assert_eq!(page.matches("Latency: fanout</b>").count(), 1);
        assert_eq!(
            (page.matches("<ul class=\"legend\">").count(), page.matches("href=\"#run").count()),
            (1, 3)
        );
    }

    #[test]
    fn a_run_that_cannot_be_trusted_is_marked_in_the_overview() {
        let broken = Report { doubled: Some(2), lost: Some(0), ..plausible() };
        let page = html(&[plausible(), broken]);
        assert!(
            page.contains("<td class=\"n bad\">2 doubled</td>") && page.contains("(not trustworthy)</li>")
        );
    }

    #[test]
    fn a_page_of_no_runs_is_a_page() {
        assert!(html(&[]).ends_with("</html>\n"));
    }
}
