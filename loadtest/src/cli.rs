//! The command line as it is typed. [`crate::settings`] fills in the defaults, which depend on the
//! scenario.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::plan::PollEvery;
use crate::preset::Name;
use crate::stamp::Padding;
use crate::transport::Transport;

/// Connects many clients to a push server, publishes messages, and counts and times what arrives.
///
/// The kernel's counters of the server's processes (--pid) measure the server from outside. Exits
/// with 0 if nothing was lost, doubled or out of order, with 1 if something was, with 2 if it could
/// not run.
#[derive(Debug, Parser)]
#[command(
    name = "encke-loadtest",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Command {
    /// A command that is not a scenario.
    #[command(subcommand)]
    pub other: Option<Other>,
    /// The scenario and its options.
    #[command(flatten)]
    pub run: Option<Options>,
}

/// Commands that are not scenarios.
#[derive(Debug, Subcommand)]
pub enum Other {
    /// Runs a share of the clients for another process of this program.
    #[command(hide = true)]
    Worker,
    /// Makes one page of several runs' JSON files, on the standard output.
    #[command(hide = true)]
    Html {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// The scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// Idle clients: memory and CPU of each.
    Idle,
    /// The same for longer: the cost of heartbeats.
    Heartbeat,
    /// One channel, all clients: paced, or in bursts.
    Fanout,
    /// Messages to one user each: as fast as the server takes them, or paced.
    Unicast,
    /// Rooms of 10 to 100 users, each with its own traffic.
    Mixed,
    /// Clients in several rooms each, batches of messages of many sizes, at a rate that rises until
    /// the server cannot follow.
    Rooms,
    /// A message to all pollers; the next one when all have it and poll again.
    Longpoll,
    /// Connections that receive their first byte and close.
    Churn,
    /// All clients are disconnected at once and return; messages published meanwhile must reach
    /// them.
    Reconnect,
    /// Some clients read slowly or not at all; the others must not be affected.
    Slow,
    /// Fan-out for hours: does memory grow?
    Soak,
    /// The server receives TERM; every client must be notified.
    Drain,
    /// Messages at random times to a few clients: latency, and the bytes on the link for each.
    Transports,
}

/// Which channel a client subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// One for all clients.
    Shared,
    /// One for each client.
    Own,
}

/// A scenario and its options.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The scenario.
    pub scenario: Scenario,

    /// The server, which determines requests and formats.
    #[arg(long, value_enum, default_value = "encke", help_heading = "Server")]
    pub preset: Name,
    /// The clients' transport [default: sse; longpoll for the scenario longpoll, ws for rooms].
    #[arg(long, value_enum, help_heading = "Server")]
    pub transport: Option<Transport>,
    /// transport ws: messages must arrive compressed (permessage-deflate, each by itself), or the
    /// run fails.
    #[arg(long, help_heading = "Server")]
    pub deflate: bool,
    /// Where clients connect.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", help_heading = "Server")]
    pub to: String,
    /// Where to publish [default: port 8081 for Encke, 5561 for Pushpin, else as --to].
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server")]
    pub api: Option<String>,
    /// The server's processes; their descendants count too.
    #[arg(long, value_name = "PID", value_delimiter = ',', help_heading = "Server")]
    pub pid: Vec<u32>,

    /// Number of clients [default: 10000; longpoll: 5000; rooms: 1000; transports: 10].
    #[arg(long, value_name = "N", help_heading = "Clients")]
    pub clients: Option<u32>,
    /// Processes that share the clients; up to about 19,000 fit in one.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Clients")]
    pub procs: u32,
    /// Connections a second [default: as fast as the server accepts them].
    #[arg(long, value_name = "N", help_heading = "Clients")]
    pub connect_rate: Option<f64>,
    /// idle, heartbeat: one channel for all or one for each.
    #[arg(long, value_enum, default_value = "shared", help_heading = "Clients")]
    pub channel: Channel,
    /// transport poll: the time between two requests, or `advice`: as each answer advises [default:
    /// 1s; transports: advice].
    #[arg(long, value_name = "TIME|advice", value_parser = poll_every, help_heading = "Clients")]
    pub poll_every: Option<PollEvery>,
    /// An additional header line of each client request, as browsers send; may be repeated.
    #[arg(long, value_name = "LINE", help_heading = "Clients")]
    pub header: Vec<String>,
    /// transports: a network interface without other traffic, whose bytes are counted.
    #[arg(long, value_name = "NAME", help_heading = "Clients")]
    pub interface: Option<String>,
    /// rooms: the number of rooms of each client.
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Clients")]
    pub rooms: u32,
    /// churn: concurrent connections.
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = "Clients")]
    pub concurrency: u32,
    /// reconnect: all clients return within this time.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = span, help_heading = "Clients")]
    pub within: Duration,
    /// slow: clients that do not read at all [default: a tenth].
    #[arg(long, value_name = "N", help_heading = "Clients")]
    pub stalled: Option<u32>,
    /// slow: clients that read 1 KiB a second [default: a tenth].
    #[arg(long, value_name = "N", help_heading = "Clients")]
    pub slow_readers: Option<u32>,

    /// Messages a second: fanout, soak, reconnect: 5; mixed: 0.2 for each room; rooms: 200 at
    /// first; transports: 1 for each client; unicast: as fast as the server takes them.
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub rate: Option<f64>,
    /// Duration [default: fanout and unicast 20, idle 10, heartbeat 60, mixed and transports 30,
    /// rooms 5 for each step, churn 10, slow 5 after the last message].
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub seconds: Option<f64>,
    /// soak: duration.
    #[arg(long, value_name = "N", default_value_t = 1.0, help_heading = "Messages")]
    pub hours: f64,
    /// Bytes of a payload, quotes included; at least 48, transports 15 [default: 100; rooms: 50;
    /// transports: 15].
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub bytes: Option<usize>,
    /// Most bytes of a payload, whose length is random between --bytes and this [default: as
    /// --bytes; rooms: 1000].
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub bytes_max: Option<usize>,
    /// rooms: messages of a batch, which is one request.
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Messages")]
    pub batch: u32,
    /// rooms: the factor from each step's rate to the next.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.5, help_heading = "Messages")]
    pub growth: f64,
    /// rooms: the last step is the first in which more than one in a hundred deliveries takes
    /// longer.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = span, help_heading = "Messages")]
    pub until: Duration,
    /// The filling of a payload up to its length.
    #[arg(long, value_enum, default_value = "letter", help_heading = "Messages")]
    pub padding: Padding,
    /// fanout: messages of a burst; sends bursts instead of pacing.
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub burst: Option<u32>,
    /// fanout: number of bursts.
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Messages")]
    pub bursts: u32,
    /// Number of messages [default: unicast 40000, or by --rate and --seconds; slow 5000; longpoll
    /// 50].
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub messages: Option<u32>,
    /// Connections that publish [default: 1; unicast: 8; rooms: 100].
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub publishers: Option<u32>,
    /// Unanswered requests of each publisher, at most [default: 8 for unicast; else 1 if the server
    /// takes batches, 100 if not].
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub in_flight: Option<u32>,
    /// Time between connecting and measuring, in which the server comes to rest.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = span, help_heading = "Messages")]
    pub rest: Duration,
    /// Time without any arrival after which missing messages are given up.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = span, help_heading = "Messages")]
    pub patience: Duration,
    /// Seed of all random choices: rooms, times of return.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Messages")]
    pub seed: u64,

    /// Replaces the preset's subscribe request: http://HOST:PORT/PATH or /PATH, with {channel},
    /// {user}, {n}, {random}, {position}.
    #[arg(long, value_name = "URL", help_heading = "Other servers")]
    pub subscribe: Option<String>,
    /// Replaces its headers; may be repeated.
    #[arg(long, value_name = "LINE", help_heading = "Other servers")]
    pub subscribe_header: Vec<String>,
    /// Makes it a POST with this body.
    #[arg(long, value_name = "TEXT", help_heading = "Other servers")]
    pub subscribe_body: Option<String>,
    /// Replaces the URL for publishing: with {channel}, {user}.
    #[arg(long, value_name = "URL", help_heading = "Other servers")]
    pub publish: Option<String>,
    /// Replaces its headers.
    #[arg(long, value_name = "LINE", help_heading = "Other servers")]
    pub publish_header: Vec<String>,
    /// Its body: with {payload} (a JSON string) or {text} (the same without quotes), and {channel},
    /// {user}.
    #[arg(long, value_name = "TEXT", help_heading = "Other servers")]
    pub publish_body: Option<String>,

    /// Writes the result as JSON to a file; - is the standard output, instead of the table.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Writes a page with charts that opens without a network.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
    /// Show no progress.
    #[arg(long, help_heading = "Output")]
    pub quiet: bool,
}

/// A time, or `advice`.
fn poll_every(text: &str) -> Result<PollEvery, String> {
    if text == "advice" { Ok(PollEvery::Advised) } else { span(text).map(PollEvery::Fixed) }
}

/// `500ms`, `5s`, `2m`, `1h`.
fn span(text: &str) -> Result<Duration, String> {
    let split = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("a time has a unit: 500ms, 5s, 2m, 1h".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| format!("{number:?} is no number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Command::command().debug_assert();
    }

    #[test]
    fn scenarios_workers_and_pages_are_told_apart() {
        let parse = |line: &str| Command::try_parse_from(line.split_whitespace());
        let run = parse("x fanout --clients 7 --pid 3,4 --within 250ms").unwrap().run.unwrap();
        assert_eq!((run.scenario, run.clients, run.pid), (Scenario::Fanout, Some(7), vec![3, 4]));
        assert_eq!((run.within, run.poll_every), (Duration::from_millis(250), None));
        let poll_every = |line: &str| parse(line).unwrap().run.unwrap().poll_every;
        assert_eq!(poll_every("x fanout --poll-every advice"), Some(PollEvery::Advised));
        let fixed = PollEvery::Fixed(Duration::from_secs(2));
        assert_eq!(poll_every("x fanout --poll-every 2s"), Some(fixed));
        assert!(matches!(parse("x worker").unwrap().other, Some(Other::Worker)));
        assert!(matches!(parse("x html a.json").unwrap().other, Some(Other::Html { .. })));
        for line in ["x", "x walk", "x idle --clients x", "x idle --within 5", "x idle --what 1"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
