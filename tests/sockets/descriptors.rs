//! No file descriptor left: the node logs it once, does not spin, and accepts clients again as soon
//! as it can.

use std::time::Duration;

use serde_json::json;

use crate::client::Conn;
use crate::down::Down;
use crate::node::{Node, await_that};

/// Processor time of the node so far, in hundredths of a second.
fn ticks(node: &Node) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.pid())).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = rest.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Open descriptors of the node below 64. It may have inherited others above.
fn open(node: &Node) -> u64 {
    let exists = |fd: &u64| std::fs::symlink_metadata(format!("/proc/{}/fd/{fd}", node.pid())).is_ok();
    (0..64).filter(exists).count() as u64
}

#[test]
fn running_out_is_logged_does_not_spin_and_passes() {
    let node = Node::start_after("ulimit -n 64", &[("ENCKE_CONNECTIONS", "1000")]);
    assert!(node.log_line(|line| line.contains("listening public=")).contains("connections=24+8 fds=64"));
    node.log_line(|line| {
        line.contains("ENCKE_CONNECTIONS=1000 is more than 64 file descriptors (ulimit -n) allow")
    });
    // Fewer than the node expects, as if the whole machine had none left.
    node.limit_descriptors(30);
    let mut api = node.connect_api();
    assert_eq!(api.ask("GET", "/health", &[], b"").status, 200);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    let mut early = node.connect();
    assert_eq!(early.ask("GET", "/health", &[], b"").status, 200);
    let held: Vec<Conn> = (0..150).map(|_| node.connect()).collect();
    node.log_line(|line| line.contains("cannot accept connections"));
    let before = ticks(&node);
    down.assert_silent(Duration::from_millis(500));
    let used = ticks(&node) - before;
    assert!(used < 25, "{used} hundredths of a second while there was nothing to do");
    // Connected clients are served.
    assert_eq!(api.ask("POST", "/u/alice/publish", &[], b"1").status, 200);
    assert_eq!(down.data(), 1);
    assert_eq!(early.ask("GET", "/health", &[], b"").status, 200);
    let lines = node.log().iter().filter(|line| line.contains("cannot accept")).count();
    assert!(lines <= 4, "{lines} lines");
    drop(held);
    // Until one shard has accepted all waiting clients, the other may have no descriptor for a new
    // one.
    let all = 3 + 150;
    await_that(|| {
        let page = api.ask("GET", "/metrics", &[], b"");
        let taken = page.metric("encke_connections_accepted_total") + page.metric("encke_unaccepted_total");
        (taken == all && page.metric("encke_connections") == 3).then_some(())
    });
    assert_eq!(node.get("/health").status, 200);
    let mut late = Down::open(&node, "/u/bob/sse");
    late.opened();
    node.tell("bob", &json!(2));
    assert_eq!(late.data(), 2);
    node.await_metric("encke_unaccepted_total", 1);
}

#[test]
fn nobody_is_dropped_behind_clients_that_have_gone() {
    const FREE: u64 = 5;
    let node = Node::start_after("ulimit -n 64", &[("ENCKE_SHARDS", "1")]);
    let mut api = node.connect_api();
    assert_eq!(api.ask("GET", "/health", &[], b"").status, 200);
    node.limit_descriptors(open(&node) + FREE);
    for _ in 0..4 {
        let held: Vec<Conn> = (0..40).map(|_| node.connect()).collect();
        // The API's connections, and as many others as there are descriptors.
        await_that(|| {
            (api.ask("GET", "/metrics", &[], b"").metric("encke_connections") > FREE).then_some(())
        });
        drop(held);
        let mut late: Vec<Conn> = (1..FREE).map(|_| node.connect()).collect();
        for conn in &mut late {
            assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
        }
    }
}

#[test]
fn left_to_itself_the_node_keeps_some_in_reserve() {
    let node = Node::start_after("ulimit -n 128", &[("ENCKE_SHARDS", "1")]);
    node.log_line(|line| {
        line.contains("WARN") && line.contains("128 file descriptors (ulimit -n) allow 48 connections and 16")
    });
    let mut held: Vec<Conn> = (0..150).map(|_| node.connect()).collect();
    let answers = held
        .iter_mut()
        .filter_map(|conn| conn.something_within(Duration::from_millis(5)).then(|| conn.response()));
    let full: Vec<u16> = answers.map(|answer| answer.status).collect();
    assert!(full.len() > 50 && full.iter().all(|status| *status == 503), "{full:?}");
    assert!(node.log().iter().all(|line| !line.contains("cannot accept")), "{:?}", node.log());
    // However many clients hold descriptors, the operators' are reserved.
    let mut backends: Vec<Conn> = (0..16).map(|_| node.connect_api()).collect();
    for backend in &mut backends {
        assert_eq!(backend.ask("GET", "/health", &[], b"").status, 200);
    }
}
