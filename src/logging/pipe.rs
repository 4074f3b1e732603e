//! The queue of log lines to standard error, written by a separate thread.
//!
//! The reader of standard error may stop reading, and a full pipe blocks its writer. So a thread
//! that logs only puts its line into a queue. The queue is bounded in bytes: lines that do not fit
//! are dropped and counted, and the log reports their number once it is read again.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use crossbeam_channel::after;

use super::limits::{FLUSH_MAX, QUEUE_BYTES_MAX, QUEUED_LINE_BYTES, RETRY_PAUSE};

/// The sending end. Each `write` is one whole line.
#[derive(Clone)]
pub(super) struct LogPipe {
    items: mpsc::Sender<LogItem>,
    shared: Arc<Shared>,
}

enum LogItem {
    Line(Vec<u8>),
    /// Requests a reply once everything before it is written.
    Flush(mpsc::Sender<()>),
}

struct Shared {
    /// Bytes in the queue.
    waiting: AtomicUsize,
    /// Lines dropped since the start.
    dropped: Arc<AtomicU64>,
}

impl LogPipe {
    /// Starts the thread that writes to `out`. `dropped` counts the lines that are not written.
    pub(super) fn start(out: impl Write + Send + 'static, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        let (items, queue) = mpsc::channel();
        let shared = Arc::new(Shared { waiting: AtomicUsize::new(0), dropped });
        let writer = Writer { out, shared: Arc::clone(&shared), reported: 0 };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&queue))?;
        Ok(Self { items, shared })
    }

    /// Waits until everything is written, but not for a reader that is stuck.
    pub(super) fn flush(&self) {
        let (done, wait) = mpsc::channel();
        if self.items.send(LogItem::Flush(done)).is_ok() {
            // At the end of the process a timeout cannot be reported any more.
            let _ = wait.recv_timeout(FLUSH_MAX);
        }
    }
}

impl Write for LogPipe {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let cost = line.len() + QUEUED_LINE_BYTES;
        let waiting = self.shared.waiting.fetch_add(cost, Ordering::Relaxed);
        if waiting + cost > QUEUE_BYTES_MAX || self.items.send(LogItem::Line(line.to_vec())).is_err() {
            self.shared.waiting.fetch_sub(cost, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Writer<W> {
    out: W,
    shared: Arc<Shared>,
    /// How many dropped lines the log has reported.
    reported: u64,
}

impl<W: Write> Writer<W> {
    fn run(mut self, queue: &mpsc::Receiver<LogItem>) {
        while let Ok(item) = queue.recv() {
            match item {
                LogItem::Line(line) => self.write(&line),
                LogItem::Flush(done) => {
                    let _ = done.send(());
                }
            }
        }
    }

    fn write(&mut self, line: &[u8]) {
        let written = self.write_all(line);
        let left = self.shared.waiting.fetch_sub(line.len() + QUEUED_LINE_BYTES, Ordering::Relaxed);
        if written.is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        // With room in the queue, so that this line is not dropped itself.
        if dropped > self.reported && left < QUEUE_BYTES_MAX / 2 {
            log::warn!(
                "{} log lines were dropped: the reader of standard error is too slow",
                dropped - self.reported
            );
            self.reported = dropped;
        }
    }

    /// The whole line, also into a pipe that another process made non-blocking.
    fn write_all(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => drop(after(RETRY_PAUSE).recv()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that takes a line whenever the test lets it.
    struct Reader {
        let_through: mpsc::Receiver<()>,
        taken: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.let_through.recv().map_err(io::Error::other)?;
            self.taken.send(line.to_vec()).map_err(io::Error::other)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_stuck_blocks_nobody_and_what_does_not_fit_is_counted() {
        let ((go, let_through), (taken, lines)) = (mpsc::channel(), mpsc::channel());
        let dropped = Arc::new(AtomicU64::new(0));
        let mut pipe = LogPipe::start(Reader { let_through, taken }, Arc::clone(&dropped)).unwrap();
        let line = [b'x'; 1000];
        let fits = QUEUE_BYTES_MAX / (line.len() + QUEUED_LINE_BYTES);
        for _ in 0..fits + 7 {
            assert_eq!(pipe.write(&line).unwrap(), line.len());
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 7);
        (0..fits).for_each(|_| go.send(()).unwrap());
        assert!((0..fits).all(|_| lines.recv().unwrap() == line), "what fitted is written");
        pipe.flush();
        go.send(()).unwrap();
        pipe.write_all(b"later").unwrap();
        assert_eq!(lines.recv().unwrap(), b"later");
        assert_eq!(dropped.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn what_cannot_be_written_counts_as_dropped() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let dropped = Arc::new(AtomicU64::new(0));
        let mut pipe = LogPipe::start(Broken, Arc::clone(&dropped)).unwrap();
        pipe.write_all(b"a line").unwrap();
        LogPipe::flush(&pipe);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    }
}
