//! The table as text: `encke --help`, `docs/CONFIG.md`, and the list that `encke check` prints.
//!
//! Only renders: every text about a variable comes from its row, so that none of the three can be
//! out of date.

use std::fmt::Write as _;

use super::problem::printable;
use super::read::{Effective, Source};
use super::variable::Group;
use super::{rules, table};

/// The output of `encke --help`.
pub fn help() -> String {
    let mut page =
        format!("encke {}\n{}\n\n{USAGE}", env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"));
    for group in Group::ALL {
        let _ = writeln!(page, "\n{}", group.title());
        for variable in table::rows(group) {
            let (name, default) = (variable.name, variable.default_text());
            let _ = writeln!(page, "  {name:NAME_WIDTH$}  {default:DEFAULT_WIDTH$}  {}", variable.summary);
        }
    }
    page
}

/// The page `docs/CONFIG.md`.
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for group in Group::ALL {
        let _ = write!(page, "\n## {}\n\n{TABLE_HEAD}", group.title());
        for variable in table::rows(group) {
            let default = match variable.default {
                None | Some("") => variable.default_text().to_owned(),
                Some(text) => format!("`{text}`"),
            };
            let (name, allowed, summary) = (variable.name, escaped(&variable.allowed()), variable.summary);
            let _ = writeln!(page, "| `{name}` | {default} | {allowed} | {summary} |");
        }
        page.push('\n');
        for variable in table::rows(group) {
            let _ = writeln!(page, "- **`{}`** {}", variable.name, variable.details);
        }
    }
    page.push_str(RULES_HEAD);
    for rule in rules::RULES {
        let _ = writeln!(page, "- {}.", rule.sentence);
    }
    page
}

/// The output of `encke check` for a configuration without problems.
pub fn report(effective: &Effective) -> String {
    let mut page = String::new();
    let width = effective.settings.iter().map(|setting| setting.text.chars().count()).max().unwrap_or(0);
    // A long list must not push the sources out of sight.
    let width = width.min(VALUE_WIDTH_MAX);
    for group in Group::ALL {
        let _ = writeln!(page, "{}{}", if page.is_empty() { "" } else { "\n" }, group.title());
        let of_group = |name| table::rows(group).iter().any(|variable| variable.name == name);
        for setting in effective.settings.iter().filter(|setting| of_group(setting.variable.name)) {
            let source = match setting.source {
                Source::Default => "default",
                Source::Environment => "environment",
            };
            let (name, text) = (setting.variable.name, printable(&setting.text));
            let _ = writeln!(page, "  {name:NAME_WIDTH$}  {text:width$}  {source}");
        }
    }
    page
}

/// `*` would start emphasis in a table's cell.
fn escaped(cell: &str) -> String {
    cell.replace('*', "\\*")
}

const NAME_WIDTH: usize = 23;
const DEFAULT_WIDTH: usize = 14;
const VALUE_WIDTH_MAX: usize = 48;

const USAGE: &str = "\
Usage
  encke                    run, with the environment variables below
  encke check              print the configuration, or all of its problems
  encke token --user USER [--channel PATTERN=r|w|rw]... [--for 1h]
                           print a token for development, signed with ENCKE_TOKEN_KEY
  encke place USER         print the slot, home and deputy of a user, by ENCKE_NODES
  encke places FORM        print the table of places: haproxy-home, haproxy-deputy, nginx-home,
                           nginx-deputy or json
  encke --help, -h         print this
  encke --version, -V      print the version

Every variable has a default. Durations have a unit (500ms, 25s, 2m, 1h), and so do sizes
(512B, 64KiB, 1MiB, 2GiB). docs/CONFIG.md explains each variable, its range, and its behaviour at
the bound.
";

const INTRODUCTION: &str = "\
<!-- Made from src/config/table by `UPDATE=1 cargo test --test config`. Edit there. -->
# Configuration

Encke is configured by environment variables, all of which begin with `ENCKE_`. All are optional: without any,
the node serves only this machine. `encke check` prints the configuration and the source of each value (exit
status 0), or all of its problems (exit status 2), including key files that cannot be used. It never shows
secrets or the queries of URLs.

- A duration is one whole number and one unit: `500ms`, `25s`, `2m`, `1h`. No fractions, no sums.
- A size is one whole number and one unit: `512B`, `64KiB`, `1MiB`, `2GiB`.
- A plain number may have grouped digits: `1_000_000`.
- White space around a value is trimmed; around a secret it is an error, since it may be part of the secret. An
  empty value is an error (except for `ENCKE_ORIGINS` and `ENCKE_HOSTS`), since it is usually a secret that was not
  filled in; unset the variable to get the default.
- An unknown name that begins with `ENCKE_` stops the start, and so does a value out of range. All problems are
  reported at once. Names that Kubernetes derives from a service called `encke` (`ENCKE_SERVICE_HOST`,
  `ENCKE_PORT_8080_TCP`, …) are ignored.
- A bound for the node is split evenly between its shards, rounded up.
- A message log holds a channel's recent messages, from which clients are caught up. `ENCKE_LOG_…` configures the
  node's own log.
";

const TABLE_HEAD: &str = "| variable | default | allowed | meaning |\n|---|---|---|---|\n";

const RULES_HEAD: &str = "
## Combinations that are refused

Values that are valid by themselves may contradict each other. A configuration that breaks one of these rules does
not start:

";
