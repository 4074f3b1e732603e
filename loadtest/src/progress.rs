//! Shows progress as one line: rewritten in place on a terminal, else printed again at an interval.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stderr};

use crate::clock::{SECOND, now};
use crate::ipc::Progress;
use crate::meter::Meter;
use crate::settings::Settings;

/// Shows the progress of a run.
pub struct Display {
    how: How,
    scenario: String,
    clients: u32,
    phase: &'static str,
    last: Option<Shown>,
}

/// How the line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Nowhere,
    InPlace,
    /// A line each, the next one not before this time.
    Lines {
        next: u64,
    },
}

/// What was shown last.
#[derive(Clone, Copy)]
struct Shown {
    at: u64,
    delivered: u64,
    cpu: Option<f64>,
}

/// Between two lines where they cannot be rewritten.
const LINE_EVERY: u64 = 5 * SECOND;

impl Display {
    /// Finds out whether standard error is a terminal.
    pub fn new(settings: &Settings) -> Self {
        let how = match (settings.quiet, stderr().is_terminal()) {
            (true, _) => How::Nowhere,
            (false, true) => How::InPlace,
            (false, false) => How::Lines { next: 0 },
        };
        let scenario = format!("{:?}", settings.scenario).to_lowercase();
        Self { how, scenario, clients: settings.clients, phase: "starting", last: None }
    }

    /// Begins another phase.
    pub fn phase(&mut self, phase: &'static str) {
        self.phase = phase;
    }

    /// Shows the progress.
    pub fn show(&mut self, progress: Progress, meter: &Meter) {
        let now = now();
        match &mut self.how {
            How::Nowhere => return,
            How::Lines { next } if now < *next => return,
            How::Lines { next } => *next = now + LINE_EVERY,
            How::InPlace => {}
        }
        let sample = meter.last();
        let cpu = sample.and_then(|sample| sample.cpu_s);
        let shown = Shown { at: now, delivered: progress.delivered, cpu };
        let line = self.line(progress, shown, sample.and_then(|sample| sample.pss));
        self.last = Some(shown);
        // A closed standard error does not stop the run.
        let _ = match self.how {
            How::InPlace => write!(stderr(), "\r\x1b[K{line}"),
            How::Nowhere | How::Lines { .. } => writeln!(stderr(), "{line}"),
        };
    }

    fn line(&self, progress: Progress, shown: Shown, memory: Option<u64>) -> String {
        let mut line = format!(
            "{} {}: {}/{} clients, {} deliveries",
            self.scenario, self.phase, progress.clients, self.clients, progress.delivered
        );
        if let Some(last) = self.last.filter(|last| last.at < shown.at) {
            let seconds = (shown.at - last.at) as f64 / SECOND as f64;
            let rate = shown.delivered.saturating_sub(last.delivered) as f64 / seconds;
            let _ = write!(line, ", {rate:.0}/s");
            if let Some((now, then)) = shown.cpu.zip(last.cpu) {
                let _ = write!(line, ", server {:.0} % CPU", (now - then) / seconds * 100.0);
            }
        }
        if let Some(memory) = memory {
            let _ = write!(line, ", {:.1} MiB", memory as f64 / 1_048_576.0);
        }
        line
    }

    /// Erases the line.
    pub fn clear(&self) {
        if self.how == How::InPlace {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
