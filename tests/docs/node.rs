//! A real node on ports of the kernel's choice, which ends with its owner.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

/// A running node.
pub(crate) struct Node {
    process: Child,
    /// The public listener, as `IP:PORT`.
    pub(crate) public: String,
    /// The private one.
    pub(crate) api: String,
    /// Kept open, so that the node can go on writing its log.
    _log: BufReader<ChildStderr>,
}

impl Node {
    /// Starts one with two shards, so that messages also travel between shards, and waits until it listens.
    pub(crate) fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_encke"))
            .envs([
                ("ENCKE_LISTEN", "127.0.0.1:0"),
                ("ENCKE_API_LISTEN", "127.0.0.1:0"),
                ("ENCKE_SHARDS", "2"),
            ])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the node starts");
        let mut log = BufReader::new(process.stderr.take().expect("its log is piped"));
        let mut line = String::new();
        while !line.contains(" listening ") {
            line.clear();
            assert!(
                log.read_line(&mut line).expect("its log is text") > 0,
                "the node ends before it listens"
            );
        }
        let after = |key: &str| {
            let (_, rest) = line.split_once(key).expect("the line names both listeners");
            rest.split_whitespace().next().unwrap_or_default().to_owned()
        };
        Self { public: after("public="), api: after("api="), process, _log: log }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
