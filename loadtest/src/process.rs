//! A server seen from outside: what the kernel says in `/proc` of its processes, Linux only.
//!
//! A [`Watch`] covers the named processes and everything that they start, workers and helpers included. The tree is looked up anew
//! at each reading, and a process that was once in it stays in it, even if its parent ends and the system adopts it. Nothing here
//! reads a clock; who reads when, and what lies between two readings, is the caller's affair.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Error, ErrorKind, Result};

use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};

/// Processes that are watched together with all that descend from them.
#[derive(Debug)]
pub struct Watch {
    roots: Vec<u32>,
    /// What was seen in the tree, and the tick at which it started: a process id may be issued again.
    members: BTreeMap<u32, u64>,
    /// The last reading: totals never fall.
    cpu: Cpu,
}

/// CPU seconds since the processes began, to the kernel's hundredth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    /// In their own code.
    pub user: f64,
    /// In the kernel on their behalf.
    pub system: f64,
}

/// A cheap reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Of all processes of the tree, those included that have ended and were waited for.
    pub cpu: Cpu,
    /// Threads that run now.
    pub threads: u64,
    /// Processes that run now.
    pub processes: u64,
}

/// The interesting part of `/proc/{pid}/stat`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    state: char,
    parent: u32,
    /// User and system ticks: its own, and those of its children that have ended and were waited for.
    user: u64,
    system: u64,
    threads: u64,
    started: u64,
}

impl Cpu {
    /// User and system.
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    /// What was used since an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

impl Watch {
    /// Watches processes and their descendants.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn new(roots: impl IntoIterator<Item = u32>) -> Result<Self> {
        let roots: Vec<u32> = roots.into_iter().collect();
        let mut members = BTreeMap::new();
        for root in &roots {
            let stat = stat(*root).ok_or_else(|| gone(*root))?;
            members.insert(*root, stat.started);
        }
        Ok(Self { roots, members, cpu: Cpu::default() })
    }

    /// Watches the program that asks, and what it starts.
    ///
    /// # Errors
    /// When there is no `/proc`.
    pub fn own() -> Result<Self> {
        Self::new([std::process::id()])
    }

    /// CPU and threads. Costs one small file for each process of the machine. When all are gone, the CPU stays what it last was.
    ///
    /// # Errors
    /// When the processes cannot be listed.
    pub fn usage(&mut self) -> Result<Usage> {
        let alive = self.alive()?;
        let ticks = |of: fn(&Stat) -> u64| {
            alive.values().map(of).sum::<u64>() as f64 / clock_ticks_per_second() as f64
        };
        // Nobody inherits the time of one that its parent did not wait for.
        self.cpu = Cpu {
            user: ticks(|stat| stat.user).max(self.cpu.user),
            system: ticks(|stat| stat.system).max(self.cpu.system),
        };
        let running = || alive.values().filter(|stat| stat.runs());
        Ok(Usage {
            cpu: self.cpu,
            threads: running().map(|stat| stat.threads).sum(),
            processes: running().count() as u64,
        })
    }

    /// Proportional set size in bytes: memory that several processes share is counted once. The kernel walks all pages for it, so
    /// ask seldom. Processes that are gone have none.
    ///
    /// # Errors
    /// When a process belongs to another user.
    pub fn pss(&mut self) -> Result<u64> {
        let running = self.alive()?.into_iter().filter(|(_, stat)| stat.runs());
        running.map(|(pid, _)| pss(pid)).sum()
    }

    /// Asks the named processes, not their descendants, to stop.
    ///
    /// # Errors
    /// When one is gone or belongs to another user.
    pub fn terminate(&self) -> Result<()> {
        for root in &self.roots {
            let pid = i32::try_from(*root).ok().and_then(Pid::from_raw).ok_or_else(|| gone(*root))?;
            kill_process(pid, Signal::TERM)?;
        }
        Ok(())
    }

    /// Whether any of the named processes runs. One that nobody has waited for yet does not.
    pub fn is_running(&self) -> bool {
        let started = |pid: &u32| self.members.get(pid).copied();
        self.roots
            .iter()
            .any(|root| stat(*root).is_some_and(|stat| stat.runs() && started(root) == Some(stat.started)))
    }

    /// The tree as it is now. Remembers it.
    fn alive(&mut self) -> Result<BTreeMap<u32, Stat>> {
        let all = everything()?;
        let mut alive: BTreeMap<u32, Stat> = BTreeMap::new();
        let known = self.members.iter().filter_map(|(pid, started)| Some((*pid, *all.get(pid)?, *started)));
        alive.extend(
            known.filter(|(_, stat, started)| stat.started == *started).map(|(pid, stat, _)| (pid, stat)),
        );
        // A child may have a lower number than its parent once numbers were used up, so one pass is not enough.
        loop {
            let before = alive.len();
            for (pid, stat) in &all {
                if alive.contains_key(&stat.parent) {
                    alive.insert(*pid, *stat);
                }
            }
            if alive.len() == before {
                break;
            }
        }
        self.members = alive.iter().map(|(pid, stat)| (*pid, stat.started)).collect();
        Ok(alive)
    }
}

impl Stat {
    /// See proc(5). The program's name, in parentheses, may hold anything, so fields are counted from behind it.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            user: number(11)? + number(13)?,
            system: number(12)? + number(14)?,
            threads: number(17)?,
            started: number(19)?,
        })
    }

    /// Not ended and waiting for its parent to take notice.
    fn runs(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// All processes of the machine. Those that end meanwhile are left out.
fn everything() -> Result<BTreeMap<u32, Stat>> {
    let entries = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(entries.filter_map(|pid: u32| Some((pid, stat(pid)?))).collect())
}

fn stat(pid: u32) -> Option<Stat> {
    Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// One that has just ended has none.
fn pss(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    match fs::read_to_string(&path) {
        Ok(text) => kib(&text, "Pss:").map(|kib| kib * 1024).ok_or_else(|| strange(&path)),
        Err(error) if error.kind() == ErrorKind::NotFound || ended(&error) => Ok(0),
        Err(error) => Err(Error::new(error.kind(), format!("{path}: {error}"))),
    }
}

fn ended(error: &Error) -> bool {
    error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// The number behind `key`.
fn kib(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

fn strange(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{what} does not read as it should"))
}

fn gone(pid: u32) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no process {pid}"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Runs a shell script up to the line that it prints; then it waits for its input to end.
    fn shell(script: &str) -> Child {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        child
    }

    fn finish(mut child: Child) {
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn children_of_children_are_watched_and_leave_with_their_parents() {
        let child = shell("sh -c 'sh -c \"echo ready; read line; :\"; :'; :");
        let mut watch = Watch::new([child.id()]).unwrap();
        let usage = watch.usage().unwrap();
        assert_eq!((usage.processes, usage.threads), (3, 3));
        let all = watch.pss().unwrap();
        assert!(watch.is_running() && all > pss(child.id()).unwrap());
        finish(child);
        assert!(!watch.is_running());
        let after = watch.usage().unwrap();
        assert_eq!((after.processes, after.threads, after.cpu), (0, 0, usage.cpu));
        assert_eq!(watch.pss().unwrap(), 0);
    }

    #[test]
    fn the_work_of_children_that_have_ended_is_counted() {
        let busy = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";
        // The worker's parent is not the root, and has not ended.
        let child = shell(&format!("sh -c '({busy}); echo ready; read line; :'; :"));
        let usage = Watch::new([child.id()]).unwrap().usage().unwrap();
        assert_eq!(usage.processes, 2);
        assert!(usage.cpu.total() > 0.0, "{usage:?}");
        finish(child);
    }

    #[test]
    fn one_that_its_parent_left_behind_is_still_watched() {
        let mut child = shell("exec 3<&0; sh -c 'read line; :' <&3 & echo ready; read line; :");
        let mut watch = Watch::new([child.id()]).unwrap();
        assert_eq!(watch.usage().unwrap().processes, 2);
        // Kept open: the one left behind reads from it.
        let input = child.stdin.take();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(watch.usage().unwrap().processes, 1);
        assert!(!watch.is_running());
        drop(input);
    }

    #[test]
    fn a_process_ends_when_asked_to() {
        let mut child = shell("echo ready; read line; :");
        let watch = Watch::new([child.id()]).unwrap();
        watch.terminate().unwrap();
        assert!(!child.wait().unwrap().success() && !watch.is_running());
        assert!(Watch::new([child.id()]).is_err());
    }

    #[test]
    fn totals_never_fall() {
        let mut watch = Watch::own().unwrap();
        watch.cpu = Cpu { user: 1e9, system: 0.0 };
        let cpu = watch.usage().unwrap().cpu;
        assert!((cpu.user - 1e9).abs() < 1e-6 && cpu.total() >= 1e9);
        assert!(cpu.since(cpu).total().abs() < 1e-9);
    }

    #[test]
    fn a_name_with_a_parenthesis_does_not_shift_the_fields() {
        let text = "42 (a) b (c)) S 7 1 1 0 -1 4194560 1 2 3 4 500 60 7 8 20 0 9 0 1234 99 1\n";
        let stat = Stat { state: 'S', parent: 7, user: 507, system: 68, threads: 9, started: 1234 };
        assert_eq!(Stat::parse(text), Some(stat));
        assert!([" ", "42 (a) S", "42 (a) S x"].iter().all(|text| Stat::parse(text).is_none()));
    }
}
