//! The command line: a scenario and how large it is to be.

use std::net::SocketAddr;
use std::time::Duration;

/// What is printed when the command line is not understood.
pub const USAGE: &str = "\
usage: encke-loadtest SCENARIO [OPTION VALUE]...

scenarios
  idle       opens streams and measures the memory that each takes
  heartbeat  opens streams and measures the CPU that they take while nothing is said
  fanout     publishes to streams, at a pace and in bursts; counts and times every delivery
  slow       publishes while some streams are read slowly or not at all, then lets them read on
  drain      sends TERM to the server and looks at how each stream ends

options
  --to ADDRESS        public listener (127.0.0.1:8080)
  --api ADDRESS       private listener (127.0.0.1:8081)
  --pid PID           the server's process, to be measured; needed for idle, heartbeat and drain
  --streams COUNT     streams (10000)
  --channel WHICH     idle: shared, one for all; own, one for each (shared)
  --seconds COUNT     heartbeat, fanout: how long (60, 20); slow: how long beyond the last message (5)
  --rate COUNT        fanout: messages a second (5)
  --bytes COUNT       payload of a message (100)
  --burst COUNT       fanout: messages in each burst (100)
  --bursts COUNT      fanout: how many bursts (5)
  --messages COUNT    slow: how many messages (5000)
  --deaf COUNT        slow: streams that are not read at all (1000)
  --sipping COUNT     slow: streams that are read at 1 KiB a second (1000)
  --json              print JSON instead of a table";

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which scenario.
    pub scenario: Scenario,
    /// The public listener.
    pub server: SocketAddr,
    /// The private listener.
    pub api: SocketAddr,
    /// The server's process.
    pub pid: Option<u32>,
    /// How many streams.
    pub streams: usize,
    /// What the streams of `idle` subscribe to.
    pub channel: Channel,
    /// How long it runs, if that was said.
    pub seconds: Option<Duration>,
    /// Messages a second.
    pub rate: u32,
    /// Bytes of a payload.
    pub bytes: usize,
    /// Messages of a burst.
    pub burst: usize,
    /// How many bursts.
    pub bursts: usize,
    /// Messages of `slow`.
    pub messages: usize,
    /// Streams that are not read.
    pub deaf: usize,
    /// Streams that are read slowly.
    pub sipping: usize,
    /// Whether JSON is wanted.
    pub json: bool,
}

/// What can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    Idle,
    Heartbeat,
    Fanout,
    Slow,
    Drain,
}

/// What a stream subscribes to besides its user's own channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The same for all.
    Shared,
    /// One for each.
    Own,
}

impl Plan {
    /// Reads the command line, without the program's name.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let (scenario, mut rest) = arguments.split_first().ok_or("which scenario?")?;
        let mut plan = Self::of(Scenario::named(scenario)?);
        while let Some((option, values)) = rest.split_first() {
            rest = values;
            if option == "--json" {
                plan.json = true;
                continue;
            }
            let (value, others) = values.split_first().ok_or_else(|| format!("{option} needs a value"))?;
            plan.set(option, value)?;
            rest = others;
        }
        Ok(plan)
    }

    fn of(scenario: Scenario) -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            scenario,
            server: local(8080),
            api: local(8081),
            pid: None,
            streams: 10_000,
            channel: Channel::Shared,
            seconds: None,
            rate: 5,
            bytes: 100,
            burst: 100,
            bursts: 5,
            messages: 5000,
            deaf: 1000,
            sipping: 1000,
            json: false,
        }
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        let bad = || format!("{option} cannot be {value}");
        let count = || value.parse::<usize>().map_err(|_| bad());
        let address = || value.parse::<SocketAddr>().map_err(|_| bad());
        match option {
            "--to" => self.server = address()?,
            "--api" => self.api = address()?,
            "--pid" => self.pid = Some(value.parse().map_err(|_| bad())?),
            "--streams" => self.streams = count()?,
            "--channel" => self.channel = Channel::named(value).ok_or_else(bad)?,
            "--seconds" => self.seconds = Some(Duration::from_secs(count()? as u64)),
            "--rate" => self.rate = value.parse().ok().filter(|&rate| rate > 0).ok_or_else(bad)?,
            "--bytes" => self.bytes = count()?,
            "--burst" => self.burst = count()?,
            "--bursts" => self.bursts = count()?,
            "--messages" => self.messages = count()?,
            "--deaf" => self.deaf = count()?,
            "--sipping" => self.sipping = count()?,
            _ => return Err(format!("there is no option {option}")),
        }
        Ok(())
    }
}

impl Scenario {
    fn named(name: &str) -> Result<Self, String> {
        match name {
            "idle" => Ok(Self::Idle),
            "heartbeat" => Ok(Self::Heartbeat),
            "fanout" => Ok(Self::Fanout),
            "slow" => Ok(Self::Slow),
            "drain" => Ok(Self::Drain),
            _ => Err(format!("there is no scenario {name}")),
        }
    }
}

impl Channel {
    fn named(name: &str) -> Option<Self> {
        match name {
            "shared" => Some(Self::Shared),
            "own" => Some(Self::Own),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Plan, String> {
        Plan::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_change_the_plan_and_nonsense_is_named() {
        let plan = parse("idle --streams 7 --json --channel own --pid 3").unwrap();
        assert_eq!((plan.streams, plan.json, plan.channel, plan.pid), (7, true, Channel::Own, Some(3)));
        for line in ["", "walk", "idle --streams", "idle --streams x", "idle --rate 0", "idle --what 1"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
