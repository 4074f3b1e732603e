//! A run with every default filled in, checked, and addresses resolved.
//!
//! The report lists these options, so that the run can be repeated.

mod defaults;

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::{Options, Scenario};
use crate::plan::{Layout, PollEvery};
use crate::preset::{self, Name, Preset, Target};
use crate::stamp::{PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_SHORT, Padding, SHORT_CHANNELS, SHORT_SERIALS};
use crate::transport::Transport;
use crate::transport::ws::{self, Compression};

/// A run with every default filled in, checked, and addresses resolved.
///
/// The report lists these options, so that the run can be repeated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The scenario.
    pub scenario: Scenario,
    /// The server.
    pub name: Name,
    /// Its preset, with the replacements of the command line.
    pub preset: Preset,
    /// The clients' transport.
    pub transport: Transport,
    /// Whether messages are compressed.
    pub compression: Compression,
    /// Where clients connect.
    pub to: Listener,
    /// Where messages are published.
    pub api: Listener,
    /// The server's processes.
    pub pids: Vec<u32>,
    /// Number of clients.
    pub clients: u32,
    /// Number of worker processes.
    pub procs: u32,
    /// Connections a second.
    pub connect_rate: Option<f64>,
    /// The channels of the clients.
    pub layout: Layout,
    /// Between two polls.
    pub poll_every: PollEvery,
    /// The interface whose counters are read, if any.
    pub interface: Option<String>,
    /// Concurrent connections of a churn.
    pub concurrency: u32,
    /// All clients return within this time.
    pub within: Duration,
    /// Clients that do not read.
    pub stalled: u32,
    /// Clients that read slowly.
    pub slow_readers: u32,
    /// Messages a second; `None`: as fast as the server takes them.
    pub rate: Option<f64>,
    /// Duration of the measured phase, not counting what the server adds.
    pub span: Duration,
    /// Least bytes of a payload.
    pub bytes: usize,
    /// Most bytes of a payload.
    pub bytes_max: usize,
    /// Messages of a batch.
    pub batch: u32,
    /// The factor of a rising rate.
    pub growth: f64,
    /// The latency of one delivery in a hundred that ends a rising rate.
    pub until: Duration,
    /// The filling of a payload up to its length.
    pub padding: Padding,
    /// Messages of a burst, if the scenario uses bursts.
    pub burst: Option<u32>,
    /// Number of bursts.
    pub bursts: u32,
    /// Number of messages.
    pub messages: u32,
    /// Publishing connections.
    pub publishers: u32,
    /// Unanswered requests of each, at most.
    pub in_flight: u32,
    /// Pause between connecting and measuring.
    pub rest: Duration,
    /// Time without any arrival after which missing messages are given up.
    pub patience: Duration,
    /// Seed of all random choices.
    pub seed: u64,
    /// Whether progress is shown.
    pub quiet: bool,
    /// The options as the report lists them.
    pub reported: Map<String, Value>,
}

/// A listener: its name and its address.
#[derive(Clone, Debug)]
pub struct Listener {
    /// As in `Host`.
    pub host: String,
    /// Its first address.
    pub address: SocketAddr,
}

/// How long a listener may take to accept.
const REACH: Duration = Duration::from_secs(3);

impl Listener {
    /// Checks that a server accepts there. `option` is the command line's option for it.
    ///
    /// # Errors
    /// If none does, with advice.
    pub fn reach(&self, option: &str) -> io::Result<()> {
        let tried = TcpStream::connect_timeout(&self.address, REACH);
        tried.map(drop).map_err(|error| {
            let host = &self.host;
            io::Error::new(
                error.kind(),
                format!(
                    "no server answers at http://{host}/ ({error}): start a node with `cargo run --release`, or \
                     name where one listens with --{option}"
                ),
            )
        })
    }
}

impl Settings {
    /// Whether messages are published in this run.
    pub fn publishes(&self) -> bool {
        defaults::publishes(self.scenario)
    }

    /// Fills in what the command line leaves open.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    #[expect(clippy::too_many_lines, reason = "a line for each setting")]
    pub fn new(options: &Options) -> Result<Self, String> {
        let scenario = options.scenario;
        let transport = options.transport.unwrap_or(match scenario {
            Scenario::Longpoll => Transport::Longpoll,
            Scenario::Rooms => Transport::Ws,
            _ => Transport::Sse,
        });
        let target = if scenario == Scenario::Unicast { Target::User } else { Target::Channel };
        let mut preset = preset::find(options.preset, transport, target).ok_or_else(|| {
            format!("the preset {} has no transport {}", options.preset.text(), transport.text())
        })?;
        let (mut to, mut api) = (options.to.clone(), defaults::api(options));
        replace(&mut preset, options, &mut to, &mut api);
        defaults::fits(scenario, &preset)?;
        preset.subscribe.iter_mut().for_each(|ask| ask.headers.extend(options.header.iter().cloned()));
        let compression = compression(options, transport)?;
        if let (Transport::Ws, Some(ask)) = (transport, preset.subscribe.last_mut()) {
            ask.headers.extend(ws::headers(compression));
        }
        let clients = options.clients.unwrap_or(match scenario {
            Scenario::Longpoll => 5000,
            Scenario::Rooms => 1000,
            Scenario::Transports => 10,
            _ => 10_000,
        });
        let is_far = scenario == Scenario::Transports;
        let second = PollEvery::Fixed(Duration::from_secs(1));
        let batches = preset.publish.batch_max > 1;
        let (unicast, rooms) = (scenario == Scenario::Unicast, scenario == Scenario::Rooms);
        if rooms {
            preset.publish.batch_max = preset.publish.batch_max.min(options.batch as usize);
        }
        let bytes = options.bytes.unwrap_or(match scenario {
            Scenario::Transports => PAYLOAD_BYTES_SHORT,
            Scenario::Rooms => 50,
            _ => 100,
        });
        let mut settings = Self {
            scenario,
            name: options.preset,
            preset,
            transport,
            compression,
            to: Listener::find(&to)?,
            api: Listener::find(&api)?,
            pids: options.pid.clone(),
            clients,
            procs: options.procs,
            connect_rate: options.connect_rate,
            layout: defaults::layout(options, clients),
            poll_every: options.poll_every.unwrap_or(if is_far { PollEvery::Advised } else { second }),
            interface: options.interface.clone(),
            concurrency: options.concurrency,
            within: options.within,
            stalled: 0,
            slow_readers: 0,
            rate: options.rate.or(defaults::rate(scenario)),
            span: defaults::span(options)?,
            bytes,
            bytes_max: options.bytes_max.unwrap_or(if rooms { bytes.max(1000) } else { bytes }),
            batch: options.batch,
            growth: options.growth,
            until: options.until,
            padding: options.padding,
            burst: options.burst,
            bursts: options.bursts,
            messages: options.messages.unwrap_or(defaults::messages(options)?),
            publishers: options.publishers.unwrap_or(if unicast {
                8
            } else if rooms {
                100
            } else {
                1
            }),
            in_flight: options.in_flight.unwrap_or(if unicast {
                8
            } else if batches {
                1
            } else {
                100
            }),
            rest: options.rest,
            patience: options.patience,
            seed: options.seed,
            quiet: options.quiet,
            reported: Map::new(),
        };
        if scenario == Scenario::Slow {
            settings.stalled = options.stalled.unwrap_or(clients / 10);
            settings.slow_readers = options.slow_readers.unwrap_or(clients / 10);
        }
        settings.check()?;
        settings.reported = settings.options(options);
        Ok(settings)
    }

    fn check(&self) -> Result<(), String> {
        let needs_server = matches!(self.scenario, Scenario::Drain);
        let is_short = self.scenario == Scenario::Transports && self.bytes < PAYLOAD_BYTES_MIN;
        let messages = self.rate.unwrap_or(0.0) * f64::from(self.clients) * self.span.as_secs_f64();
        let wrong = [
            (self.clients == 0, "--clients must be at least 1"),
            (self.procs == 0 || self.procs > 64, "--procs must be 1 to 64"),
            (self.procs > self.clients, "--procs must not exceed --clients"),
            (
                self.bytes < if is_short { PAYLOAD_BYTES_SHORT } else { PAYLOAD_BYTES_MIN },
                "--bytes must be at least 48, for transports 15: a message carries its channel, serial and time",
            ),
            (
                is_short && (self.clients > SHORT_CHANNELS || messages > f64::from(SHORT_SERIALS) / 2.0),
                "messages of less than 48 bytes are for at most 64 clients and 131072 messages",
            ),
            (
                self.rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1e6)),
                "--rate must be above 0, at most 1000000",
            ),
            (
                self.connect_rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0),
                "--connect-rate must be above 0",
            ),
            (self.publishers == 0 || self.in_flight == 0, "--publishers and --in-flight must be at least 1"),
            (self.bytes_max < self.bytes, "--bytes-max must be at least --bytes"),
            (self.batch == 0 || self.layout.channels() == 0, "--batch and --rooms must be at least 1"),
            (self.growth.is_nan() || self.growth < 1.05, "--growth must be at least 1.05"),
            (self.burst == Some(0) || self.bursts == 0, "--burst and --bursts must be at least 1"),
            (self.concurrency == 0, "--concurrency must be at least 1"),
            (
                self.stalled + self.slow_readers > self.clients,
                "--stalled and --slow-readers exceed --clients",
            ),
            (needs_server && self.pids.is_empty(), "this scenario needs --pid, the server's process"),
        ];
        wrong.iter().find(|(is_wrong, _)| *is_wrong).map_or(Ok(()), |(_, what)| Err((*what).to_owned()))
    }

    /// Adds the options of a single scenario.
    fn add_scenario_options(&self, options: &Options, add: &mut impl FnMut(&str, Value)) {
        let text = |span: Duration| format!("{}ms", span.as_millis());
        match self.scenario {
            Scenario::Idle | Scenario::Heartbeat => add("channel", json!(options.channel)),
            Scenario::Rooms => {
                for (name, value) in [
                    ("rooms", json!(options.rooms)),
                    ("batch", json!(self.batch)),
                    ("growth", json!(self.growth)),
                    ("until", json!(text(self.until))),
                ] {
                    add(name, value);
                }
            }
            Scenario::Churn => add("concurrency", json!(self.concurrency)),
            Scenario::Reconnect => add("within", json!(text(self.within))),
            Scenario::Slow => {
                add("stalled", json!(self.stalled));
                add("slow-readers", json!(self.slow_readers));
            }
            Scenario::Fanout
            | Scenario::Unicast
            | Scenario::Mixed
            | Scenario::Longpoll
            | Scenario::Soak
            | Scenario::Transports
            | Scenario::Drain => {}
        }
    }

    /// The options that matter in this scenario, by their long flags' names.
    #[expect(clippy::too_many_lines, reason = "a line for each setting")]
    fn options(&self, options: &Options) -> Map<String, Value> {
        let text = |span: Duration| format!("{}ms", span.as_millis());
        let mut reported = Map::new();
        let mut add = |name: &str, value: Value| drop(reported.insert(name.to_owned(), value));
        add("to", json!(self.to.host));
        add("api", json!(self.api.host));
        add("clients", json!(self.clients));
        add("procs", json!(self.procs));
        if let Some(rate) = self.connect_rate {
            add("connect-rate", json!(rate));
        }
        if self.transport == Transport::Poll {
            let every = match self.poll_every {
                PollEvery::Fixed(span) => text(span),
                PollEvery::Advised => "advice".to_owned(),
            };
            add("poll-every", json!(every));
        }
        if let Some(interface) = &self.interface {
            add("interface", json!(interface));
        }
        if !options.header.is_empty() {
            add("header", json!(options.header));
        }
        if self.compression == Compression::PerMessage {
            add("deflate", json!(true));
        }
        self.add_scenario_options(options, &mut add);
        if defaults::publishes(self.scenario) {
            for (name, value) in [
                ("bytes", self.bytes as u64),
                ("publishers", self.publishers.into()),
                ("in-flight", self.in_flight.into()),
            ] {
                add(name, json!(value));
            }
            if self.bytes_max > self.bytes {
                add("bytes-max", json!(self.bytes_max));
            }
            add("padding", json!(self.padding));
        }
        match (self.scenario, self.burst) {
            (Scenario::Fanout, Some(burst)) => {
                add("burst", json!(burst));
                add("bursts", json!(self.bursts));
            }
            (
                Scenario::Fanout
                | Scenario::Mixed
                | Scenario::Rooms
                | Scenario::Reconnect
                | Scenario::Transports,
                _,
            ) => {
                add("rate", json!(self.rate));
                add("seconds", json!(self.span.as_secs_f64()));
            }
            (Scenario::Soak, _) => {
                add("rate", json!(self.rate));
                add("hours", json!(options.hours));
            }
            (Scenario::Unicast, _) => {
                add("messages", json!(self.messages));
                add("rate", json!(self.rate));
            }
            (Scenario::Longpoll | Scenario::Slow, _) => add("messages", json!(self.messages)),
            (Scenario::Idle | Scenario::Heartbeat | Scenario::Churn, _) => {
                add("seconds", json!(self.span.as_secs_f64()));
            }
            (Scenario::Drain, _) => {}
        }
        for (name, value) in [
            ("subscribe", &options.subscribe),
            ("publish", &options.publish),
            ("publish-body", &options.publish_body),
        ] {
            if let Some(value) = value {
                add(name, json!(value));
            }
        }
        reported
    }
}

impl Listener {
    fn find(host: &str) -> Result<Self, String> {
        let mut found = host.to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
        let address = found.next().ok_or_else(|| format!("{host} has no address"))?;
        Ok(Self { host: host.to_owned(), address })
    }
}

fn compression(options: &Options, transport: Transport) -> Result<Compression, String> {
    match (options.deflate, transport) {
        (false, _) => Ok(Compression::None),
        (true, Transport::Ws) => Ok(Compression::PerMessage),
        (true, _) => Err("--deflate is for --transport ws".to_owned()),
    }
}

/// Applies the replacements of the command line to a preset.
fn replace(preset: &mut Preset, options: &Options, to: &mut String, api: &mut String) {
    if let Some(ask) = preset.subscribe.last_mut() {
        if let Some(url) = &options.subscribe {
            ask.path = path(url, to);
        }
        if !options.subscribe_header.is_empty() {
            ask.headers.clone_from(&options.subscribe_header);
        }
        if let Some(body) = &options.subscribe_body {
            (ask.method, ask.body) = ("POST".to_owned(), Some(body.clone()));
        }
    }
    if let Some(url) = &options.publish {
        preset.publish.ask.path = path(url, api);
    }
    if !options.publish_header.is_empty() {
        preset.publish.ask.headers.clone_from(&options.publish_header);
    }
    if let Some(body) = &options.publish_body {
        preset.publish.item.clone_from(body);
        (preset.publish.around, preset.publish.batch_max) = (Default::default(), 1);
    }
}

/// The path of a URL; its host, if it has one, goes to `host`.
fn path(url: &str, host: &mut String) -> String {
    let Some(rest) = url.strip_prefix("http://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    *host = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    if path.is_empty() { "/".to_owned() } else { path.to_owned() }
}
