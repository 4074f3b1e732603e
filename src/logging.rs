//! The log of the program: `env_logger` on the standard error, as text or as one JSON object per
//! line.
//!
//! Both formats keep a record on one line whatever it contains, so that client input cannot forge a
//! line. A separate thread (`pipe`) writes the lines, so that a full pipe blocks no other thread.
//! The fields of a record (`info!(status = 200; "…")`) come after the message. Message logs are
//! unrelated; they are in the shards.

mod limits;
mod pipe;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use encke::config::{Config, LogFormat};
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{Log, Metadata, Record};

use self::limits::LINE_BYTES;
use self::pipe::LogPipe;

/// Starts the log by `config` and returns the counter of dropped lines. A second call fails.
pub(crate) fn start(config: &Config) -> io::Result<Arc<AtomicU64>> {
    let dropped = Arc::new(AtomicU64::new(0));
    let pipe = LogPipe::start(io::stderr(), Arc::clone(&dropped))?;
    let mut builder = env_logger::Builder::new();
    builder.target(env_logger::Target::Pipe(Box::new(pipe.clone())));
    for rule in &config.log_level.rules {
        builder.filter(rule.target.as_deref(), rule.level);
    }
    match config.log_format {
        LogFormat::Text => builder.format(|out, record| {
            let time = out.timestamp_millis().to_string();
            text(out, &time, record)
        }),
        LogFormat::Json => builder.format(|out, record| {
            let time = out.timestamp_millis().to_string();
            json(out, &time, record)
        }),
    };
    let lines = builder.build();
    log::set_max_level(lines.filter());
    log::set_boxed_logger(Box::new(Logger { lines, pipe })).map_err(io::Error::other)?;
    tell_of_panics_by_the_log();
    Ok(dropped)
}

/// By default the panicking thread prints the panic, and a full pipe would block it: the process
/// would neither continue nor end.
fn tell_of_panics_by_the_log() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if log::log_enabled!(log::Level::Error) {
            log::error!("{info}");
        } else {
            print(info);
        }
    }));
}

/// The crate's logger, whose lines go into a pipe, and the pipe.
struct Logger {
    lines: env_logger::Logger,
    pipe: LogPipe,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.lines.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.lines.log(record);
    }

    fn flush(&self) {
        self.pipe.flush();
    }
}

/// `2026-01-31T12:00:00.000Z INFO  encke::server: message key=value`
fn text(out: &mut impl Write, time: &str, record: &Record<'_>) -> io::Result<()> {
    let mut line = format!("{time} {:5} {}: ", record.level(), record.target());
    push_plain(&mut line, &record.args().to_string());
    let mut fields = TextFields { line: &mut line };
    record.key_values().visit(&mut fields).map_err(io::Error::other)?;
    line.push('\n');
    out.write_all(line.as_bytes())
}

/// `{"ts":"…","level":"info","target":"encke::server","msg":"…","key":1}`, the keys always in this
/// order.
fn json(out: &mut impl Write, time: &str, record: &Record<'_>) -> io::Result<()> {
    let level = record.level().as_str().to_ascii_lowercase();
    let mut line = String::with_capacity(LINE_BYTES);
    push_member(&mut line, "ts", time);
    push_member(&mut line, "level", &level);
    push_member(&mut line, "target", record.target());
    push_member(&mut line, "msg", &record.args().to_string());
    let mut fields = JsonFields { line: &mut line };
    record.key_values().visit(&mut fields).map_err(io::Error::other)?;
    line.push_str("}\n");
    out.write_all(line.as_bytes())
}

struct TextFields<'a> {
    line: &'a mut String,
}

impl<'kvs> VisitSource<'kvs> for TextFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.line.push(' ');
        self.line.push_str(key.as_str());
        self.line.push('=');
        let value = value.to_string();
        // Quoted if a reader could not see where the value ends.
        if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c == '"' || c == '=') {
            let _ = write!(self.line, "{value:?}");
        } else {
            push_plain(self.line, &value);
        }
        Ok(())
    }
}

struct JsonFields<'a> {
    line: &'a mut String,
}

impl<'kvs> VisitSource<'kvs> for JsonFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.line.push(',');
        push_quoted(self.line, key.as_str());
        self.line.push(':');
        value.visit(JsonValue { line: self.line })
    }
}

/// Numbers and booleans keep their types; all else becomes a string.
struct JsonValue<'a> {
    line: &'a mut String,
}

impl VisitValue<'_> for JsonValue<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        push_quoted(self.line, &value.to_string());
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.line.push_str("null");
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.line.push_str(&value.to_string());
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.line.push_str(&value.to_string());
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        // JSON has no infinities.
        let finite = value.is_finite().then(|| value.to_string());
        self.line.push_str(finite.as_deref().unwrap_or("null"));
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.line.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        push_quoted(self.line, value);
        Ok(())
    }
}

fn push_member(line: &mut String, key: &str, value: &str) {
    line.push(if line.is_empty() { '{' } else { ',' });
    push_quoted(line, key);
    line.push(':');
    push_quoted(line, value);
}

fn push_quoted(line: &mut String, text: &str) {
    line.push_str(&serde_json::Value::from(text).to_string());
}

/// Escapes control characters: a line break would end the line, an escape sequence could rewrite a
/// terminal.
fn push_plain(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    type Form = fn(&mut Vec<u8>, &str, &Record<'_>) -> io::Result<()>;

    fn line(form: Form, message: &str, fields: &[(&str, Value<'_>)]) -> String {
        let mut out = Vec::new();
        let args = format_args!("{message}");
        let mut record = Record::builder();
        record.level(Level::Info).target("encke::server").key_values(&fields).args(args);
        form(&mut out, "T", &record.build()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_text_line_is_time_level_target_message_fields() {
        let fields =
            [("status", Value::from(200)), ("path", Value::from("/a b")), ("user", Value::from("bob"))];
        assert_eq!(
            line(text, "done", &fields),
            "T INFO  encke::server: done status=200 path=\"/a b\" user=bob\n"
        );
    }

    #[test]
    fn a_json_line_keeps_the_types_of_its_fields() {
        let fields = [
            ("status", Value::from(200_u64)),
            ("delta", Value::from(-1_i64)),
            ("ratio", Value::from(0.5)),
            ("nan", Value::from(f64::NAN)),
            ("reused", Value::from(true)),
            ("user", Value::from("b\"ob")),
        ];
        assert_eq!(
            line(json, "done", &fields),
            "{\"ts\":\"T\",\"level\":\"info\",\"target\":\"encke::server\",\"msg\":\"done\",\"status\":200,\
             \"delta\":-1,\"ratio\":0.5,\"nan\":null,\"reused\":true,\"user\":\"b\\\"ob\"}\n"
        );
    }

    #[test]
    fn nothing_that_is_logged_can_begin_a_line_of_its_own() {
        let hostile = "a\r\nT ERROR forged: b\u{1b}[2J\u{85}\0";
        for form in [text as Form, json] {
            let line = line(form, hostile, &[("k", Value::from(hostile))]);
            let body = line.strip_suffix('\n').unwrap();
            assert!(!body.contains(['\n', '\r', '\u{1b}', '\0']), "{body:?}");
        }
        let parsed: serde_json::Value = serde_json::from_str(&line(json, hostile, &[])).unwrap();
        assert_eq!(parsed["msg"], hostile);
    }
}
