//! Encke itself, in a separate process: this test program, started as the server.
//!
//! The server's binary belongs to another package, which a test of this one cannot use; its library
//! it can.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use encke::config::Config;

/// A running node.
pub(crate) struct Node {
    child: Child,
    pub(crate) public: String,
    pub(crate) api: String,
}

/// Set for the process that runs the server.
const ROLE: &str = "LOADTEST_SERVES";

/// A node's other settings: ports that the kernel chooses, logs that a few hundred messages
/// overrun, and a pipe whose hook is never called.
const SETTINGS: [(&str, &str); 7] = [
    ("ENCKE_LISTEN", "127.0.0.1:0"),
    ("ENCKE_API_LISTEN", "127.0.0.1:0"),
    ("ENCKE_SHARDS", "2"),
    ("ENCKE_CHANNEL_BYTES", "128KiB"),
    ("ENCKE_MESSAGE_BYTES", "64KiB"),
    ("ENCKE_DRAIN", "500ms"),
    ("ENCKE_PIPE_HOOK", "http://127.0.0.1:9/"),
];

impl Node {
    /// Starts a node and waits for its addresses.
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().expect("this program has a name");
        let mut child = Command::new(program)
            .args(["--exact", "encke::the_server", "--ignored", "--nocapture"])
            .env(ROLE, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut lines = BufReader::new(child.stderr.take().expect("it was asked for")).lines();
        let line = lines.by_ref().map_while(Result::ok).find(|line| line.contains("listening public="));
        // The rest of its output is read, so that it never blocks.
        std::thread::spawn(move || lines.for_each(drop));
        let line = line.expect("the node listens");
        let field = |name: &str| {
            let (_, rest) = line.split_once(name).expect("the line names it");
            rest.split_whitespace().next().expect("and says what").to_owned()
        };
        Self { public: field("public="), api: field("api="), child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints the addresses that the node logs.
struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("{}", record.args());
    }

    fn flush(&self) {}
}

#[test]
#[ignore = "is no test: the server of the others"]
fn the_server() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    log::set_logger(&Log).expect("there is no other");
    log::set_max_level(log::LevelFilter::Info);
    let config = Config::from_vars(SETTINGS).expect("the settings are right");
    encke::server::run(config, Arc::default()).expect("the node runs");
}
