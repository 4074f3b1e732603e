//! The `encke` program: arguments and environment in, exit status out. Everything else is the
//! library's.
#![forbid(unsafe_code)]
#![warn(clippy::allow_attributes_without_reason)]
#![warn(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod cli;
mod logging;

use std::process::ExitCode;

/// Returns free memory to the system, from a thread of its own; `.cargo/config.toml` sets the
/// delay. Elsewhere than on Linux the system's own serves.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os().skip(1), std::env::vars_os())
}
