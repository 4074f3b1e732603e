//! A self-contained run: starts the readers, writes to them, and reports the writer's CPU time.
//!
//! Only the writing is counted, with the pauses between rounds; connecting is not. On loopback the
//! kernel does most of the receiver's part inside the writer's `write()`, and that is in the
//! number, as it is for every server on this machine.

use std::io::{self, BufRead, BufReader, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Poll};
use rustix::time::{ClockId, clock_gettime};
use socket2::SockRef;

use crate::audience::{Audience, Tally};
use crate::cli::{Measure, Pace};

/// The result.
struct Outcome {
    tally: Tally,
    /// User and system time of the writes.
    cpu: Duration,
    /// The kernel's part of it, by the kernel's ticks.
    system: f64,
    wall: Duration,
}

/// Runs it and prints the result. Returns `false` if a write was incomplete.
pub(crate) fn run(plan: &Measure) -> io::Result<bool> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    // Readers that did not start are not awaited.
    SockRef::from(&listener).set_read_timeout(Some(CONNECT_MAX))?;
    let mut readers = start_readers(plan, listener.local_addr()?)?;
    let accepted = accept(&listener, plan.sockets).and_then(|audience| {
        await_connected(&mut readers)?;
        Ok(audience)
    });
    let outcome = accepted.and_then(|audience| write(plan, audience));
    if outcome.is_err() {
        // Otherwise the readers would wait for an end that never comes.
        let _ = readers.kill();
    }
    readers.wait()?;
    let outcome = outcome?;
    tell(plan, &outcome);
    Ok(outcome.tally.is_valid())
}

fn start_readers(plan: &Measure, from: SocketAddr) -> io::Result<Child> {
    let (from, sockets) = (from.to_string(), plan.sockets.to_string());
    Command::new(std::env::current_exe()?)
        .args(["read", "--listen", &from, "--sockets", &sockets])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
}

fn accept(listener: &TcpListener, count: usize) -> io::Result<Audience> {
    let mut audience = Audience::default();
    while audience.len() < count {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        audience.join(TcpStream::from_std(stream));
    }
    Ok(audience)
}

fn await_connected(readers: &mut Child) -> io::Result<()> {
    let mut line = String::new();
    if let Some(output) = readers.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    if line.trim() == "connected" { Ok(()) } else { Err(io::Error::other("the readers did not connect")) }
}

fn write(plan: &Measure, mut audience: Audience) -> io::Result<Outcome> {
    let bytes = vec![b'x'; plan.chunk];
    let (began, cpu, system) = (Instant::now(), cpu_time(), system_seconds()?);
    match plan.pace {
        Pace::BackToBack { rounds } => (0..rounds).for_each(|_| audience.write(&bytes)),
        Pace::Steady { rate, seconds } => {
            let mut pause = Pause::new()?;
            for round in 0..rate.saturating_mul(seconds) {
                pause.until(began + Duration::from_secs(1) * round / rate)?;
                audience.write(&bytes);
            }
        }
    }
    Ok(Outcome {
        tally: audience.tally(),
        cpu: cpu_time().saturating_sub(cpu),
        system: system_seconds()? - system,
        wall: began.elapsed(),
    })
}

/// A poll without sources, for waiting.
struct Pause {
    poll: Poll,
    events: Events,
}

impl Pause {
    fn new() -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(1) })
    }

    /// Waits until a point in time; returns at once if it has passed.
    fn until(&mut self, due: Instant) -> io::Result<()> {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            match self.poll.poll(&mut self.events, Some(left)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }
}

/// User and system time of this process, to the nanosecond.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

/// System time of this process in seconds, to the hundredth.
fn system_seconds() -> io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The program's name may contain spaces, so the fields are counted from its end.
    let field = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(12));
    let ticks: f64 = field.and_then(|text| text.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    Ok(ticks / 100.0)
}

fn tell(plan: &Measure, outcome: &Outcome) {
    let Outcome { tally, cpu, system, wall } = outcome;
    let millions = f64::from(u32::try_from(tally.whole).unwrap_or(u32::MAX)) / 1e6;
    let (cost, wall) = (cpu.as_secs_f64() / millions, wall.as_secs_f64());
    if plan.json {
        let Tally { whole, partial, blocked, gone } = tally;
        println!(
            r#"{{"sockets":{},"bytes":{},"writes":{whole},"partial":{partial},"blocked":{blocked},"gone":{gone},"seconds":{wall:.3},"cpu_s":{:.4},"system_s":{system:.2},"cpu_s_per_million":{cost:.3}}}"#,
            plan.sockets,
            plan.chunk,
            cpu.as_secs_f64(),
        );
        return;
    }
    let pace = match plan.pace {
        Pace::BackToBack { rounds } => format!("{rounds} rounds back to back"),
        Pace::Steady { rate, .. } => format!("{rate} rounds a second"),
    };
    println!("{} sockets, {} bytes a write, {pace}, {wall:.1} s", plan.sockets, plan.chunk);
    println!("{tally}");
    println!("{cost:.2} CPU s per million writes (system {:.2})", system / millions);
}

/// The longest pause between two readers that connect.
const CONNECT_MAX: Duration = Duration::from_secs(10);
