//! How a benchmark runs: timed by criterion, or once, for a tool that counts its instructions.
//!
//! A benchmark is a state, created once and only if needed, and a body that can be repeated on it
//! endlessly: a body removes what it adds, or displaces something older.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};

/// All benchmarks of a run.
pub(crate) struct Suite {
    runner: Runner,
}

enum Runner {
    Timed(Box<Criterion>),
    /// With `--count`: prints the names of the benchmarks.
    Listed,
    /// With `--count NAME`: the body of this benchmark runs once inside [`measured`], and the
    /// standard output says of how many elements.
    Counted {
        name: String,
    },
}

/// The divisor of a pass.
#[derive(Clone, Copy)]
pub(crate) enum Pass {
    /// This many elements of the benchmark.
    Elements(usize),
    /// This many bytes.
    Bytes(usize),
}

/// Whether a benchmark's work is the same in every run. Work of threads is not, and is never
/// counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    Exactly,
    Roughly,
}

impl Suite {
    /// By the command line: criterion's options, or `--count [NAME]`.
    pub(crate) fn from_args() -> Self {
        let mut arguments = std::env::args().skip(1).skip_while(|argument| argument != "--count");
        let runner = match (arguments.next(), arguments.next()) {
            (Some(_), Some(name)) => Runner::Counted { name },
            (Some(_), None) => Runner::Listed,
            (None, _) => Runner::Timed(Box::new(
                Criterion::default()
                    .sample_size(20)
                    .warm_up_time(Duration::from_millis(500))
                    .measurement_time(Duration::from_secs(2))
                    .without_plots()
                    .configure_from_args(),
            )),
        };
        Self { runner }
    }

    /// One benchmark whose work is the same each time.
    pub(crate) fn bench<S>(
        &mut self,
        (group, name): (&str, &str),
        pass: Pass,
        state: impl FnOnce() -> S,
        body: impl FnMut(&mut S),
    ) {
        self.run((group, name), pass, Repeats::Exactly, state, body);
    }

    /// One benchmark.
    pub(crate) fn run<S>(
        &mut self,
        (group, name): (&str, &str),
        pass: Pass,
        repeats: Repeats,
        state: impl FnOnce() -> S,
        mut body: impl FnMut(&mut S),
    ) {
        let mut state = Lazy::Unmade(state);
        match &mut self.runner {
            Runner::Timed(criterion) => {
                let mut group = criterion.benchmark_group(group);
                group.throughput(pass.throughput());
                group.bench_function(name, |bencher| {
                    let state = state.made();
                    bencher.iter(|| body(state));
                });
                group.finish();
            }
            Runner::Listed if repeats == Repeats::Exactly => println!("{group}/{name}"),
            Runner::Counted { name: wanted } if *wanted == format!("{group}/{name}") => {
                let state = state.made();
                // After some passes buffers have their sizes and logs are full.
                (0..WARM_UP).for_each(|_| body(state));
                measured(&mut || body(state));
                println!("{}", pass.count());
            }
            Runner::Listed | Runner::Counted { .. } => {}
        }
    }

    /// Prints criterion's summary.
    pub(crate) fn finish(self) {
        match self.runner {
            Runner::Timed(criterion) => criterion.final_summary(),
            Runner::Listed | Runner::Counted { .. } => {}
        }
    }
}

impl Pass {
    fn throughput(self) -> Throughput {
        match self {
            Self::Elements(count) => Throughput::Elements(count as u64),
            Self::Bytes(count) => Throughput::Bytes(count as u64),
        }
    }

    fn count(self) -> usize {
        match self {
            Self::Elements(count) | Self::Bytes(count) => count,
        }
    }
}

/// A state that is created when it is first needed: a benchmark that is filtered out opens no ten
/// thousand streams.
enum Lazy<S, F> {
    Unmade(F),
    Made(S),
    /// While it is being created.
    Making,
}

impl<S, F: FnOnce() -> S> Lazy<S, F> {
    fn made(&mut self) -> &mut S {
        *self = match std::mem::replace(self, Self::Making) {
            Self::Unmade(make) => Self::Made(make()),
            made => made,
        };
        match self {
            Self::Made(state) => state,
            Self::Unmade(_) | Self::Making => unreachable!("making the state panicked"),
        }
    }
}

/// The frame that `scripts/instructions` names to the tool, which counts what runs inside.
#[inline(never)]
fn measured(body: &mut dyn FnMut()) {
    body();
    // Otherwise the call would be a jump, and this frame would end before the body runs.
    black_box(());
}

/// Sizes of the largest benchmarks: `full` for times, `small` where an unoptimised build only shows
/// that they run.
pub(crate) const fn size(full: usize, small: usize) -> usize {
    if cfg!(debug_assertions) { small } else { full }
}

/// Passes before the counted one.
const WARM_UP: usize = 4;
