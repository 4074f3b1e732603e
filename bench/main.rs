//! The cost of each hot path in isolation: `cargo bench`, or `cargo bench -- fan-out` for a part.
//!
//! There are no sockets here: the kernel's share, which is by far the larger, is what
//! `encke-loadtest` and `encke-limit` measure. Every benchmark says how many elements (deliveries,
//! requests, frames, bytes) one pass has, so the numbers read as time per element. Time is noisy on
//! shared machines; `scripts/instructions` counts instead, and repeats to the digit.
#![forbid(unsafe_code)]

mod catch_up;
mod exchange;
mod fan_out;
mod framing;
mod heads;
mod json;
mod mailbox;
mod outbox;
mod rig;
mod suite;
mod unicast;
mod wheel;

fn main() {
    let mut suite = suite::Suite::from_args();
    heads::all(&mut suite);
    json::all(&mut suite);
    framing::all(&mut suite);
    outbox::all(&mut suite);
    wheel::all(&mut suite);
    catch_up::all(&mut suite);
    exchange::all(&mut suite);
    fan_out::all(&mut suite);
    unicast::all(&mut suite);
    mailbox::all(&mut suite);
    suite.finish();
}
