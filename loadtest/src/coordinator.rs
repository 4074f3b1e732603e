//! The coordinator: workers, publishers and the meter on one poll. Scenarios drive it step by step.
//!
//! A turn sleeps until an event or a deadline. Deadlines are exact to the nanosecond: a kernel
//! timer wakes the poll, whose own time-out counts milliseconds.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::cli::Scenario;
use crate::clock::{SECOND, nanos, now, until};
use crate::ipc::{FromWorker, Progress, ToWorker};
use crate::latencies::Latencies;
use crate::meter::Meter;
use crate::plan::{OnStreamEnd, Plan, shares};
use crate::progress::Display;
use crate::publisher::Publishers;
use crate::report::{Report, Step};
use crate::requests::Names;
use crate::settings::Settings;
use crate::totals::Totals;
use crate::workers::Workers;

/// A run in progress.
pub struct Coordinator {
    /// The run's settings.
    pub settings: Settings,
    poll: Poll,
    events: Events,
    timer: OwnedFd,
    workers: Workers,
    /// The publishers, once they are connected.
    pub publishers: Option<Publishers>,
    /// What is measured.
    pub meter: Meter,
    display: Display,
    names: Names,
    ready: usize,
    /// When the last client had subscribed.
    ready_at: u64,
    /// The progress at the beginning of the measured phase.
    mark: Progress,
    warnings: Vec<String>,
    round: u32,
    delivered: usize,
    /// Workers that have sent their latencies, and the sum of those.
    lap: (usize, Latencies),
    steps: Vec<Step>,
    totals: Totals,
}

/// Tokens of publishers' connections begin at 0.
const WORKERS: usize = 1 << 20;
const TIMER: Token = Token(1 << 30);

impl Coordinator {
    /// Starts the workers and reads the server's memory before the first client connects.
    ///
    /// # Errors
    /// If a required file, process or limit is missing.
    pub fn open(settings: Settings) -> io::Result<Self> {
        let meter = Meter::new(&settings.pids)?;
        let poll = Poll::new()?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        let run = format!("{:x}{:x}", now() / 1_000_000, std::process::id());
        let workers = Workers::start(plans(&settings, &run), WORKERS, poll.registry())?;
        Ok(Self {
            names: Names::new(&run, settings.seed),
            display: Display::new(&settings),
            settings,
            poll,
            events: Events::with_capacity(1024),
            timer,
            workers,
            publishers: None,
            meter,
            ready: 0,
            ready_at: 0,
            mark: Progress::default(),
            warnings: Vec::new(),
            round: 0,
            delivered: 0,
            lap: (0, Latencies::new()),
            steps: Vec::new(),
            totals: Totals::default(),
        })
    }

    /// Sleeps until an event, at most until `then`, and handles it.
    ///
    /// # Errors
    /// When a worker, the server or the publishers fail.
    pub fn turn(&mut self, then: u64) -> io::Result<()> {
        if let Some(publishers) = &mut self.publishers {
            publishers.send()?;
        }
        let wake = then.min(self.meter.wake());
        self.arm(wake)?;
        match self.poll.poll(&mut self.events, Some(until(wake) + Duration::from_millis(1))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let tokens: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
        for token in tokens {
            match token {
                token if token == TIMER.0 => {}
                token if token >= WORKERS => self.receive(token - WORKERS)?,
                token => self.publishers.as_mut().map_or(Ok(()), |publishers| publishers.serve(token))?,
            }
        }
        if self.meter.sample(self.workers.progress())? {
            self.display.show(self.workers.progress(), &self.meter);
        }
        Ok(())
    }

    fn arm(&self, wake: u64) -> io::Result<()> {
        let timespec = |nanos: u64| Timespec {
            tv_sec: i64::try_from(nanos / SECOND).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(nanos % SECOND).unwrap_or(0),
        };
        let once = Itimerspec { it_interval: timespec(0), it_value: timespec(wake.max(1)) };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }

    fn receive(&mut self, worker: usize) -> io::Result<()> {
        for message in self.workers.read(worker)? {
            match message {
                FromWorker::Ready => (self.ready, self.ready_at) = (self.ready + 1, now()),
                FromWorker::Warning(reason) => self.warnings.push(reason),
                FromWorker::Delivered { round } => self.delivered += usize::from(round == self.round),
                FromWorker::Latencies(latencies) => {
                    self.lap.0 += 1;
                    self.lap.1.add(&latencies);
                }
                FromWorker::Failed(reason) => return Err(io::Error::other(reason)),
                FromWorker::Progress(_) => {}
                FromWorker::ChurnDone { connections, latencies, errors } => {
                    self.totals.churned(connections, &latencies, &errors);
                }
                FromWorker::Counts { account, errors, endings } => {
                    self.totals.account(account, &errors, endings);
                }
            }
        }
        Ok(())
    }

    /// The workers' last reported progress.
    pub fn progress(&self) -> Progress {
        self.workers.progress()
    }

    /// Lets all clients connect and waits for the last.
    ///
    /// # Errors
    /// When one fails for good.
    pub fn connect(&mut self) -> io::Result<()> {
        self.display.phase("connecting");
        self.workers.order(&ToWorker::Connect)?;
        self.await_ready()
    }

    /// Waits until all clients are subscribed, as long as there is progress.
    ///
    /// # Errors
    /// If one fails for good, or there is no progress for too long.
    pub fn await_ready(&mut self) -> io::Result<()> {
        let mut best = (0, now());
        while self.ready < self.workers.len() {
            self.turn(now() + SECOND)?;
            let clients = self.progress().clients;
            if clients > best.0 {
                best = (clients, now());
            }
            if now() > best.1 + nanos(self.settings.patience) {
                let all = self.settings.clients;
                let why = self.warnings.join("; ");
                let what = format!(
                    "only {clients} of {all} clients are subscribed, without further progress: {why}"
                );
                return Err(io::Error::other(what));
            }
        }
        self.ready = 0;
        Ok(())
    }

    /// Sends a message to all workers.
    ///
    /// # Errors
    /// When a worker is gone.
    pub fn order(&mut self, order: &ToWorker) -> io::Result<()> {
        self.workers.order(order)
    }

    /// Waits until the server is at rest: it releases buffers and runs delayed timers.
    ///
    /// # Errors
    /// As for [`Coordinator::turn`].
    pub fn rest(&mut self) -> io::Result<()> {
        self.display.phase("settling");
        self.wait(self.settings.rest)
    }

    /// Waits for a time.
    ///
    /// # Errors
    /// As for [`Coordinator::turn`].
    pub fn wait(&mut self, span: Duration) -> io::Result<()> {
        let end = now() + nanos(span);
        while now() < end {
            self.turn(end)?;
        }
        Ok(())
    }

    /// Connects the publishers.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn connect_publishers(&mut self) -> io::Result<()> {
        let registry = self.poll.registry().try_clone()?;
        self.publishers = Some(Publishers::new(&self.settings, self.names.clone(), registry)?);
        Ok(())
    }

    /// Begins the measured phase.
    ///
    /// # Errors
    /// If the server has ended.
    pub fn begin(&mut self) -> io::Result<()> {
        self.display.phase("measuring");
        self.mark = self.progress();
        self.meter.begin()
    }

    /// Publishes a message that is due then, to a channel.
    pub fn publish(&mut self, channel: u32, due: u64) {
        if let Some(publishers) = &mut self.publishers {
            publishers.publish(channel, due);
        }
    }

    /// Waits until every client has every message published so far, or nothing has arrived for too
    /// long. Returns whether all arrived.
    ///
    /// # Errors
    /// As for [`Coordinator::turn`].
    pub fn await_deliveries(&mut self) -> io::Result<bool> {
        (self.round, self.delivered) = (self.round + 1, 0);
        let serials = self.publishers.as_ref().map(|publishers| publishers.published().serials.clone());
        let owed: Vec<u64> =
            self.workers.plans().map(|plan| owed(plan, serials.as_deref().unwrap_or_default())).collect();
        for (worker, owed) in owed.into_iter().enumerate() {
            self.workers.order_one(worker, &ToWorker::AwaitDeliveries { round: self.round, owed })?;
        }
        let mut best = (self.state(), now());
        // An answer to a publisher may arrive after the last delivery, and counts as published.
        while self.delivered < self.workers.len()
            || self.publishers.as_ref().is_some_and(|publishers| !publishers.is_idle())
        {
            self.turn(best.1 + nanos(self.settings.patience))?;
            if self.state() != best.0 {
                best = (self.state(), now());
            }
            if now() >= best.1 + nanos(self.settings.patience) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The latencies since the last call.
    ///
    /// # Errors
    /// As for [`Coordinator::turn`], and if a worker does not report them.
    pub fn lap(&mut self) -> io::Result<Latencies> {
        self.lap = (0, Latencies::new());
        self.workers.order(&ToWorker::TakeLatencies)?;
        let end = now() + nanos(self.settings.patience);
        while self.lap.0 < self.workers.len() {
            self.turn(end)?;
            if now() >= end {
                return Err(io::Error::other("a worker did not report its latencies"));
            }
        }
        Ok(std::mem::replace(&mut self.lap.1, Latencies::new()))
    }

    /// Adds a step of a rising rate to the report.
    pub fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// A state that changes as long as there is progress.
    fn state(&self) -> (u64, u64, u64, usize) {
        let progress = self.progress();
        (
            progress.delivered,
            progress.in_gaps,
            self.publishers.as_ref().map_or(0, Publishers::accepted),
            self.delivered,
        )
    }

    /// Ends the run and reports. The measured phase must have ended.
    ///
    /// # Errors
    /// As for [`Coordinator::turn`].
    pub fn finish(mut self) -> io::Result<Report> {
        self.display.phase("counting");
        if self.settings.scenario != Scenario::Churn {
            let published = self.publishers.as_ref().map(|publishers| publishers.published().clone());
            self.workers.order(&ToWorker::Finish(published.unwrap_or_default()))?;
        }
        let end = now() + nanos(self.settings.patience);
        let mut report = Report::new(scenario_name(self.settings.scenario));
        report.clients = Some(self.mark.clients.max(self.churning()));
        while self.totals.accounts() < self.workers.len() {
            self.turn(end)?;
            if now() >= end {
                return Err(io::Error::other("a worker did not report its counts"));
            }
        }
        self.display.clear();
        report.preset = Some(self.settings.name.text().to_owned());
        report.transport = Some(self.settings.transport.text().to_owned());
        report.options = self.settings.reported.clone();
        report.steps = std::mem::take(&mut self.steps);
        if let Some(publishers) = &self.publishers {
            report.published = Some(publishers.accepted());
            self.totals.count_errors(publishers.errors());
        }
        let heartbeats = self.progress().heartbeats.saturating_sub(self.mark.heartbeats);
        self.totals.details(&self.settings, heartbeats);
        let connections = self.totals.fill(&mut report, self.publishers.is_some());
        self.meter.fill(&mut report, connections)?;
        Ok(report)
    }

    /// Concurrent connections of a churn; 0 for other scenarios.
    fn churning(&self) -> u64 {
        if self.settings.scenario == Scenario::Churn { self.settings.concurrency.into() } else { 0 }
    }

    /// When all clients were last subscribed.
    pub fn ready_at(&self) -> u64 {
        self.ready_at
    }

    /// Adds a number that only this scenario has.
    pub fn detail(&mut self, name: &str, value: f64) {
        self.totals.detail(name, value);
    }

    /// Whether all workers have ended their churn.
    pub fn is_churned(&self) -> bool {
        self.totals.accounts() == self.workers.len()
    }
}

/// The deliveries that a worker's clients must receive.
fn owed(plan: &Plan, serials: &[u32]) -> u64 {
    let members = |channel: usize| u64::from(plan.layout.members(channel as u32, &plan.share));
    serials.iter().enumerate().map(|(channel, serial)| members(channel) * u64::from(*serial)).sum()
}

fn plans(settings: &Settings, run: &str) -> Vec<Plan> {
    let shares = shares(settings.clients, settings.procs).into_iter();
    let plan = |share| Plan {
        run: run.to_owned(),
        server: settings.to.address,
        host: settings.to.host.clone(),
        transport: settings.transport,
        compression: settings.compression,
        preset: settings.preset.clone(),
        layout: settings.layout.clone(),
        share,
        seed: settings.seed,
        connect_rate: settings.connect_rate.map(|rate| rate / f64::from(settings.procs)),
        poll_every: settings.poll_every,
        stalled: settings.stalled,
        slow_readers: settings.slow_readers,
        ending: if settings.scenario == Scenario::Drain { OnStreamEnd::Leave } else { OnStreamEnd::Return },
    };
    shares.map(plan).collect()
}

/// The name of a scenario on the command line.
fn scenario_name(scenario: Scenario) -> String {
    format!("{scenario:?}").to_lowercase()
}
