//! Puts many clients on an Encke server, publishes to them, and counts what arrives.
//!
//! One thread and one poll hold all clients and the publisher, so a message's send and receive times come from one clock. The
//! server is measured from outside, by what the kernel says of its process (`--pid`). What a scenario found goes to the standard output as
//! a table, or as JSON with `--json`; judging the numbers is left to `scripts/bounds`.

#![expect(unreachable_pub, reason = "in a program all of them would be")]
#![allow(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]

mod board;
mod cli;
mod clock;
mod conn;
mod fleet;
mod http;
mod process;
mod publisher;
mod report;
mod scenario;
mod sse;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let plan = match cli::Plan::parse(&arguments) {
        Ok(plan) => plan,
        Err(complaint) => {
            eprintln!("{complaint}\n\n{}", cli::USAGE);
            return ExitCode::from(2);
        }
    };
    match scenario::run(&plan) {
        Ok(report) => {
            print!("{}", if plan.json { report.json() } else { report.table() });
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("encke-loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}
