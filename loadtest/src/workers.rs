//! The worker processes as the coordinator sees them: starts them, sends them messages and reads
//! their reports.
//!
//! A worker ends when its standard input does, so none outlives the coordinator.

use std::io::{self, ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use mio::unix::pipe::Receiver;
use mio::{Interest, Registry, Token};

use crate::ipc::{FromWorker, LineBuffer, Progress, ToWorker, line};
use crate::plan::Plan;

/// All workers of a run.
pub struct Workers {
    workers: Vec<WorkerProcess>,
}

/// One of them.
struct WorkerProcess {
    child: Child,
    orders: Option<ChildStdin>,
    news: Receiver,
    lines: LineBuffer,
    plan: Plan,
    progress: Progress,
    is_done: bool,
}

impl Workers {
    /// Starts one worker for each plan. Tokens from `first` on are theirs.
    ///
    /// # Errors
    /// When this program cannot be started again.
    pub fn start(plans: Vec<Plan>, first: usize, registry: &Registry) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut workers = Self { workers: Vec::new() };
        for (index, plan) in plans.into_iter().enumerate() {
            let mut child =
                Command::new(&program).arg("worker").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let out =
                child.stdout.take().ok_or_else(|| io::Error::other("a worker has no standard output"))?;
            let mut news = Receiver::from(out);
            news.set_nonblocking(true)?;
            registry.register(&mut news, Token(first + index), Interest::READABLE)?;
            let orders = child.stdin.take();
            let lines = LineBuffer::default();
            workers.workers.push(WorkerProcess {
                child,
                orders,
                news,
                lines,
                plan,
                progress: Progress::default(),
                is_done: false,
            });
            let plan = workers.workers[index].plan.clone();
            workers.order_one(index, &ToWorker::Plan(Box::new(plan)))?;
        }
        Ok(workers)
    }

    /// The number of workers.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Each one's plan.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.workers.iter().map(|worker| &worker.plan)
    }

    /// Sends a message to all workers.
    ///
    /// # Errors
    /// If one has exited.
    pub fn order(&mut self, order: &ToWorker) -> io::Result<()> {
        (0..self.workers.len()).try_for_each(|worker| self.order_one(worker, order))
    }

    /// Sends a message to one worker.
    ///
    /// # Errors
    /// If it has exited.
    pub fn order_one(&mut self, worker: usize, order: &ToWorker) -> io::Result<()> {
        let orders = self.workers.get_mut(worker).and_then(|worker| worker.orders.as_mut());
        orders.ok_or_else(gone)?.write_all(&line(order)).map_err(|_| gone())
    }

    /// Reads a worker's messages. Progress is stored here, the rest is returned.
    ///
    /// # Errors
    /// If it exited too early, or sent an invalid message.
    pub fn read(&mut self, worker: usize) -> io::Result<Vec<FromWorker>> {
        let Some(worker) = self.workers.get_mut(worker) else { return Ok(Vec::new()) };
        let (mut all, mut buffer) = (Vec::new(), [0; 16 * 1024]);
        loop {
            match worker.news.read(&mut buffer) {
                Ok(0) if worker.is_done || all.iter().any(is_last) => break,
                Ok(0) => return Err(gone()),
                Ok(count) => {
                    let news: Vec<FromWorker> =
                        worker.lines.take(&buffer[..count]).map_err(io::Error::other)?;
                    all.extend(news);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        worker.is_done |= all.iter().any(is_last);
        all.retain(|news| {
            if let FromWorker::Progress(progress) = news {
                worker.progress = *progress;
            }
            !matches!(news, FromWorker::Progress(_))
        });
        Ok(all)
    }

    /// The sum of all workers' progress.
    pub fn progress(&self) -> Progress {
        let mut sum = Progress::default();
        for WorkerProcess { progress, .. } in &self.workers {
            sum.clients += progress.clients;
            sum.delivered += progress.delivered;
            sum.in_gaps += progress.in_gaps;
            sum.heartbeats += progress.heartbeats;
            sum.ended += progress.ended;
        }
        sum
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            drop(worker.orders.take());
            // A worker that is done ends by itself; there is nothing else for it to do.
            if !worker.is_done {
                let _ = worker.child.kill();
            }
            let _ = worker.child.wait();
        }
    }
}

/// Whether this is a worker's last message.
fn is_last(news: &FromWorker) -> bool {
    match news {
        FromWorker::Counts { .. } | FromWorker::ChurnDone { .. } => true,
        FromWorker::Ready
        | FromWorker::Latencies(_)
        | FromWorker::Progress(_)
        | FromWorker::Delivered { .. }
        | FromWorker::Warning(_)
        | FromWorker::Failed(_) => false,
    }
}

/// The worker has printed the reason on the standard error, which it shares.
fn gone() -> io::Error {
    io::Error::other("a worker ended before the run did")
}
