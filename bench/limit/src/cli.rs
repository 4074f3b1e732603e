//! The command line.

use std::net::SocketAddr;

/// Printed for `--help`, and if the command line is invalid.
pub(crate) const USAGE: &str = "\
usage: encke-limit serve [--listen ADDRESS] [--threads COUNT] [--chunk BYTES]
       encke-limit self [--sockets COUNT] [--chunk BYTES] [--rate COUNT --seconds COUNT | --back-to-back ROUNDS]

serve  an HTTP server for the load test. A GET of any path is answered with a chunked stream that does not end; the body
       of a POST to /publish goes to all streams as one chunk, each line as a chunk of its own if it is application/x-ndjson.
       Prints its address; ends on TERM or INT and says how many writes were whole. It does not look for clients that have
       left until it writes to them, so restart it for each run.
self   starts its own readers, writes, and prints the CPU time of a million writes. Fails if any was not whole.

  --listen ADDRESS       where to listen (127.0.0.1:0)
  --threads COUNT        how many write, each to sockets of its own (1)
  --chunk BYTES          serve: bytes of one write at least, smaller ones are filled up with spaces (0)
                         self: bytes of one write (100)
  --sockets COUNT        readers (10000)
  --rate COUNT           rounds a second; a round is one write to each socket (5)
  --seconds COUNT        for how long (10)
  --back-to-back ROUNDS  so many rounds without a pause instead
  --json                 self: print JSON";

/// The task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    Serve(Serve),
    Measure(Measure),
    Read(Read),
}

/// The server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Serve {
    pub(crate) listen: SocketAddr,
    /// Number of writers; at least one.
    pub(crate) threads: usize,
    /// Least bytes of one write.
    pub(crate) chunk: usize,
}

/// The writer of a self-contained run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    pub(crate) sockets: usize,
    /// Bytes of one write.
    pub(crate) chunk: usize,
    pub(crate) pace: Pace,
    pub(crate) json: bool,
}

/// When a round is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// This many a second, for this many seconds.
    Steady { rate: u32, seconds: u32 },
    /// This many, each after the previous one.
    BackToBack { rounds: u32 },
}

/// The readers of such a run, which starts them itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) from: SocketAddr,
    pub(crate) sockets: usize,
}

/// All options, for every task; each task uses its own.
struct Options {
    listen: SocketAddr,
    threads: usize,
    sockets: usize,
    chunk: Option<usize>,
    rate: u32,
    seconds: u32,
    rounds: Option<u32>,
    json: bool,
}

impl Task {
    /// Reads the command line, without the program's name.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let (name, rest) = arguments.split_first().ok_or("a command is missing")?;
        let known: &[&str] = match name.as_str() {
            "--help" | "-h" | "help" => return Ok(Self::Help),
            "serve" => &["--listen", "--threads", "--chunk"],
            "self" => &["--sockets", "--chunk", "--rate", "--seconds", "--back-to-back", "--json"],
            "read" => &["--listen", "--sockets"],
            // `encke-limit --listen …` serves.
            _ if name.starts_with("--") => return Self::parse(&[&["serve".to_owned()], arguments].concat()),
            _ => return Err(format!("there is no task {name}")),
        };
        let Some(options) = Options::read(rest, known)? else { return Ok(Self::Help) };
        Ok(match name.as_str() {
            "serve" => Self::Serve(Serve {
                listen: options.listen,
                threads: options.threads,
                chunk: options.chunk.unwrap_or(0),
            }),
            "read" => Self::Read(Read { from: options.listen, sockets: options.sockets }),
            _ => Self::Measure(Measure {
                sockets: options.sockets,
                chunk: options.chunk.unwrap_or(100),
                pace: options.pace(),
                json: options.json,
            }),
        })
    }
}

impl Options {
    /// `None` if help is requested.
    fn read(mut rest: &[String], known: &[&str]) -> Result<Option<Self>, String> {
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            threads: 1,
            sockets: 10_000,
            chunk: None,
            rate: 5,
            seconds: 10,
            rounds: None,
            json: false,
        };
        while let Some((option, values)) = rest.split_first() {
            if option == "--help" || option == "-h" {
                return Ok(None);
            }
            if !known.contains(&option.as_str()) {
                return Err(format!("there is no option {option}"));
            }
            if option == "--json" {
                (options.json, rest) = (true, values);
                continue;
            }
            let (value, others) = values.split_first().ok_or_else(|| format!("{option} needs a value"))?;
            options.set(option, value).ok_or_else(|| format!("{option} cannot be {value}"))?;
            rest = others;
        }
        Ok(Some(options))
    }

    fn set(&mut self, option: &str, value: &str) -> Option<()> {
        match option {
            "--listen" => self.listen = value.parse().ok()?,
            "--threads" => self.threads = value.parse().ok().filter(|&count| count > 0)?,
            "--sockets" => self.sockets = value.parse().ok().filter(|&count| count > 0)?,
            "--chunk" => self.chunk = Some(value.parse().ok()?),
            "--rate" => self.rate = value.parse().ok().filter(|&rate| rate > 0)?,
            "--seconds" => self.seconds = value.parse().ok()?,
            "--back-to-back" => self.rounds = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    fn pace(&self) -> Pace {
        match self.rounds {
            Some(rounds) => Pace::BackToBack { rounds },
            None => Pace::Steady { rate: self.rate, seconds: self.seconds },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Task, String> {
        Task::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_task_takes_its_own_options_and_no_others() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 7));
        assert_eq!(
            parse("serve --listen 127.0.0.1:7 --threads 2 --chunk 9"),
            Ok(Task::Serve(Serve { listen, threads: 2, chunk: 9 }))
        );
        assert_eq!(parse("--listen 127.0.0.1:7"), Ok(Task::Serve(Serve { listen, threads: 1, chunk: 0 })));
        let pace = Pace::BackToBack { rounds: 3 };
        let measure = Measure { sockets: 10_000, chunk: 100, pace, json: true };
        assert_eq!(parse("self --json --back-to-back 3"), Ok(Task::Measure(measure)));
        assert_eq!(parse("self --help"), Ok(Task::Help));
        for line in [
            "",
            "walk",
            "serve --rate 5",
            "serve --threads 0",
            "self --sockets 0",
            "self --rate",
            "self --listen 127.0.0.1:7",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
