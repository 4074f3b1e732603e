//! The numbers of a report in the order in which people read them: the run, losses, latency, cost.
//!
//! Table and page show the same facts; neither computes any.

use serde_json::Value;

use super::{Report, format, quotient};

/// Facts that belong together.
pub(super) struct FactGroup {
    /// Their subject.
    pub(super) title: &'static str,
    /// In reading order.
    pub(super) facts: Vec<Fact>,
}

/// A number of the report.
pub(super) struct Fact {
    /// What was counted or measured.
    pub(super) name: String,
    /// The number with its unit.
    pub(super) number: String,
    /// An explanation; may be empty.
    pub(super) note: String,
}

impl Report {
    /// The run in one line.
    pub(super) fn headline(&self) -> String {
        let mut words = vec![self.scenario.clone()];
        words.extend(self.preset.clone());
        words.extend(self.transport.clone());
        let clients = self.clients.filter(|clients| *clients > 0);
        words.extend(clients.map(|clients| format!("{} clients", format::count(clients))));
        words.join(" · ")
    }

    /// All facts that apply; groups without any are left out.
    pub(super) fn facts(&self) -> Vec<FactGroup> {
        let groups = [
            self.volume(),
            self.losses(),
            self.by_step(),
            self.latencies(),
            self.cost(),
            self.memory(),
            self.scenario_details(),
        ];
        groups.into_iter().filter(|group| !group.facts.is_empty()).collect()
    }

    fn volume(&self) -> FactGroup {
        let mut group = FactGroup::new("what happened");
        group.number("measured for", self.seconds, format::seconds, "");
        group.count("published", self.published, "");
        let pace = self.deliveries_per_s().map(|rate| format!("{} a second", format::number(rate)));
        group.count("delivered", self.deliveries, &pace.unwrap_or_default());
        group.number("connections", self.connections_per_s, format::number, "a second, with first byte");
        group
    }

    fn losses(&self) -> FactGroup {
        let mut group = FactGroup::new("what was lost");
        group.count("lost", self.lost, "");
        group.count("doubled", self.doubled, "");
        group.count("out of order", self.disordered, "");
        group.count("gaps", self.gaps, "reported to the client");
        for (reason, count) in &self.errors {
            group.count("error", Some(*count), reason);
        }
        group
    }

    fn latencies(&self) -> FactGroup {
        let mut group = FactGroup::new("latency");
        let (each, last) = (self.latency_ms, self.last_ms);
        let span = match self.counted_by_the_million() {
            "connections" => "from connecting until the first byte",
            _ => "from due to be sent until read",
        };
        group.number("median", each.p50, format::millis, span);
        group.number("90 %", each.p90, format::millis, "");
        group.number("99 %", each.p99, format::millis, "");
        group.number("99.9 %", each.p999, format::millis, "");
        group.number("longest", each.max, format::millis, "");
        group.number("to the last", last.median, format::millis, "until the slowest client had it, median");
        group.number("to the last, longest", last.max, format::millis, "");
        group
    }

    fn cost(&self) -> FactGroup {
        let mut group = FactGroup::new("CPU of the server");
        group.number(
            "per million",
            self.server.cpu_s_per_million,
            format::seconds,
            self.counted_by_the_million(),
        );
        group.number("user", self.server.cpu_user_s, format::cpu, "");
        group.number("system", self.server.cpu_system_s, format::cpu, "");
        let cores =
            |cpu: Option<f64>| cpu.zip(self.seconds).and_then(|(cpu, seconds)| quotient(cpu, seconds));
        group.number("busy", cores(self.server_cpu_s()), format::number, "cores");
        group.count("threads", self.server.threads, "");
        group.number(
            "load test",
            cores(self.generator.cpu_s),
            format::number,
            "cores, used by the load test itself",
        );
        group
    }

    fn memory(&self) -> FactGroup {
        let mut group = FactGroup::new("memory of the server");
        group.number("per connection", self.server.bytes_per_connection, format::bytes, "");
        let level = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
        group.number("before", level(self.server.pss_before), format::bytes, "no clients yet");
        group.number("after", level(self.server.pss_after), format::bytes, "");
        group.number("peak", level(self.server.pss_peak), format::bytes, "");
        group.number("growth", self.memory_slope(), format::bytes, "an hour, by least squares");
        group
    }

    /// The values that only this scenario measures.
    fn scenario_details(&self) -> FactGroup {
        let mut group = FactGroup::new("of this scenario");
        for (name, value) in &self.details {
            let (name, text): (&str, fn(f64) -> String) = match name.rsplit_once('_') {
                Some((name, "ms")) => (name, format::millis),
                Some((name, "s")) => (name, format::seconds),
                Some((name, "bytes")) => (name, format::bytes),
                _ => (name, format::number),
            };
            group.number(&name.replace('_', " "), Some(*value), text, "");
        }
        group
    }

    /// The command that repeats the run, for a POSIX shell.
    pub(super) fn command(&self) -> String {
        let mut words = vec!["encke-loadtest".to_owned(), quoted(&self.scenario)];
        let apart = [("preset", &self.preset), ("transport", &self.transport)];
        for (name, value) in apart {
            if let (Some(value), false) = (value, self.options.contains_key(name)) {
                words.push(format!("--{name} {}", quoted(value)));
            }
        }
        for (name, value) in &self.options {
            words.extend(flag(&name.replace('_', "-"), value));
        }
        words.join(" ")
    }
}

impl FactGroup {
    pub(super) fn new(title: &'static str) -> Self {
        Self { title, facts: Vec::new() }
    }

    /// Adds a number, if there is one.
    pub(super) fn number(&mut self, name: &str, value: Option<f64>, text: fn(f64) -> String, note: &str) {
        if value.is_some() {
            self.add(name, format::or_dash(value, text), note);
        }
    }

    fn count(&mut self, name: &str, value: Option<u64>, note: &str) {
        if let Some(value) = value {
            self.add(name, format::count(value), note);
        }
    }

    fn add(&mut self, name: &str, number: String, note: &str) {
        self.facts.push(Fact { name: name.to_owned(), number, note: note.to_owned() });
    }
}

/// An option as typed. Flags that are off and options that are not set are left out.
fn flag(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(format!("--{name}")),
        value => Some(format!("--{name} {}", quoted(&plain(value)))),
    }
}

/// A value as the command line accepts it: lists with commas.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

/// Quotes a word that the shell would not take literally.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_command_repeats_the_run() {
        let mut report = Report { preset: Some("nchan".to_owned()), ..Report::new("fanout") };
        let options = json!({"rate": 5, "quiet": true, "deflate": false, "pid": [1, 2], "burst": null, "connect_rate": 99.5});
        report.options = options.as_object().unwrap().clone();
        let command = "encke-loadtest fanout --preset nchan --connect-rate 99.5 --pid 1,2 --quiet --rate 5";
        assert_eq!(report.command(), command);
    }

    #[test]
    fn a_shell_reads_an_option_as_it_was_typed() {
        assert_eq!(quoted("http://127.0.0.1:80/pub?id={channel}"), "'http://127.0.0.1:80/pub?id={channel}'");
        assert_eq!([quoted("it's"), quoted(""), quoted("5s")], [r"'it'\''s'", "''", "5s"]);
    }

    #[test]
    fn what_does_not_apply_has_no_row() {
        assert!(Report::new("idle").facts().is_empty());
    }
}
