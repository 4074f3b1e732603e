//! Connects many clients to a push server, publishes messages, and counts and times what arrives.
//!
//! The command coordinates and publishes. Its clients run in worker processes: copies of this
//! program with one thread and one poll each. All of them read the kernel's one clock. The kernel's
//! counters of the server's processes (`--pid`) measure the server from outside. The load test
//! judges only whether messages were lost; it does not judge speed.

#![expect(unreachable_pub, reason = "in a program all of them would be")]
#![allow(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]
#![allow(clippy::cast_sign_loss, reason = "neither times nor sizes are negative here")]

mod cli;
mod clock;
mod coordinator;
mod dialect;
mod http;
mod ipc;
mod latencies;
mod ledger;
mod meter;
mod net_counters;
mod plan;
mod preset;
mod process;
mod progress;
mod publisher;
mod report;
mod requests;
mod rng;
mod rooms;
mod scenario;
mod settings;
mod stamp;
mod template;
mod totals;
mod transport;
mod worker;
mod workers;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use report::Report;

/// The run failed to start or to continue.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let command = cli::Command::parse();
    let done = match (command.other, command.run) {
        (Some(cli::Other::Worker), _) => return work(),
        (Some(cli::Other::Html { files }), _) => pages(&files).map(|()| true),
        (None, Some(options)) => run(&options),
        (None, None) => Err("which scenario? --help lists them".to_owned()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(reason) => {
            eprintln!("encke-loadtest: {reason}");
            ExitCode::from(FAILED)
        }
    }
}

/// Runs a scenario and writes its report. Returns whether nothing was lost, doubled or out of
/// order.
fn run(options: &cli::Options) -> Result<bool, String> {
    let settings = settings::Settings::new(options)?;
    let report = scenario::run(settings).map_err(|error| error.to_string())?;
    let to_stdout = options.json.as_deref() == Some(Path::new("-"));
    print!("{}", if to_stdout { report.json() } else { report.table() });
    if let Some(path) = options.json.as_deref().filter(|_| !to_stdout) {
        write(path, &report.json())?;
    }
    if let Some(path) = &options.html {
        write(path, &report::page(std::slice::from_ref(&report)))?;
    }
    let astray = [report.lost, report.doubled, report.disordered];
    let all_told = report.details.get("not_told").is_none_or(|count| *count == 0.0);
    Ok(all_told && astray.iter().all(|count| count.unwrap_or(0) == 0))
}

fn pages(files: &[std::path::PathBuf]) -> Result<(), String> {
    let read = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str::<Report>(&text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let reports = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    print!("{}", report::page(&reports));
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn work() -> ExitCode {
    if worker::run() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}
