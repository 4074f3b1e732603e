//! The `encke` program: arguments and environment in, exit status out. Everything else is the library's.
#![forbid(unsafe_code)]

mod cli;
mod logging;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os().skip(1), std::env::vars_os())
}
