//! Measures the server's CPU and memory and the load test's own CPU, over the measured phase and
//! over time.
//!
//! Reading memory is expensive for the kernel, so it is read seldom. A run of hours keeps as many
//! samples as one of minutes, at longer intervals.

use std::io;

use crate::clock::{MILLISECOND, SECOND, now};
use crate::ipc::Progress;
use crate::process::{Cpu, Watch};
use crate::report::{Report, Sample};

/// All readings of a run.
pub struct Meter {
    server: Option<Watch>,
    own: Watch,
    start: u64,
    next_sample: u64,
    next_memory: u64,
    interval: u64,
    timeline: Vec<Sample>,
    memory_before: Option<u64>,
    memory_peak: Option<u64>,
    phase: Option<MeasuredPhase>,
}

/// The measured phase.
#[derive(Clone, Copy)]
struct MeasuredPhase {
    since: u64,
    server: Cpu,
    own: Cpu,
    memory: Option<u64>,
    measured: Option<Measured>,
}

/// Its results.
#[derive(Clone, Copy)]
struct Measured {
    seconds: f64,
    server: Cpu,
    own: Cpu,
    threads: u64,
}

const SAMPLE_EVERY: u64 = 500 * MILLISECOND;
const MEMORY_EVERY: u64 = 2 * SECOND;

/// More samples than this become half as many.
const SAMPLES_MAX: usize = 2400;

impl Meter {
    /// Reads the server's memory before the first client connects.
    ///
    /// # Errors
    /// When a process is not there.
    pub fn new(pids: &[u32]) -> io::Result<Self> {
        let mut server = if pids.is_empty() { None } else { Some(Watch::new(pids.iter().copied())?) };
        let memory = server.as_mut().map(Watch::pss).transpose()?;
        let start = now();
        Ok(Self {
            server,
            own: Watch::own()?,
            start,
            next_sample: start,
            next_memory: start,
            interval: SAMPLE_EVERY,
            timeline: Vec::new(),
            memory_before: memory,
            memory_peak: memory,
            phase: None,
        })
    }

    /// The server's processes, if they were named.
    pub fn server(&self) -> Option<&Watch> {
        self.server.as_ref()
    }

    /// When the next sample is due.
    pub fn wake(&self) -> u64 {
        self.next_sample
    }

    /// The last sample.
    pub fn last(&self) -> Option<&Sample> {
        self.timeline.last()
    }

    /// Takes a sample if one is due; returns whether it did.
    ///
    /// # Errors
    /// If the server has ended.
    pub fn sample(&mut self, progress: Progress) -> io::Result<bool> {
        let now = now();
        if now < self.next_sample {
            return Ok(false);
        }
        self.next_sample = now + self.interval;
        let cpu = self.server.as_mut().map(Watch::usage).transpose()?.map(|usage| usage.cpu.total());
        // While clients connect, the reading disturbs no measurement, and the chart of memory over
        // connections needs it.
        let is_due = now >= self.next_memory || self.phase.is_none();
        let memory = if is_due { self.memory()? } else { None };
        self.timeline.push(Sample {
            t: (now - self.start) as f64 / SECOND as f64,
            clients: Some(progress.clients),
            deliveries: Some(progress.delivered),
            cpu_s: cpu,
            pss: memory,
        });
        if self.timeline.len() > SAMPLES_MAX {
            self.thin();
        }
        Ok(true)
    }

    fn memory(&mut self) -> io::Result<Option<u64>> {
        self.next_memory = now() + MEMORY_EVERY.max(self.interval);
        let memory = self.server.as_mut().map(Watch::pss).transpose()?;
        self.memory_peak = self.memory_peak.max(memory);
        Ok(memory)
    }

    /// Keeps every other sample.
    fn thin(&mut self) {
        let mut index = 0;
        self.timeline.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        self.interval *= 2;
    }

    /// Begins the measured phase. Memory is read just before.
    ///
    /// # Errors
    /// If the server has ended.
    pub fn begin(&mut self) -> io::Result<()> {
        let memory = self.memory()?;
        let server = self.server.as_mut().map(Watch::usage).transpose()?.unwrap_or_default();
        let own = self.own.usage()?.cpu;
        self.phase = Some(MeasuredPhase { since: now(), server: server.cpu, own, memory, measured: None });
        Ok(())
    }

    /// CPU seconds that the server has used so far; `None` if no process was named.
    ///
    /// # Errors
    /// If the server has ended.
    pub fn cpu(&mut self) -> io::Result<Option<f64>> {
        let usage = self.server.as_mut().map(Watch::usage).transpose()?;
        Ok(usage.map(|usage| usage.cpu.total()))
    }

    /// The largest growth of memory since the beginning of the measured phase, in bytes.
    pub fn growth(&self) -> Option<u64> {
        Some(self.memory_peak?.saturating_sub(self.phase?.memory?))
    }

    /// Ends the measured phase.
    ///
    /// # Errors
    /// If the server has ended.
    pub fn end(&mut self) -> io::Result<()> {
        let Some(mut phase) = self.phase else { return Ok(()) };
        let seconds = (now() - phase.since) as f64 / SECOND as f64;
        let server = self.server.as_mut().map(Watch::usage).transpose()?.unwrap_or_default();
        let own = self.own.usage()?.cpu.since(phase.own);
        let measured =
            Measured { seconds, server: server.cpu.since(phase.server), own, threads: server.threads };
        phase.measured = Some(measured);
        self.phase = Some(phase);
        Ok(())
    }

    /// Fills in the measurements; the report's clients and deliveries must be set. `connections`
    /// are those of a churn.
    ///
    /// # Errors
    /// If the server has ended unexpectedly.
    pub fn fill(&mut self, report: &mut Report, connections: Option<u64>) -> io::Result<()> {
        let is_there = self.server.as_ref().is_some_and(Watch::is_running);
        let after = if is_there { self.memory()? } else { None };
        let measured = self.phase.and_then(|phase| phase.measured);
        report.seconds = measured.map(|measured| measured.seconds);
        report.generator.cpu_s = measured.map(|measured| measured.own.total());
        report.connections_per_s =
            connections.zip(measured).map(|(connections, measured)| connections as f64 / measured.seconds);
        report.timeline = std::mem::take(&mut self.timeline);
        if self.server.is_none() {
            return Ok(());
        }
        let server = &mut report.server;
        (server.pss_before, server.pss_after, server.pss_peak) =
            (self.memory_before, after, self.memory_peak);
        let grown = after.zip(self.memory_before).map(|(after, before)| after as f64 - before as f64);
        server.bytes_per_connection = grown
            .zip(report.clients)
            .filter(|(_, clients)| *clients > 0)
            .map(|(grown, clients)| grown / clients as f64);
        if let Some(measured) = measured {
            server.cpu_user_s = Some(measured.server.user);
            server.cpu_system_s = Some(measured.server.system);
            server.threads = Some(measured.threads);
            let counted = report.deliveries.or(connections).filter(|count| *count > 0);
            server.cpu_s_per_million = counted.map(|count| measured.server.total() / (count as f64 / 1e6));
        }
        Ok(())
    }
}
