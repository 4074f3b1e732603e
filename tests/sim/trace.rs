//! The events of a run, as a hash over all of them and the last ones as text.

use std::collections::VecDeque;
use std::fmt::{self, Write};

/// The number of lines that a failure shows, unless `ENCKE_SIM_LINES` is set.
const SHOWN: usize = 80;

/// The trace of one run. Equal seeds give equal hashes.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    last: VecDeque<String>,
    shown: usize,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            last: VecDeque::new(),
            shown: crate::number("ENCKE_SIM_LINES").map_or(SHOWN, |lines| lines as usize),
        }
    }

    /// Adds a line.
    pub(crate) fn note(&mut self, now: u64, what: fmt::Arguments<'_>) {
        let mut line = if self.last.len() < self.shown {
            String::new()
        } else {
            self.last.pop_front().unwrap_or_default()
        };
        line.clear();
        let _ = write!(line, "{:>4}.{:03} {what}", now / 1000, now % 1000);
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.last.push_back(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> String {
        self.last.iter().map(|line| format!("  {}\n", line.replace('\n', "\u{23ce}"))).collect()
    }
}
