//! A report as lines of text for a terminal.

use std::fmt::Write as _;

use super::Report;

/// The whole report: headline, facts, verdict, remarks. Names and numbers stand in columns over all parts.
pub(super) fn table(report: &Report) -> String {
    let parts = report.parts();
    let rows = || parts.iter().flat_map(|part| &part.rows);
    let names = rows().map(|(name, ..)| width(name)).max().unwrap_or(0);
    let numbers = rows().map(|(_, number, _)| width(split(number).0)).max().unwrap_or(0);
    let units = rows().map(|(_, number, _)| width(split(number).1)).max().unwrap_or(0);
    let mut out = format!("{}\n", one_line(&report.headline()));
    for part in &parts {
        let _ = writeln!(out, "\n  {}", part.title);
        for (name, number, word) in &part.rows {
            let (number, unit) = split(number);
            let line = format!("    {name:names$}  {number:>numbers$} {unit:units$}  {}", one_line(word));
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    let _ = writeln!(out, "\n  {}", report.sentence());
    for remark in report.remarks() {
        let _ = writeln!(out, "  ! {remark}");
    }
    out
}

/// The number and its unit.
fn split(spelled: &str) -> (&str, &str) {
    spelled.split_once(' ').unwrap_or((spelled, ""))
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Text from outside, an error's for instance, must not move the cursor.
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
        assert_eq!(broken.verdict(), Verdict::Broken);
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
