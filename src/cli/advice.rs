//! Advice for arguments that other servers accept.
//!
//! Only environment variables configure the node. The answer to `--port 9000` is the variable with
//! its value. Unknown arguments get no advice. A secret is not repeated.

use std::ffi::OsString;

use encke::config;

/// The meaning of the arguments, as far as known.
#[derive(Default)]
struct Meant {
    host: Option<String>,
    port: Option<String>,
    /// Assignments, ready to be typed.
    set: Vec<String>,
    /// Advice that is not an assignment.
    notes: Vec<&'static str>,
}

/// The advice, if there is one for all of the arguments.
pub(super) fn for_arguments(args: &[OsString]) -> Option<String> {
    let mut words: Vec<&str> = args.iter().map(|arg| arg.to_str()).collect::<Option<_>>()?;
    words.reverse();
    let mut meant = Meant::default();
    while let Some(word) = words.pop() {
        meant.take(word, &mut words)?;
    }
    Some(meant.sentence())
}

impl Meant {
    /// Interprets one argument, with its value, which may be the next. The rest is in reverse
    /// order.
    fn take(&mut self, word: &str, rest: &mut Vec<&str>) -> Option<()> {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with('-') => (flag, Some(value)),
            Some((name, _)) if name.starts_with("ENCKE_") => {
                self.set.push(assignment(word)?);
                return Some(());
            }
            Some(_) | None => split_short(word),
        };
        let Some(name) = flag.strip_prefix("--").or_else(|| flag.strip_prefix('-')) else {
            return self.take_bare(word);
        };
        let name = name.to_ascii_lowercase().replace('_', "-");
        match name.as_str() {
            "verbose" | "v" | "debug" => self.set.push("ENCKE_LOG_LEVEL=debug".to_owned()),
            "quiet" | "q" => self.set.push("ENCKE_LOG_LEVEL=warn".to_owned()),
            "daemon" | "daemonize" | "d" | "background" => {
                self.notes
                    .push("the node stays in the foreground; a supervisor such as systemd keeps it running");
            }
            "foreground" | "f" => self.notes.push("the node always stays in the foreground"),
            name => {
                let value = inline.or_else(|| rest.pop_if(|next| !next.starts_with("--")));
                return self.take_setting(name, value);
            }
        }
        Some(())
    }

    fn take_setting(&mut self, name: &str, value: Option<&str>) -> Option<()> {
        match name {
            "port" | "p" | "http-port" => self.port = Some(value.unwrap_or("PORT").to_owned()),
            "host" | "h" | "bind" | "b" | "address" | "addr" | "a" | "ip" | "interface" | "hostname"
            | "listen-address" | "l" | "listen" => self.listen(value.unwrap_or("ADDRESS:PORT")),
            "config" | "c" | "config-file" | "conf" | "configuration" => {
                self.notes.push(
                    "there is no configuration file; a file of lines ENCKE_NAME=value is read by the shell (set -a; . \
                     FILE; set +a) or by systemd (EnvironmentFile=)",
                );
            }
            "workers" | "threads" | "w" | "t" | "cores" => self.put("ENCKE_SHARDS", value),
            "admin" | "admin-port" | "admin-address" | "api" | "api-port" | "metrics-port" => {
                let address =
                    value.map(
                        |value| if is_port(value) { format!("127.0.0.1:{value}") } else { value.to_owned() },
                    );
                self.put("ENCKE_API_LISTEN", address.as_deref());
            }
            "unix" | "socket" | "unix-socket" => {
                self.put("ENCKE_API_LISTEN", Some(&format!("unix:{}", value.unwrap_or("PATH"))));
            }
            "cors" | "origin" | "allow-origin" => self.put("ENCKE_ORIGINS", value),
            "secret" | "jwt-secret" | "token" => self.put("ENCKE_TOKEN_KEY", value),
            "log" => self.put("ENCKE_LOG_LEVEL", value),
            name => {
                let variable = format!(
                    "ENCKE_{}",
                    name.trim_start_matches("encke-").to_ascii_uppercase().replace('-', "_")
                );
                config::variable(&variable)?;
                self.put(&variable, value);
            }
        }
        Some(())
    }

    /// A word without a dash.
    fn take_bare(&mut self, word: &str) -> Option<()> {
        match word {
            "serve" | "server" | "start" | "run" | "up" => {
                self.notes.push("`encke` without arguments runs the node");
            }
            "stop" | "reload" | "restart" => {
                self.notes.push("use signals for a running node: TERM drains it, HUP rereads its keys");
            }
            "test" | "configtest" | "validate" => {
                self.notes.push("`encke check` validates the configuration");
            }
            port if is_port(port) => self.port = Some(port.to_owned()),
            address if address.parse::<std::net::SocketAddr>().is_ok() => self.listen(address),
            _ => return None,
        }
        Some(())
    }

    /// An address with or without a port; a port alone may begin with a colon.
    fn listen(&mut self, value: &str) {
        match value.rsplit_once(':') {
            Some(("", port)) => self.port = Some(port.to_owned()),
            Some((host, port)) if !host.contains(':') || host.starts_with('[') => {
                (self.host, self.port) = (Some(host.to_owned()), Some(port.to_owned()));
            }
            Some(_) => self.host = Some(format!("[{value}]")),
            None if is_port(value) => self.port = Some(value.to_owned()),
            None => self.host = Some(value.to_owned()),
        }
    }

    fn put(&mut self, variable: &str, value: Option<&str>) {
        let is_secret = config::variable(variable).is_some_and(config::Variable::is_secret);
        let value = value.filter(|_| !is_secret).unwrap_or("…");
        self.set.push(format!("{variable}={value}"));
    }

    fn sentence(mut self) -> String {
        if self.host.is_some() || self.port.is_some() {
            let host = match self.host.as_deref() {
                None | Some("localhost") => "127.0.0.1",
                Some(host) => host,
            };
            let listen = format!("ENCKE_LISTEN={host}:{}", self.port.as_deref().unwrap_or("8080"));
            self.set.insert(0, listen);
        }
        let mut parts = Vec::new();
        if !self.set.is_empty() {
            let typed: Vec<String> = self.set.iter().map(|set| shell_quoted(set)).collect();
            parts.push(format!("settings are environment variables: {} encke", typed.join(" ")));
        }
        self.notes.dedup();
        parts.extend(self.notes.iter().map(|note| (*note).to_owned()));
        parts.join("; ")
    }
}

/// `-p9000` as `-p` and `9000`; anything else as it is.
fn split_short(word: &str) -> (&str, Option<&str>) {
    match word.split_at_checked(2) {
        Some((flag, value)) if flag.starts_with('-') && flag != "--" && is_port(value) => (flag, Some(value)),
        Some(_) | None => (word, None),
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// An assignment in the arguments, if the variable exists.
fn assignment(word: &str) -> Option<String> {
    let (name, _) = word.split_once('=')?;
    let is_secret = config::variable(name)?.is_secret();
    Some(if is_secret { format!("{name}=…") } else { word.to_owned() })
}

/// Quoted for a shell.
fn shell_quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_=:./,-+@%[]…*".contains(c);
    if text.chars().all(is_plain) && !text.contains('*') {
        return text.to_owned();
    }
    let (name, value) = text.split_once('=').unwrap_or(("", text));
    format!("{name}='{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(args: &[&str]) -> Option<String> {
        for_arguments(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_of_other_servers_are_answered_with_the_variable_and_the_value() {
        for (args, says) in [
            (&["--port", "9000"][..], "ENCKE_LISTEN=127.0.0.1:9000 encke"),
            (&["--port=9000"], "ENCKE_LISTEN=127.0.0.1:9000 encke"),
            (&["-p", "9000"], "ENCKE_LISTEN=127.0.0.1:9000 encke"),
            (&["-p9000"], "ENCKE_LISTEN=127.0.0.1:9000 encke"),
            (&["9000"], "ENCKE_LISTEN=127.0.0.1:9000 encke"),
            (&["--host", "0.0.0.0"], "ENCKE_LISTEN=0.0.0.0:8080 encke"),
            (&["--host", "0.0.0.0", "--port", "80"], "ENCKE_LISTEN=0.0.0.0:80 encke"),
            (&["-p", "80", "-b", "::1"], "ENCKE_LISTEN=[::1]:80 encke"),
            (&["--host", "localhost"], "ENCKE_LISTEN=127.0.0.1:8080 encke"),
            (&["--listen", ":9000"], "ENCKE_LISTEN=127.0.0.1:9000 encke"),
            (&["--listen", "[::]:9000"], "ENCKE_LISTEN=[::]:9000 encke"),
            (&["--listen", "*:9000"], "ENCKE_LISTEN='*:9000' encke"),
            (&["127.0.0.1:7000"], "ENCKE_LISTEN=127.0.0.1:7000 encke"),
            (&["--api-listen", "127.0.0.1:9001"], "ENCKE_API_LISTEN=127.0.0.1:9001 encke"),
            (&["--poll_hold=25s"], "ENCKE_POLL_HOLD=25s encke"),
            (&["--encke-heartbeat", "10s"], "ENCKE_HEARTBEAT=10s encke"),
            (&["--workers", "4", "--log-level", "debug"], "ENCKE_SHARDS=4 ENCKE_LOG_LEVEL=debug encke"),
            (&["ENCKE_DRAIN=5s"], "ENCKE_DRAIN=5s encke"),
            (&["-v"], "ENCKE_LOG_LEVEL=debug encke"),
            (&["--origin", "https://a.b; rm"], "ENCKE_ORIGINS='https://a.b; rm' encke"),
            (&["serve"], "`encke` without arguments runs the node"),
            (&["serve", "--port", "9000"], "ENCKE_LISTEN=127.0.0.1:9000 encke; `encke` without"),
            (&["--config", "encke.toml"], "there is no configuration file"),
            (&["-c", "encke.toml"], "there is no configuration file"),
            (&["stop"], "TERM drains it"),
        ] {
            let advice = advice(args).unwrap_or_else(|| panic!("{args:?}"));
            assert!(advice.contains(says), "{args:?}: {advice}");
        }
    }

    #[test]
    fn a_secret_is_not_repeated() {
        for args in [
            &["--api-key", "hush-hush-hush"][..],
            &["--token-key=hush-hush-hush"],
            &["ENCKE_API_KEY=hush-hush-hush"],
        ] {
            let advice = advice(args).unwrap();
            assert!(advice.contains("_KEY=… encke") && !advice.contains("hush"), "{advice}");
        }
    }

    #[test]
    fn what_resembles_nothing_gets_no_advice() {
        for args in
            [&["--frobnicate"][..], &[""], &["whatever"], &["--port", "9000", "whatever"], &["ENCKE_NOPE=1"]]
        {
            assert_eq!(advice(args), None, "{args:?}");
        }
    }
}
