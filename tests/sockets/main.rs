//! The real binary over real sockets: everything that a client, a backend or an operator can see.
//!
//! One program instead of one for each file, so that it links once and its files share helpers.
//! Each test starts its own node on ports that the kernel chooses. No test sleeps: it waits for
//! events with a deadline, and reads HTTP with code that shares nothing with the server's.

mod access;
mod admission;
mod api;
mod auth;
mod backend;
mod bad_input;
mod bayeux;
mod bounds;
mod candidates;
mod channels;
mod churn;
mod client;
mod commands;
mod conflate;
// The readers of the contract tests.
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
#[path = "../../src/transport/tests/decode/mod.rs"]
mod decode;
mod descriptors;
mod down;
mod drain;
mod gzip;
mod handoff;
mod http;
mod idempotency;
mod lockstep;
mod lost_answers;
mod names;
mod node;
mod order;
mod overlap;
mod pages;
mod places;
mod polls;
mod presence;
mod process;
mod proxy;
mod resubscribe;
mod resume;
mod sessions;
mod slow;
mod smuggling;
mod socket;
mod spellings;
mod streams;
mod supervised;
mod takeover;
mod tcp;
mod token_keys;
mod tokens;
mod unfinished;
mod unread;
mod ws;
mod xmlsocket;
