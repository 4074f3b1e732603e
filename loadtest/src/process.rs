//! What the kernel says of the server's process: `/proc/{pid}`, Linux only.

use std::io::{Error, ErrorKind, Result};
use std::path::PathBuf;
use std::process::Command;
use std::{fs, io};

/// One running process.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pid: u32,
}

/// What it holds and has used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Proportional set size in bytes: its share of all memory that is mapped into it.
    pub pss: u64,
    /// The part of it that is heap and stacks.
    pub anonymous: u64,
    /// User and system time in seconds, to the kernel's hundredth.
    pub cpu: f64,
    /// Threads.
    pub threads: u64,
}

/// Clock ticks a second in `/proc/{pid}/stat`: fixed by Linux for user space on all that we run on.
const TICKS: f64 = 100.0;

impl Process {
    /// Names a process.
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// What it uses now.
    ///
    /// # Errors
    /// When it is gone.
    pub fn usage(self) -> Result<Usage> {
        let memory = self.read("smaps_rollup")?;
        Ok(Usage {
            pss: kib(&memory, "Pss:")? * 1024,
            anonymous: kib(&memory, "Pss_Anon:")? * 1024,
            cpu: self.cpu()?,
            threads: kib(&self.read("status")?, "Threads:")?,
        })
    }

    fn cpu(self) -> Result<f64> {
        let stat = self.read("stat")?;
        // The program's name may hold spaces; the fields are counted from behind it.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
        ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / TICKS).ok_or_else(|| strange("stat"))
    }

    /// Asks it to stop.
    ///
    /// # Errors
    /// When it is gone.
    pub fn terminate(self) -> Result<()> {
        let status = Command::new("kill").arg("-TERM").arg(self.pid.to_string()).status()?;
        if status.success() { Ok(()) } else { Err(Error::other("could not send TERM")) }
    }

    /// Whether it runs. One that nobody has waited for does not.
    pub fn is_running(self) -> bool {
        let state = |stat: &str| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        self.read("stat").is_ok_and(|stat| !matches!(state(&stat), None | Some('Z' | 'X')))
    }

    fn read(self, file: &str) -> Result<String> {
        let path: PathBuf = ["/proc", &self.pid.to_string(), file].iter().collect();
        fs::read_to_string(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }
}

/// The number behind `key`.
fn kib(text: &str, key: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).ok_or_else(|| strange(key))
}

fn strange(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{what} of the process is not what it should be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_uses_something() {
        let own = Process::new(std::process::id());
        let usage = own.usage().unwrap();
        assert!(own.is_running() && usage.pss >= usage.anonymous && usage.anonymous > 0 && usage.threads > 0);
    }
}
