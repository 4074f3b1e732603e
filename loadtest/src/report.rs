//! What a scenario found: names, numbers and units, in the order in which they were added.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The findings of one run.
#[derive(Debug)]
pub struct Report {
    scenario: &'static str,
    rows: Vec<(String, f64, &'static str)>,
    remarks: Vec<String>,
}

impl Report {
    /// Nothing found yet.
    pub fn new(scenario: &'static str) -> Self {
        Self { scenario, rows: Vec::new(), remarks: Vec::new() }
    }

    /// Adds a number.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<f64>, unit: &'static str) {
        self.rows.push((name.into(), value.into(), unit));
    }

    /// Adds a count.
    pub fn count(&mut self, name: impl Into<String>, value: u64) {
        self.add(name, value as f64, "");
    }

    /// Adds something that is no number.
    pub fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    /// Takes over the numbers of a part, each with the part's name before its own.
    pub fn absorb(&mut self, name: &str, part: Self) {
        self.rows
            .extend(part.rows.into_iter().map(|(row, value, unit)| (format!("{name}_{row}"), value, unit)));
        self.remarks.extend(part.remarks);
    }

    /// For people.
    pub fn table(&self) -> String {
        let width = self.rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let mut out = format!("{}\n", self.scenario);
        for (name, value, unit) in &self.rows {
            let _ = writeln!(out, "  {name:width$}  {:>14} {unit}", spelled(*value));
        }
        for remark in &self.remarks {
            let _ = writeln!(out, "  ! {remark}");
        }
        out
    }

    /// For programs: one object, one name a line.
    pub fn json(&self) -> String {
        let mut object = Map::new();
        object.insert("scenario".to_owned(), self.scenario.into());
        for (name, value, unit) in &self.rows {
            let separator = if unit.is_empty() { "" } else { "_" };
            object.insert(format!("{name}{separator}{}", unit.replace('/', "_per_")), number(*value));
        }
        object.insert("remarks".to_owned(), self.remarks.clone().into());
        let mut out = serde_json::to_string_pretty(&object).unwrap_or_default();
        out.push('\n');
        out
    }
}

/// Whole numbers without a point: a program that reads them need not know which they are.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { (value as i64).into() } else { value.into() }
}

fn spelled(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_finds_each_number_under_its_name_and_unit() {
        let mut report = Report::new("idle");
        report.count("sessions", 15_000);
        report.add("memory", 0.5, "KiB");
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!((&json["sessions"], &json["memory_KiB"]), (&15_000.into(), &0.5.into()));
        assert!(report.table().contains("15000"));
    }
}
