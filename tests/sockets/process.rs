//! The process as the system sees it: its threads and its addresses.

use std::net::SocketAddr;

use serde_json::json;

use crate::client::Conn;
use crate::down::Down;
use crate::node::{Node, await_that};

fn threads(node: &Node) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", node.pid())).expect("the node runs");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let mut names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    // The allocator's own threads.
    names.retain(|name| name != "jemalloc_bg_thd");
    names.sort();
    names
}

#[test]
fn there_are_as_many_threads_as_shards_and_the_main_one_whatever_the_load() {
    let node = Node::start(&[("ENCKE_SHARDS", "3")]);
    let expected = ["encke", "log", "shard-0", "shard-1", "shard-2"];
    // A thread sets its name once it runs.
    await_that(|| (threads(&node) == expected).then_some(()));
    let mut conns: Vec<Conn> = (0..100).map(|_| node.connect()).collect();
    for (n, conn) in conns.iter_mut().enumerate() {
        conn.request("GET", &format!("/u/u{n}/sse"), &[], b"");
        assert_eq!(conn.head().status, 200);
    }
    assert_eq!(threads(&node), expected);
}

#[test]
fn several_addresses_of_both_families_are_served() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let node = Node::start(&[("ENCKE_LISTEN", "127.0.0.1:0,[::1]:0"), ("ENCKE_API_LISTEN", "[::1]:0")]);
    let line = node.log_line(|line| line.contains("listening public="));
    let (_, rest) = line.split_once("public=").unwrap();
    let public: Vec<SocketAddr> =
        rest.split(' ').next().unwrap().split(',').map(|one| one.parse().unwrap()).collect();
    assert_eq!(public.len(), 2);
    for address in public {
        assert!(address.port() != 0);
        let answer = Conn::to(address).ask("GET", "/u/alice/poll", &[], b"");
        assert_eq!(answer.status, 200);
    }
    assert_eq!(node.sessions("alice").len(), 2);
}

#[test]
fn an_address_in_use_stops_the_start_and_is_named() {
    let node = Node::start(&[]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_encke"))
        .env_clear()
        .envs([("ENCKE_LISTEN", node.public.to_string()), ("ENCKE_API_LISTEN", "127.0.0.1:0".into())])
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && log.contains(&node.public.to_string()), "{log}");
    assert_eq!(node.get("/health").status, 200);
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_says_later_what_is_missing() {
    let node = Node::start_unread(&[("ENCKE_LOG_LEVEL", "debug")]);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    // Each request writes a line: more than the pipe and the queue hold.
    let request = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let mut conn = node.connect();
    let mut asked = 0;
    while node.metric("encke_log_dropped_total") == 0 {
        conn.send(&request);
        assert!((0..100).all(|_| conn.response().status == 200));
        asked += 100;
        assert!(asked < 100_000, "the log takes everything");
    }
    assert_eq!(node.api("GET", "/ready", "").status, 200);
    node.tell("alice", &json!(1));
    assert_eq!(down.data(), 1);
    // Once it is read again, it continues, and reports how many lines were dropped.
    let line = node.log_line(|line| line.contains("log lines were dropped"));
    let count: u64 = line.split(' ').find_map(|word| word.parse().ok()).expect("it says how many");
    assert!(count > 0 && node.metric("encke_log_dropped_total") >= count);
    assert_eq!(node.get("/u/bob/poll").status, 200);
    node.log_line(|line| line.contains("/u/bob/poll"));
}
