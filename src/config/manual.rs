//! The table as a manual page: `packaging/encke.8`, in mdoc.
//!
//! Only renders, as `document` does; what is said of a variable comes from its row.

use std::fmt::Write as _;

use super::variable::{Group, Variable};
use super::{rules, table};

/// The manual page `encke(8)`.
pub fn manual() -> String {
    let mut page = HEAD.to_owned();
    for group in Group::ALL {
        let _ = writeln!(page, ".Ss {}\n.Bl -tag -width Ds", escaped(group.title()));
        for variable in table::rows(group) {
            entry(&mut page, variable);
        }
        page.push_str(".El\n");
    }
    page.push_str(RULES_HEAD);
    for rule in rules::RULES {
        let _ = writeln!(page, ".It\n{}", text(rule.sentence));
    }
    page.push_str(TAIL);
    page
}

fn entry(page: &mut String, variable: &Variable) {
    let summary = text(variable.summary);
    let (default, allowed) = (text(variable.default_text()), text(&variable.allowed()));
    let details = text(variable.details);
    let _ = writeln!(
        page,
        ".It Ev {}\nIn short: {summary}.\nDefault: {default}.\nAllowed: {allowed}.\n.Pp\n{details}",
        variable.name
    );
}

/// Running text: code between backticks becomes bold, each sentence begins a line (mdoc wants it),
/// and no line is taken for a macro.
fn text(words: &str) -> String {
    let mut made = String::with_capacity(words.len() + 16);
    for (index, part) in escaped(words).split('`').enumerate() {
        if index > 0 {
            made.push_str(if index % 2 == 1 { r"\fB" } else { r"\fR" });
        }
        made.push_str(part);
    }
    let lines: Vec<String> = made.replace(". ", ".\n").lines().map(line).collect();
    lines.join("\n")
}

fn line(words: &str) -> String {
    if words.starts_with(['.', '\'']) { format!(r"\&{words}") } else { words.to_owned() }
}

/// A backslash begins an escape, and a hyphen would become a dash that cannot be pasted.
fn escaped(words: &str) -> String {
    words.replace('\\', r"\e").replace('-', r"\-").replace('…', r"\&...")
}

const HEAD: &str = r#".\" Made from src/config/table by `UPDATE=1 cargo test --test config`. Edit there.
.Dd November 29, 2026
.Dt ENCKE 8
.Os
.Sh NAME
.Nm encke
.Nd Comet server that pushes messages to browsers
.Sh SYNOPSIS
.Nm
.Nm
.Cm check
.Nm
.Cm token
.Fl \-user Ar user
.Op Fl \-channel Ar pattern Ns = Ns Ar access
.Op Fl \-for Ar duration
.Nm
.Cm place
.Ar user
.Nm
.Cm places
.Ar form
.Nm
.Fl \-help | \-version
.Sh DESCRIPTION
.Nm
holds one long\-lived connection to each browser and pushes messages over it as soon as a backend publishes them.
Without arguments it runs in the foreground until a signal ends it.
.Pp
The commands are:
.Bl -tag -width Ds
.It Cm check
Print the configuration and the source of each value, or all of its problems.
.It Cm token
Print a token for development, signed with the secret in
.Ev ENCKE_TOKEN_KEY .
Each
.Fl \-channel
allows a channel or pattern:
.Ar access
is r, w or rw.
The token is valid for an hour, or for
.Ar duration .
.It Cm place
Print the slot of
.Ar user
and the nodes in
.Ev ENCKE_NODES
that serve it: the home, and the deputy while the home is away.
.It Cm places
Print this for all slots.
.Ar form
is haproxy-home, haproxy-deputy, nginx-home, nginx-deputy or json.
.It Fl \-help , h
Print all variables in short.
.It Fl \-version , V
Print the version.
.El
.Sh SIGNALS
.Bl -tag -width Ds
.It Dv TERM , INT
Drain: fail health checks for
.Ev ENCKE_LAME_DUCK ,
then send clients away, spread over
.Ev ENCKE_DRAIN ,
and exit.
A second signal ends the node at once.
.It Dv HUP
Reread the key file of
.Ev ENCKE_TOKEN_KEY ,
or fetch the keys of
.Ev ENCKE_TOKEN_KEYS_URL
again.
.El
.Sh ENVIRONMENT
Only environment variables configure the node.
A duration is one whole number and one unit (500ms, 25s, 2m, 1h), and so is a size (512B, 64KiB, 1MiB, 2GiB).
An unknown name that begins with ENCKE_ stops the start, and so does a value that is not allowed.
.Pp
Under systemd the node also reads
.Ev NOTIFY_SOCKET
and
.Ev WATCHDOG_USEC ,
by which it tells that it is ready, that it drains and that all shards run, and
.Ev LISTEN_FDS :
a socket that was passed takes the place of one that the node would bind at the same address.
"#;

const RULES_HEAD: &str = "\
.Ss Combinations that are refused
.Bl -bullet
";

const TAIL: &str = "\
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa /etc/encke/encke.env
The environment of the service, one NAME=value in each line.
.It Pa /run/encke/api.sock
The private listener of the service, for members of the group encke.
.El
.Sh EXIT STATUS
.Bl -tag -width Ds
.It 0
The node has drained, or the command has succeeded.
.It 1
The node has failed, or a second signal has ended it.
.It 2
The arguments or the configuration are wrong; another start would fail again.
.El
.Sh EXAMPLES
Run a node for this machine alone, and publish to a user:
.Bd -literal -offset indent
encke &
curl \\-d 'hello' http://127.0.0.1:8081/u/alice/publish
.Ed
";
