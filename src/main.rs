//! The `encke` program: arguments and environment in, exit status out. Everything else is the
//! library's.
#![forbid(unsafe_code)]

mod cli;
mod logging;

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Returns free memory to the system, from a thread of its own; `.cargo/config.toml` sets the
/// delay.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os().skip(1), std::env::vars_os())
}
