//! The floor to which fan-out is compared: a thread (or some) that writes a chunk to each of many
//! loopback sockets, and nothing else. No server that writes once for each delivery can be cheaper
//! on the same machine.
//!
//! `serve` is a small HTTP server, which the load test drives like the others; `self` starts its
//! own readers and prints the writer's CPU time for a million writes. There are no sessions, no
//! logs, no timers and no backpressure: a socket that does not accept a whole chunk is counted, and
//! invalidates the run as a floor.
#![forbid(unsafe_code)]

mod audience;
mod cli;
mod measure;
mod reader;
mod request;
mod serve;

use std::process::ExitCode;

use cli::Task;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = match Task::parse(&arguments) {
        Ok(task) => task,
        Err(problem) => {
            eprintln!("encke-limit: {problem}\n\n{}", cli::USAGE);
            return ExitCode::from(2);
        }
    };
    // Ten thousand sockets are far above the usual soft limit. If it cannot be raised, accepting
    // reports the error.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let done = match task {
        Task::Help => {
            println!("{}", cli::USAGE);
            Ok(true)
        }
        Task::Serve(plan) => serve::run(&plan).map(|()| true),
        Task::Measure(plan) => measure::run(&plan),
        Task::Read(plan) => reader::run(&plan).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("encke-limit: {error}");
            ExitCode::from(2)
        }
    }
}
