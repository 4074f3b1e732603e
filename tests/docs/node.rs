//! A real node on ports that the kernel chooses, which ends with its owner.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

/// A running node.
pub(crate) struct Node {
    process: Child,
    /// The public listener, as `IP:PORT`.
    pub(crate) public: String,
    /// The private listener.
    pub(crate) api: String,
    /// The XMLSocket listener; empty if there is none.
    pub(crate) xmlsocket: String,
    /// Kept open, so that the node can continue to write its log.
    _log: BufReader<ChildStderr>,
}

impl Node {
    /// Starts a node and waits until it listens.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_encke"))
            .envs([
                ("ENCKE_LISTEN", "127.0.0.1:0"),
                ("ENCKE_API_LISTEN", "127.0.0.1:0"),
                // Positions of one shard, so that all examples of a page have one epoch.
                ("ENCKE_SHARDS", "1"),
                // The advice to pollers depends on time and load; here it can only be its lower
                // bound.
                ("ENCKE_POLL_MAX", "500ms"),
            ])
            .envs(variables.iter().copied())
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
            let rest = line.split_once(key).map(|(_, rest)| rest);
            rest.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().to_owned()
        };
        let (public, api, xmlsocket) = (after("public="), after("api="), after("xmlsocket="));
        assert!(!public.is_empty() && !api.is_empty(), "the line names both listeners: {line}");
        Self { process, public, api, xmlsocket, _log: log }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
