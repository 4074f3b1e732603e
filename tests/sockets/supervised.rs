//! The notifications that a supervisor such as systemd gets: ready, alive, draining.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use crate::node::{Node, PATIENCE};

/// A supervisor's socket, whose file goes with it.
struct Supervisor {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Supervisor {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("encke-{}-{test}.notify", std::process::id()));
        let socket = UnixDatagram::bind(&path).expect("the file is ours");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        Self { socket, path }
    }

    /// The next message, line by line.
    fn notifications(&self) -> Vec<String> {
        let mut message = [0; 256];
        let len = self.socket.recv(&mut message).expect("the node says something");
        String::from_utf8_lossy(&message[..len]).lines().map(str::to_owned).collect()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[test]
fn a_supervisor_is_notified_that_the_node_is_ready_alive_and_draining() {
    let supervisor = Supervisor::new("alive");
    let path = supervisor.path.to_str().expect("a path in UTF-8");
    let vars = [("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "300000"), ("ENCKE_DRAIN", "2s")];
    let mut node = Node::start(&vars);
    assert_eq!(supervisor.notifications(), ["READY=1", "STATUS=serving", "WATCHDOG=1"]);
    assert_eq!(supervisor.notifications(), ["WATCHDOG=1"], "again and again");
    node.signal("TERM");
    let news = std::iter::repeat_with(|| supervisor.notifications()).find(|news| *news != ["WATCHDOG=1"]);
    let expected = ["STOPPING=1", "STATUS=draining", "EXTEND_TIMEOUT_USEC=12000000"];
    assert_eq!(news.expect("it never ends"), expected);
    assert!(node.exit().success());
}

#[test]
fn a_node_with_a_supervisor_that_is_gone_serves_all_the_same() {
    let vars = [("NOTIFY_SOCKET", "/nowhere/notify")];
    let node = Node::start(&vars);
    node.log_line(|line| line.contains("could not notify the supervisor (NOTIFY_SOCKET)"));
    assert_eq!(node.get("/health").status, 200);
}
