//! The server's processes seen from outside: CPU, threads and memory as the kernel reports them in
//! `/proc`. Linux only.
//!
//! A [`Watch`] covers the named processes and all their descendants. Each reading looks the process
//! tree up again. A process that was once in the tree stays in it, even if its parent ends and the
//! system adopts it. This file reads no clock: the caller decides when to read and what to compare.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};

use procfs::process::{Process, Stat, all_processes};
use procfs::{ProcError, ticks_per_second};
use rustix::process::{Pid, Signal, kill_process};

/// Processes that are watched together with all their descendants.
#[derive(Debug)]
pub struct Watch {
    roots: Vec<i32>,
    /// The processes of the tree, each with its start time in ticks: the system may reuse a process
    /// id.
    members: BTreeMap<i32, u64>,
    /// The last reading: totals never decrease.
    cpu: Cpu,
}

/// CPU seconds since the processes started, to the kernel's hundredth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    /// In their own code.
    pub user: f64,
    /// In the kernel on their behalf.
    pub system: f64,
}

/// A cheap reading: one small file for each process of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Of all processes of the tree, including children that have ended and were waited for.
    pub cpu: Cpu,
    /// Running threads.
    pub threads: u64,
    /// Running processes.
    pub processes: u64,
}

impl Cpu {
    /// User and system.
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    /// The CPU time used since an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

impl Watch {
    /// Watches processes and their descendants.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub fn new(roots: impl IntoIterator<Item = u32>) -> Result<Self> {
        let mut watch = Self { roots: Vec::new(), members: BTreeMap::new(), cpu: Cpu::default() };
        for root in roots {
            let pid = i32::try_from(root).map_err(|_| no_process(root))?;
            let stat = stat(pid).ok_or_else(|| no_process(root))?;
            watch.roots.push(pid);
            watch.members.insert(pid, stat.starttime);
        }
        Ok(watch)
    }

    /// Watches this process and its descendants.
    ///
    /// # Errors
    /// When there is no `/proc`.
    pub fn own() -> Result<Self> {
        Self::new([std::process::id()])
    }

    /// CPU and threads. After the last process has ended the CPU keeps its last value.
    ///
    /// # Errors
    /// When the processes cannot be listed.
    pub fn usage(&mut self) -> Result<Usage> {
        let tree = self.tree()?;
        let seconds =
            |ticks: fn(&Stat) -> u64| tree.iter().map(ticks).sum::<u64>() as f64 / ticks_per_second() as f64;
        // The time of a process for which its parent did not wait is in no other's.
        self.cpu = Cpu {
            user: seconds(|stat| stat.utime + stat.cutime.unsigned_abs()).max(self.cpu.user),
            system: seconds(|stat| stat.stime + stat.cstime.unsigned_abs()).max(self.cpu.system),
        };
        let running = || tree.iter().filter(|stat| is_running(stat));
        Ok(Usage {
            cpu: self.cpu,
            threads: running().map(|stat| stat.num_threads.unsigned_abs()).sum(),
            processes: running().count() as u64,
        })
    }

    /// Proportional set size in bytes: memory that several processes share is counted once. The
    /// kernel walks all pages for it, so read it seldom. Processes that have ended have none.
    ///
    /// # Errors
    /// When a process belongs to another user.
    pub fn pss(&mut self) -> Result<u64> {
        self.tree()?.iter().filter(|stat| is_running(stat)).map(|stat| pss(stat.pid)).sum()
    }

    /// Sends TERM to the named processes, not to their descendants.
    ///
    /// # Errors
    /// When one has ended or belongs to another user.
    pub fn terminate(&self) -> Result<()> {
        for root in &self.roots {
            let pid = Pid::from_raw(*root).ok_or_else(|| no_process(root))?;
            kill_process(pid, Signal::TERM)?;
        }
        Ok(())
    }

    /// Whether any of the named processes runs. A zombie does not.
    pub fn is_running(&self) -> bool {
        let is_same = |stat: &Stat| self.members.get(&stat.pid) == Some(&stat.starttime);
        self.roots.iter().filter_map(|root| stat(*root)).any(|stat| is_running(&stat) && is_same(&stat))
    }

    /// Reads the tree and remembers its members.
    fn tree(&mut self) -> Result<Vec<Stat>> {
        let mut all = everything()?;
        let is_member = |stat: &&Stat| self.members.get(&stat.pid) == Some(&stat.starttime);
        let mut tree: BTreeSet<i32> = all.iter().filter(is_member).map(|stat| stat.pid).collect();
        // Once process ids wrap, a child can have a lower one than its parent: one pass does not
        // find all.
        loop {
            let before = tree.len();
            for stat in &all {
                if tree.contains(&stat.ppid) {
                    tree.insert(stat.pid);
                }
            }
            if tree.len() == before {
                break;
            }
        }
        all.retain(|stat| tree.contains(&stat.pid));
        self.members = all.iter().map(|stat| (stat.pid, stat.starttime)).collect();
        Ok(all)
    }
}

/// All processes of the machine. Those that end while they are listed are left out.
fn everything() -> Result<Vec<Stat>> {
    let all = all_processes().map_err(Error::other)?;
    Ok(all.filter_map(|process| process.ok()?.stat().ok()).collect())
}

fn stat(pid: i32) -> Option<Stat> {
    Process::new(pid).ok()?.stat().ok()
}

/// Whether a process is running. A zombie is not: it waits for its parent to collect it.
fn is_running(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X')
}

/// The PSS of a process; 0 if it has just ended.
fn pss(pid: i32) -> Result<u64> {
    match Process::new(pid).and_then(|process| process.smaps_rollup()) {
        Ok(rollup) => {
            let maps = rollup.memory_map_rollup.into_iter();
            Ok(maps.filter_map(|map| map.extension.map.get("Pss").copied()).sum())
        }
        // The process may end before its files are opened, or between opening and reading.
        Err(ProcError::NotFound(_) | ProcError::Incomplete(_)) => Ok(0),
        Err(error) => Err(Error::other(error)),
    }
}

fn no_process(pid: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no process {pid}"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Starts a shell script and waits for its line `ready`. The script then waits for its input to
    /// end.
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
    fn descendants_are_watched_until_they_end() {
        let child = shell("sh -c 'sh -c \"echo ready; read line; :\"; :'; :");
        let mut watch = Watch::new([child.id()]).unwrap();
        let usage = watch.usage().unwrap();
        assert_eq!((usage.processes, usage.threads), (3, 3));
        let all = watch.pss().unwrap();
        assert!(watch.is_running() && all > pss(child.id().cast_signed()).unwrap());
        finish(child);
        assert!(!watch.is_running());
        let after = watch.usage().unwrap();
        assert_eq!((after.processes, after.threads, after.cpu), (0, 0, usage.cpu));
        assert_eq!(watch.pss().unwrap(), 0);
    }

    #[test]
    fn the_cpu_time_of_ended_children_is_counted() {
        let busy = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";
        // The worker's parent is not the root and has not ended.
        let child = shell(&format!("sh -c '({busy}); echo ready; read line; :'; :"));
        let usage = Watch::new([child.id()]).unwrap().usage().unwrap();
        assert_eq!(usage.processes, 2);
        assert!(usage.cpu.total() > 0.0, "{usage:?}");
        finish(child);
    }

    #[test]
    fn an_orphan_is_still_watched() {
        let mut child = shell("exec 3<&0; sh -c 'read line; :' <&3 & echo ready; read line; :");
        let mut watch = Watch::new([child.id()]).unwrap();
        assert_eq!(watch.usage().unwrap().processes, 2);
        // Kept open: the orphan reads from it.
        let input = child.stdin.take();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(watch.usage().unwrap().processes, 1);
        assert!(!watch.is_running());
        drop(input);
    }

    #[test]
    fn terminate_ends_a_process() {
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
}
