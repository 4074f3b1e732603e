//! A report as lines of text for a terminal.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::Report;

/// The whole report: headline, facts, verdict, remarks. Names, numbers and units are in columns
/// that all groups of facts share.
pub(super) fn table(report: &Report) -> String {
    let groups = report.facts();
    let mut facts = Table::new();
    facts.load_style(presets::NOTHING);
    for fact in groups.iter().flat_map(|group| &group.facts) {
        let (number, unit) = fact.number.split_once(' ').unwrap_or((&fact.number, ""));
        facts.add_row([
            Cell::new(&fact.name),
            Cell::new(number).set_alignment(CellAlignment::Right),
            Cell::new(unit),
            Cell::new(one_line(&fact.note)),
        ]);
    }
    let mut lines = facts.lines();
    let mut out = format!("{}\n", one_line(&report.headline()));
    for group in &groups {
        let _ = writeln!(out, "\n  {}", group.title);
        for line in lines.by_ref().take(group.facts.len()) {
            let _ = writeln!(out, "   {}", line.trim_end());
        }
    }
    let _ = writeln!(out, "\n  {}", report.sentence());
    for remark in report.remarks() {
        let _ = writeln!(out, "  ! {remark}");
    }
    out
}

/// Text from outside, such as an error, must not move the cursor.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::plausible;
    use crate::report::verdict::Verdict;

    #[test]
    fn numbers_stand_under_each_other() {
        let table = plausible().table();
        let end = |name: &str| {
            let line = table.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            let digits: String = line.chars().take_while(|c| *c != '\n').collect();
            let from = digits.find(|c: char| c.is_ascii_digit()).unwrap();
            from + digits[from..].find(' ').unwrap_or(digits.len() - from)
        };
        assert_eq!(end("published"), end("delivered"));
        assert_eq!(end("published"), end("median"));
    }

    #[test]
    fn a_run_that_cannot_be_trusted_says_so_in_the_table() {
        let broken = Report { lost: Some(17), ..plausible() };
        assert_eq!(broken.verdict(), Verdict::Faulty);
        assert!(broken.table().contains("17 lost: NOT trustworthy"), "{}", broken.table());
    }

    #[test]
    fn a_report_without_numbers_has_a_headline_and_a_verdict() {
        let table = Report::new("idle").table();
        assert!(table.starts_with("idle\n") && table.contains("No messages were counted"), "{table}");
    }

    #[test]
    fn an_error_cannot_break_the_line() {
        let mut report = Report::new("churn");
        report.errors.insert("bad\n\x1b[2Janswer".to_owned(), 3);
        assert!(report.table().contains("bad  [2Janswer"), "{}", report.table());
    }
}
