//! From environment variables to a [`Config`], or to the list of all problems.
//!
//! Order matters: names first, then each value by itself, then the rules over values that are valid
//! by themselves, so that each mistake is reported once.

use std::ffi::OsStr;

use super::problem::{Problem, Shown};
use super::values::{LogFilter, LogFormat, ProxyProtocol};
use super::variable::Variable;
use super::{BayeuxTrust, Config, SockjsConfig, TcpConfig, rules, table};
use crate::base::spelling::distance;
use crate::base::ticks::Span;

/// A configuration and the source of each value.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The values.
    pub config: Config,
    /// One for each variable, in the table's order.
    pub settings: Vec<Setting>,
}

/// One variable and its value.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its row of the table.
    pub variable: &'static Variable,
    /// Its value as it may be shown: `(hidden)` for a secret, `(unset)` for none.
    pub text: String,
    /// The source of the value.
    pub source: Source,
}

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The variable is unset.
    Default,
    /// The environment.
    Environment,
}

/// Reads the configuration from environment variables. Ignores names without `ENCKE_` and those
/// that Kubernetes derives from a service called `encke`.
///
/// # Errors
/// All problems at once, in a stable order: unknown names, bad values, combinations that cannot
/// work.
pub fn read<N, V>(vars: impl IntoIterator<Item = (N, V)>) -> Result<Effective, Vec<Problem>>
where
    N: AsRef<OsStr>,
    V: AsRef<OsStr>,
{
    let given = GivenVariables::sort(vars);
    let mut problems = given.unknown();
    let mut config = defaults();
    let mut bad = Vec::new();
    for (variable, value) in &given.known {
        if let Err(problem) = place(variable, value.as_deref(), &mut config) {
            problems.push(problem);
            bad.push(variable.name);
        }
    }
    problems.extend(rules::broken(&config, &bad).map(|rule| Problem::Clash {
        sentence: rule.sentence,
        values: rule.names.iter().filter_map(|name| given.shown(name)).collect(),
    }));
    if problems.is_empty() {
        config.find_place();
        Ok(Effective { config, settings: table::all().map(|variable| given.setting(variable)).collect() })
    } else {
        Err(problems)
    }
}

/// The configuration of an empty environment.
pub(super) fn defaults() -> Config {
    let mut config = blank();
    for variable in table::all() {
        let placed = variable.default.map_or(Ok(()), |text| variable.place(&mut config, text));
        // A default that its own row refuses is a mistake in the table; the tests read every row.
        debug_assert_eq!(placed, Ok(()), "{}", variable.name);
    }
    config
}

/// The variables with our prefix.
struct GivenVariables {
    /// In the table's order. The value is `None` when it is not UTF-8.
    known: Vec<(&'static Variable, Option<String>)>,
    /// Sorted, so that the same environment always makes the same message.
    unknown: Vec<String>,
}

impl GivenVariables {
    fn sort<N: AsRef<OsStr>, V: AsRef<OsStr>>(vars: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        for (name, value) in vars {
            let name = name.as_ref().to_string_lossy();
            if !name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)) {
                continue;
            }
            if let Some(variable) = table::find(&name) {
                let text = value.as_ref().to_str();
                // White space is part of a secret, or a mistake that must be reported.
                let keeps = |text: &&str| variable.is_secret() && !text.trim().is_empty();
                let text = text.map(|text| if keeps(&text) { text } else { text.trim() });
                found.push((name.into_owned(), text.map(str::to_owned)));
            } else if !is_service_link(&name, &value.as_ref().to_string_lossy()) {
                unknown.push(name.into_owned());
            }
        }
        unknown.sort();
        // If a name occurs twice, the last one wins, as in a shell.
        let value_of =
            |name: &str| found.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.clone());
        let known = table::all().filter_map(|variable| Some((variable, value_of(variable.name)?))).collect();
        Self { known, unknown }
    }

    fn unknown(&self) -> Vec<Problem> {
        let problem = |name: &String| Problem::Unknown { name: name.clone(), nearest: nearest(name) };
        self.unknown.iter().map(problem).collect()
    }

    fn setting(&self, variable: &'static Variable) -> Setting {
        let given = self.known.iter().find(|(known, _)| known.name == variable.name);
        match given {
            None => Setting { variable, text: variable.default_text().to_owned(), source: Source::Default },
            Some((_, value)) => {
                let text = value.as_deref().unwrap_or_default();
                let text = if text.is_empty() { "(empty)".to_owned() } else { variable.shown(text) };
                Setting { variable, text, source: Source::Environment }
            }
        }
    }

    fn shown(&self, name: &str) -> Option<Shown> {
        let setting = self.setting(table::find(name)?);
        let is_default = setting.source == Source::Default;
        Some(Shown { name: setting.variable.name, text: setting.text, is_default })
    }
}

fn place(variable: &Variable, value: Option<&str>, config: &mut Config) -> Result<(), Problem> {
    let placed = match value {
        None => Err("not UTF-8".to_owned()),
        // An empty secret is usually one that was not filled in; reading it as unset would open the
        // node.
        Some("") if variable.default != Some("") => Err("set, but empty".to_owned()),
        Some(text) => variable.place(config, text),
    };
    placed.map_err(|reason| Problem::Bad {
        name: variable.name,
        value: value.filter(|_| !variable.is_secret()).map(|text| variable.shown(text)),
        reason,
        allowed: variable.allowed(),
    })
}

/// Whether Kubernetes derives this name from a service called `encke` or `encke-…`. It puts these
/// into every container of the namespace, and refusing them would stop every node of such a
/// cluster.
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
fn is_service_link(name: &str, value: &str) -> bool {
    let has_scheme = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_port = |(_, rest): (&str, &str)| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(is_number)
            && parts.next().is_some_and(|p| ["TCP", "UDP", "SCTP"].contains(&p))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && has_scheme)
        || name.rsplit_once("_PORT_").is_some_and(is_port)
}

/// The known name at the least edit distance.
fn nearest(name: &str) -> &'static str {
    let name = name.to_ascii_uppercase();
    table::all().map(|variable| variable.name).min_by_key(|known| distance(&name, known)).unwrap_or(PREFIX)
}

/// A configuration with nothing set; [`defaults`] fills it from the table.
#[expect(clippy::too_many_lines, reason = "a line for each variable")]
fn blank() -> Config {
    Config {
        listen: Vec::new(),
        api_listen: Vec::new(),
        xmlsocket_listen: Vec::new(),
        proxy_protocol: ProxyProtocol::Off,
        api_proxy_protocol: ProxyProtocol::Off,
        shards: None,
        nodes: Vec::new(),
        node: None,
        guest_stay: Span::ZERO,
        place: None,
        api_key: None,
        token_key: None,
        auth: None,
        token_keys_url: None,
        token_keys_period: Span::ZERO,
        token_audiences: None,
        token_issuer: None,
        origins: Vec::new(),
        hosts: Vec::new(),
        service_hook: None,
        policy_hook: None,
        hook_timeout: Span::ZERO,
        hook_concurrency: 0,
        hook_queue: 0,
        poll_hold: Span::ZERO,
        bayeux_trust: BayeuxTrust::Credentials,
        sockjs: SockjsConfig {
            disconnect: Span::ZERO,
            response_bytes: 0,
            client: None,
            websocket: false,
            cookie: false,
            test: false,
        },
        tcp: TcpConfig {
            targets: Vec::new(),
            allow: Vec::new(),
            webirc_password: None,
            connect_timeout: Span::ZERO,
            window: 0,
            streams: 0,
            user_streams: 0,
            address_streams: None,
            node_streams: 0,
            half_closed: Span::ZERO,
            ended_kept: Span::ZERO,
        },
        pipe_hook: None,
        hook_key: None,
        bayeux_first_visit: Span::ZERO,
        bayeux_socket_within: Span::ZERO,
        gzip: false,
        poll_min: Span::ZERO,
        poll_max: Span::ZERO,
        recycle_bytes: None,
        recycle_after: None,
        recycle_patience: Span::ZERO,
        contest_within: Span::ZERO,
        bayeux_contest_within: Span::ZERO,
        api_key_delay: Span::ZERO,
        session_grace: Span::ZERO,
        heartbeat: Span::ZERO,
        drain: Span::ZERO,
        lame_duck: None,
        admit: 0,
        sessions: 0,
        sessions_per_user: 0,
        sessions_per_browser: 0,
        sessions_per_address: None,
        subscriptions: 0,
        connections: None,
        api_reserve: 0,
        silent_per_address: 0,
        head_bytes: 0,
        headers: 0,
        body_bytes: 0,
        message_bytes: 0,
        json_depth: 0,
        batch: 0,
        head_timeout: Span::ZERO,
        body_timeout: Span::ZERO,
        input_memory: 0,
        idle_timeout: Span::ZERO,
        write_timeout: Span::ZERO,
        channels: 0,
        user_channels: 0,
        channel_messages: 0,
        channel_bytes: 0,
        channel_age: Span::ZERO,
        memory: 0,
        outbox_bytes: 0,
        publish_keys: 0,
        mailbox: 0,
        backlog: 0,
        tcp_nodelay: false,
        tcp_user_timeout: None,
        tcp_notsent_lowat: None,
        tcp_keepalive: None,
        send_buffer: None,
        log_level: LogFilter { rules: Vec::new() },
        log_format: LogFormat::Text,
    }
}

const PREFIX: &str = "ENCKE_";
