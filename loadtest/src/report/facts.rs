//! The numbers of a report in the order in which people read them: what happened, what was lost, how long it took, what it cost.
//! Table and page show the same facts; neither works any out by itself.

use serde_json::Value;

use super::{Report, quotient, spell};

/// Facts that belong together.
pub(super) struct Part {
    /// What they are about.
    pub(super) title: &'static str,
    /// Name, number with unit, and a word of explanation that may be empty.
    pub(super) rows: Vec<(String, String, String)>,
}

impl Report {
    /// What the run was, in one line.
    pub(super) fn headline(&self) -> String {
        let mut words = vec![self.scenario.clone()];
        words.extend(self.preset.clone());
        words.extend(self.transport.clone());
        let clients = self.clients.filter(|clients| *clients > 0);
        words.extend(clients.map(|clients| format!("{} clients", spell::count(clients))));
        words.join(" · ")
    }

    /// All facts that apply; parts without any are left out.
    pub(super) fn parts(&self) -> Vec<Part> {
        let parts = [
            self.happened(),
            self.missed(),
            self.rise(),
            self.latencies(),
            self.cost(),
            self.memory(),
            self.besides(),
        ];
        parts.into_iter().filter(|part| !part.rows.is_empty()).collect()
    }

    fn happened(&self) -> Part {
        let mut part = Part::new("what happened");
        part.number("measured for", self.seconds, spell::seconds, "");
        part.count("published", self.published, "");
        let pace = self.deliveries_per_s().map(|rate| format!("{} a second", spell::number(rate)));
        part.count("delivered", self.deliveries, &pace.unwrap_or_default());
        part.number("connections", self.connections_per_s, spell::number, "a second, with first byte");
        part
    }

    fn missed(&self) -> Part {
        let mut part = Part::new("what was lost");
        part.count("lost", self.lost, "");
        part.count("doubled", self.doubled, "");
        part.count("out of order", self.disordered, "");
        part.count("gaps", self.gaps, "told to the client");
        for (reason, count) in &self.errors {
            part.count("error", Some(*count), reason);
        }
        part
    }

    fn latencies(&self) -> Part {
        let mut part = Part::new("latency");
        let (each, last) = (self.latency_ms, self.last_ms);
        let span = match self.counted_by_the_million() {
            "connections" => "from connecting until the first byte",
            _ => "from due to be sent until read",
        };
        part.number("median", each.p50, spell::millis, span);
        part.number("90 %", each.p90, spell::millis, "");
        part.number("99 %", each.p99, spell::millis, "");
        part.number("99.9 %", each.p999, spell::millis, "");
        part.number("longest", each.max, spell::millis, "");
        part.number("to the last", last.median, spell::millis, "until the slowest client had it, median");
        part.number("to the last, longest", last.max, spell::millis, "");
        part
    }

    fn cost(&self) -> Part {
        let mut part = Part::new("CPU of the server");
        part.number(
            "per million",
            self.server.cpu_s_per_million,
            spell::seconds,
            self.counted_by_the_million(),
        );
        part.number("user", self.server.cpu_user_s, spell::cpu, "");
        part.number("system", self.server.cpu_system_s, spell::cpu, "");
        let cores =
            |cpu: Option<f64>| cpu.zip(self.seconds).and_then(|(cpu, seconds)| quotient(cpu, seconds));
        part.number("busy", cores(self.server_cpu_s()), spell::number, "cores");
        part.count("threads", self.server.threads, "");
        part.number(
            "load test",
            cores(self.generator.cpu_s),
            spell::number,
            "cores, used by the load test itself",
        );
        part
    }

    fn memory(&self) -> Part {
        let mut part = Part::new("memory of the server");
        part.number("per connection", self.server.bytes_per_connection, spell::bytes, "");
        let level = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
        part.number("before", level(self.server.pss_before), spell::bytes, "no clients yet");
        part.number("after", level(self.server.pss_after), spell::bytes, "");
        part.number("peak", level(self.server.pss_peak), spell::bytes, "");
        part.number("growth", self.memory_slope(), spell::bytes, "an hour, by least squares");
        part
    }

    /// What only this scenario has.
    fn besides(&self) -> Part {
        let mut part = Part::new("besides");
        for (name, value) in &self.details {
            let (name, spell): (&str, fn(f64) -> String) = match name.rsplit_once('_') {
                Some((name, "ms")) => (name, spell::millis),
                Some((name, "s")) => (name, spell::seconds),
                Some((name, "bytes")) => (name, spell::bytes),
                _ => (name, spell::number),
            };
            part.number(&name.replace('_', " "), Some(*value), spell, "");
        }
        part
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

impl Part {
    pub(super) fn new(title: &'static str) -> Self {
        Self { title, rows: Vec::new() }
    }

    pub(super) fn number(&mut self, name: &str, value: Option<f64>, spell: fn(f64) -> String, word: &str) {
        if value.is_some() {
            self.rows.push((name.to_owned(), spell::or_none(value, spell), word.to_owned()));
        }
    }

    fn count(&mut self, name: &str, value: Option<u64>, word: &str) {
        if let Some(value) = value {
            self.rows.push((name.to_owned(), spell::count(value), word.to_owned()));
        }
    }
}

/// An option as it is given. Flags that are off and options that were not set say nothing.
fn flag(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(format!("--{name}")),
        value => Some(format!("--{name} {}", quoted(&plain(value)))),
    }
}

/// A value as the command line takes it: lists with commas.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

/// Quoted where a shell would see more in it than a word.
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
        let options = json!({"rate": 5, "quiet": true, "deaf": false, "pid": [1, 2], "burst": null, "connect_rate": 99.5});
        report.options = options.as_object().unwrap().clone();
        let command = "encke-loadtest fanout --preset nchan --connect-rate 99.5 --pid 1,2 --quiet --rate 5";
        assert_eq!(report.command(), command);
    }

    #[test]
    fn a_shell_reads_an_option_as_it_was() {
        assert_eq!(quoted("http://127.0.0.1:80/pub?id={channel}"), "'http://127.0.0.1:80/pub?id={channel}'");
        assert_eq!([quoted("it's"), quoted(""), quoted("5s")], [r"'it'\''s'", "''", "5s"]);
    }

    #[test]
    fn what_does_not_apply_has_no_row() {
        assert!(Report::new("idle").parts().is_empty());
    }
}
