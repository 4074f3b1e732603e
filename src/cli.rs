//! The program's arguments: run, check, place, places, token, help, version.
//!
//! Arguments only choose; every setting is an environment variable. Results go to standard output,
//! errors and the log to standard error. Exit status: 0 success, 1 the node failed, 2 the arguments
//! or the configuration are wrong.

mod advice;
mod place;
mod token;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use encke::config::{self, Effective, Problem, Source};
use log::{error, info};

use crate::logging;

/// Runs the command in `args` (without the program's name), with the configuration in `vars`.
pub(crate) fn run(
    args: impl Iterator<Item = OsString>,
    vars: impl Iterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    match CliCommand::read(&args) {
        Ok(CliCommand::Serve) => with_config(vars, serve),
        Ok(CliCommand::Check) => with_config(vars, check),
        Ok(CliCommand::Token(wanted)) => with_config(vars, |effective| {
            wanted
                .issue(&effective.config)
                .map_or_else(|reason| complain(&reason), |token| print(&format!("{token}\n")))
        }),
        Ok(CliCommand::Place(wanted)) => with_config(vars, |effective| {
            wanted.text(&effective.config).map_or_else(|reason| complain(&reason), |text| print(&text))
        }),
        Ok(CliCommand::Help) => print(&config::help()),
        Ok(CliCommand::Version) => print(&format!("encke {}\n", env!("CARGO_PKG_VERSION"))),
        Err(complaint) => complain(&complaint),
    }
}

/// The requested command.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CliCommand {
    Serve,
    Check,
    Token(token::TokenArguments),
    Place(place::PlaceArguments),
    Help,
    Version,
}

impl CliCommand {
    fn read(args: &[OsString]) -> Result<Self, String> {
        let unadvised = |complaint: String| match advice::for_arguments(args) {
            Some(advice) => Err(format!("{advice}\n{ALLOWED}; `encke --help` lists all variables")),
            None => Err(complaint),
        };
        match args {
            [] => Ok(Self::Serve),
            [first, rest @ ..] if first == "token" => token::TokenArguments::read(rest).map(Self::Token),
            [first, rest @ ..] if first == "place" => place::PlaceArguments::read_user(rest).map(Self::Place),
            [first, rest @ ..] if first == "places" => {
                place::PlaceArguments::read_table(rest).map(Self::Place)
            }
            [only] => match only.to_str() {
                Some("check") => Ok(Self::Check),
                Some("--help" | "-h" | "help") => Ok(Self::Help),
                Some("--version" | "-V") => Ok(Self::Version),
                Some(_) | None => {
                    unadvised(format!("unknown argument {:?}; {ALLOWED}", only.to_string_lossy()))
                }
            },
            [_, second, ..] => unadvised(format!(
                "at most one argument is allowed, and {:?} is another; {ALLOWED}",
                second.to_string_lossy()
            )),
        }
    }
}

fn with_config<N: AsRef<OsStr>, V: AsRef<OsStr>>(
    vars: impl Iterator<Item = (N, V)>,
    then: impl FnOnce(&Effective) -> ExitCode,
) -> ExitCode {
    match config::read(vars) {
        Ok(effective) => then(&effective),
        Err(problems) => complain(&listed(&problems)),
    }
}

/// Prints the configuration, or all of its problems.
fn check(effective: &Effective) -> ExitCode {
    match encke::server::check(&effective.config) {
        Ok(found) => {
            let found = found.map(|found| format!("\n{found}\n")).unwrap_or_default();
            print(&format!("{}{found}", config::report(effective)))
        }
        Err(fault) => complain(&format!("the configuration has a problem:\n  {fault}")),
    }
}

/// Runs the node until it has stopped.
fn serve(effective: &Effective) -> ExitCode {
    let log_dropped = match logging::start(&effective.config) {
        Ok(dropped) => dropped,
        Err(fault) => {
            eprintln!("encke: cannot start the log: {fault}");
            return ExitCode::FAILURE;
        }
    };
    announce(effective);
    let ended = match encke::server::run(effective.config.clone(), log_dropped) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            error!("{fault}");
            ExitCode::FAILURE
        }
    };
    log::logger().flush();
    ended
}

/// One line for the start and one for each value that is not the default: the log alone shows a
/// node's configuration.
fn announce(effective: &Effective) {
    info!("encke {} starts", env!("CARGO_PKG_VERSION"));
    for setting in &effective.settings {
        if setting.source == Source::Environment {
            info!("{}={}", setting.variable.name, setting.text);
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    let mut list = match problems.len() {
        1 => "the configuration has a problem:".to_owned(),
        n => format!("the configuration has {n} problems:"),
    };
    for problem in problems {
        let _ = write!(list, "\n  {problem}");
    }
    list.push_str("\n`encke --help` lists all variables");
    list
}

fn print(text: &str) -> ExitCode {
    // A reader that has seen enough (`encke --help | head`) is no failure of ours.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(text: &str) -> ExitCode {
    eprintln!("encke: {text}");
    ExitCode::from(EXIT_USAGE)
}

/// The arguments or the configuration are wrong: a restart without a change would fail again.
const EXIT_USAGE: u8 = 2;

const ALLOWED: &str =
    "allowed arguments: none (run), check, place, places, token, --help (-h), --version (-V)";

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(args: &[&str]) -> Result<CliCommand, String> {
        CliCommand::read(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn each_spelling_asks_for_its_own() {
        assert_eq!(asked(&[]), Ok(CliCommand::Serve));
        assert_eq!(asked(&["check"]), Ok(CliCommand::Check));
        for (long, short, what) in
            [("--help", "-h", CliCommand::Help), ("--version", "-V", CliCommand::Version)]
        {
            assert_eq!(asked(&[long]).as_ref(), Ok(&what));
            assert_eq!(asked(&[short]), Ok(what));
        }
    }

    #[test]
    fn an_unknown_argument_is_answered_with_what_is_allowed() {
        for args in [&["surf"][..], &["--frob=80"], &[""], &["check", "now"], &["-hV"]] {
            let complaint = asked(args).unwrap_err();
            assert!(
                complaint.contains("check, place, places, token, --help (-h), --version (-V)"),
                "{complaint}"
            );
        }
    }

    #[test]
    fn a_list_of_problems_counts_them() {
        let problems = config::read([("ENCKE_A", ""), ("ENCKE_B", "")]).unwrap_err();
        assert!(listed(&problems).starts_with("the configuration has 2 problems:\n  ENCKE_A: "));
        assert!(listed(&problems[..1]).starts_with("the configuration has a problem:\n  ENCKE_A: "));
    }
}
